"""Which database is ours, and how is a unit of work run on it? What it does is in the modules
beside this one, which take the open transaction.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from lifecycle.errors import LifecycleError
from lifecycle.store import files, urls
from lifecycle.store.sql import Dialect, Tx, either
from lifecycle.store.sqlite import Sqlite

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from lifecycle.store.postgresql import Postgresql

T = TypeVar("T")

RETRIES = 5
_FIRST_WAIT_SECONDS = 0.05
_LONGEST_WAIT_SECONDS = 2.0

_CLOCK = either(sqlite="SELECT 1", postgresql="SELECT clock_timestamp()")


class Database:
    """One database, opened once a process and shared by its threads."""

    def __init__(
        self,
        backend: Sqlite | Postgresql,
        dialect: Dialect,
        shown: str,
        wait: Callable[[float], None],
    ) -> None:
        self.dialect: Dialect = dialect
        self.shown = shown  # its URL without password
        self._backend = backend
        self._wait = wait

    @classmethod
    def open(
        cls,
        url: str,
        *,
        exclusive: bool = False,
        mounts: Callable[[], str] = files.read_mounts,
        wait: Callable[[float], None] = time.sleep,
    ) -> Database:
        """Connect, or say in one line why that cannot be: `Unusable` or `Unavailable`.

        `exclusive` keeps a second process that asks the same off an SQLite file, until `close` or
        the end of this process, however it comes. An SQLite file is made if it is not there.
        """
        named = urls.parse(url)
        backend: Sqlite | Postgresql
        if named.path is not None:
            files.refuse_unusable(named.path, named.shown, mounts=mounts)
            lock = files.lock_file(named.path, named.shown) if exclusive else None
            try:
                backend = Sqlite.open(named.path, named.shown, lock)
            except BaseException:
                if lock is not None:
                    lock.close()
                raise
        else:
            from lifecycle.store.postgresql import Postgresql  # a quarter of a look into a file

            assert named.conninfo is not None
            backend = Postgresql(named.conninfo, named.shown)
        return cls(backend, named.dialect, named.shown, wait)

    @contextmanager
    def write(self, *, long: bool = False) -> Iterator[Tx]:
        """A transaction that commits when the block ends well, and else leaves nothing behind.

        `long` lifts the limit of 30 s a statement, for work that a person waits for.
        """
        with self._told(), self._backend.write(long=long) as tx:
            yield tx
        tx.committed()

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """One unchanging view of what is committed; it neither waits for writers nor stops them."""
        with self._told(), self._backend.read() as tx:
            yield tx

    def run(self, unit: Callable[[Tx], T], *, long: bool = False) -> T:
        """The unit's answer, its transaction committed.

        Lost connections, deadlocks and waits that took too long make the whole unit run again, up
        to five times. A connection lost at COMMIT leaves open whether it happened: units must be
        idempotent.
        """
        for retry in range(RETRIES):
            try:
                with self._backend.write(long=long) as tx:
                    answer = unit(tx)
            except self._backend.error as error:
                if not self._backend.is_worth_another_try(error):
                    told = self._backend.told(error)
                    if told is None:
                        raise
                    raise told from error
            else:
                tx.committed()
                return answer
            longest = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2**retry)
            self._wait(random.uniform(0, longest))  # noqa: S311 - to spread the retries, no secret
        with self.write(long=long) as tx:
            return unit(tx)

    @contextmanager
    def hold(self, name: str) -> Iterator[Callable[[], bool] | None]:
        """While the block runs no other process holds this name; None where one does already.

        What is yielded is to be called now and then: whether the name is still held, which a server
        that restarts forgets. Others ask `holds.is_held`.
        """
        with self._told(), self._backend.hold(name) as keep:
            yield keep

    def clock(self, tx: Tx) -> datetime:
        """The real time now: the server's for PostgreSQL, so that hosts with wrong clocks agree.

        Unlike `now()` it moves on within a transaction.
        """
        if tx.dialect == "sqlite":
            return datetime.now(UTC)
        return tx.from_db(tx.value(_CLOCK))

    def engine(self) -> Engine:
        """SQLAlchemy's view of the database, for migrations; it is the caller's to dispose of."""
        return self._backend.engine()

    def told(self, error: BaseException | None) -> LifecycleError | None:
        """What went wrong in the world, if that is the driver's error, in one line."""
        return None if error is None else self._backend.told(error)

    def close(self) -> None:
        self._backend.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self._backend.error as error:
            told = self._backend.told(error)
            if told is None:
                raise
            raise told from error
