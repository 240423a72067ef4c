"""How are transactions run on PostgreSQL, and which of its errors are worth another try?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors as pg

from lifecycle.errors import LifecycleError, TookTooLong, Unavailable, Unusable
from lifecycle.store.holds import Hold
from lifecycle.store.pool import Pool
from lifecycle.store.sql import Tx

if TYPE_CHECKING:
    from sqlalchemy import Engine

Connection = psycopg.Connection[tuple[Any, ...]]

NEEDED = 130000  # pg_current_xact_id, xid8

_SESSION = """
SET timezone TO 'UTC';
SET lock_timeout TO '5s';
SET statement_timeout TO '30s';
SET idle_in_transaction_session_timeout TO '60s';
SET plan_cache_mode TO force_custom_plan;
SET jit TO off;
SET enable_seqscan TO off;
SET enable_hashjoin TO off;
SET enable_mergejoin TO off;
SET join_collapse_limit TO 1;
SELECT set_config('synchronous_commit', 'on', false)
 WHERE current_setting('synchronous_commit') = 'off';
"""
# `synchronous_commit`: what was acknowledged must be durable. Plans: tables grow from nothing by a
# thousand rows a transaction, and statistics lag behind, so the planner would think that half of all
# events wait and read every one of them for each batch. Our statements begin with a list of keys and
# go from index to index in the order in which they are written; those that do look at whole tables
# say so (`Tx.whole_tables`).

_PASSING = (
    pg.SerializationFailure,
    pg.DeadlockDetected,
    pg.LockNotAvailable,
)
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_BEGIN_LONG = f"{_BEGIN}; SET LOCAL statement_timeout TO 0"
_BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
CONNECTIONS = 10  # of one process
AWAY = "the database does not answer; try again later"


class Postgresql:
    """The connections of this process to one server."""

    error = psycopg.Error  # of the driver

    def __init__(self, conninfo: str, shown: str) -> None:
        self._conninfo = conninfo
        self._shown = shown
        self._pool = Pool(
            lambda: connect(conninfo, shown), psycopg.Connection.close, size=CONNECTIONS
        )
        self._pool.give_back(self._pool.take())  # tell now what is wrong with URL or server

    @contextmanager
    def write(self, *, long: bool = False) -> Iterator[Tx]:
        with self._transaction(_BEGIN_LONG if long else _BEGIN) as connection:
            tx = Tx("postgresql", connection)
            yield tx
            tx.finish()
            done = connection.execute("COMMIT").statusmessage
            if done != "COMMIT":
                # A failed statement had aborted the transaction and its error was swallowed.
                raise AssertionError(f"nothing was stored: COMMIT was answered by {done}")

    @contextmanager
    def read(self) -> Iterator[Tx]:
        with self._transaction(_BEGIN_READING) as connection:
            yield Tx("postgresql", connection)
            connection.execute("ROLLBACK")

    @contextmanager
    def hold(self, name: str) -> Iterator[Callable[[], bool] | None]:
        with closing(Hold(lambda: connect(self._conninfo, self._shown), name)) as hold:
            yield hold.keep if hold.take() else None

    def engine(self) -> Engine:
        from sqlalchemy import NullPool, create_engine

        return create_engine("postgresql+psycopg://", creator=self._managed, poolclass=NullPool)

    def _managed(self) -> Connection:
        """A connection whose transactions are begun by whoever uses it, as SQLAlchemy expects."""
        connection = connect(self._conninfo, self._shown)
        connection.autocommit = False
        return connection

    def is_worth_another_try(self, error: BaseException) -> bool:
        return isinstance(error, _PASSING) or (
            isinstance(error, psycopg.OperationalError) and (_is_lost(error) or _is_ending(error))
        )

    def told(self, error: BaseException) -> LifecycleError | None:
        """What went wrong in the world, not in our statements, in words for a person."""
        if isinstance(error, pg.QueryCanceled):
            return TookTooLong(
                f"{self._shown}: PostgreSQL ended a statement ({_line(error)}); try again later",
                public="the database took too long; try again later",
            )
        if isinstance(error, pg.DiskFull):
            return Unavailable(
                f"{self._shown}: PostgreSQL has no room ({_line(error)}); make room, then try again; "
                "what was not acknowledged was not stored",
                public="the disk of the database is full; what was not acknowledged was not stored",
            )
        if isinstance(error, psycopg.OperationalError):
            return Unavailable(
                f"{self._shown}: PostgreSQL failed ({_line(error)}); try again later",
                public="the database failed; try again later",
            )
        return None

    def close(self) -> None:
        self._pool.close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        connection = self._begun(begin)
        try:
            yield connection
        except BaseException:
            self._undo(connection)
            raise
        self._pool.give_back(connection)

    def _begun(self, begin: str) -> Connection:
        """A connection on which BEGIN succeeded: idle ones may have died with their server."""
        for _ in range(CONNECTIONS + 1):  # all of them, and then a new one
            connection = self._pool.take()
            try:
                connection.execute(begin)
            except psycopg.OperationalError:
                self._pool.throw_away(connection)
            except BaseException:
                self._undo(connection)
                raise
            else:
                return connection
        raise Unavailable(
            f"{self._shown}: PostgreSQL ends every connection; try again later", public=AWAY
        )

    def _undo(self, connection: Connection) -> None:
        try:
            connection.execute("ROLLBACK")
        except psycopg.Error:
            self._pool.throw_away(connection)  # the server undoes what it hears no more of
        else:
            self._pool.give_back(connection)


def connect(conninfo: str, shown: str) -> Connection:
    """A connection in UTC that begins and ends transactions only when told to.

    Raises `Unavailable` when the server does not answer, `Unusable` when it refuses us.
    """
    try:
        connection = psycopg.connect(
            conninfo,
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=10,
            application_name="lifecycle",
        )
    except psycopg.OperationalError as error:
        raise _not_connected(error, shown) from error
    except psycopg.ProgrammingError as error:
        raise Unusable(
            f"{shown}: not a URL that PostgreSQL understands ({_line(error)}); "
            "write postgresql://user:password@host:5432/name"
        ) from error
    try:
        _refuse_old(connection, shown)
        connection.execute(_SESSION)
    except psycopg.OperationalError as error:  # it stopped in between
        connection.close()
        raise _not_connected(error, shown) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_old(connection: Connection, shown: str) -> None:
    version = connection.info.server_version
    if version < NEEDED:
        raise Unusable(
            f"{shown}: PostgreSQL {version // 10000} is too old; "
            f"{NEEDED // 10000} or newer is needed"
        )


def _not_connected(error: psycopg.OperationalError, shown: str) -> LifecycleError:
    said = _line(error)
    refused = (
        "authentication failed",
        "does not exist",
        "no password supplied",
        "no pg_hba.conf entry",
        "permission denied",
        "invalid port",
    )
    if any(words in said for words in refused):
        return Unusable(
            f"{shown}: PostgreSQL refuses the connection ({said}); check user, password and "
            "database name"
        )
    return Unavailable(
        f"{shown}: PostgreSQL does not answer ({said}); check that it runs and that host and port "
        "are right",
        public=AWAY,
    )


def _is_lost(error: psycopg.OperationalError) -> bool:
    """The connection broke, so that even a COMMIT may or may not have happened."""
    return error.sqlstate is None or error.sqlstate.startswith("08")


def _is_ending(error: psycopg.OperationalError) -> bool:
    """The server restarts or ended our session."""
    return error.sqlstate is not None and error.sqlstate in {"57P01", "57P02", "57P03", "25P03"}


def _line(error: psycopg.Error) -> str:
    """What the server says first. Behind it may come details, with values of the statement."""
    return " ".join((error.diag.message_primary or str(error)).split())
