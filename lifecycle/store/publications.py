"""What was put forward as a version of the policy, and what became of it?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson

from lifecycle.store.sql import Row, Tx, both, either


class Status(StrEnum):
    """Each is moved on by a person, except that what is within the thresholds begins as published."""

    WAITING = "waiting"  # a draft: until somebody approves or discards it
    PUBLISHED = "published"  # it is the version of its number; final
    DISCARDED = "discarded"  # it never became a version; final


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """One row; instants are real time, but for `wanted_at`, which is the engine's."""

    number: int  # of the version that it is, or would be
    token: str  # of the attempt to publish, so that one whose answer was lost is not made twice
    status: Status
    hash: str
    content: str  # canonical JSON
    base: int  # the newest version when it was measured
    restates: bool
    effects: bool  # whether what a restatement plans for the past is sent
    wanted_at: datetime | None  # from when on it is to judge; None: at once
    content_of: int | None  # the version that it brings back
    by: str
    why: str | None
    made_at: datetime
    changes: tuple[str, ...]  # against `base`, in words
    measured: dict[str, Any]
    exceeded: tuple[str, ...]  # thresholds, in words; none: it needed nobody's approval
    decided_by: str | None = None  # who approved or discarded it
    decided_why: str | None = None
    decided_at: datetime | None = None


def alone(tx: Tx) -> None:
    """Wait until nobody else publishes or decides; what they did is seen by what is read afterwards."""
    tx.value(_ALONE)


def add(tx: Tx, row: Publication) -> bool:
    """False where the number is taken, which it is not for whoever is `alone`."""
    return bool(
        tx.run(
            _ADD,
            row.number,
            row.token,
            row.status.value,
            row.hash,
            row.content,
            row.base,
            row.restates,
            row.effects,
            tx.to_db_or_none(row.wanted_at),
            row.content_of,
            row.by,
            row.why,
            tx.to_db(row.made_at),
            orjson.dumps(row.changes).decode(),
            orjson.dumps(row.measured).decode(),
            orjson.dumps(row.exceeded).decode(),
            row.decided_by,
            row.decided_why,
            tx.to_db_or_none(row.decided_at),
        )
    )


def decide(tx: Tx, number: int, status: Status, *, by: str, why: str, at: datetime) -> bool:
    """Approve or discard a draft; false where it waits no more."""
    return bool(tx.run(_DECIDE, status.value, by, why, tx.to_db(at), number))


def get(tx: Tx, number: int) -> Publication | None:
    row = tx.row(_GET, number)
    return None if row is None else _publication(tx, row)


def by_token(tx: Tx, token: str) -> Publication | None:
    row = tx.row(_BY_TOKEN, token)
    return None if row is None else _publication(tx, row)


def all_of(tx: Tx) -> list[Publication]:
    """The oldest first; the version that an empty database took by itself is not among them."""
    with tx.whole_tables():
        return [_publication(tx, row) for row in tx.rows(_ALL)]


def last_number(tx: Tx) -> int:
    """The highest number that was ever given to a draft; 0 where there was none."""
    number: int = tx.value(_LAST)
    return number


_COLUMNS = (
    "number, token, status, hash, content, base, restates, effects, wanted_at, content_of,"
    ' "by", why, made_at, changes, measured, exceeded, decided_by, decided_why, decided_at'
)
_ALONE = either(sqlite="SELECT 1", postgresql="SELECT pg_advisory_xact_lock(7027123)")
_ADD = both(
    f"INSERT INTO publication ({_COLUMNS})"
    f" VALUES ({', '.join('?' * 19)}) ON CONFLICT (number) DO NOTHING"
)
_DECIDE = both(
    "UPDATE publication SET status = ?, decided_by = ?, decided_why = ?, decided_at = ?"
    f" WHERE number = ? AND status = '{Status.WAITING.value}'"
)
_GET = both(f"SELECT {_COLUMNS} FROM publication WHERE number = ?")
_BY_TOKEN = both(f"SELECT {_COLUMNS} FROM publication WHERE token = ?")
_ALL = both(f"SELECT {_COLUMNS} FROM publication ORDER BY number", columns=19)
_LAST = both("SELECT coalesce(max(number), 0) FROM publication")


def _publication(tx: Tx, row: Row) -> Publication:
    return Publication(
        number=row[0],
        token=row[1],
        status=Status(row[2]),
        hash=row[3],
        content=row[4],
        base=row[5],
        restates=bool(row[6]),
        effects=bool(row[7]),
        wanted_at=tx.from_db_or_none(row[8]),
        content_of=row[9],
        by=row[10],
        why=row[11],
        made_at=tx.from_db(row[12]),
        changes=tuple(orjson.loads(row[13])),
        measured=orjson.loads(row[14]),
        exceeded=tuple(orjson.loads(row[15])),
        decided_by=row[16],
        decided_why=row[17],
        decided_at=tx.from_db_or_none(row[18]),
    )
