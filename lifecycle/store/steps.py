"""Which steps did customers make, which still stand, and what is new in the log?"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import orjson

from lifecycle.domain.step import Step
from lifecycle.errors import Problem
from lifecycle.store.sql import Row, Statement, Tx, both, bulk, either


class StepRow(NamedTuple):
    """A step as it is kept."""

    row_id: int  # 0 until it is stored
    customer_id: int
    seq: int | None  # its place among the customer's live steps, from 1; None once revoked
    step: Step
    recorded_at: datetime
    revoked_by: int | None = None  # row of the event that overturned it
    revoked_at: datetime | None = None


def live(tx: Tx, customer_ids: Iterable[int]) -> dict[int, list[StepRow]]:
    """The steps of each customer that stand, in order; one without any is not in the answer."""
    found: dict[int, list[StepRow]] = {}
    for row in tx.rows(_LIVE, tx.ids(customer_ids)):
        found.setdefault(row[1], []).append(_step_row(tx, row))
    return found


def all_of(tx: Tx, customer_id: int) -> list[StepRow]:
    """Every step that the customer ever made, the revoked ones too, by instant."""
    return [_step_row(tx, row) for row in tx.rows(_ALL, customer_id)]


def insert(tx: Tx, steps: Sequence[StepRow]) -> None:
    """Store new steps; revoke and renumber the others first, as no place may be taken twice."""
    to_db, dumps = tx.to_db, orjson.dumps
    rows = []
    for row in steps:
        step = row.step
        rows.append(
            (
                row.customer_id,
                row.seq,
                step.rule,
                step.from_state,
                step.to_state,
                step.trigger,
                step.cause,
                to_db(step.at),
                step.guard,
                dumps(step.read).decode(),
                step.version,
                step.by,
                step.why,
                to_db(row.recorded_at),
            )
        )
    if tx.dialect == "postgresql":
        tx.bulk(_INSERT_AND_LOG, rows)
    elif rows:
        last = tx.value(_LAST)
        tx.bulk(_INSERT, rows)
        tx.run(_LOG_MADE, last)


def revoke(tx: Tx, revoked: Sequence[tuple[int, int | None]], at: datetime) -> None:
    """Mark steps, by row id, as overturned by the event of a row; a second time changes nothing.

    They keep no place; the steps after them are to be renumbered.
    """
    instant = tx.to_db(at)
    tx.run(_LOG_REVOKED, tx.ids(row_id for row_id, _ in revoked))
    tx.bulk(_REVOKE, [(instant, by, row_id) for row_id, by in revoked])


def renumber(tx: Tx, places: Sequence[tuple[int, int]]) -> None:
    """Give live steps, by row id, new places; between themselves they may trade them."""
    tx.bulk(_PLACE, [(-place, row_id) for row_id, place in places])
    tx.bulk(_PLACE, [(place, row_id) for row_id, place in places])


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the log: a step was made, or one was revoked."""

    row: StepRow  # as it is now: also the line of its making shows that it was revoked later
    customer: str  # her own key
    revoked: bool  # this line tells of the revocation


