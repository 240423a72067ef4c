"""Which steps did customers make, which still stand, and what is new in the log?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from lifecycle.domain.step import Step
from lifecycle.store.sql import Row, Tx, both, bulk


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
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
    tx.bulk(_INSERT, rows)


def revoke(tx: Tx, revoked: Sequence[tuple[int, int | None]], at: datetime) -> None:
    """Mark steps, by row id, as overturned by the event of a row; a second time changes nothing.

    They keep no place; the steps after them are to be renumbered.
    """
    instant = tx.to_db(at)
    tx.bulk(_REVOKE, [(instant, by, row_id) for row_id, by in revoked])


def renumber(tx: Tx, places: Sequence[tuple[int, int]]) -> None:
    """Give live steps, by row id, new places; between themselves they may trade them."""
    tx.bulk(_PLACE, [(-place, row_id) for row_id, place in places])
    tx.bulk(_PLACE, [(place, row_id) for row_id, place in places])


_COLUMNS = (
    's.id, s.customer_id, s.seq, s.rule, s.from_state, s.to_state, s."trigger", s.cause, s."at",'
    ' s.guard, s."read", s.version, s."by", s.why, s.recorded_at, s.revoked_by, s.revoked_at'
)
_LIVE = both(
    f"SELECT {_COLUMNS} FROM step AS s WHERE s.customer_id IN [ids] AND s.seq IS NOT NULL"
    " ORDER BY s.customer_id, s.seq"
)
_ALL = both(
    f'SELECT {_COLUMNS} FROM step AS s WHERE s.customer_id = ? ORDER BY s."at", s.seq, s.id'
)
_INSERTED = (
    'customer_id, seq, rule, from_state, to_state, "trigger", cause, "at", guard, "read",'
    ' version, "by", why, recorded_at'
)
_INSERT = bulk(
    "customer_id bigint, seq integer, rule text, from_state text, to_state text, trigger text,"
    " cause text, at timestamptz, guard text, read text, version integer, by text, why text,"
    " recorded_at timestamptz",
    sqlite=f"INSERT INTO step ({_INSERTED}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    postgresql=f"INSERT INTO step ({_INSERTED}) SELECT * FROM [rows]",
)
_REVOKE = bulk(
    "at timestamptz, by bigint, id bigint",
    sqlite=(
        "UPDATE step SET revoked_at = ?, revoked_by = ?, seq = NULL"
        " WHERE id = ? AND revoked_at IS NULL"
    ),
    postgresql=(
        "UPDATE step AS s SET revoked_at = r.at, revoked_by = r.by, seq = NULL"
        " FROM [rows] WHERE s.id = r.id AND s.revoked_at IS NULL"
    ),
)
_PLACE = bulk(
    "seq integer, id bigint",
    sqlite="UPDATE step SET seq = ? WHERE id = ? AND revoked_at IS NULL",
    postgresql=(
        "UPDATE step AS s SET seq = r.seq FROM [rows] WHERE s.id = r.id AND s.revoked_at IS NULL"
    ),
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
