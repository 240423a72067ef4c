"""How do pending events and due checks become state, steps and messages? Claim, fold, write, commit.

A batch of customers is one transaction (`work`). Attempts are committed before the work, so that a
crash counts too: the customers of a batch whose attempt did not finish are tried again a few at once,
and each alone where that does not finish either.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from lifecycle.engine.alone import attempted, try_alone
from lifecycle.engine.installation import Installation
from lifecycle.engine.work import Applied, work
from lifecycle.killpoints import Point, killpoint
from lifecycle.logs.lines import Teller
from lifecycle.store import attempts, customers, events
from lifecycle.store.attempts import Attempt, Level
from lifecycle.store.sql import Tx

tell = Teller("lifecycle.engine")

CRASHED_AFTER = timedelta(seconds=5)  # an attempt this old whose customers nobody holds has crashed
SUSPECTED_FOR = timedelta(hours=1)
PATIENCE_SECONDS = 10.0  # with others who are busy with a customer whom a person asked for
AGAIN_SECONDS = 0.05


def apply_pending(inst: Installation, max_events: int | None = None) -> Applied:
    """Fold what waits, about `max_events` of it; run twice, the second finds nothing.

    Callers repeat while `more` is true.
    """
    limit = max_events or inst.pace.limit

    def claiming(tx: Tx, busy: Collection[int]) -> list[int]:
        return customers.claim_pending(tx, limit, passing_over=busy)

    return _round(inst, claiming, Point.WORKER_CLAIMED)


def fire_due(inst: Installation, max_customers: int | None = None) -> Applied:
    """Fire the timed checks and calendar slots that are due at the engine's clock."""
    limit = max_customers or inst.pace.limit

    def claiming(tx: Tx, busy: Collection[int]) -> list[int]:
        return customers.claim_due(tx, inst.now(tx), limit, passing_over=busy)

    return _round(inst, claiming, Point.TIMER_CLAIMED)


def apply_customers(inst: Installation, customer_ids: Sequence[int]) -> Applied:
    """Fold exactly these customers up to now, whether or not anything waits for them.

    Waits a while for those with whom others are busy; `left` counts whom they did not let go.
    """
    done = Applied()
    waiting = list(customer_ids)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while waiting:
        claim = inst.db.run(partial(_claim, inst, claiming=_exactly(waiting), each_alone=True))
        done += _work_on(inst, claim)
        tried = {*claim.together, *claim.suspects}
        waiting = [customer_id for customer_id in waiting if customer_id not in tried]
        if waiting and time.monotonic() > deadline:
            break
        if waiting:
            time.sleep(AGAIN_SECONDS)
    return replace(done, left=len(waiting))


def reclaim(inst: Installation) -> int:
    """Forget attempts that their processes left behind and that say nothing any more; how many.

    A claim does the same where it finds nobody; under load it always finds somebody. What was begun
    and still waits is no matter of this: whoever claims it next sees from the attempt that it crashed.
    """
    with inst.db.read() as tx:
        if not attempts.unfinished(tx):
            return 0
    return inst.db.run(lambda tx: _drop_what_is_over(inst, tx, inst.db.clock(tx)))


# -- one round -------------------------------------------------------------------------------

_Claiming = Callable[[Tx, Collection[int]], list[int]]  # whom to pass over; who is locked now


@dataclass(frozen=True, slots=True, kw_only=True)
class _Few:
    """Some customers of a large batch that did not finish, to be tried again at once."""

    attempt: int
    customers: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """Customers to work on, and what unfinished attempts say about them."""

    attempt: int | None  # of the batch; None where there is nobody to try together
    together: tuple[int, ...]
    parts: tuple[_Few, ...]
    suspects: tuple[int, ...]  # work with a few did not finish: to be tried alone
    left: int = 0  # others have just begun with so many; all are counted where nobody is claimed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Suspected:
    """Of customers whom we locked."""

    parts: tuple[_Few, ...]  # to be tried with a few
    alone: set[int]  # to be tried by themselves
    busy: set[int]  # somebody has just begun with them


