"""What is one unit of work? Lock customers, fold what waits for them, write what follows: one transaction.

Which customers, and what happens when it fails, is `apply`'s and `alone`'s.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from lifecycle.domain.fate import Fate
from lifecycle.domain.fold import Folded, fold, is_late
from lifecycle.domain.snapshot import Snapshot
from lifecycle.domain.timeline import Timeline
from lifecycle.engine import decisions
from lifecycle.engine.current import usable
from lifecycle.engine.installation import Installation
from lifecycle.engine.overturning import Late
from lifecycle.engine.record import Change, Edge, NoStep, Restated, write
from lifecycle.errors import PoisonEvent
from lifecycle.killpoints import Point, killpoint
from lifecycle.logs.lines import Teller
from lifecycle.store import attempts, customers, events
from lifecycle.store.customers import CustomerRow
from lifecycle.store.events import StoredEvent
from lifecycle.store.sql import Tx

tell = Teller("lifecycle.engine")

TRYING_SECONDS = 1.0  # after which a fold that raised is not tried again in the same transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Spared:
    """A customer whom nothing could fold, left out so that the others of her batch go on."""

    customer_id: int
    error: Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What one round of work did."""

    customers: int = 0
    events: int = 0
    steps: int = 0
    edges: Counter[Edge] = field(default_factory=Counter)  # of these steps
    messages: int = 0
    fates: Counter[Fate] = field(default_factory=Counter)  # of these messages, as first decided
    quarantined: int = 0
    woken: int = 0  # customers for whom a check or a waiting event had come due
    left: int = 0  # customers with whom others had just begun
    more: bool = False  # something was done, so there may be more: ask again
    spared: tuple[Spared, ...] = ()  # nothing was written of these, and what waits goes on waiting

    def __add__(self, other: Applied) -> Applied:
        return Applied(
            customers=self.customers + other.customers,
            events=self.events + other.events,
            steps=self.steps + other.steps,
            edges=self.edges + other.edges,
            messages=self.messages + other.messages,
            fates=self.fates + other.fates,
            quarantined=self.quarantined + other.quarantined,
            woken=self.woken + other.woken,
            left=self.left + other.left,
            more=self.more or other.more,
            spared=self.spared + other.spared,
        )


def work(
    inst: Installation,
    tx: Tx,
    customer_ids: Sequence[int],
    *,
    ending: int | None = None,
    up_to: StoredEvent | None = None,
    sparing: bool = False,
    tries: int = 1,
) -> Applied:
    """Fold what waits for these customers, or up to one event of it, and write what follows.

    A fold that blames an event is tried up to `tries` times on what was read once: under the lock
    nobody can change it. Then, with `sparing`, its customer is left out and told; else it raises. Who
    is locked by others is left to them; `left` counts her where there is nobody else.

    The order matters on PostgreSQL: lock in one statement, read everything in later ones, the
    pending rows before the histories, the clock after the lock; clear exactly the rows read.
    """
    begun = time.perf_counter()
    locked = customers.lock(tx, customer_ids)
    killpoint(Point.WORKER_LOCKED)
    if not locked and not sparing:
        return Applied(left=len(customer_ids))  # a lone attempt is that of whoever has her
    now = inst.now(tx)
    timeline = inst.timeline(tx)
    rows = customers.rows(tx, locked)
    pending = events.pending_of(tx, locked)
    until = now
    if up_to is not None:
        pending = {who: _up_to(up_to, waiting) for who, waiting in pending.items()}
        until = min(now, up_to.event.occurred_at)
    spared: list[Spared] | None = [] if sparing else None
    heard = decisions.are_heard()
    foldings = _foldings(tx, timeline, rows, pending, until, heard=heard)
    changes = list(_changes(foldings, tries, spared))
    written = write(tx, changes, timeline, now)
    done = {change.row.id for change in changes}
    folded = [stored for who, waiting in pending.items() if who in done for stored in waiting]
    events.clear_pending(tx, folded)
    if heard:
        decisions.tell_of_work(tx, written, changes, folded)
    if ending is not None and not attempts.end(tx, [ending]):
        tx.after_commit(partial(_tell_of_lost_lease, len(customer_ids)))
    inst.pace.took(max(len(folded), len(changes)), time.perf_counter() - begun)
    woken = sum(1 for row in rows.values() if row.wake_at is not None and row.wake_at <= now)
    killpoint(Point.TIMER_BEFORE_COMMIT if woken else Point.WORKER_BEFORE_COMMIT)
    return Applied(
        customers=len(changes),
        events=len(folded),
        steps=len(written.made),
        edges=written.edges,
        messages=len(written.planned),
        fates=written.fates,
        woken=woken,
        spared=tuple(spared or ()),
    )


