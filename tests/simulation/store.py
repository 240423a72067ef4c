"""A real SQLite database that fails: connections are lost, before a commit or at it; nothing is torn.

Between any two transactions others have their turn. The engine's `Database` with its retries works
on this as it does on a server.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from lifecycle.errors import LifecycleError
from lifecycle.store.database import Database
from lifecycle.store.sql import Dialect, Tx
from lifecycle.store.sqlite import Sqlite
from tests.simulation.faults import Faults
from tests.simulation.loop import Loop

if TYPE_CHECKING:
    from sqlalchemy import Engine

BUSY = 5  # SQLite's code for what is worth another try, as a lost connection is on a server
FULL = 13  # and for what is not


class FailingStore:
    """In place of the backend that it stands before."""

    error = Sqlite.error

    def __init__(
        self,
        sqlite: Sqlite,
        loop: Loop,
        chance: random.Random,
        faults: Callable[[], Faults],
        pause: Callable[[], None],
    ) -> None:
        self.sqlite = sqlite
        self._loop = loop
        self._chance = chance
        self._faults = faults
        self._pause = pause
        self._changes = 0  # of the connection, when the transaction began

    @contextmanager
    def write(self, *, long: bool = False) -> Iterator[Tx]:
        self._pause()
        self._fails("refused", FULL)
        with self.sqlite.write(long=long) as tx:
            self._changes = tx.connection.total_changes  # type: ignore[union-attr]
            yield tx
            self._fails("lost_before", BUSY)
        self._loop.tell("committed")
        self._fails("lost_after", BUSY)

    @contextmanager
    def read(self) -> Iterator[Tx]:
        self._pause()
        self._fails("refused", FULL)
        with self.sqlite.read() as tx:
            yield tx

    @contextmanager
    def between(self, tx: Tx) -> Iterator[bool]:
        """Within a transaction of the caller's that has changed nothing: what others commit here.

        False where it has changed something: then there is no between, and nothing must happen.
        """
        unchanged = tx.connection.total_changes == self._changes  # type: ignore[union-attr]
        if unchanged:
            cut(tx)
        yield unchanged
        if unchanged:
            cut(tx)
            self._changes = tx.connection.total_changes  # type: ignore[union-attr]

    def unlocked(self, tx: Tx) -> None:
        """What nothing but a sabotage does: others have their turn in the midst of a transaction."""
        tx.connection.execute("COMMIT")
        self.sqlite._turns.__exit__(None, None, None)
        try:
            self._pause()
        finally:
            self.sqlite._turns.__enter__()
            tx.connection.execute("BEGIN IMMEDIATE")

    def _fails(self, fault: str, code: int) -> None:
        if self._chance.random() < self._faults().rate(fault):
            self._loop.tell(fault)
            error = sqlite3.OperationalError(f"simulated: {fault}")
            error.sqlite_errorcode = code
            raise error

    def is_worth_another_try(self, error: BaseException) -> bool:
        return self.sqlite.is_worth_another_try(error)

    def told(self, error: BaseException) -> LifecycleError | None:
        return self.sqlite.told(error)

    def engine(self) -> Engine:
        return self.sqlite.engine()

    def close(self) -> None:
        """It is the next world's as well."""


def cut(tx: Tx) -> None:
    """What was done so far is committed, and a new transaction begins."""
    tx.connection.execute("COMMIT")
    tx.connection.execute("BEGIN IMMEDIATE")


class SimulatedDatabase(Database):
    """With a clock of its own. What it says it is decides what the engine assumes of its processes."""

    def __init__(
        self,
        store: FailingStore | Sqlite,
        dialect: Dialect,
        wait: Callable[[float], None],
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(store, dialect, "simulated", wait)  # type: ignore[arg-type]
        self._clock = clock

    def clock(self, tx: Tx) -> datetime:
        return self._clock()
