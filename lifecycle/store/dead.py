"""Which events left the fold, why, and what did people do about them?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lifecycle.store.events import StoredEvent, by_row_ids, release
from lifecycle.store.sql import Row, Tx, both


class Status(StrEnum):
    QUARANTINED = "quarantined"  # a person is to repair, replay or discard it
    DISCARDED = "discarded"  # a person said that it shall never count


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An event outside the fold."""

    stored: StoredEvent
    status: Status
    reason: str  # stable: too_late, fold_failed
    detail: str  # in words
    attempts: int
    at: datetime  # when it left the fold
    discarded_at: datetime | None = None

    @property
    def since(self) -> datetime:
        """Of its status."""
        return self.discarded_at or self.at


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What a person did with a dead letter."""

    action: str  # replay, discard
    by: str
    why: str | None
    at: datetime


def quarantine(
    tx: Tx, stored: StoredEvent, *, reason: str, detail: str, attempts: int, at: datetime
) -> None:
    """Take an event out of the fold and of what waits; a second time changes nothing.

    The customer must be locked. If the event had been folded before, her snapshot is for the
    caller to forget.
    """
    release(tx, [stored.identity_id])
    tx.run(_UNWAIT, stored.row_id)
    tx.run(_QUARANTINE, stored.row_id, stored.identity_id, reason, detail, attempts, tx.to_db(at))


def letters(tx: Tx, limit: int = 100, status: Status | None = None) -> list[DeadLetter]:
    """The newest dead letters."""
    rows = tx.rows(_LETTERS, status and status.value, status and status.value, limit)
    stored = by_row_ids(tx, [row[0] for row in rows])
    return [_letter(tx, stored[row[0]], row) for row in rows]


def of_customer(tx: Tx, customer_id: int) -> list[DeadLetter]:
    """Her events that left the fold, the newest first."""
    rows = tx.rows(_OF_CUSTOMER, customer_id)
    stored = by_row_ids(tx, [row[0] for row in rows])
    return [_letter(tx, stored[row[0]], row) for row in rows]


def find(tx: Tx, stored: StoredEvent) -> DeadLetter | None:
    """The dead letter of an event, if it is one."""
    row = tx.row(_FIND, stored.row_id)
    return None if row is None else _letter(tx, stored, row)


def _letter(tx: Tx, stored: StoredEvent, row: Row) -> DeadLetter:
    _, status, reason, detail, attempts, at, discarded_at = row
    return DeadLetter(
        stored=stored,
        status=Status(status),
        reason=reason,
        detail=detail,
        attempts=attempts,
        at=tx.from_db(at),
        discarded_at=tx.from_db_or_none(discarded_at),
    )


def replay(tx: Tx, stored: StoredEvent, *, by: str, why: str | None, at: datetime) -> bool:
    """Let it wait to be folded again, in its own time: then it is a late event.

    False, and nothing is changed, when it was not dead any more.
    """
    release(tx, [stored.identity_id])
    if not tx.run(_DELETE, stored.row_id):
        return False
    tx.run(_WAIT, stored.row_id, stored.identity_id)
    tx.run(_ACT, stored.row_id, "replay", by, why, tx.to_db(at))
    return True


def discard(tx: Tx, stored: StoredEvent, *, by: str, why: str | None, at: datetime) -> bool:
    """Say that it shall never count; it is kept, and may still be replayed.

    False, and nothing is changed, when it had been discarded before or was not dead any more.
    """
    if not tx.run(_DISCARD, stored.row_id):
        return False
    tx.run(_ACT, stored.row_id, "discard", by, why, tx.to_db(at))
    return True


def actions(tx: Tx, stored: StoredEvent) -> list[Action]:
    """What was done with it, the oldest first."""
    return [
        Action(action=row[0], by=row[1], why=row[2], at=tx.from_db(row[3]))
        for row in tx.rows(_ACTIONS, stored.row_id)
    ]


def count(tx: Tx, status: Status = Status.QUARANTINED) -> int:
    """How many events have that status."""
    number: int = tx.value(_COUNT, status.value)
    return number


_QUARANTINE = both(
    "INSERT INTO dead (event_id, identity_id, status, reason, detail, attempts, at)"
    " VALUES (?, ?, 'quarantined', ?, ?, ?, ?) ON CONFLICT (event_id) DO NOTHING"
)
_SELECT = (
    "SELECT d.event_id, d.status, d.reason, d.detail, d.attempts, d.at,"
    " (SELECT max(a.at) FROM dead_action AS a WHERE a.event_id = d.event_id"
    " AND a.action = 'discard' AND d.status = 'discarded') FROM dead AS d"
)
_LETTERS = both(
    f"{_SELECT} WHERE (CAST(? AS text) IS NULL OR d.status = ?)"
    " ORDER BY d.at DESC, d.event_id DESC LIMIT ?"
)
_OF_CUSTOMER = both(
    f"{_SELECT} JOIN identity AS i ON i.id = d.identity_id WHERE i.customer_id = ?"
    " ORDER BY d.at DESC, d.event_id DESC"
)
_UNWAIT = both("DELETE FROM pending WHERE event_id = ?")
_FIND = both(f"{_SELECT} WHERE d.event_id = ?")
_DELETE = both("DELETE FROM dead WHERE event_id = ?")
_DISCARD = both("UPDATE dead SET status = 'discarded' WHERE event_id = ? AND status <> 'discarded'")
_WAIT = both("INSERT INTO pending (event_id, identity_id) VALUES (?, ?)")
_ACT = both('INSERT INTO dead_action (event_id, action, "by", why, at) VALUES (?, ?, ?, ?, ?)')
_ACTIONS = both('SELECT action, "by", why, at FROM dead_action WHERE event_id = ? ORDER BY id')
_COUNT = both("SELECT count(*) FROM dead WHERE status = ?")