Cursor = str  # opaque: a place in the log as these filters see it


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which lines of the log are wanted; None wants all."""

    state: str | None = None  # entered or left
    rule: str | None = None
    customer_id: int | None = None


def log(
    tx: Tx, after: Cursor | None, limit: int, filters: Filters | None = None
) -> tuple[list[Entry], Cursor]:
    """The next lines, the oldest first, and where to go on; None begins at the beginning.

    Following from the cursor misses nothing and repeats nothing: on PostgreSQL a line shows only
    once every transaction that began before its own has ended, as those may still add lines that
    come before it. A cursor that this function did not give for the same filters is a `Problem`.
    """
    filters = filters or Filters()
    start = (0, 0) if after is None else _place(after, filters)
    end = _end(tx)
    found = _entries(tx, _FORWARD, (*start, *end, *_wanted(filters), limit))
    place = end if len(found) < limit else found[-1][0]
    return [entry for _, entry in found], _cursor(max(place, start), filters)


def recent(tx: Tx, limit: int, filters: Filters | None = None) -> tuple[list[Entry], Cursor]:
    """The latest lines, the newest first, and the cursor from which to follow what comes."""
    filters = filters or Filters()
    end = _end(tx)
    found = _entries(tx, _BACKWARD, (0, 0, *end, *_wanted(filters), limit))
    return [entry for _, entry in found], _cursor(end, filters)


def earlier(
    tx: Tx, before: Cursor | None, limit: int, filters: Filters | None = None
) -> tuple[list[Entry], Cursor | None]:
    """The latest lines before a place, the newest first, and where to go on; None: no more.

    None as `before` begins with the latest. What is new meanwhile comes before the first page, so
    going on neither misses nor repeats a line.
    """
    filters = filters or Filters()
    end = _end(tx)
    if before is not None:
        transaction, line = _place(before, filters, back=True)
        end = (transaction, line - 1)
    found = _entries(tx, _BACKWARD, (0, 0, *end, *_wanted(filters), limit + 1))
    page = found[:limit]
    cursor = _cursor(page[-1][0], filters, back=True) if len(found) > limit else None
    return [entry for _, entry in page], cursor


_COLUMNS = (
    's.id, s.customer_id, s.seq, s.rule, s.from_state, s.to_state, s."trigger", s.cause, s."at",'
    ' s.guard, s."read", s.version, s."by", s.why, s.recorded_at, s.revoked_by, s.revoked_at'
)
_LIVE = both(
    f"SELECT {_COLUMNS} FROM step AS s WHERE s.customer_id IN [ids] AND s.seq IS NOT NULL"
    " ORDER BY s.customer_id, s.seq",
    columns=17,
)
_ALL = both(
    f'SELECT {_COLUMNS} FROM step AS s WHERE s.customer_id = ? ORDER BY s."at", s.seq, s.id',
    columns=17,
)
_INSERTED = (
    'customer_id, seq, rule, from_state, to_state, "trigger", cause, "at", guard, "read",'
    ' version, "by", why, recorded_at'
)
_TYPES = (
    "customer_id bigint, seq integer, rule text, from_state text, to_state text, trigger text,"
    " cause text, at timestamptz, guard text, read text, version integer, by text, why text,"
    " recorded_at timestamptz"
)
_INSERT = bulk(_TYPES, f"INSERT INTO step ({_INSERTED}) SELECT * FROM [rows]")
_INSERT_AND_LOG = bulk(  # PostgreSQL's way to know the new ids
    _TYPES,
    f"WITH made AS (INSERT INTO step ({_INSERTED}) SELECT * FROM [rows] RETURNING id)"
    " INSERT INTO step_log (step_id, revoked) SELECT id, false FROM made ORDER BY id",
)
_REVOKE = bulk(
    "at timestamptz, by bigint, id bigint",
    "UPDATE step AS s SET revoked_at = r.at, revoked_by = r.by, seq = NULL"
    " FROM [rows] WHERE s.id = r.id AND s.revoked_at IS NULL",
)
_PLACE = bulk(
    "seq integer, id bigint",
    "UPDATE step AS s SET seq = r.seq FROM [rows] WHERE s.id = r.id AND s.revoked_at IS NULL",
)


def _step_row(tx: Tx, row: Row) -> StepRow:
    return StepRow(
        row_id=row[0],
        customer_id=row[1],
        seq=row[2],
        step=Step(
            rule=row[3],
            from_state=row[4],
            to_state=row[5],
            trigger=row[6],
            cause=row[7],
            at=tx.from_db(row[8]),
            guard=row[9],
            read=orjson.loads(row[10]),
            version=row[11],
            by=row[12],
            why=row[13],
        ),
        recorded_at=tx.from_db(row[14]),
        revoked_by=row[15],
        revoked_at=tx.from_db_or_none(row[16]),
    )


# --- the log -----------------------------------------------------------------------------------

_Place = tuple[int, int]  # transaction, line

_LAST = both("SELECT coalesce(max(id), 0) FROM step")
_LOG_MADE = both(
    "INSERT INTO step_log (step_id, revoked) SELECT id, false FROM step WHERE id > ? ORDER BY id"
)
_LOG_REVOKED = both(
    "INSERT INTO step_log (step_id, revoked)"
    " SELECT id, true FROM step WHERE id IN [ids] AND revoked_at IS NULL ORDER BY id"
)
_END = either(
    sqlite="SELECT 0, coalesce(max(id), 0) FROM step_log",
    postgresql=(
        "SELECT recorded_xid::text::bigint, id FROM step_log"
        " WHERE recorded_xid < pg_snapshot_xmin(pg_current_snapshot())"
        " ORDER BY recorded_xid DESC, id DESC LIMIT 1"
    ),
)
_LINES = (
    f"SELECT [place], l.revoked, c.key, {_COLUMNS} FROM step_log AS l"
    " JOIN step AS s ON s.id = l.step_id JOIN customer AS c ON c.id = s.customer_id"
    " WHERE [after] AND [until]"
    " AND (CAST(? AS text) IS NULL OR s.from_state = ? OR s.to_state = ?)"
    " AND (CAST(? AS text) IS NULL OR s.rule = ?)"
    " AND (CAST(? AS bigint) IS NULL OR s.customer_id = ?) ORDER BY [order] LIMIT ?"
)


def _lines(direction: str) -> Statement:
    """SQLite needs no transaction ids, and comparing ids alone lets it use the primary key."""
    return either(
        sqlite=_LINES.replace("[place]", "0, l.id")
        .replace("[after]", "? = 0 AND l.id > ?")
        .replace("[until]", "? = 0 AND l.id <= ?")
        .replace("[order]", f"l.id {direction}"),
        columns=21,
        postgresql=_LINES.replace("[place]", "l.recorded_xid::text::bigint, l.id")
        .replace("[after]", "(l.recorded_xid, l.id) > (?::text::xid8, ?)")
        .replace("[until]", "(l.recorded_xid, l.id) <= (?::text::xid8, ?)")
        .replace("[order]", f"l.recorded_xid {direction}, l.id {direction}"),
    )


_FORWARD = _lines("ASC")
_BACKWARD = _lines("DESC")


def _end(tx: Tx) -> _Place:
    """The last line before which no other can appear any more."""
    row = tx.row(_END)
    return (0, 0) if row is None else (row[0], row[1])


def _wanted(filters: Filters) -> tuple[object, ...]:
    state, rule, customer_id = filters.state, filters.rule, filters.customer_id
    return (state, state, state, rule, rule, customer_id, customer_id)


def _entries(
    tx: Tx, statement: Statement, parameters: tuple[object, ...]
) -> list[tuple[_Place, Entry]]:
    return [
        (
            (row[0], row[1]),
            Entry(row=_step_row(tx, row[4:]), customer=row[3], revoked=bool(row[2])),
        )
        for row in tx.rows(statement, *parameters)
    ]


def _cursor(place: _Place, filters: Filters, *, back: bool = False) -> Cursor:
    return f"{place[0]}.{place[1]}.{_mark(place, filters, back=back)}"


def _mark(place: _Place, filters: Filters, *, back: bool) -> str:
    """Tells a cursor of one query from one of another, and an altered one; no secret."""
    text = repr((place, filters.state, filters.rule, filters.customer_id, back))
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def _place(cursor: Cursor, filters: Filters, *, back: bool = False) -> _Place:
    found = _CURSOR.fullmatch(cursor)
    place = (0, 0) if found is None else (int(found["transaction"]), int(found["line"]))
    if found is None or found["mark"] != _mark(place, filters, back=back):
        raise Problem(
            "cursor_invalid",
            "the cursor is not one that was given for this query",
            pointer="cursor",
            got=cursor[:60],
            expected="the `cursor` of an answer to the same query, unchanged, or none",
        )
    return place


_CURSOR = re.compile(r"(?P<transaction>\d{1,18})\.(?P<line>\d{1,18})\.(?P<mark>[0-9a-f]{8})")
