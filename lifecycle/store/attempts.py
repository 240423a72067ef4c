"""Which work was begun and not finished? What is committed here before the work outlives a crash."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import orjson

from lifecycle.store.sql import Tx, both

TOKEN = f"{os.getpid()}-{secrets.token_hex(4)}"  # names this process in its attempts
A_FEW = 30  # customers of a large batch that crashed, who are tried again at once


class Level(StrEnum):
    """How much is tried at once."""

    BATCH = "batch"  # many customers in one transaction
    CUSTOMER = "customer"  # one alone, because a batch with her did not finish
    EVENT = "event"  # one event alone, because she did not finish either


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Work that somebody began."""

    id: int
    token: str  # of the process that began it
    level: Level
    customers: tuple[int, ...]
    event_id: int | None  # row of the event, at level EVENT
    count: int  # how often it was begun; 0: only suspected
    started_at: datetime  # real time, by the database's clock


def begin(
    tx: Tx, *, token: str, level: Level, customers: Iterable[int], started_at: datetime
) -> int:
    """Say that a batch is about to be tried; the attempt, for `end`."""
    listed = orjson.dumps(list(customers)).decode()
    attempt: int = tx.value(_BEGIN, token, level.value, listed, None, 1, tx.to_db(started_at))
    return attempt


def begin_alone(
    tx: Tx,
    *,
    token: str,
    level: Level,
    customer_id: int,
    event_id: int | None,
    started_at: datetime,
) -> tuple[int, int]:
    """Say that one customer or event is about to be tried alone; its attempt and which try it is."""
    at = tx.to_db(started_at)
    row = tx.row(_AGAIN, token, at, level.value, f"[{customer_id}]", event_id or 0)
    if row is None:
        listed = f"[{customer_id}]"
        return tx.value(_BEGIN, token, level.value, listed, event_id, 1, at), 1
    return row[0], row[1]


def unfinished(tx: Tx) -> list[Attempt]:
    """Everything begun and not ended, by whomever."""
    return [
        Attempt(
            id=row[0],
            token=row[1],
            level=Level(row[2]),
            customers=tuple(orjson.loads(row[3])),
            event_id=row[4],
            count=row[5],
            started_at=tx.from_db(row[6]),
        )
        for row in tx.rows(_ALL)
    ]


def dissolve(tx: Tx, attempt: Attempt, *, token: str, started_at: datetime) -> list[int]:
    """Suspect the customers of a batch instead of the batch: a few together, or each if they are few.

    The attempts that stand for it now; none where somebody else was faster. Customers that are
    suspected by themselves already stay so.
    """
    if not tx.run(_END, tx.ids([attempt.id])):
        return []
    alone = {other.customers[0] for other in unfinished(tx) if other.level is Level.CUSTOMER}
    left = [customer_id for customer_id in attempt.customers if customer_id not in alone]
    level, size = (Level.CUSTOMER, 1) if len(attempt.customers) <= A_FEW else (Level.BATCH, A_FEW)
    at = tx.to_db(started_at)
    return [
        tx.value(_BEGIN, token, level.value, orjson.dumps(part).decode(), None, 0, at)
        for part in (left[start : start + size] for start in range(0, len(left), size))
    ]


def take(tx: Tx, suspected: Attempt, *, token: str, started_at: datetime) -> bool:
    """Whoever was to try a suspected few is gone, and we shall; false where somebody else is faster."""
    seen = tx.to_db(suspected.started_at)
    return tx.run(_TAKE, token, tx.to_db(started_at), suspected.id, seen) == 1


def begin_taken(tx: Tx, attempt_id: int, *, token: str, started_at: datetime) -> bool:
    """Say that a suspected few are about to be tried; false where somebody else took them meanwhile."""
    return tx.run(_BEGIN_TAKEN, tx.to_db(started_at), attempt_id, token) == 1


def forgive(tx: Tx, attempt_id: int) -> None:
    """Take a try back: something outside ended it, such as a database that did not answer."""
    tx.run(_FORGIVE, attempt_id)
    tx.run(_FORGIVEN, attempt_id, Level.BATCH.value)


def end(tx: Tx, attempt_ids: Iterable[int]) -> int:
    """Say that these are finished, in the transaction that finishes them; how many still stood."""
    return tx.run(_END, tx.ids(attempt_ids))


def end_alone(tx: Tx, customer_id: int) -> None:
    """Say that neither this customer nor an event of hers is being tried alone any more."""
    tx.run(_END_ALONE, f"[{customer_id}]", Level.BATCH.value)


_BEGIN = both(
    "INSERT INTO attempt (token, level, customers, event_id, count, started_at)"
    " VALUES (?, ?, ?, ?, ?, ?) RETURNING id"
)
_AGAIN = both(
    "UPDATE attempt SET token = ?, started_at = ?, count = count + 1"
    " WHERE level = ? AND customers = ? AND coalesce(event_id, 0) = ? RETURNING id, count"
)
_ALL = both(
    "SELECT id, token, level, customers, event_id, count, started_at FROM attempt ORDER BY id"
)
_TAKE = both(
    "UPDATE attempt SET token = ?, started_at = ? WHERE id = ? AND count = 0 AND started_at = ?"
)
_BEGIN_TAKEN = both(
    "UPDATE attempt SET count = 1, started_at = ? WHERE id = ? AND count = 0 AND token = ?"
)
_FORGIVE = both("UPDATE attempt SET count = count - 1 WHERE id = ?")
_FORGIVEN = both("DELETE FROM attempt WHERE id = ? AND level = ? AND count <= 0")
_END = both("DELETE FROM attempt WHERE id IN [ids]")
_END_ALONE = both("DELETE FROM attempt WHERE customers = ? AND level <> ?")
