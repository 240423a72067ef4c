"""How is one statement written for both databases, and run within a transaction?

A statement is written once, with `?` for its parameters and a few words in square brackets where
the databases differ; it is translated once, when it is defined.

On SQLite a row that is read or written by itself costs a release of Python's global lock, and while
another thread is busy each of them waits 5 ms to get it back: a thousand single inserts took 1.3 s
beside one busy thread, in blocks of a hundred 26 ms. So rows travel together: those read as one
JSON text, those written in long lists of values.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import orjson

from lifecycle.store import instants

if TYPE_CHECKING:
    import psycopg

Dialect = Literal["sqlite", "postgresql"]
Row = Sequence[Any]

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

_PLANNER = (
    "SELECT set_config('enable_seqscan', %s, true), set_config('enable_hashjoin', %s, true),"
    " set_config('enable_mergejoin', %s, true), set_config('join_collapse_limit', %s, true)"
)
_BLOCKS = (100, 25, 5, 1)  # rows in one statement of a bulk change on SQLite


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """The same question, or the same change, in both dialects."""

    sqlite: str
    postgresql: str
    packed: bool  # SQLite answers with one JSON text instead of rows


def both(template: str, *, columns: int | None = None) -> Statement:
    """A statement whose dialects differ in nothing but the words in square brackets.

    `columns`, for a question that may be answered by many rows, says how many a row has. Blobs
    cannot be among them.
    """
    return either(sqlite=template, postgresql=template, columns=columns)


def either(*, sqlite: str, postgresql: str, columns: int | None = None) -> Statement:
    """A statement that each database says in its own way, with the same parameters."""
    for marker, on_sqlite, on_postgresql in _WORDS:
        sqlite = sqlite.replace(marker, on_sqlite)
        postgresql = postgresql.replace(marker, on_postgresql)
    if columns is not None:
        names = ", ".join(f"c{n}" for n in range(columns))
        sqlite = (
            f"WITH answer ({names}) AS ({sqlite})"
            f" SELECT json_group_array(json_array({names})) FROM answer"
        )
    return Statement(
        sqlite=sqlite, postgresql=postgresql.replace("?", "%s"), packed=columns is not None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """One change for many rows: one statement on PostgreSQL, one a hundred rows on SQLite.

    PostgreSQL gets each column as an array. A row of a message costs it 5 µs that way and us 1 µs,
    against 8 and 2 as objects in a JSON text, and 56 for us with arrays as the driver makes them.
    """

    postgresql: str
    blocks: dict[int, str] = field(compare=False)  # SQLite's statement by number of rows


def bulk(columns: str, change: str) -> Bulk:
    """`columns` names and types what a row holds, in order; `[rows]`, called `r`, is all of them."""
    named = [column.split(maxsplit=1) for column in columns.split(",")]
    names = [name for name, _ in named]
    arrays = ", ".join(f"%s::{kind}[]" for _, kind in named)
    of_postgresql = f"unnest({arrays}) AS r ({', '.join(names)})"
    one = f"({', '.join('?' * len(names))})"
    renamed = ", ".join(f'column{n} AS "{name}"' for n, name in enumerate(names, 1))
    blocks = {}
    for size in _BLOCKS:
        # Not `WITH r AS … INSERT`: the driver counts rows only where the first word changes some.
        of_sqlite = f"(SELECT {renamed} FROM (VALUES {', '.join([one] * size)})) AS r"
        blocks[size] = change.replace("[rows]", of_sqlite)
    return Bulk(
        postgresql=change.replace("[rows]", of_postgresql),
        blocks=blocks,
    )


class Tx:
    """One open transaction, or one snapshot for reading; not to be shared between threads."""

    __slots__ = ("_after", "_asks", "_last", "_run", "connection", "dialect", "from_db", "to_db")

    def __init__(
        self,
        dialect: Dialect,
        connection: sqlite3.Connection | psycopg.Connection[tuple[Any, ...]],
    ) -> None:
        self.dialect: Dialect = dialect
        self.connection = connection
        self._last: list[Callable[[], None]] = []
        self._after: list[Callable[[], object]] = []
        self._asks = True  # whether answers are waited for
        self._run: Callable[[str, Sequence[Any]], Any]
        self.to_db: Callable[[datetime], Any]  # an aware instant, as a parameter
        self.from_db: Callable[[Any], datetime]  # a column's value, as an aware instant in UTC
        if isinstance(connection, sqlite3.Connection):
            self._run = connection.execute
            self.to_db = instants.to_microseconds
            self.from_db = instants.from_microseconds
        else:
            cursor = connection.cursor(binary=True)
            self._run = cursor.execute
            self.to_db = instants.to_timestamptz
            self.from_db = instants.from_timestamptz

    def rows(self, statement: Statement, *parameters: Any) -> list[Row]:
        """Everything that the statement answers."""
        assert self._asks
        found: list[Row]
        if self.dialect == "postgresql":
            found = self._run(statement.postgresql, parameters).fetchall()
        elif statement.packed:
            found = orjson.loads(self._run(statement.sqlite, parameters).fetchone()[0])
        else:
            found = self._run(statement.sqlite, parameters).fetchall()
        return found

    def row(self, statement: Statement, *parameters: Any) -> Row | None:
        """The first row of the answer."""
        assert self._asks
        assert not statement.packed
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
        if self.dialect == "postgresql":
            changed: int = self._run(change.postgresql, _arrays(rows)).rowcount
            return changed
        changed = start = 0
        for size in _BLOCKS:
            while len(rows) - start >= size:
                block = list(chain.from_iterable(rows[start : start + size]))
                changed += self._run(change.blocks[size], block).rowcount
                start += size
        return changed

    def bulk_rows(self, change: Bulk, rows: Sequence[Row]) -> list[Row]:
        """What a bulk change with RETURNING answers; for PostgreSQL alone."""
        assert self._asks
        assert self.dialect == "postgresql"
        found: list[Row] = self._run(change.postgresql, _arrays(rows)).fetchall()
        return found

    @contextmanager
    def unanswered(self) -> Iterator[None]:
        """Within the block changes are sent one behind the other, and waited for together at its end.

        Each wait costs a thread its turn among many. How many rows were changed nobody hears: what `run`
        and `bulk` say within the block means nothing, and nothing can be asked in it.
        """
        self._asks = False
        try:
            if isinstance(self.connection, sqlite3.Connection):
                yield
            else:
                with self.connection.pipeline():
                    yield
        finally:
            self._asks = True

    @contextmanager
    def whole_tables(self) -> Iterator[None]:
        """Within the block the questions are about most rows of a table: let PostgreSQL scan."""
        if self.dialect == "sqlite":
            yield
            return
        self._run(_PLANNER, ("on", "on", "on", "8"))
        yield
        self._run(_PLANNER, ("off", "off", "off", "1"))

    def at_the_end(self, action: Callable[[], None]) -> None:
        """Do it just before the commit: what must hold a lock that everybody wants, but briefly."""
        self._last.append(action)

    def after_commit(self, action: Callable[[], object]) -> None:
        """Do it once everything is durable, and never where the transaction comes to nothing."""
        self._after.append(action)

    def committed(self) -> None:
        """Do what was put off until after the commit; whoever has committed calls it."""
        while self._after:
            self._after.pop(0)()

    def finish(self) -> None:
        """Do what was put off to the end; whoever commits calls it."""
        while self._last:
            self._last.pop(0)()

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


def as_records(names: Sequence[str], rows: Iterable[Row]) -> str:
    """The rows as objects in a JSON text, which both databases take apart."""
    return orjson.dumps([dict(zip(names, row, strict=True)) for row in rows]).decode()


def _arrays(rows: Sequence[Row]) -> list[str]:
    """The rows' columns as PostgreSQL writes arrays."""
    return [_array(column) for column in zip(*rows, strict=True)]


def _array(column: Sequence[Any]) -> str:
    """JSON but for the brackets, and for what JSON alone escapes otherwise than by itself."""
    text = orjson.dumps(column).decode()
    if _SPECIAL.search(text):
        text = f"[{','.join(map(_element, column))}]"
    return f"{{{text[1:-1]}}}"


_SPECIAL = re.compile(r"\\[^\"\\]")  # also finds some that are harmless


def _element(value: Any) -> str:
    if not isinstance(value, str):
        return orjson.dumps(value).decode()
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
