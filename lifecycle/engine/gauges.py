"""How much waits just now, for a program that draws it over time? Read from the database when asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lifecycle.engine.installation import Installation
from lifecycle.engine.readiness import overdue
from lifecycle.engine.reading import waited
from lifecycle.store import customers, dead, reading, schedule
from lifecycle.store.dead import Status
from lifecycle.store.schedule import Latest


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    pending: int  # events that may be applied
    held: int  # events of imports that have not ended
    oldest_pending_seconds: float  # of real time; 0 where none waits
    due: int  # customers for whom a check or a waiting event has come due
    due_lag_seconds: float  # of real time; 0 where nothing is due
    dead: Mapping[Status, int]  # every status, also where there is none
    nightly: Sequence[Latest]  # a job each that was ever done in a night


def gauges(inst: Installation) -> Gauges:
    """Raises what the database raises where it cannot be asked."""
    with inst.db.read() as tx:
        waiting = reading.backlog(tx)
        oldest, lag = waited(inst, tx), overdue(inst, tx)
        return Gauges(
            pending=waiting.pending,
            held=waiting.held,
            oldest_pending_seconds=oldest.total_seconds() if oldest else 0.0,
            due=customers.due_count(tx, inst.now(tx)),
            due_lag_seconds=lag.total_seconds() if lag else 0.0,
            dead={status: dead.count(tx, status) for status in Status},
            nightly=schedule.latest(tx),
        )
