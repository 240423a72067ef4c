"""What is done once a night, whoever asks and however many, and how does it go on after a failure?

A night is a local date and begins at a local time of day, by the engine's clock as the calendar rules
of the policy are: an hour that comes twice begins it once, one that is left out begins it at the first
instant after it. Leases and retries are real time. Only the night that began last is worked on, so
that those missed while nothing ran are made up for once.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Protocol, TypeVar

from lifecycle.domain import calendar
from lifecycle.engine.installation import Installation
from lifecycle.errors import ClaimLost, LifecycleError, Unavailable
from lifecycle.logs.failure import told
from lifecycle.logs.lines import Teller
from lifecycle.settings import NightTime
from lifecycle.store import attempts, schedule
from lifecycle.store.schedule import Claim, Run
from lifecycle.store.sql import Tx

tell = Teller("lifecycle.engine")

T = TypeVar("T")

WORKER = f"{socket.gethostname()}-{attempts.TOKEN}"
LEASE = timedelta(minutes=2)  # of real time: a job whose process died is taken over after it
KEEP_EVERY = timedelta(seconds=20)
MOST_TRIES = 5  # of a job in one night, those included that ended with their process
AGAIN_AFTER = timedelta(minutes=5)  # times the tries so far
LONGEST_OUTCOME = 2000  # characters


def night_of(now: datetime, begins: NightTime, zone: str) -> date:
    """The local date of the night that began last; `zone` is the policy's."""
    where = calendar.zone(begins.zone, zone)
    day = now.astimezone(where).date()
    while calendar.slot(day, begins.at, where) > now:
        day -= timedelta(days=1)
    return day


class Stopped(Exception):
    """This process is to end; the job is given back, and somebody else goes on with it."""


class Job(Protocol):
    """Something to be done once a night."""

    name: str

    def do(self, shift: Shift) -> str:
        """Ends with `shift.end`, and answers the same words. What it raises has it tried again."""


class Shift:
    """A job's claim on a night. What a job writes goes through it: who has lost the claim writes nothing."""

    def __init__(self, inst: Installation, held: Claim, stopping: threading.Event) -> None:
        self._inst = inst
        self._held = held
        self._stopping = stopping
        self._kept_at = time.monotonic()
        self._away = False  # the database, when the claim was to be kept last

    @property
    def night(self) -> str:
        """Its local date."""
        return self._held.fire_key

    def stay(self) -> None:
        """To be called every second or so. Raises Stopped, and ClaimLost where another has taken over.

        A database that does not answer is waited for while the lease lasts; then it raises Unavailable.
        """
        if self._stopping.is_set():
            raise Stopped
        if time.monotonic() - self._kept_at <= KEEP_EVERY.total_seconds():
            return
        try:
            self.write(lambda _: None)
        except Unavailable as error:
            self._wait_for_database(error)
        else:
            self._away = False

    def _wait_for_database(self, error: Unavailable) -> None:
        """What was done so far is too much to be thrown away for an outage of seconds."""
        if time.monotonic() - self._kept_at >= (LEASE - KEEP_EVERY).total_seconds():
            raise error
        if not self._away:
            self._away = True
            tell.warning(
                "night_job_waits",
                "{job} of the night of {night} cannot extend its lease, and goes on while it lasts: {why}",
                job=self._held.job,
                night=self.night,
                why=told(error),
            )

    def write(self, unit: Callable[[Tx], T]) -> T:
        """One transaction, which keeps the claim too. Raises as `stay` does, and nothing is written then."""

        def whole(tx: Tx) -> T:
            if not schedule.keep(tx, self._held, self._inst.db.clock(tx) + LEASE):
                raise ClaimLost(f"{self._held.job} of {self.night}")
            return unit(tx)

        if self._stopping.is_set():
            raise Stopped
        done = self._inst.db.run(whole)
        self._kept_at = time.monotonic()
        return done

    def end(self, unit: Callable[[Tx], str]) -> str:
        """The last transaction: what is written and that the job is done come true together.

        The unit answers in words what was done.
        """

        def whole(tx: Tx) -> str:
            done = schedule.outcome(tx, self._held)
            if done is not None:  # the answer to the commit was lost, and this is the second run
                return done
            outcome = unit(tx)
            if not schedule.finish(tx, self._held, self._inst.db.clock(tx), outcome):
                raise ClaimLost(f"{self._held.job} of {self.night}")
            return outcome

        return self._inst.db.run(whole)


