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
    revoked_version: int | None = None  # the policy version that did, where no event did it


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
    if not rows:
        return
    if tx.dialect == "postgresql":
        made = [row[0] for row in tx.bulk_rows(_INSERT_RETURNING, rows)]
    else:
        last: int = tx.value(_LAST)
        made = list(range(last + 1, last + 1 + len(rows)))
        tx.bulk(_INSERT_NUMBERED, [(*row, id_) for row, id_ in zip(rows, made, strict=True)])
    tx.at_the_end(lambda: _write_lines(tx, made, revoked=False))


def revoke(tx: Tx, revoked: Sequence[tuple[int, int | None, int | None]], at: datetime) -> None:
    """Mark steps, by row id, as overturned by the event of a row, or by a version of the policy.

    A second time changes nothing.

    They keep no place; the steps after them are to be renumbered.
    """
    if not revoked:
        return
    instant = tx.to_db(at)
    still_live = [row[0] for row in tx.rows(_STILL_LIVE, tx.ids(each[0] for each in revoked))]
    tx.at_the_end(lambda: _write_lines(tx, still_live, revoked=True))
    tx.bulk(_REVOKE, [(instant, by, version, row_id) for row_id, by, version in revoked])


def rejudge(tx: Tx, judged: Sequence[tuple[int, int]]) -> None:
    """Note for live steps, by row id, that another version of the policy gives the very same ones."""
    tx.bulk(_REJUDGE, [(version, row_id) for row_id, version in judged])


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

    Following from the cursor misses nothing and repeats nothing. A cursor that this function did
    not give for the same filters is a `Problem`.
    """
    filters = filters or Filters()
    start = 0 if after is None else _place(after, filters)
    end = _end(tx)
    found = _entries(tx, _FORWARD, (start, end, *_wanted(filters), limit))
    place = end if len(found) < limit else found[-1][0]
    return [entry for _, entry in found], _cursor(max(place, start), filters)


def recent(tx: Tx, limit: int, filters: Filters | None = None) -> tuple[list[Entry], Cursor]:
    """The latest lines, the newest first, and the cursor from which to follow what comes."""
    filters = filters or Filters()
    end = _end(tx)
    found = _entries(tx, _BACKWARD, (0, end, *_wanted(filters), limit))
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
        end = _place(before, filters, back=True) - 1
    found = _entries(tx, _BACKWARD, (0, end, *_wanted(filters), limit + 1))
    page = found[:limit]
    cursor = _cursor(page[-1][0], filters, back=True) if len(found) > limit else None
    return [entry for _, entry in page], cursor


def mislogged(tx: Tx, limit: int = 1000) -> list[tuple[str, str, int, int]]:
    """Steps of which the log does not tell once that they were made, and once if they were revoked.

    Of each the customer's key, the rule, and how often the log says either. Reads the whole log.
    """
    with tx.whole_tables():
        return [(row[0], row[1], row[2], row[3]) for row in tx.rows(_MISLOGGED, limit)]


_COLUMNS = (
    's.id, s.customer_id, s.seq, s.rule, s.from_state, s.to_state, s."trigger", s.cause, s."at",'
    ' s.guard, s."read", s.version, s."by", s.why, s.recorded_at, s.revoked_by, s.revoked_at,'
    " s.revoked_version"
)
_LIVE = both(
    f"SELECT {_COLUMNS} FROM step AS s WHERE s.customer_id IN [ids] AND s.seq IS NOT NULL"
    " ORDER BY s.customer_id, s.seq",
    columns=18,
)
_ALL = both(
    f'SELECT {_COLUMNS} FROM step AS s WHERE s.customer_id = ? ORDER BY s."at", s.seq, s.id',
    columns=18,
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
_INSERT_RETURNING = bulk(
    _TYPES, f"INSERT INTO step ({_INSERTED}) SELECT * FROM [rows] RETURNING id"
)
_INSERT_NUMBERED = bulk(
    f"{_TYPES}, id bigint", f"INSERT INTO step ({_INSERTED}, id) SELECT * FROM [rows]"
)
_LAST = both("SELECT coalesce(max(id), 0) FROM step")
_STILL_LIVE = both(
    "SELECT id FROM step WHERE id IN [ids] AND revoked_at IS NULL ORDER BY id", columns=1
)
# That a step stands is asked by its place here: `revoked_at IS NULL` would let a PostgreSQL that has
# no statistics yet go through its index of all the live steps for each of the rows.
_REVOKE = bulk(
    "at timestamptz, by bigint, version integer, id bigint",
    "UPDATE step AS s SET revoked_at = r.at, revoked_by = r.by, revoked_version = r.version,"
    " seq = NULL FROM [rows] WHERE s.id = r.id AND s.seq IS NOT NULL",
)
_REJUDGE = bulk(
    "version integer, id bigint",
    "UPDATE step AS s SET version = r.version FROM [rows] WHERE s.id = r.id AND s.seq IS NOT NULL",
)
_PLACE = bulk(
    "seq integer, id bigint",
    "UPDATE step AS s SET seq = r.seq FROM [rows] WHERE s.id = r.id AND s.seq IS NOT NULL",
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
        revoked_version=row[17],
    )


# --- the log -----------------------------------------------------------------------------------

_ALONE = either(sqlite="SELECT 1", postgresql="SELECT pg_advisory_xact_lock(7027122)")
_WRITE_LINES = bulk(
    "step_id bigint, revoked boolean",
    "INSERT INTO step_log (step_id, revoked) SELECT * FROM [rows]",
)
_END = both("SELECT coalesce(max(id), 0) FROM step_log")
_LINES = (
    f"SELECT l.id, l.revoked, c.key, {_COLUMNS} FROM step_log AS l"
    " JOIN step AS s ON s.id = l.step_id JOIN customer AS c ON c.id = s.customer_id"
    " WHERE l.id > ? AND l.id <= ?"
    " AND (CAST(? AS text) IS NULL OR s.from_state = ? OR s.to_state = ?)"
    " AND (CAST(? AS text) IS NULL OR s.rule = ?)"
    " AND (CAST(? AS bigint) IS NULL OR s.customer_id = ?) ORDER BY l.id"
)
_FORWARD = both(f"{_LINES} LIMIT ?", columns=21)
_BACKWARD = both(f"{_LINES} DESC LIMIT ?", columns=21)
_MISLOGGED = both(
    "SELECT c.key, s.rule, coalesce(l.made, 0), coalesce(l.revoked, 0) FROM step AS s"
    " JOIN customer AS c ON c.id = s.customer_id LEFT JOIN (SELECT step_id,"
    " sum(CASE WHEN revoked THEN 0 ELSE 1 END) AS made,"
    " sum(CASE WHEN revoked THEN 1 ELSE 0 END) AS revoked FROM step_log GROUP BY step_id) AS l"
    " ON l.step_id = s.id WHERE coalesce(l.made, 0) <> 1"
    " OR coalesce(l.revoked, 0) <> CASE WHEN s.revoked_at IS NULL THEN 0 ELSE 1 END"
    " ORDER BY s.id LIMIT ?"
)


def _write_lines(tx: Tx, step_ids: Sequence[int], *, revoked: bool) -> None:
    """The last thing a transaction does, and one transaction at a time until it has committed.

    So lines are numbered in the order in which they can be seen, and who follows the log by number
    misses none. The numbers of the steps themselves are taken earlier, and so have no such order.
    """
    tx.value(_ALONE)
    tx.bulk(_WRITE_LINES, [(step_id, revoked) for step_id in step_ids])


def _end(tx: Tx) -> int:
    """The number of the last line."""
    last: int = tx.value(_END)
    return last


def _wanted(filters: Filters) -> tuple[object, ...]:
    state, rule, customer_id = filters.state, filters.rule, filters.customer_id
    return (state, state, state, rule, rule, customer_id, customer_id)


def _entries(
    tx: Tx, statement: Statement, parameters: tuple[object, ...]
) -> list[tuple[int, Entry]]:
    return [
        (row[0], Entry(row=_step_row(tx, row[3:]), customer=row[2], revoked=bool(row[1])))
        for row in tx.rows(statement, *parameters)
    ]


def _cursor(line: int, filters: Filters, *, back: bool = False) -> Cursor:
    return f"{line}.{_mark(line, filters, back=back)}"


def _mark(line: int, filters: Filters, *, back: bool) -> str:
    """Tells a cursor of one query from one of another, and an altered one; no secret."""
    text = repr((line, filters.state, filters.rule, filters.customer_id, back))
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def _place(cursor: Cursor, filters: Filters, *, back: bool = False) -> int:
    found = _CURSOR.fullmatch(cursor)
    line = 0 if found is None else int(found["line"])
    if found is None or found["mark"] != _mark(line, filters, back=back):
        raise Problem(
            "cursor_invalid",
            "the cursor is not one that was given for this query",
            pointer="cursor",
            got=cursor[:60],
            expected="the `cursor` of an answer to the same query, unchanged, or none",
        )
    return line


_CURSOR = re.compile(r"(?P<line>\d{1,18})\.(?P<mark>[0-9a-f]{8})", re.ASCII)
