"""How is one statement written for both databases, and run within a transaction?

A statement is written once with `?` for its parameters and a few words in square brackets where
the databases differ; it runs as written on neither, and is translated once, when it is defined.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson
import psycopg

from lifecycle.store import instants

Dialect = Literal["sqlite", "postgresql"]
Row = tuple[Any, ...]

_WORDS = (
    # marker, on SQLite, on PostgreSQL
    ("IN [ids]", "IN (SELECT value FROM json_each(?))", "= ANY (?::bigint[])"),
    (
        "IN [texts]",
        "IN (SELECT value FROM json_each(?))",
        "= ANY (ARRAY(SELECT json_array_elements_text(?::json)))",
    ),
    # The one writer of SQLite has everything locked already.
    ("[lock]", "", "FOR NO KEY UPDATE SKIP LOCKED"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """The same question, or the same change, in both dialects."""

    sqlite: str
    postgresql: str


def both(template: str) -> Statement:
    """A statement whose dialects differ in nothing but the words in square brackets."""
    return either(sqlite=template, postgresql=template)


def either(*, sqlite: str, postgresql: str) -> Statement:
    """A statement that each database says in its own way, with the same parameters."""
    for marker, on_sqlite, on_postgresql in _WORDS:
        sqlite = sqlite.replace(marker, on_sqlite)
        postgresql = postgresql.replace(marker, on_postgresql)
    return Statement(sqlite=sqlite, postgresql=postgresql.replace("?", "%s"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """One change for many rows: prepared and repeated on SQLite, one statement on PostgreSQL.

    PostgreSQL gets the rows as one JSON text, of all ways the one that costs us least: 3 µs a row
    against 56 µs for arrays as the driver makes them.
    """

    columns: tuple[str, ...]
    sqlite: str
    postgresql: str


def bulk(columns: str, *, sqlite: str, postgresql: str) -> Bulk:
    """`columns` names and types what a row holds, in order; `[rows]` stands for them in PostgreSQL.

    On SQLite each row's values are the parameters of `sqlite`, in the same order.
    """
    names = tuple(column.split()[0] for column in columns.split(","))
    rows = f"json_to_recordset(%s::json) AS r ({columns})"
    return Bulk(columns=names, sqlite=sqlite, postgresql=postgresql.replace("[rows]", rows))


class Tx:
    """One open transaction, or one snapshot for reading; not to be shared between threads."""

    __slots__ = ("_run", "blob", "connection", "dialect", "from_db", "to_db")

    def __init__(
        self, dialect: Dialect, connection: sqlite3.Connection | psycopg.Connection[Row]
    ) -> None:
        self.dialect: Dialect = dialect
        self.connection = connection
        self._run: Callable[[str, Sequence[Any]], Any]
        self.to_db: Callable[[datetime], Any]  # an aware instant, as a parameter
        self.from_db: Callable[[Any], datetime]  # a column's value, as an aware instant in UTC
        self.blob: Callable[[bytes], Any]  # bytes within a row of a `Bulk`
        if isinstance(connection, sqlite3.Connection):
            self._run = connection.execute
            self.to_db = instants.to_microseconds
            self.from_db = instants.from_microseconds
            self.blob = bytes
        else:
            cursor = connection.cursor(binary=True)
            self._run = cursor.execute
            self.to_db = instants.to_timestamptz
            self.from_db = instants.from_timestamptz
            self.blob = _hex

    def rows(self, statement: Statement, *parameters: Any) -> list[Row]:
        """Everything that the statement answers."""
        found: list[Row] = self._run(getattr(statement, self.dialect), parameters).fetchall()
        return found

    def row(self, statement: Statement, *parameters: Any) -> Row | None:
        """The first row of the answer."""
        found: Row | None = self._run(getattr(statement, self.dialect), parameters).fetchone()
        return found

    def value(self, statement: Statement, *parameters: Any) -> Any:
        """The first column of the one row that the statement must answer."""
        found = self.row(statement, *parameters)
        assert found is not None
        return found[0]

    def run(self, statement: Statement, *parameters: Any) -> int:
        """How many rows the statement changed."""
        changed: int = self._run(getattr(statement, self.dialect), parameters).rowcount
        return changed

    def bulk(self, change: Bulk, rows: Sequence[Row]) -> int:
        """How many rows were changed by the change of all these; none asks nothing."""
        if not rows:
            return 0
        if isinstance(self.connection, sqlite3.Connection):
            return self.connection.executemany(change.sqlite, rows).rowcount
        changed: int = self._run(change.postgresql, (as_records(change, rows),)).rowcount
        return changed

    def to_db_or_none(self, instant: datetime | None) -> Any:
        return None if instant is None else self.to_db(instant)

    def from_db_or_none(self, value: Any) -> datetime | None:
        return None if value is None else self.from_db(value)

    def ids(self, ids: Iterable[int]) -> str:
        """The parameter of `IN [ids]`."""
        listed = ",".join(map(str, ids))
        return f"[{listed}]" if self.dialect == "sqlite" else f"{{{listed}}}"


def texts(values: Iterable[str]) -> str:
    """The parameter of `IN [texts]`."""
    return orjson.dumps(list(values)).decode()


def as_records(change: Bulk, rows: Sequence[Row]) -> str:
    """The rows as PostgreSQL's `json_to_recordset` reads them."""
    names = change.columns
    return orjson.dumps([dict(zip(names, row, strict=True)) for row in rows]).decode()


def _hex(value: bytes) -> str:
    return "\\x" + value.hex()