def _round(inst: Installation, claiming: _Claiming, claimed: Point) -> Applied:
    claim = inst.db.run(lambda tx: _claim(inst, tx, claiming))
    if not (claim.together or claim.parts or claim.suspects):
        return Applied(left=claim.left)
    killpoint(claimed)
    done = _work_on(inst, claim)
    killpoint(Point.WORKER_AFTER_COMMIT)
    return replace(done, more=done.events > 0 or done.woken > 0)


def _work_on(inst: Installation, claim: _Claim) -> Applied:
    done = Applied(left=claim.left)
    if claim.attempt is not None:
        done += _together(inst, claim.together, claim.attempt)
    for part in claim.parts:
        done += _few(inst, part)
    for customer_id in claim.suspects:
        done += try_alone(inst, customer_id)
    return done


def _exactly(customer_ids: Sequence[int]) -> _Claiming:
    ids = tuple(customer_ids)
    return lambda tx, _: customers.lock(tx, ids)


def _claim(inst: Installation, tx: Tx, claiming: _Claiming, *, each_alone: bool = False) -> _Claim:
    """Choose customers, and commit that they are being tried before anything is done.

    Those with whom others have just begun are passed over, so that work further down goes on also
    where these others are dead. Whoever began after that was looked up is found by looking again.
    """
    now = inst.db.clock(tx)
    passed = _busy(inst, attempts.unfinished(tx), now)
    ids = claiming(tx, passed)
    if not ids:
        _drop_what_is_over(inst, tx, now)
        waiting = len(events.pending_of(tx, passed)) if passed else 0
        return _Claim(attempt=None, together=(), parts=(), suspects=(), left=waiting)
    found = _suspected(inst, tx, set(ids), now, each_alone=each_alone)
    apart = found.alone | found.busy | {who for part in found.parts for who in part.customers}
    together = tuple(id for id in ids if id not in apart)
    attempt = None
    if together:
        attempt = attempts.begin(
            tx, token=attempts.TOKEN, level=Level.BATCH, customers=together, started_at=now
        )
    return _Claim(
        attempt=attempt,
        together=together,
        parts=found.parts,
        suspects=tuple(id for id in ids if id in found.alone),
        left=sum(1 for id in ids if id in found.busy),
    )


def _suspected(
    inst: Installation, tx: Tx, locked: set[int], now: datetime, *, each_alone: bool
) -> _Suspected:
    """What unfinished attempts say of the customers whom we locked.

    Whoever works on a customer holds her lock. So an attempt that is not quite new, one of whose
    customers we could lock, has crashed. Its batch is dissolved, so that innocents are soon done
    with: into a few at once, and where that crashes too, into customers.
    """
    unfinished = attempts.unfinished(tx)
    crashed = _crashed(inst, unfinished, locked, now)
    if not crashed:
        return _Suspected(parts=(), alone=set(), busy=_busy(inst, unfinished, now))
    for attempt in crashed:
        is_batch = attempt.level is Level.BATCH
        if attempt.count and (not is_batch or attempts.dissolve(tx, attempt)):
            tx.after_commit(partial(_tell_of_crash, attempt))
    unfinished = attempts.unfinished(tx)
    crashed = _crashed(inst, unfinished, locked, now)
    lone = [attempt for attempt in crashed if attempt.level is not Level.BATCH]
    attempts.hold(tx, [each.id for each in lone], token=attempts.TOKEN, started_at=now)
    alone = {who for attempt in lone for who in attempt.customers}
    busy = _busy(inst, unfinished, now) - alone
    free = locked - alone - busy
    parts = []
    for attempt in crashed:
        few = free.intersection(attempt.customers)
        if attempt.level is not Level.BATCH or not few:
            continue
        free -= few
        if each_alone:
            alone |= few
        elif attempts.take(tx, attempt, few, token=attempts.TOKEN, started_at=now):
            parts.append(_Few(attempt=attempt.id, customers=tuple(sorted(few))))
        else:
            busy |= few  # of somebody who takes others of them just now; the next claim has them
    return _Suspected(parts=tuple(parts), alone=alone, busy=busy)