class Nights:
    """The jobs of an installation; `work` may be called by as many processes as one likes."""

    def __init__(self, inst: Installation, begins: NightTime, jobs: Sequence[Job]) -> None:
        self._inst = inst
        self._begins = begins
        self._jobs = jobs
        self._stopping = threading.Event()

    def work(self) -> int:
        """Do what is due of this night and nobody does; how many jobs were done. None stops another.

        A job about which the database could not be asked raises that once the others were seen to.
        """
        done, unasked = 0, None
        for job in self._jobs:
            try:
                done += self._work(job)
            except Unavailable as error:
                unasked = error
        if unasked is not None:
            raise unasked
        return done

    def stop(self) -> None:
        """Jobs that are running are given back, and none begins."""
        self._stopping.set()

    def _work(self, job: Job) -> bool:
        held = None if self._stopping.is_set() else self._claim(job.name)
        if held is None:
            return False
        try:
            if held.tries > MOST_TRIES:
                self._give_up(held)
                return False
            outcome = job.do(Shift(self._inst, held, self._stopping))
        except Stopped:
            self._give_back(held, timedelta(0), "stopped with its process")
        except ClaimLost:
            tell.warning(
                "night_job_lost",
                "{job} of the night of {night} was taken over by another process;"
                " this one writes nothing more of it",
                job=held.job,
                night=held.fire_key,
            )
        except Exception as error:  # noqa: BLE001 - it is tried again, and the other jobs are done
            self._failed(held, error)
        else:
            tell.info(
                "night_job_done",
                "{job} of the night of {night} is done: {outcome}",
                job=held.job,
                night=held.fire_key,
                outcome=outcome,
            )
            return True
        return False

    def _claim(self, job: str) -> Claim | None:
        with self._inst.db.read() as tx:
            night = self._night(tx).isoformat()
            if not schedule.is_open(tx, job, night, self._inst.db.clock(tx)):
                return None

        def unit(tx: Tx) -> Claim | None:
            now = self._inst.db.clock(tx)
            return schedule.claim(tx, job, night, worker=WORKER, now=now, lease_until=now + LEASE)

        return self._inst.db.run(unit)

    def _night(self, tx: Tx) -> date:
        now = self._inst.now(tx)
        return night_of(now, self._begins, self._inst.timeline(tx).at(now).zone_name)

    # -- how it ends otherwise

    def _failed(self, held: Claim, error: Exception) -> None:
        tell.error(
            "night_job_failed",
            "{job} of the night of {night} failed, try {tries} of {most};"
            " `lifecycle nights` says why",
            job=held.job,
            night=held.fire_key,
            tries=held.tries,
            most=MOST_TRIES,
            error=error,
        )
        outcome = (
            str(error) if isinstance(error, LifecycleError) else f"{type(error).__name__}: {error}"
        )
        if held.tries >= MOST_TRIES:
            self._finish_failed(held, outcome)
        else:
            self._give_back(held, AGAIN_AFTER * held.tries, outcome)

    def _give_up(self, held: Claim) -> None:
        """Each try ended without a word, as that of a process that is killed."""
        tell.error(
            "night_job_given_up",
            "{job} of the night of {night} is given up after {most} tries that did not end",
            job=held.job,
            night=held.fire_key,
            most=MOST_TRIES,
        )
        self._finish_failed(held, f"given up: {MOST_TRIES} tries ended with their process")

    def _finish_failed(self, held: Claim, outcome: str) -> None:
        def unit(tx: Tx) -> bool:
            now = self._inst.db.clock(tx)
            return schedule.finish(tx, held, now, outcome[:LONGEST_OUTCOME], failed=True)

        self._record(held, unit)

    def _give_back(self, held: Claim, wait: timedelta, outcome: str) -> None:
        def unit(tx: Tx) -> bool:
            again_at = self._inst.db.clock(tx) + wait
            return schedule.give_back(tx, held, again_at, outcome[:LONGEST_OUTCOME])

        self._record(held, unit)

    def _record(self, held: Claim, unit: Callable[[Tx], bool]) -> None:
        """Where that cannot be, the lease ends by itself, and the job is tried again."""
        try:
            self._inst.db.run(unit)
        except Unavailable as error:
            tell.error(
                "night_job_unrecorded",
                "how {job} of the night of {night} ended could not be recorded,"
                " so it is taken up again when its lease is over: {why}",
                job=held.job,
                night=held.fire_key,
                why=told(error),
            )


def recent(inst: Installation, limit: int) -> list[Run]:
    """The latest nights first."""
    with inst.db.read() as tx:
        return schedule.recent(tx, limit)
