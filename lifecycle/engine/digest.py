"""One number for the whole derived truth at an instant: equal digests mean equal truths.

Each customer's state, facts, attributes, live steps and the keys of planned messages whose causes
stand. Fates, row ids and arrival are not in it, so that any way of getting the same events in gives
the same digest, on any database.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lifecycle.domain.fold import fold
from lifecycle.domain.instant import BEGINNING, instant_text
from lifecycle.domain.snapshot import Snapshot
from lifecycle.domain.timeline import Timeline
from lifecycle.engine.current import usable
from lifecycle.engine.installation import Installation
from lifecycle.engine.truth import Sum, truth
from lifecycle.errors import NotReady
from lifecycle.store import backlog, customers, events, messages, recomputations, steps
from lifecycle.store.customers import CustomerRow
from lifecycle.store.sql import Tx

PAGE = 1000  # customers in memory at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    at: datetime
    hex: str  # SHA-256
    customers: int


def digest(inst: Installation, at: datetime | None = None) -> Digest:
    """The digest at an instant, by default that of the last event.

    Raises NotReady while events up to the instant are pending or checks are due.
    """
    with inst.db.read() as tx:
        instant = at or backlog.last_event_at(tx)
        if instant is None:
            raise NotReady("there are no events, so there is nothing to digest")
        _refuse_unfinished(tx, instant)
        summed = Sum()
        for told in truths(inst, tx, instant):
            summed.add(told)
    return Digest(at=instant, hex=summed.hex, customers=summed.customers)


def _refuse_unfinished(tx: Tx, at: datetime) -> None:
    pending = backlog.pending_until(tx, at)
    if pending:
        held = backlog.held_until(tx, at)
        unended = f"; {held} of them are held by an import that has not ended: run it again"
        raise NotReady(
            f"{pending} events up to {instant_text(at)} are pending: apply them first"
            f"{unended if held else ''}"
        )
    open_one = recomputations.unfinished(tx)
    if open_one is not None:
        raise NotReady(
            f"{open_one.done:,} of {open_one.customers:,} customers know version {open_one.version} of"
            " the policy: the others are folded on to it by `lifecycle up`, or by workers, so let them"
            " come to the end"
        )
    due = customers.due_count(tx, at)
    if due:
        raise NotReady(
            f"checks or waiting events of {due} customers are due up to {instant_text(at)}:"
            " let them fire first, or ask for an earlier instant"
        )


def truths(inst: Installation, tx: Tx, at: datetime) -> Iterator[dict[str, Any]]:
    """The canonical truth of each customer at an instant, by key in code-point order."""
    timeline = inst.timeline(tx)
    after = ""
    while page := customers.after_key(tx, after, PAGE):
        after = page[-1].key
        ids = [row.id for row in page]
        live = steps.live(tx, ids)
        planned = messages.of(tx, ids)
        past = _past(tx, timeline, page, at)
        for row in page:
            snapshot = past.get(row.id)
            if snapshot is None or snapshot.began_at is None or snapshot.began_at > at:
                continue
            made = [stored.step for stored in live.get(row.id, ()) if stored.step.at <= at]
            keys = [
                stored.message.key
                for stored in planned.get(row.id, ())
                if stored.live and stored.message.caused_at <= at
            ]
            yield truth(timeline, row.key, snapshot, made, keys, at)


def _past(tx: Tx, timeline: Timeline, page: list[CustomerRow], at: datetime) -> dict[int, Snapshot]:
    """Each customer as she was at an instant: only facts of the past need folding again."""
    found: dict[int, Snapshot] = {}
    again = []
    for row in page:
        if row.folded_until is None:
            continue
        snapshot = usable(timeline, row)
        if snapshot is not None and _reached(snapshot) <= at:
            found[row.id] = snapshot
            continue
        again.append(row.id)
    for customer_id, history in events.histories(tx, again):
        folded = fold(timeline, None, [stored.event for stored in history], at)
        found[customer_id] = folded.snapshot
    return found


def _reached(snapshot: Snapshot) -> datetime:
    """The instant of the newest thing in a snapshot."""
    instants = [snapshot.checked_at, snapshot.last_key and snapshot.last_key.occurred_at]
    return max((instant for instant in instants if instant), default=BEGINNING)
