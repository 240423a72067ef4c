"""Which reports named no letter of ours? They have no effect; they are kept for whoever looks into them."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import orjson

from lifecycle.store.sql import Tx, both


class UnmatchedRow(NamedTuple):
    received_at: datetime  # real time
    news: str
    code: str  # the provider's
    channel: str | None  # None: the report does not say
    named: tuple[str, ...]  # the letter, as the report calls it


def add(tx: Tx, row: UnmatchedRow) -> None:
    tx.run(
        _ADD,
        tx.to_db(row.received_at),
        row.news,
        row.code,
        row.channel,
        orjson.dumps(row.named).decode(),
    )


def newest(tx: Tx, limit: int) -> list[UnmatchedRow]:
    """The latest first."""
    return [
        UnmatchedRow(tx.from_db(row[0]), row[1], row[2], row[3], tuple(orjson.loads(row[4])))
        for row in tx.rows(_NEWEST, limit)
    ]


def forget(tx: Tx, before: datetime, limit: int) -> int:
    """Delete those from before then, at most so many at once; how many these were."""
    return tx.run(_FORGET, tx.to_db(before), limit)


_ADD = both(
    "INSERT INTO unmatched_report (received_at, news, code, channel, named) VALUES (?, ?, ?, ?, ?)"
)
_NEWEST = both(
    "SELECT received_at, news, code, channel, named FROM unmatched_report"
    " ORDER BY received_at DESC, id DESC LIMIT ?",
    columns=5,
)
_FORGET = both(
    "DELETE FROM unmatched_report WHERE id IN"
    " (SELECT id FROM unmatched_report WHERE received_at < ? ORDER BY received_at LIMIT ?)"
)
