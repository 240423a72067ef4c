"""How much waits just now, for a program that draws it over time? Read from the database when asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lifecycle.engine.installation import Installation
from lifecycle.engine.readiness import overdue
from lifecycle.engine.reading import waited
from lifecycle.engine.sending.surge import BY
from lifecycle.store import customers, dead, pauses, reading, recomputations, schedule, sending
from lifecycle.store.dead import Status
from lifecycle.store.pauses import Pauses
from lifecycle.store.schedule import Latest
from lifecycle.store.sql import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    pending: int  # events that may be applied
    held: int  # events of imports that have not ended
    oldest_pending_seconds: float  # of real time; 0 where none waits
    due: int  # customers for whom a check or a waiting event has come due
    due_lag_seconds: float  # of real time; 0 where nothing is due
    dead: Mapping[Status, int]  # every status, also where there is none
    nightly: Sequence[Latest]  # a job each that was ever done in a night
    messages_due: int  # that wait though their time has come, and nobody has paused them
    messages_lag_seconds: float  # of real time, since the first of them came due
    messages_unknown: int  # that may have left or not
    paused: Mapping[str, bool]  # scope → whether no person paused it
    recomputing: int  # customers whom a version that was published has still to reach


def gauges(inst: Installation) -> Gauges:
    """Raises what the database raises where it cannot be asked."""
    with inst.db.read() as tx:
        waiting = reading.backlog(tx)
        oldest, lag = waited(inst, tx), overdue(inst, tx)
        paused = [one for one in pauses.read(tx) if not one.scope.startswith(pauses.ALLOWED)]
        letters, behind = _letters(inst, tx, Pauses.of(paused))
        return Gauges(
            pending=waiting.pending,
            held=waiting.held,
            oldest_pending_seconds=oldest.total_seconds() if oldest else 0.0,
            due=customers.due_count(tx, inst.now(tx)),
            due_lag_seconds=lag.total_seconds() if lag else 0.0,
            dead={status: dead.count(tx, status) for status in Status},
            nightly=schedule.latest(tx),
            messages_due=letters,
            messages_lag_seconds=behind,
            messages_unknown=sending.unknown(tx),
            paused={one.scope: one.by == BY for one in paused},
            recomputing=_recomputing(tx),
        )


def _recomputing(tx: Tx) -> int:
    unfinished = recomputations.unfinished(tx)
    return 0 if unfinished is None else max(unfinished.customers - unfinished.done, 0)


def _letters(inst: Installation, tx: Tx, held: Pauses) -> tuple[int, float]:
    """How many should be on their way, and for how long the first of them should have been."""
    if held.everything:
        return 0, 0.0
    now = inst.now(tx)
    waiting = sending.backlog(tx, now, inst.db.clock(tx), without=held.rules)
    if waiting.oldest is None:
        return 0, 0.0
    return waiting.number, (now - waiting.oldest).total_seconds() / (inst.rate or 1.0)
