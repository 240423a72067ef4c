"""One world: what its processes share, what goes wrong, and how time passes; all from one seed.

Who lives in it is `processes`' and `clients`' to say, what production code meets in it `encounters`'.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from lifecycle.bootstrap import Complaints, Engine
from lifecycle.clock import ClockSpec
from lifecycle.engine.feedback import Feedback
from lifecycle.engine.installation import Installation
from lifecycle.engine.night import Nights
from lifecycle.engine.observer import Unobserved
from lifecycle.engine.pace import Pace
from lifecycle.engine.readiness import Broker
from lifecycle.errors import PoisonEvent, Unavailable
from lifecycle.settings import DEFAULT_MAX_PENDING, NightTime
from lifecycle.store.database import Database
from lifecycle.store.sqlite import Sqlite
from tests.simulation.broker import BrokerAway, FickleBroker
from tests.simulation.faults import QUIET, drawn
from tests.simulation.history import END, HISTORIES, history, timeline
from tests.simulation.loop import Crash, Loop, Process
from tests.simulation.store import FailingStore, SimulatedDatabase

if TYPE_CHECKING:
    from tests.simulation.processes import Server

DAYS_A_SECOND = 60
CLOCK = ClockSpec.parse(f"2025-12-31T00:00:00Z*{DAYS_A_SECOND * 86_400}")
BEGUN = datetime(2026, 12, 1, tzinfo=UTC)  # in real time
FAULTS_END = END / DAYS_A_SECOND + 2  # seconds
LEAPS = (1, 10, 60, 3600)  # of the real clock, in seconds

Birth = Callable[["World", Process], None]


class World:
    def __init__(self, seed: int, sqlite: Sqlite) -> None:
        self.seed = seed
        self.history = history(seed % HISTORIES)
        self.chance = random.Random(seed)
        self.intended = self.faults = drawn(self.chance)  # now none, once they have ended
        self.embedded = self.chance.random() < 0.25  # else as many processes as on a server
        self.at_once = self.chance.choice([1, 3, 10, 1000])  # events in one transaction
        self.loop = Loop()
        self.broker = FickleBroker(self.loop, self.chance, lambda: self.faults)
        self.store = FailingStore(sqlite, self.loop, self.chance, lambda: self.faults, self.pause)
        self.db = SimulatedDatabase(
            self.store,
            # What the engine assumes of its processes; the statements are SQLite's.
            "sqlite" if self.embedded else "postgresql",
            self.loop.sleep,
            self.real_now,
        )
        # For whoever looks on: what it reads neither fails nor takes any time.
        self.onlooker = _installed(SimulatedDatabase(sqlite, "sqlite", _never, self.real_now))
        self.servers: list[Server] = []  # whoever takes posts
        self.posting = 0  # clients that have not had all their answers yet
        self.ends: Counter[str] = Counter()  # of processes, by point
        self.surprises: list[str] = []  # errors that no fault explains
        self._skew = timedelta(0)
        self._born: Counter[str] = Counter()

    def happens(self, fault: str) -> bool:
        return self.chance.random() < self.faults.rate(fault)

    # -- time

    def real_now(self) -> datetime:
        return BEGUN + timedelta(seconds=self.loop.now) + self._skew

    def pause(self) -> None:
        """A while in which others have their turn; mostly short, sometimes longer than a life."""
        if self.happens("frozen"):
            self.loop.tell("is frozen")
            self.loop.sleep(self.chance.uniform(4, 12))
        else:
            self.loop.sleep(0.2 * self.chance.random() ** 4)

    def turn(self) -> None:
        """Begins what happens about once a second, to everybody."""
        if self.loop.now >= FAULTS_END:
            self.faults = QUIET
        self.broker.turn()
        if self.happens("jumped"):
            leap = self.chance.choice(LEAPS) * self.chance.choice([-1, 1])
            self.loop.tell(f"the real clock leaps {leap} s")
            self._skew += timedelta(seconds=leap)
        self.loop.later(1.0, self.turn)

    # -- processes

    def bear(self, name: str, birth: Birth) -> None:
        """A process begins, and after each end of it another in its place."""
        self._born[name] += 1
        process = Process(f"{name}-{self._born[name]}", again=partial(self.bear, name, birth))
        birth(self, process)

    def end(self, point: str) -> None:
        """The process that is running ends; another one comes in its place."""
        self.ends[point] += 1
        self.loop.tell(f"ends at {point}")
        self.loop.later(self.chance.uniform(0.1, 3), self.loop.process.again)
        self.loop.end()

    def engine(self, ring: Callable[[], object], broker: Callable[[], Broker]) -> Engine:
        """What a process has of its own, over the database that all share; its nights are without work."""
        inst = self.installation()
        return Engine(
            inst,
            nights=Nights(inst, NightTime(), []),
            feedback=Feedback(secret=None, public_url=None),
            clock=CLOCK,
            stops_clock=False,
            ring=ring,
            broker=broker,
            observer=Unobserved(),
            complaints=self.complaints(),
            max_pending=DEFAULT_MAX_PENDING,
        )

    def installation(self) -> Installation:
        made = _installed(self.db)
        made.pace = Pace(self.at_once, steady=True)
        return made

    # -- errors

    def complaints(self) -> Complaints:
        return _Telltale(self)

    def expect(self, error: BaseException, what: str) -> None:
        """Note an error for which there is no reason in this world; production code goes on after it."""
        poisoned = isinstance(error, PoisonEvent) and error.id == self.history.poison
        if not (poisoned or isinstance(error, Unavailable | BrokerAway | Crash)):
            self.surprises.append(f"{what}: {type(error).__name__}: {error}")


def _installed(db: Database) -> Installation:
    made = Installation(db, CLOCK)
    made._timeline = timeline()  # compiled once for all worlds
    return made


def _never(seconds: float) -> None:
    raise AssertionError("nobody waits here")


class _Telltale(Complaints):
    def __init__(self, world: World) -> None:
        super().__init__(lambda: world.loop.now)
        self._world = world

    def about(self, event: str, what: str, error: BaseException) -> None:
        self._world.expect(error, what)