def _crashed(
    inst: Installation, unfinished: Iterable[Attempt], locked: set[int], now: datetime
) -> list[Attempt]:
    """What somebody began with these customers, and is not at any more."""
    return [
        attempt
        for attempt in unfinished
        if not locked.isdisjoint(attempt.customers) and not _is_fresh(inst, attempt, now)
    ]


def _tell_of_crash(attempt: Attempt) -> None:
    tell.warning(
        "attempt_crashed",
        "work with {customers} customers was begun by {by} and never ended; it is tried again with"
        " fewer at once",
        customers=len(attempt.customers),
        by=attempt.token,
        tries=attempt.count,
        at_once=attempt.level.value,
    )


def _drop_what_is_over(inst: Installation, tx: Tx, now: datetime) -> int:
    """Attempts with customers for whom nothing waits any more: others were faster, and their processes
    died before they could tell. Should one live after all, it does without its attempt. And suspicions
    that nothing came of for an hour. How many these were."""
    over = [
        attempt.id
        for attempt in attempts.unfinished(tx)
        if not _is_fresh(inst, attempt, now) and is_over(inst, tx, attempt, now)
    ]
    attempts.end(tx, over)
    return len(over)


def is_over(inst: Installation, tx: Tx, attempt: Attempt, now: datetime) -> bool:
    """Whether nothing will ever come of an attempt that crashed; `now` is real time."""
    if attempt.count == 0 and now - attempt.started_at >= SUSPECTED_FOR:
        return True
    if events.pending_of(tx, attempt.customers):
        return False
    rows = customers.rows(tx, attempt.customers).values()
    return not any(row.wake_at and row.wake_at <= inst.now(tx) for row in rows)


def _busy(inst: Installation, unfinished: Iterable[Attempt], now: datetime) -> set[int]:
    """With whom somebody has just begun."""
    fresh = (attempt for attempt in unfinished if _is_fresh(inst, attempt, now))
    return {customer_id for attempt in fresh for customer_id in attempt.customers}


def _is_fresh(inst: Installation, attempt: Attempt, now: datetime) -> bool:
    """Whether whoever began it may just not have come to lock its customers yet."""
    if inst.db.dialect == "sqlite" and attempt.token != attempts.TOKEN:
        return False  # an embedded database has one process, so the others are gone
    # of either sign: begun in the future means that the clock was set back meanwhile
    return abs(now - attempt.started_at) < CRASHED_AFTER


def _together(inst: Installation, customer_ids: Sequence[int], attempt: int) -> Applied:
    """All of them at once; those whom nothing can fold by themselves afterwards."""
    unit = partial(work, inst, customer_ids=customer_ids, ending=attempt, sparing=True)
    worked = attempted(inst, attempt, unit)
    if isinstance(worked, Applied):
        return worked + _spared(inst, worked)
    tell.error(
        "batch_failed",
        "a batch of {customers} customers failed; trying each alone",
        customers=len(customer_ids),
        error=worked,
    )
    inst.db.run(lambda tx: attempts.end(tx, [attempt]))
    done = Applied()
    for customer_id in customer_ids:
        done += try_alone(inst, customer_id)
    return done


def _few(inst: Installation, part: _Few) -> Applied:
    """Those of a batch that crashed; nobody where others took them, as we were slow to come to them."""
    begun = inst.db.run(
        lambda tx: attempts.begin_taken(
            tx, part.attempt, token=attempts.TOKEN, started_at=inst.db.clock(tx)
        )
    )
    if not begun:
        return Applied(left=len(part.customers))
    return _together(inst, part.customers, part.attempt)


def _spared(inst: Installation, worked: Applied) -> Applied:
    """Whom the batch had to leave out, each tried alone."""
    done = Applied()
    for spared in worked.spared:
        tell.error(
            "customer_spared",
            "customer {customer_number} of a batch cannot be folded; trying her alone",
            customer_number=spared.customer_id,
            error=spared.error,
        )
        done += try_alone(inst, spared.customer_id, spared.error)
    return done
