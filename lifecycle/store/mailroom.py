"""What do people look at: the newest messages of a kind, one message, and what the outbox shows?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from lifecycle.domain.fate import Fate
from lifecycle.store.messages import READ, MessageRow, message_row
from lifecycle.store.sql import Tx, both


class Listed(NamedTuple):
    customer: str  # her key
    row: MessageRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A letter of the outbox: what would have left."""

    key: str
    channel: str
    rule: str
    content: Any  # JSON: address, subject, text, html …
    at: datetime  # of real time


def newest(
    tx: Tx,
    limit: int,
    *,
    fate: Fate | None = None,
    rule: str | None = None,
    customer_id: int | None = None,
) -> list[Listed]:
    """The messages whose fate was decided last, of those that are asked for."""
    wanted = (
        None if fate is None else fate.value,
        None if fate is None else fate.value,
        rule,
        rule,
    )
    if customer_id is not None:
        rows = tx.rows(_NEWEST_OF, customer_id, *wanted, limit)
    else:
        with tx.whole_tables():
            rows = tx.rows(_NEWEST, *wanted, limit)
    return [Listed(row[24], message_row(tx, row)) for row in rows]


def show(tx: Tx, letter: Shown) -> None:
    """Keep a letter of the outbox; run twice, it is there once."""
    tx.run(
        _SHOW,
        letter.key,
        letter.channel,
        letter.rule,
        orjson.dumps(letter.content).decode(),
        tx.to_db(letter.at),
    )


def shown(tx: Tx, key: str) -> Shown | None:
    """The letter of that key, if the outbox has it."""
    found = _letters(tx, tx.rows(_SHOWN, key))
    return found[0] if found else None


def outbox(tx: Tx, limit: int) -> list[Shown]:
    """The newest letters of the outbox."""
    return _letters(tx, tx.rows(_OUTBOX, limit))


def forget(tx: Tx, before: datetime, limit: int) -> int:
    """Delete letters of the outbox from before then, at most so many at once; how many these were."""
    return tx.run(_FORGET, tx.to_db(before), limit)


def _letters(tx: Tx, rows: Sequence[Sequence[Any]]) -> list[Shown]:
    return [
        Shown(
            key=row[0],
            channel=row[1],
            rule=row[2],
            content=orjson.loads(row[3]),
            at=tx.from_db(row[4]),
        )
        for row in rows
    ]


_PREFIXED = ", ".join(f"m.{name.strip()}" for name in READ.split(","))
_LISTED = f"SELECT {_PREFIXED}, c.key FROM message AS m JOIN customer AS c ON c.id = m.customer_id"
_THOSE = "(CAST(? AS text) IS NULL OR m.fate = ?) AND (CAST(? AS text) IS NULL OR m.rule = ?)"
_LATEST_FIRST = " ORDER BY m.fate_at DESC, m.id DESC LIMIT ?"
_NEWEST = both(f"{_LISTED} WHERE {_THOSE}{_LATEST_FIRST}", columns=25)
_NEWEST_OF = both(f"{_LISTED} WHERE m.customer_id = ? AND {_THOSE}{_LATEST_FIRST}", columns=25)
_SHOW = both(
    "INSERT INTO shown_letter (key, channel, rule, content, at) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (key) DO NOTHING"
)
_SHOWN = both("SELECT key, channel, rule, content, at FROM shown_letter WHERE key = ?", columns=5)
_OUTBOX = both(
    "SELECT key, channel, rule, content, at FROM shown_letter ORDER BY at DESC, key LIMIT ?",
    columns=5,
)
_FORGET = both(
    "DELETE FROM shown_letter WHERE key IN (SELECT key FROM shown_letter WHERE at < ? LIMIT ?)"
)
