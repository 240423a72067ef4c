"""What becomes of customers whose batch failed or crashed? Each is tried by herself, then event by event.

Every try is committed before it begins, so that one that takes the process with it counts too. The
event whose lone tries keep failing leaves the fold (`quarantine`); its customer and all others go on.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from lifecycle.engine.installation import Installation
from lifecycle.engine.work import Applied, work
from lifecycle.errors import PoisonEvent, TookTooLong, Unavailable
from lifecycle.logs.lines import Teller
from lifecycle.store import attempts, customers, dead, events
from lifecycle.store.attempts import Level
from lifecycle.store.events import StoredEvent
from lifecycle.store.sql import Tx

tell = Teller("lifecycle.engine")

LONE_TRIES = 5  # of one event alone, before it is quarantined
POSTPONED = timedelta(hours=1)  # of the engine's clock, for a customer whom nothing can fold


def attempted(
    inst: Installation, attempt: int, unit: Callable[[Tx], Applied]
) -> Applied | Exception:
    """What the work did, or what it raised. Raises what ended it from outside: that is no try.

    A statement that took too long may be the fault of whom the work is about: of a history that
    nothing can read in time. Were it forgiven, she would be tried for ever.
    """
    try:
        return inst.db.run(unit)
    except TookTooLong as error:
        return error
    except (Unavailable, KeyboardInterrupt):
        _forgive(inst, attempt)
        raise
    except Exception as error:  # noqa: BLE001 - whatever one customer or event raises, the others go on
        return error


def try_alone(inst: Installation, customer_id: int, raised: Exception | None = None) -> Applied:
    """One customer by herself; where that failed before, her events one by one.

    `raised` is what the fold of her has said a moment ago: it need not be heard again. Where somebody
    else is at work on her, she is left to them, and so is what is known of her tries.
    """
    begun = inst.db.run(lambda tx: _begin(inst, tx, Level.CUSTOMER, customer_id))
    if begun is None:
        return Applied(left=1)
    attempt, tries = begun
    done, goes_on = Applied(), True
    if tries == 1:
        done, goes_on = _whole(inst, customer_id, attempt, raised)
    if goes_on:
        done += _one_by_one(inst, customer_id)
    if not done.left:
        inst.db.run(lambda tx: attempts.end_alone(tx, customer_id))
    return done


def _whole(
    inst: Installation, customer_id: int, attempt: int, raised: Exception | None
) -> tuple[Applied, bool]:
    """Everything of hers at once, but what the fold blames, which is tried alone before the rest.

    And whether she goes on event by event: where it blames nothing that waits.
    """
    done, alone = Applied(), False  # whether it was a lone try that raised
    while True:
        culprit = _blamed(inst, customer_id, raised)
        if culprit is not None:
            done += _try_event(inst, customer_id, culprit)
            if done.left:
                return done, False
        elif alone:
            tell.error(
                "customer_failed",
                "customer {customer_number} failed alone; trying her events one by one",
                customer_number=customer_id,
                error=raised,
            )
            return done, True
        worked = attempted(inst, attempt, lambda tx: work(inst, tx, [customer_id], ending=attempt))
        if isinstance(worked, Applied):
            return done + worked, False
        raised, alone = worked, True


def _blamed(inst: Installation, customer_id: int, raised: Exception | None) -> StoredEvent | None:
    """Which of her waiting events the fold has named; None where it named another, or none."""
    if not isinstance(raised, PoisonEvent):
        return None
    named = (raised.source, raised.id)
    waiting = inst.db.run(lambda tx: _released(tx, customer_id))
    return next((one for one in waiting if (one.event.source, one.event.id) == named), None)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Condemned:
    """There were enough lone tries, and no more are made."""

    culprit: StoredEvent | None  # who is to blame; None: no event is
    error: Exception | None  # of the last try; None: whoever made it ended without a word

    @property
    def words(self) -> str:
        """For whoever looks at the dead letter: these may quote what was posted."""
        if self.error is None:
            return "the process that folded it ended without a word"
        return "".join(traceback.format_exception_only(self.error)).strip()


def _try_event(inst: Installation, customer_id: int, stored: StoredEvent | None) -> Applied:
    """Fold one event, or without one what time brings; whoever keeps that from going leaves the fold.

    These may be other events, folded long ago. Where none is to blame, she is looked at again later.
    """
    done = Applied()
    while isinstance(tried := _tries(inst, customer_id, stored), _Condemned):
        culprit = tried.culprit
        if culprit is None:
            inst.db.run(lambda tx: _postpone(inst, tx, customer_id))
            tell.error(
                "customer_postponed",
                "customer {customer_number} cannot be folded, and no event is to blame;"
                " `lifecycle verify` says more",
                customer_number=customer_id,
                error=tried.error,
            )
            return done
        gone = inst.db.run(partial(_quarantine, inst, culprit=culprit, condemned=tried))
        done += gone
        if not gone.quarantined or (stored is not None and culprit.row_id == stored.row_id):
            return done
    return done + tried


def _tries(
    inst: Installation, customer_id: int, stored: StoredEvent | None
) -> Applied | _Condemned:
    """One try after the other, until one succeeds, or there were enough, or somebody else has her.

    That a try begins is committed, as it may take its process with it. Where the fold blames an event,
    the tries that are left follow in the same transaction.
    """
    culprit, error = stored, None
    while begun := _begin_event(inst, customer_id, culprit):
        attempt, tries = begun
        left = LONE_TRIES - tries + 1
        if left < 1:
            return _Condemned(culprit=culprit, error=error)
        unit = partial(
            work, inst, customer_ids=[customer_id], ending=attempt, up_to=stored, tries=left
        )
        done = attempted(inst, attempt, unit)
        if isinstance(done, Applied):
            if done.left:
                _forgive(inst, attempt)  # nothing was tried
            return done
        error = done
        tried, culprit = culprit, _culprit(inst, done, stored)
        if isinstance(done, PoisonEvent) and done.tries >= left and _same(tried, culprit):
            return _Condemned(culprit=culprit, error=error)
        if _same(tried, stored) and not _same(culprit, stored):
            _forgive(inst, attempt)  # it was another's fault
    return Applied(left=1)


def _same(one: StoredEvent | None, other: StoredEvent | None) -> bool:
    return (one and one.row_id) == (other and other.row_id)


def _begin_event(
    inst: Installation, customer_id: int, culprit: StoredEvent | None
) -> tuple[int, int] | None:
    """As `_begin`, of one event of hers; or of none, where time alone is to blame."""
    row_id = None if culprit is None else culprit.row_id
    return inst.db.run(lambda tx: _begin(inst, tx, Level.EVENT, customer_id, row_id))


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
) -> tuple[int, int] | None:
    """Commit that something is tried alone; its attempt, and which try this is, from 1.

    None where somebody else is at work on her: a try that does nothing must not be held against her.
    """
    if not customers.lock(tx, [customer_id]):
        return None
    return attempts.begin_alone(
        tx,
        token=attempts.TOKEN,
        level=level,
        customer_id=customer_id,
        event_id=event_id,
        started_at=inst.db.clock(tx),
    )


def _quarantine(inst: Installation, tx: Tx, culprit: StoredEvent, condemned: _Condemned) -> Applied:
    """Take the event out of the fold, unless somebody else is at work on its customer."""
    customer_id = culprit.customer_id
    if not customers.lock(tx, [customer_id]):
        return Applied(left=1)
    events.clear_pending(tx, [culprit])
    dead.quarantine(
        tx,
        culprit,
        reason="fold_failed",
        detail=condemned.words,
        attempts=LONE_TRIES,
        at=inst.now(tx),
    )
    row = customers.rows(tx, [customer_id])[customer_id]
    customers.save(tx, [row._replace(snapshot=None, wake_at=inst.now(tx))])
    tx.after_commit(partial(_tell_of_quarantine, culprit, condemned.error))
    return Applied(quarantined=1, events=1)


def _tell_of_quarantine(culprit: StoredEvent, error: Exception | None) -> None:
    tell.error(
        "event_quarantined",
        "event {event_number} of customer {customer_number} cannot be folded and is quarantined;"
        " `lifecycle dead show --number {event_number}` says more",
        event_number=culprit.row_id,
        customer_number=culprit.customer_id,
        request_id=culprit.request_id,
        tries=LONE_TRIES,
        error=error,
    )


def _postpone(inst: Installation, tx: Tx, customer_id: int) -> None:
    """Look at a customer again later; an error that no event explains must not stop the others."""
    if customers.lock(tx, [customer_id]):
        row = customers.rows(tx, [customer_id])[customer_id]
        customers.save(tx, [row._replace(wake_at=inst.now(tx) + POSTPONED)])
