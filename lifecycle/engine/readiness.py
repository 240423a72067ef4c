"""May this process be sent requests? One answer for each thing that it depends on.

Asked every few seconds by whatever balances the load, so it reads the heads of indexes and counts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, StrEnum, auto

from lifecycle.engine.installation import Installation
from lifecycle.engine.reading import OVERDUE, waited
from lifecycle.errors import LifecycleError
from lifecycle.store import backlog, revision
from lifecycle.store.sql import Tx


class Status(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"  # something is slower than it should be; requests are answered as ever
    FAILED = "failed"  # requests should go elsewhere
    UNKNOWN = "unknown"  # could not be asked, because of a check that failed


class Broker(Enum):
    """What a process knows of the broker that carries its rings."""

    UNUSED = auto()  # none is named, or rings stay in the process
    UNHEARD = auto()  # nothing has been sent or heard yet
    ANSWERS = auto()
    AWAY = auto()  # workers look into the database instead


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    name: str
    status: Status
    detail: str  # in words; nothing of a customer, and no address
    seconds: float | None = None  # what was measured, if it is a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.status is Status.FAILED)

    @property
    def status(self) -> Status:
        """The worst of them; what could not be asked follows from one that failed."""
        found = {check.status for check in self.checks}
        worst = (Status.FAILED, Status.DEGRADED)
        return next((status for status in worst if status in found), Status.OK)


def readiness(inst: Installation, broker: Broker) -> Readiness:
    """Raises nothing for a database that is away: that is one of the answers."""
    try:
        with inst.db.read() as tx:
            checks = _of_database(inst, tx)
    except LifecycleError:
        checks = (
            Check(name="database", status=Status.FAILED, detail="it does not answer"),
            *map(_unknown, ("schema", "oldest_pending", "due_lag")),
        )
    return Readiness(checks=(*checks, _broker(broker)))


def _of_database(inst: Installation, tx: Tx) -> tuple[Check, ...]:
    answers = Check(name="database", status=Status.OK, detail="it answers")
    schema = _schema(tx)
    if schema.status is Status.FAILED:
        return (answers, schema, *map(_unknown, ("oldest_pending", "due_lag")))
    return (
        answers,
        schema,
        _pending(waited(inst, tx)),
        _due(overdue(inst, tx)),
    )


def overdue(inst: Installation, tx: Tx) -> timedelta | None:
    """For how long the first check that is due has been, in real time; None where none is."""
    lag = backlog.oldest_due(tx, inst.now(tx))
    return None if lag is None else lag / (inst.rate or 1.0)


def _pending(oldest: timedelta | None) -> Check:
    name, limit = "oldest_pending", f"{OVERDUE.total_seconds():g} s"
    if oldest is None:
        return Check(name=name, status=Status.OK, detail="no event waits", seconds=0.0)
    seconds = round(oldest.total_seconds(), 3)
    told = f"an event has waited for {seconds} s to be applied"
    if oldest > OVERDUE:
        detail = f"{told}, {limit} is the limit: are workers running?"
        return Check(name=name, status=Status.FAILED, detail=detail, seconds=seconds)
    return Check(name=name, status=Status.OK, detail=told, seconds=seconds)


def _due(lag: timedelta | None) -> Check:
    """Late checks fire late and are not lost, and no request depends on them."""
    if lag is None:
        return Check(name="due_lag", status=Status.OK, detail="no check is due", seconds=0.0)
    seconds = round(lag.total_seconds(), 3)
    told = f"a timed check is due since {seconds} s"
    if lag > OVERDUE:
        detail = f"{told}: are workers and a scheduler running?"
        return Check(name="due_lag", status=Status.DEGRADED, detail=detail, seconds=seconds)
    return Check(name="due_lag", status=Status.OK, detail=told, seconds=seconds)


def _broker(broker: Broker) -> Check:
    status = Status.DEGRADED if broker is Broker.AWAY else Status.OK
    return Check(name="broker", status=status, detail=_OF_BROKER[broker])


_OF_BROKER = {
    Broker.UNUSED: "this process needs none to ring",
    Broker.UNHEARD: "it has not been rung yet",
    Broker.ANSWERS: "it took the last ring",
    Broker.AWAY: "it took no ring; workers look into the database every second",
}


def _schema(tx: Tx) -> Check:
    """Amid an upgrade a newer program has migrated, and those of the old one answer until they end."""
    name = "schema"
    if revision.is_as_written(tx):
        return Check(name=name, status=Status.OK, detail="it is the one of this program")
    if revision.is_newer(tx):
        detail = "it is newer than this program: start the newer program in its place"
        return Check(name=name, status=Status.DEGRADED, detail=detail)
    detail = "it is not the one of this program: `lifecycle migrate`"
    return Check(name=name, status=Status.FAILED, detail=detail)


def _unknown(name: str) -> Check:
    return Check(name=name, status=Status.UNKNOWN, detail="it could not be asked")