def _tell_of_lost_lease(customers: int) -> None:
    tell.warning(
        "lease_lost",
        "work with {customers} customers was ended already, by others who took this process for gone"
        " or by a commit whose answer was lost; nothing is done twice",
        customers=customers,
    )


def _changes(
    foldings: Iterable[tuple[int, Callable[[], Change]]], tries: int, spared: list[Spared] | None
) -> Iterator[Change]:
    """One a customer; who cannot be folded goes to `spared`, where that is given."""
    for customer_id, folding in foldings:
        try:
            yield _tried(folding, tries)
        except Exception as error:
            if spared is None:
                raise
            spared.append(Spared(customer_id=customer_id, error=error))


def _tried(folding: Callable[[], Change], tries: int) -> Change:
    """What it raises says how often it was tried: not again where that takes long, as others wait."""
    begun, made = time.monotonic(), 0
    while True:
        made += 1
        try:
            return folding()
        except PoisonEvent as error:
            error.tries = made
            if made >= tries or time.monotonic() - begun > TRYING_SECONDS:
                raise


def _up_to(last: StoredEvent, waiting: list[StoredEvent]) -> list[StoredEvent]:
    """Those before it and itself; nothing where it does not wait any more."""
    rows = [stored.row_id for stored in waiting]
    return waiting[: rows.index(last.row_id) + 1] if last.row_id in rows else []


def _foldings(
    tx: Tx,
    timeline: Timeline,
    rows: Mapping[int, CustomerRow],
    pending: Mapping[int, Sequence[StoredEvent]],
    until: datetime,
    *,
    heard: bool,
) -> Iterator[tuple[int, Callable[[], Change]]]:
    """How each customer is to be folded: on from where she was, or from the beginning."""
    change = partial(_change, timeline, heard=heard)
    again: dict[int, Snapshot | None] = {}
    for customer_id, row in rows.items():
        waiting = pending.get(customer_id, ())
        before = usable(timeline, row)
        if row.folded_until is None:  # nothing of hers was folded yet, so nothing is recorded
            yield customer_id, partial(change, row, None, waiting, until)
        elif before is None or before.waits or any(is_late(before, one.event) for one in waiting):
            again[customer_id] = before
        else:
            yield customer_id, partial(change, row, before, waiting, until)
    if again:
        for customer_id, history in events.histories(tx, list(again), pending):
            row, before = rows[customer_id], again.pop(customer_id)
            waiting = pending.get(customer_id, ())
            late = Late(
                timeline=timeline,
                events=tuple(
                    one for one in waiting if before is None or is_late(before, one.event)
                ),
                waiting=waiting,
                length=len(history),
                believed=before is not None,
            )
            yield (
                customer_id,
                partial(change, row, None, history, until, again=True, late=late),
            )
        for customer_id in again:  # all of her events have left the fold
            yield (
                customer_id,
                partial(change, rows[customer_id], None, (), until, again=True),
            )


def _change(
    timeline: Timeline,
    row: CustomerRow,
    before: Snapshot | None,
    stored: Sequence[StoredEvent],
    horizon: datetime,
    *,
    again: bool = False,
    late: Late | None = None,
    heard: bool = False,
) -> Change:
    until = horizon if row.folded_until is None else max(horizon, row.folded_until)
    refused: list[NoStep] = []
    witness = decisions.refusals_of_time(row.folded_until, refused) if heard else None
    folded: Folded = fold(timeline, before, [one.event for one in stored], until, witness)
    return Change(
        row=row,
        folded=folded,
        until=until,
        stay=0 if before is None else before.stay,
        again=again,
        late=late,
        restated=_restated(timeline, row, () if late is None else late.waiting) if again else None,
        refused=tuple(refused),
    )


def _restated(
    timeline: Timeline, row: CustomerRow, waiting: Sequence[StoredEvent]
) -> Restated | None:
    """Whether a version that judges from the beginning of time judges her now for the first time."""
    first = timeline.versions[0]
    if first.withhold_until is None or row.folded_until is None:
        return None
    if (row.policy_version or 0) >= first.number:
        return None
    return Restated(
        until=first.withhold_until,
        folded_until=row.folded_until,
        causes=frozenset(one.event.cause for one in waiting),
    )
