"""What every use case works on: one database, its clock, and the policies in force."""

from __future__ import annotations

import threading
from datetime import datetime

from lifecycle.clock import ClockSpec, Origin
from lifecycle.domain.policy import Policy
from lifecycle.domain.timeline import Timeline, Version
from lifecycle.engine import policies
from lifecycle.engine.pace import Pace
from lifecycle.errors import NotReady
from lifecycle.store import clock as clock_row
from lifecycle.store.database import Database
from lifecycle.store.sql import Tx

AT_ONCE = 1000  # events, or due customers, in one transaction at the most


class Installation:
    """One tenant's engine; safe to share between threads."""

    def __init__(self, db: Database, clock: ClockSpec | None = None) -> None:
        self.db = db
        self._clock = clock
        self.pace = Pace(AT_ONCE, steady=db.dialect != "sqlite")
        self._timeline: Timeline | None = None
        self._lock = threading.Lock()

    @property
    def is_made_up(self) -> bool:
        """Whether the engine's clock is not real time."""
        return self._clock is not None

    @property
    def rate(self) -> float:
        """Seconds of the engine's time in a second of real time; 0 where its clock stands still."""
        return 1.0 if self._clock is None else float(self._clock.rate)

    def now(self, tx: Tx) -> datetime:
        """The engine's clock: the database's, or the made-up one that is wound in this database."""
        real = self.db.clock(tx)
        if self._clock is None:
            return real
        origin: Origin | None = clock_row.read(tx)
        if origin is None:
            raise NotReady("LIFECYCLE_CLOCK is set, but its origin is not in the database yet")
        return self._clock.at(origin, real)

    def timeline(self, tx: Tx) -> Timeline:
        """The policies in force, compiled; read again when a version was added."""
        newest = policies.newest(tx)
        if newest == 0:
            raise NotReady("no policy is in force yet: `lifecycle up` takes the one in config/")
        with self._lock:
            if self._timeline is None or self._timeline.newest != newest:
                self._timeline = policies.timeline_of(policies.versions(tx))
            return self._timeline

    def policy(self) -> Policy:
        """The policy that judges now."""
        return self.version().policy

    def version(self) -> Version:
        """The version of it that judges now."""
        with self.db.read() as tx:
            return self.timeline(tx).at(self.now(tx))
