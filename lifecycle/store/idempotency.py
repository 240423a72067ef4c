"""What was answered to a request that its sender gave a key? Kept until it expires, and replaced then.

Rows are written in the transaction of what they answer for. That such a transaction is under way is
held by PostgreSQL for as long as it is, and forgotten with it, however it ends: no row says so that a
process which dies would leave behind. An SQLite file has one writer at a time, so there is none beside.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple

from lifecycle.store.sql import Tx, as_records, both, bulk, either


class Name(NamedTuple):
    """What names a request: a sender, what it asks for, and the key that it chose."""

    principal: str  # the id of the API key, or nothing where none is asked for
    route: str
    key: str


class Answer(NamedTuple):
    """To the request with this digest, as it went out."""

    request_sha256: str  # of its body, in hexadecimal digits
    status: int
    body: str


def lock(tx: Tx, names: Collection[Name]) -> set[Name]:
    """Those that no other transaction has in hand; this one has them from now on, until it ends.

    Waits for nobody. Ask for what is kept in a later statement: it may have been written until now.
    """
    if tx.dialect == "sqlite":
        return set(names)
    by_number = {_number(name): name for name in names}
    return {by_number[row[0]] for row in tx.rows(_LOCK, tx.ids(by_number))}


def find(tx: Tx, names: Collection[Name], now: datetime) -> dict[Name, Answer]:
    """What is kept under these names, and has not expired."""
    if not names:
        return {}
    rows = tx.rows(_FIND, as_records(Name._fields, names), tx.to_db(now))
    return {Name(*row[:3]): Answer(*row[3:]) for row in rows}


def keep(tx: Tx, answers: Mapping[Name, Answer], expires_at: datetime) -> None:
    """In place of what has expired; run twice, the second changes nothing."""
    until = tx.to_db(expires_at)
    tx.bulk(_KEEP, [(*name, *answer, until) for name, answer in sorted(answers.items())])


def forget(tx: Tx, before: datetime, limit: int = 1000) -> int:
    """Delete what had expired by then; how many these were.

    At most `limit` a call, so that the transaction stays short: call it until nothing is left.
    """
    return tx.run(_FORGET, tx.to_db(before), limit)


def _number(name: Name) -> int:
    """Among 2^64, so that two names share one by accident never, or wait for each other once."""
    digest = hashlib.sha256("\0".join(name).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


_LOCK = both(
    "SELECT number FROM unnest(?::bigint[]) AS r (number) WHERE pg_try_advisory_xact_lock(number)"
)
_COLUMNS = "i.principal, i.route, i.key, i.request_sha256, i.status, i.body"
_FIND = either(
    sqlite=(
        f"SELECT {_COLUMNS} FROM json_each(?) AS k CROSS JOIN idempotency AS i"
        " ON i.principal = json_extract(k.value, '$.principal')"
        " AND i.route = json_extract(k.value, '$.route')"
        " AND i.key = json_extract(k.value, '$.key')"
        " WHERE i.expires_at > ?"
    ),
    postgresql=(
        f"SELECT {_COLUMNS}"
        " FROM json_to_recordset(?::json) AS k (principal text, route text, key text)"
        " JOIN idempotency AS i"
        " ON i.principal = k.principal AND i.route = k.route AND i.key = k.key"
        " WHERE i.expires_at > ?"
    ),
    columns=6,
)
_KEEP = bulk(
    "principal text, route text, key text, request_sha256 text, status integer, body text,"
    " expires_at timestamptz",
    "INSERT INTO idempotency (principal, route, key, request_sha256, status, body, expires_at)"
    " SELECT principal, route, key, request_sha256, status, body, expires_at FROM [rows] WHERE true"
    " ON CONFLICT (principal, route, key) DO UPDATE SET request_sha256 = excluded.request_sha256,"
    " status = excluded.status, body = excluded.body, expires_at = excluded.expires_at",
)
_EXPIRED = "FROM idempotency WHERE expires_at < ? ORDER BY expires_at LIMIT ?"
_FORGET = either(
    sqlite=f"DELETE FROM idempotency WHERE rowid IN (SELECT rowid {_EXPIRED})",
    # As an array: PostgreSQL may run a plain subquery, its LIMIT and its locks, more than once.
    postgresql=(
        "DELETE FROM idempotency"
        f" WHERE ctid = ANY (ARRAY(SELECT ctid {_EXPIRED} FOR UPDATE SKIP LOCKED))"
    ),
)
