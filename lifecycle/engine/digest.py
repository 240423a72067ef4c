"""One number for the whole derived truth at an instant: equal digests mean equal truths.

Each customer's state, facts, attributes, live steps and the keys of planned messages whose causes
stand. Fates, row ids and arrival are not in it, so that any way of getting the same events in gives
the same digest, on any database.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from lifecycle.domain.fold import facts_at, fold
from lifecycle.domain.instant import BEGINNING, instant_text
from lifecycle.domain.snapshot import Snapshot, load, shape_of
from lifecycle.domain.timeline import Timeline
from lifecycle.engine.installation import Installation
from lifecycle.errors import NotReady
from lifecycle.store import backlog, customers, events, messages, steps
from lifecycle.store.customers import CustomerRow
from lifecycle.store.messages import MessageRow
from lifecycle.store.sql import Tx
from lifecycle.store.steps import StepRow

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
        summed = hashlib.sha256()
        count = 0
        for truth in truths(inst, tx, instant):
            summed.update(orjson.dumps(truth, option=orjson.OPT_SORT_KEYS))
            summed.update(b"\n")
            count += 1
    return Digest(at=instant, hex=summed.hexdigest(), customers=count)


def _refuse_unfinished(tx: Tx, at: datetime) -> None:
    pending = backlog.pending_until(tx, at)
    if pending:
        held = backlog.held_until(tx, at)
        unended = f"; {held} of them are held by an import that has not ended: run it again"
        raise NotReady(
            f"{pending} events up to {instant_text(at)} are pending: apply them first"
            f"{unended if held else ''}"
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
            yield _truth(timeline, row, snapshot, live.get(row.id, []), planned.get(row.id, []), at)


def _past(tx: Tx, timeline: Timeline, page: list[CustomerRow], at: datetime) -> dict[int, Snapshot]:
    """Each customer as she was at an instant: only facts of the past need folding again."""
    found: dict[int, Snapshot] = {}
    again = []
    for row in page:
        if row.folded_until is None:
            continue
        if row.snapshot is not None and shape_of(row.snapshot) == timeline.shape:
            snapshot = load(row.snapshot, timeline)
            if _reached(snapshot) <= at:
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


def _truth(
    timeline: Timeline,
    row: CustomerRow,
    snapshot: Snapshot,
    live: list[StepRow],
    planned: list[MessageRow],
    at: datetime,
) -> dict[str, Any]:
    made = [stored.step for stored in live if stored.step.at <= at]
    return {
        "customer": row.key,
        "state": made[-1].to_state if made else timeline.versions[0].policy.initial,
        "facts": facts_at(timeline, snapshot, at),
        "attributes": snapshot.attributes,
        "tags": snapshot.tags,
        "consents": snapshot.consents,
        "steps": [
            {
                "rule": step.rule,
                "from": step.from_state,
                "to": step.to_state,
                "trigger": step.trigger,
                "cause": step.cause,
                "at": instant_text(step.at),
                "guard": step.guard,
                "read": step.read,
                "version": step.version,
                "by": step.by,
                "why": step.why,
            }
            for step in made
        ],
        "messages": sorted(
            row.message.key for row in planned if row.live and row.message.caused_at <= at
        ),
    }
