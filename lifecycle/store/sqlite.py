"""How are transactions run on an SQLite file? One writer at a time, in order of arrival; readers
have connections of their own, see a snapshot and never wait.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from lifecycle.errors import LifecycleError, Unavailable, Unusable
from lifecycle.store.pool import Pool
from lifecycle.store.sql import Tx
from lifecycle.store.turns import Turns

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_MEGABYTE = 1024 * 1024
_PRAGMAS = (
    "PRAGMA busy_timeout = 10000",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    f"PRAGMA mmap_size = {128 * _MEGABYTE}",
)
_WRITER = (
    "PRAGMA journal_mode = WAL",
    # An accepted event survives a power cut: NORMAL would lose the last commits.
    "PRAGMA synchronous = FULL",
    f"PRAGMA cache_size = -{24 * 1024}",
    # Fewer checkpoints, each of which copies a hot page once however often it was written.
    "PRAGMA wal_autocheckpoint = 4000",
    f"PRAGMA journal_size_limit = {64 * _MEGABYTE}",
)
_READER = ("PRAGMA query_only = ON", f"PRAGMA cache_size = -{4 * 1024}")

_BUSY = 5
_PASSING = frozenset({_BUSY, 6, 15})  # busy, locked, a race for the journal
_OUTSIDE = frozenset({7, 10, 13})  # out of memory, I/O error, disk full
_FILE = frozenset({8, 11, 14, 26})  # read-only, corrupt, cannot be opened, not a database


class Sqlite:
    """The two kinds of connections to one file, and who may use them when."""

    error = sqlite3.Error  # of the driver

    def __init__(self, path: Path, shown: str, lock: IO[str] | None) -> None:
        self._path = path
        self._shown = shown
        self._lock = lock
        self._turns = Turns()
        self._writer = connect(path, writing=True)
        self._readers = Pool(
            lambda: connect(path, writing=False), sqlite3.Connection.close, size=16
        )

    @classmethod
    def open(cls, path: Path, shown: str, lock: IO[str] | None) -> Sqlite:
        try:
            return cls(path, shown, lock)
        except sqlite3.Error as error:
            raise _told(error, shown) or error from error

    @contextmanager
    def write(self, *, long: bool = False) -> Iterator[Tx]:  # noqa: ARG002 - no limit to lift here
        with self._turns:
            connection = self._writer
            try:  # from here on: a thread may be interrupted right after BEGIN
                connection.execute("BEGIN IMMEDIATE")
                tx = Tx("sqlite", connection)
                yield tx
                tx.finish()
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def read(self) -> Iterator[Tx]:
        connection = self._readers.take()
        try:
            try:
                connection.execute("BEGIN")
                yield Tx("sqlite", connection)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        finally:
            self._readers.give_back(connection)

    @contextmanager
    def hold(self, name: str) -> Iterator[Callable[[], bool] | None]:  # noqa: ARG002 - nobody else is there
        yield lambda: True

    def engine(self) -> Engine:
        from sqlalchemy import NullPool, create_engine, event

        engine = create_engine("sqlite://", creator=self._connect_to_migrate, poolclass=NullPool)

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        return engine

    def _connect_to_migrate(self) -> sqlite3.Connection:
        """A table that others refer to can be made anew; `schema.migrate` looks at the references."""
        connection = connect(self._path, writing=True)
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA temp_store = FILE")  # its indexes are sorted: not in memory
        return connection

    def is_worth_another_try(self, error: BaseException) -> bool:
        return _code(error) in _PASSING

    def told(self, error: BaseException) -> LifecycleError | None:
        """What went wrong in the world, not in our statements, in words for a person."""
        return _told(error, self._shown)

    def close(self) -> None:
        """Waits for the writer's turn to end."""
        with self._turns:
            self._readers.close()
            self._writer.close()
        if self._lock is not None:
            self._lock.close()


def connect(path: Path, *, writing: bool) -> sqlite3.Connection:
    """A connection that begins and ends transactions only when told to.

    Writing ones set the journal up; reading ones cannot change anything.
    """
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=256, timeout=10
    )
    try:
        for pragma in (*_PRAGMAS, *(_WRITER if writing else _READER)):
            connection.execute(pragma).fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _code(error: BaseException) -> int | None:
    """SQLite's primary result code."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _told(error: BaseException, shown: str) -> LifecycleError | None:
    code = _code(error)
    if code in _PASSING:
        return Unavailable(
            f"{shown}: another process has been writing to the file for too long "
            f"({error}); try again later",
            public="another process has been writing to the database for too long; try again later",
        )
    if code in _OUTSIDE:
        return Unavailable(
            f"{shown}: SQLite cannot write ({error}); make room, then try again; "
            "what was not acknowledged was not stored",
            public=f"the database cannot be written to ({error}); what was not acknowledged was not"
            " stored",
        )
    if code in _FILE:
        return Unusable(
            f"{shown}: SQLite cannot use this file ({error}); check the path, its "
            "permissions and that it is a database of this program"
        )
    return None
