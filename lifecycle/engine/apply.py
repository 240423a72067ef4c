"""How pending events and due checks become state, steps and messages: claim, fold, write, commit.

A batch of customers is one transaction. Attempts are committed before the work, so that a crash
counts too: a batch whose attempt did not finish is tried again customer by customer, then event by
event, and an event whose lone attempts keep failing leaves the fold (`quarantine`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from lifecycle.domain import snapshot as snapshots
from lifecycle.domain.event import Event
from lifecycle.domain.fold import Folded, fold, is_late
from lifecycle.domain.snapshot import Snapshot
from lifecycle.domain.timeline import Timeline
from lifecycle.engine.installation import Installation
from lifecycle.engine.record import Change, write
from lifecycle.errors import PoisonEvent, Unavailable
from lifecycle.store import attempts, customers, dead, events
from lifecycle.store.attempts import Level
from lifecycle.store.customers import CustomerRow
from lifecycle.store.events import StoredEvent
from lifecycle.store.sql import Tx

log = logging.getLogger(__name__)

LONE_TRIES = 5  # of one event alone, before it is quarantined
CRASHED_AFTER = timedelta(seconds=5)  # an attempt this old whose customers nobody holds has crashed

POSTPONED = timedelta(hours=1)  # of the engine's clock, for a customer whom nothing can fold

SUSPECTED_FOR = timedelta(hours=1)
PATIENCE_SECONDS = 10.0  # with others who are busy with a customer whom a person asked for
AGAIN_SECONDS = 0.05

_FROM_OUTSIDE = (Unavailable, KeyboardInterrupt)

_TOKEN = f"{os.getpid()}-{secrets.token_hex(4)}"  # of this process, in its attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What one round of work did."""

    customers: int = 0
    events: int = 0
    steps: int = 0
    messages: int = 0
    quarantined: int = 0
    woken: int = 0  # customers for whom a check or a waiting event had come due
    left: int = 0  # customers with whom others had just begun
    more: bool = False  # something was done, so there may be more: ask again

    def __add__(self, other: Applied) -> Applied:
        return Applied(
            customers=self.customers + other.customers,
            events=self.events + other.events,
            steps=self.steps + other.steps,
            messages=self.messages + other.messages,
            quarantined=self.quarantined + other.quarantined,
            woken=self.woken + other.woken,
            left=self.left + other.left,
            more=self.more or other.more,
        )


def apply_pending(inst: Installation, max_events: int | None = None) -> Applied:
    """Fold what waits, about `max_events` of it; run twice, the second finds nothing.

    Callers repeat while `more` is true.
    """
    limit = max_events or inst.pace.limit
    return _round(inst, lambda tx: customers.claim_pending(tx, limit))


def fire_due(inst: Installation, max_customers: int | None = None) -> Applied:
    """Fire the timed checks and calendar slots that are due at the engine's clock."""
    limit = max_customers or inst.pace.limit
    return _round(inst, lambda tx: customers.claim_due(tx, inst.now(tx), limit))


def apply_customers(inst: Installation, customer_ids: Sequence[int]) -> Applied:
    """Fold exactly these customers up to now, whether or not anything waits for them.

    Waits a while for those with whom others are busy; `left` counts whom they did not let go.
    """
    done = Applied()
    waiting = list(customer_ids)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while waiting:
        claim = inst.db.run(
            lambda tx, ids=tuple(waiting): _claim(inst, tx, lambda tx: customers.lock(tx, ids))  # type: ignore[misc]
        )
        done += _work_on(inst, claim)
        tried = {*claim.together, *claim.suspects}
        waiting = [customer_id for customer_id in waiting if customer_id not in tried]
        if waiting and time.monotonic() > deadline:
            break
        if waiting:
            time.sleep(AGAIN_SECONDS)
    return replace(done, left=len(waiting))


# -- one round -------------------------------------------------------------------------------

