"""Which work was begun and not finished? What is committed here before the work outlives a crash."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import orjson

from lifecycle.store.sql import Tx, both

TOKEN = f"{os.getpid()}-{secrets.token_hex(4)}"  # names this process in its attempts
A_FEW = 30  # customers of a large batch that crashed, who are tried again at once


class Level(StrEnum):
    """How much is tried at once."""

    BATCH = "batch"  # many customers in one transaction; or a few, because many did not finish
    CUSTOMER = "customer"  # one alone, because a few did not finish
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


def dissolve(tx: Tx, attempt: Attempt) -> bool:
    """Suspect the customers of a batch instead of the batch: a few together, or each if they are few.

    As old as it was, so that anybody may go on with them. False where somebody else was faster.
    """
    if not tx.run(_DISSOLVE, attempt.id):
        return False
    alone = {other.customers[0] for other in unfinished(tx) if other.level is Level.CUSTOMER}
    left = [customer_id for customer_id in attempt.customers if customer_id not in alone]
    level, size = (Level.CUSTOMER, 1) if len(attempt.customers) <= A_FEW else (Level.BATCH, A_FEW)
    for start in range(0, len(left), size):
        _suspect(tx, attempt, level, left[start : start + size])
    end(tx, [attempt.id])  # at last: SQLite would give its number to one of the others
    return True


def take(
    tx: Tx, suspected: Attempt, customers: Collection[int], *, token: str, started_at: datetime
) -> bool:
    """We shall try these of a suspected few; the others stay suspected, for anybody.

    False where somebody else was faster.
    """
    mine = [customer_id for customer_id in suspected.customers if customer_id in customers]
    others = [customer_id for customer_id in suspected.customers if customer_id not in customers]
    listed, seen = orjson.dumps(mine).decode(), tx.to_db(suspected.started_at)
    if not tx.run(_TAKE, token, listed, tx.to_db(started_at), suspected.id, seen):
        return False
    if others:
        _suspect(tx, suspected, suspected.level, others)
    return True


def begin_taken(tx: Tx, attempt_id: int, *, token: str, started_at: datetime) -> bool:
    """Say that the few whom we took are about to be tried; false where they were taken from us.

    Run twice, the second changes nothing.
    """
    return tx.run(_BEGIN_TAKEN, tx.to_db(started_at), attempt_id, token) == 1


def hold(tx: Tx, attempt_ids: Iterable[int], *, token: str, started_at: datetime) -> None:
    """We shall go on with these lone attempts, and others need not."""
    tx.run(_HOLD, token, tx.to_db(started_at), tx.ids(attempt_ids))


def _suspect(tx: Tx, crashed: Attempt, level: Level, customers: Sequence[int]) -> None:
    listed, at = orjson.dumps(customers).decode(), tx.to_db(crashed.started_at)
    tx.value(_BEGIN, crashed.token, level.value, listed, None, 0, at)


def forgive(tx: Tx, attempt_id: int) -> None:
    """Take a try back: something outside ended it, such as a database that did not answer. A batch is
    as if it had never been tried."""
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
_DISSOLVE = both("UPDATE attempt SET count = 0 WHERE id = ? AND count > 0")
_TAKE = both(
    "UPDATE attempt SET token = ?, customers = ?, started_at = ?"
    " WHERE id = ? AND count = 0 AND started_at = ?"
)
_BEGIN_TAKEN = both(
    "UPDATE attempt SET count = 1, started_at = ? WHERE id = ? AND count <= 1 AND token = ?"
)
_HOLD = both("UPDATE attempt SET token = ?, started_at = ? WHERE id IN [ids]")
_FORGIVE = both("UPDATE attempt SET count = count - 1 WHERE id = ?")
_FORGIVEN = both("DELETE FROM attempt WHERE id = ? AND level = ? AND count <= 0")
_END = both("DELETE FROM attempt WHERE id IN [ids]")
_END_ALONE = both("DELETE FROM attempt WHERE customers = ? AND level <> ?")
