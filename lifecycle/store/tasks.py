"""What are employees asked to do for customers, who is to do it, and what came of it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lifecycle.store.sql import Row, Tx, both


class Status(StrEnum):
    """Each is documented by who moves a task out of it."""

    OPEN = "open"  # nobody has begun; the owner accepts it, or does it at once
    ACCEPTED = "accepted"  # the owner said that he will; he does it
    DONE = "done"  # final


class Which(StrEnum):
    ALL = "all"
    OPEN = "open"  # not done, accepted or not
    OVERDUE = "overdue"  # not done, and it should have been


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    key: str  # of the letter that asked for it
    customer: str  # her key
    rule: str
    owner: str | None  # login
    status: Status = Status.OPEN
    title: str
    text: str
    created_at: datetime
    due_at: datetime | None = None  # until when it makes sense; None: for ever
    accepted_at: datetime | None = None
    done_at: datetime | None = None
    note: str | None = None  # of who did it

    def is_overdue(self, now: datetime) -> bool:
        return self.status is not Status.DONE and self.due_at is not None and self.due_at <= now


def add(tx: Tx, task: Task) -> Task:
    """The task of that key as it is stored: an earlier one stands, whatever is asked now."""
    tx.run(
        _ADD,
        task.key,
        task.customer,
        task.rule,
        task.owner,
        task.title,
        task.text,
        tx.to_db(task.created_at),
        tx.to_db_or_none(task.due_at),
    )
    stored = get(tx, task.key)
    assert stored is not None
    return stored


def get(tx: Tx, key: str) -> Task | None:
    row = tx.row(_GET, key)
    return None if row is None else _task(tx, row)


def listed(
    tx: Tx, which: Which, now: datetime, *, owner: str | None = None, limit: int = 100
) -> list[Task]:
    """What is not done first, of that what is due first; then what was done, the newest first."""
    parameters: Sequence[object] = (owner, owner, which.value, which.value, tx.to_db(now), limit)
    return [_task(tx, row) for row in tx.rows(_LISTED, *parameters)]


def accept(tx: Tx, key: str, at: datetime) -> bool:
    """False, and nothing is changed, for one that was accepted or done before, or is not there."""
    return bool(tx.run(_ACCEPT, tx.to_db(at), key))


def finish(tx: Tx, key: str, at: datetime, note: str | None) -> bool:
    """False, and nothing is changed, for one that was done before, or is not there."""
    return bool(tx.run(_FINISH, tx.to_db(at), note, key))


def _task(tx: Tx, row: Row) -> Task:
    key, customer, rule, owner, status, title, text, created, due, accepted, done, note = row
    return Task(
        key=key,
        customer=customer,
        rule=rule,
        owner=owner,
        status=Status(status),
        title=title,
        text=text,
        created_at=tx.from_db(created),
        due_at=tx.from_db_or_none(due),
        accepted_at=tx.from_db_or_none(accepted),
        done_at=tx.from_db_or_none(done),
        note=note,
    )


_SELECT = (
    "SELECT key, customer, rule, owner, status, title, text, created_at, due_at, accepted_at,"
    " done_at, note FROM task"
)
_ADD = both(
    "INSERT INTO task (key, customer, rule, owner, status, title, text, created_at, due_at)"
    " VALUES (?, ?, ?, ?, 'open', ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING"
)
_GET = both(f"{_SELECT} WHERE key = ?")
_LISTED = both(
    f"{_SELECT} WHERE (CAST(? AS text) IS NULL OR owner = ?)"
    " AND (CAST(? AS text) = 'all' OR (status <> 'done'"
    " AND (CAST(? AS text) = 'open' OR due_at <= ?)))"
    " ORDER BY status = 'done', done_at DESC, due_at IS NULL, due_at, created_at, key LIMIT ?"
)
_ACCEPT = both(
    "UPDATE task SET status = 'accepted', accepted_at = ? WHERE key = ? AND status = 'open'"
)
_FINISH = both(
    "UPDATE task SET status = 'done', done_at = ?, note = ? WHERE key = ? AND status <> 'done'"
)
