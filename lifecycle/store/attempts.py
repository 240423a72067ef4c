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


def dissolve(tx: Tx, attempt: Attempt, *, token: str, started_at: datetime) -> None:
    """Suspect every customer of a batch by herself, instead of the batch; twice does nothing."""
    if not tx.run(_END, tx.ids([attempt.id])):
        return
    at = tx.to_db(started_at)
    suspected = {other.customers[0] for other in unfinished(tx) if other.level is Level.CUSTOMER}
    for customer_id in attempt.customers:
        if customer_id not in suspected:
            tx.value(_BEGIN, token, Level.CUSTOMER.value, f"[{customer_id}]", None, 0, at)


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
_FORGIVE = both("UPDATE attempt SET count = count - 1 WHERE id = ?")
_FORGIVEN = both("DELETE FROM attempt WHERE id = ? AND level = ? AND count <= 0")
_END = both("DELETE FROM attempt WHERE id IN [ids]")
_END_ALONE = both("DELETE FROM attempt WHERE customers = ? AND level <> ?")