_Claiming = Callable[[Tx], list[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """Customers to work on, and what unfinished attempts say about them."""

    attempt: int | None  # of the batch; None where there is nobody to try together
    together: tuple[int, ...]
    suspects: tuple[int, ...]  # work with them did not finish: to be tried alone
    left: int = 0  # others have just begun with so many


def _round(inst: Installation, claiming: _Claiming) -> Applied:
    done = _work_on(inst, inst.db.run(lambda tx: _claim(inst, tx, claiming)))
    return replace(done, more=done.events > 0 or done.woken > 0)


def _work_on(inst: Installation, claim: _Claim) -> Applied:
    done = Applied(left=claim.left)
    if claim.attempt is not None:
        done += _together(inst, claim.together, claim.attempt)
    for customer_id in claim.suspects:
        done += _alone(inst, customer_id)
    return done


def _claim(inst: Installation, tx: Tx, claiming: _Claiming) -> _Claim:
    """Choose customers, and commit that they are being tried before anything is done."""
    ids = claiming(tx)
    if not ids:
        return _Claim(attempt=None, together=(), suspects=())
    now = inst.db.clock(tx)
    suspects, busy = _unfinished(inst, tx, set(ids), now)
    together = tuple(id for id in ids if id not in suspects and id not in busy)
    attempt = None
    if together:
        attempt = attempts.begin(
            tx, token=_TOKEN, level=Level.BATCH, customers=together, started_at=now
        )
    return _Claim(
        attempt=attempt,
        together=together,
        suspects=tuple(id for id in ids if id in suspects),
        left=sum(1 for id in ids if id in busy),
    )


def _unfinished(
    inst: Installation, tx: Tx, locked: set[int], now: datetime
) -> tuple[set[int], set[int]]:
    """Of the customers whom we locked: whose last work crashed, and with whom others just began.

    Whoever works on a customer holds her lock. So an attempt that is not quite new, one of whose
    customers we could lock, has crashed; its batch is dissolved into customers. Suspicions that
    nothing came of for an hour are dropped.
    """
    suspects: set[int] = set()
    busy: set[int] = set()
    for attempt in attempts.unfinished(tx):
        if locked.isdisjoint(attempt.customers):
            if attempt.count == 0 and now - attempt.started_at >= SUSPECTED_FOR:
                attempts.end(tx, [attempt.id])
            continue
        ours = attempt.token == _TOKEN
        crashed = now - attempt.started_at >= CRASHED_AFTER or (
            # an embedded database has one process, so the others are gone
            inst.db.dialect == "sqlite" and not ours
        )
        if not crashed:
            busy.update(attempt.customers)
            continue
        suspects.update(attempt.customers)
        if attempt.level is Level.BATCH:
            attempts.dissolve(tx, attempt, token=_TOKEN, started_at=now)
    return suspects, busy - suspects


def _together(inst: Installation, customer_ids: Sequence[int], attempt: int) -> Applied:
    try:
        return inst.db.run(lambda tx: _work(inst, tx, customer_ids, ending=attempt))
    except _FROM_OUTSIDE:
        _forgive(inst, attempt)
        raise
    except Exception:
        log.exception("a batch of %d customers failed; trying each alone", len(customer_ids))
    inst.db.run(lambda tx: attempts.end(tx, [attempt]))
    done = Applied()
    for customer_id in customer_ids:
        done += _alone(inst, customer_id)
    return done


# -- alone -----------------------------------------------------------------------------------


def _alone(inst: Installation, customer_id: int) -> Applied:
    """One customer by herself; where that failed before, her events one by one."""
    attempt, tries = inst.db.run(lambda tx: _begin(inst, tx, Level.CUSTOMER, customer_id))
    done = _whole(inst, customer_id, attempt) if tries == 1 else None
    if done is None:
        done = _one_by_one(inst, customer_id)
    inst.db.run(lambda tx: attempts.end_alone(tx, customer_id))
    return done


def _whole(inst: Installation, customer_id: int, attempt: int) -> Applied | None:
    """Everything of hers at once; None where that failed."""
    try:
        return inst.db.run(lambda tx: _work(inst, tx, [customer_id], ending=attempt))
    except _FROM_OUTSIDE:
        _forgive(inst, attempt)
        raise
    except Exception:
        log.exception("customer %d failed alone; trying her events one by one", customer_id)
        return None


def _one_by_one(inst: Installation, customer_id: int) -> Applied:
    """Each event up to its own time, so that none is blamed for what time brings after it."""
    done = Applied()
    for stored in inst.db.run(lambda tx: _released(tx, customer_id)):
        done += _try_event(inst, customer_id, stored)
    return done + _try_event(inst, customer_id, None)


def _released(tx: Tx, customer_id: int) -> list[StoredEvent]:
    """Her pending events, each waiting by itself, in order."""
    pending = events.pending_of(tx, [customer_id]).get(customer_id, [])
    events.release(tx, {stored.identity_id for stored in pending if stored.held_by is not None})
    return events.pending_of(tx, [customer_id]).get(customer_id, [])


def _forgive(inst: Installation, attempt: int) -> None:
    """What ended the work was no fault of whom it was about, so it does not count as a try."""
    with contextlib.suppress(Unavailable):  # then the attempt stays, and counts as a crash
        inst.db.run(lambda tx: attempts.forgive(tx, attempt))


def _try_event(inst: Installation, customer_id: int, stored: StoredEvent | None) -> Applied:
    """Fold one event, or without one what time brings; the culprit leaves the fold if that fails.

    It may be another event, folded long ago. Where none is to blame, she is looked at again later.
    """
    culprit, error = stored, "the process that folded it ended without a word"
    while attempt := _begin_event(inst, customer_id, culprit):
        work = partial(_work, inst, customer_ids=[customer_id], ending=attempt, only=stored)
        try:
            return inst.db.run(work)
        except _FROM_OUTSIDE:
            _forgive(inst, attempt)
            raise
        except Exception as raised:  # noqa: BLE001 - whatever one event raises, the others go on
            error = "".join(traceback.format_exception_only(raised)).strip()
            culprit = _culprit(inst, raised, stored)
    if culprit is None:
        log.error("customer %d cannot be folded, and no event is to blame: %s", customer_id, error)
        inst.db.run(lambda tx: _postpone(inst, tx, customer_id))
        return Applied()
    done = inst.db.run(partial(_quarantine, inst, culprit=culprit, error=error))
    if stored is not None and culprit.row_id == stored.row_id:
        return done
    return done + _try_event(inst, customer_id, stored)


def _begin_event(inst: Installation, customer_id: int, culprit: StoredEvent | None) -> int | None:
    """The attempt, committed; None where there have been enough."""
    row_id = None if culprit is None else culprit.row_id
    attempt, tries = inst.db.run(lambda tx: _begin(inst, tx, Level.EVENT, customer_id, row_id))
    return attempt if tries <= LONE_TRIES else None


def _culprit(
    inst: Installation, raised: Exception, tried: StoredEvent | None
) -> StoredEvent | None:
    """The event that the fold blames, which may be an older one; else the one that was tried."""
    if isinstance(raised, PoisonEvent):
        with inst.db.read() as tx:
            return events.get(tx, raised.source, raised.id) or tried
    return tried


def _begin(
    inst: Installation, tx: Tx, level: Level, customer_id: int, event_id: int | None = None
) -> tuple[int, int]:
    """Commit that something is tried alone; its attempt, and which try this is, from 1."""
    return attempts.begin_alone(
        tx,
        token=_TOKEN,
        level=level,
        customer_id=customer_id,
        event_id=event_id,
        started_at=inst.db.clock(tx),
    )


def _quarantine(inst: Installation, tx: Tx, culprit: StoredEvent, error: str) -> Applied:
    """Take the event out of the fold, unless somebody else is at work on its customer."""
    customer_id = culprit.customer_id
    if not customers.lock(tx, [customer_id]):
        return Applied()
    log.error("event %s of %s is quarantined: %s", culprit.event.id, culprit.event.source, error)
    events.clear_pending(tx, [culprit])
    dead.quarantine(
        tx,
        culprit,
        reason="fold_failed",
        detail=error,
        attempts=LONE_TRIES,
        at=inst.now(tx),
    )
    row = customers.rows(tx, [customer_id])[customer_id]
    customers.save(tx, [row._replace(snapshot=None, wake_at=inst.now(tx))])
    return Applied(quarantined=1, events=1)


def _postpone(inst: Installation, tx: Tx, customer_id: int) -> None:
    """Look at a customer again later; an error that no event explains must not stop the others."""
    if customers.lock(tx, [customer_id]):
        row = customers.rows(tx, [customer_id])[customer_id]
        customers.save(tx, [row._replace(wake_at=inst.now(tx) + POSTPONED)])


# -- the work --------------------------------------------------------------------------------


def _work(
    inst: Installation,
    tx: Tx,
    customer_ids: Sequence[int],
    *,
    ending: int | None = None,
    only: StoredEvent | None = None,
) -> Applied:
    """Fold what waits for these customers, or only one event of it, and write what follows.

    The order matters on PostgreSQL: lock in one statement, read everything in later ones, the
    pending rows before the histories, the clock after the lock; clear exactly the rows read.
    """
    begun = time.perf_counter()
    locked = customers.lock(tx, customer_ids)
    now = inst.now(tx)
    timeline = inst.timeline(tx)
    rows = customers.rows(tx, locked)
    pending = events.pending_of(tx, locked)
    until = now
    if only is not None:
        pending = {
            customer_id: [stored for stored in waiting if stored.row_id == only.row_id]
            for customer_id, waiting in pending.items()
        }
        until = min(now, only.event.occurred_at)
    changes = list(_changes(tx, timeline, rows, pending, until))
    version = timeline.at(now).number
    written = write(tx, changes, version, now)
    folded = [stored for waiting in pending.values() for stored in waiting]
    events.clear_pending(tx, folded)
    if ending is not None:
        attempts.end(tx, [ending])
    inst.pace.took(max(len(folded), len(changes)), time.perf_counter() - begun)
    return Applied(
        customers=len(changes),
        events=len(folded),
        steps=written.steps,
        messages=written.messages,
        woken=sum(1 for row in rows.values() if row.wake_at is not None and row.wake_at <= now),
    )


def _changes(
    tx: Tx,
    timeline: Timeline,
    rows: Mapping[int, CustomerRow],
    pending: Mapping[int, Sequence[StoredEvent]],
    until: datetime,
) -> Iterable[Change]:
    again: dict[int, Snapshot | None] = {}
    for customer_id, row in rows.items():
        waiting = pending.get(customer_id, ())
        before = _usable(timeline, row)
        if row.folded_until is None:  # nothing of hers was folded yet, so nothing is recorded
            yield _change(timeline, row, None, waiting, until)
        elif before is None or before.waits or any(is_late(before, one.event) for one in waiting):
            again[customer_id] = before
        else:
            yield _change(timeline, row, before, waiting, until)
    if again:
        for customer_id, history in events.histories(tx, list(again), pending):
            row, before = rows[customer_id], again.pop(customer_id)
            late = tuple(
                (one.row_id, one.event)
                for one in pending.get(customer_id, ())
                if before is None or is_late(before, one.event)
            )
            yield _change(timeline, row, None, history, until, again=True, overturning=late)
        for customer_id in again:  # all of her events have left the fold
            yield _change(timeline, rows[customer_id], None, (), until, again=True)


def _usable(timeline: Timeline, row: CustomerRow) -> Snapshot | None:
    """Her snapshot, if it holds the facts of the policies now in force."""
    if row.snapshot is None or snapshots.shape_of(row.snapshot) != timeline.shape:
        return None
    return snapshots.load(row.snapshot, timeline)


def _change(
    timeline: Timeline,
    row: CustomerRow,
    before: Snapshot | None,
    stored: Sequence[StoredEvent],
    horizon: datetime,
    *,
    again: bool = False,
    overturning: tuple[tuple[int, Event], ...] = (),
) -> Change:
    until = horizon if row.folded_until is None else max(horizon, row.folded_until)
    folded: Folded = fold(timeline, before, [one.event for one in stored], until)
    return Change(
        row=row,
        folded=folded,
        until=until,
        stay=0 if before is None else before.stay,
        again=again,
        overturning=overturning,
    )
