"""What was fetched of letters lately, and has not been judged yet? Rows of some seconds, then events."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from lifecycle.store.sql import Tx, both

PICTURE = 0  # in place of the number of a link


class Fetch(NamedTuple):
    message_id: int
    link: int  # its number; PICTURE
    why: str  # a machine fetched it, as far as the request tells; "": nothing says so
    channel: str
    consent: str | None  # the purpose without which it is not recorded
    url: str | None  # of the link, as the event will have it
    at: datetime  # real time
    seen_at: datetime  # by the engine's clock


def add(tx: Tx, fetch: Fetch) -> None:
    """The same thing of the same letter by the same kind of visitor stands once, the first."""
    tx.run(
        _ADD,
        fetch.message_id,
        fetch.link,
        fetch.why,
        fetch.channel,
        fetch.consent,
        fetch.url,
        tx.to_db(fetch.at),
        tx.to_db(fetch.seen_at),
    )


def quiet(tx: Tx, since: datetime, limit: int) -> list[int]:
    """Messages of which nothing was fetched since then, those that wait longest first.

    Of the first so many fetches: however many more wait, that costs the same.
    """
    found = tx.rows(_QUIET, tx.to_db(since), tx.to_db(since), limit)
    return list(dict.fromkeys(row[0] for row in found))


def of(tx: Tx, message_ids: Iterable[int]) -> dict[int, list[Fetch]]:
    """By message, the earliest first."""
    found: dict[int, list[Fetch]] = {}
    for row in tx.rows(_OF, tx.ids(message_ids)):
        message_id, link, why, channel, consent, url, at, seen_at = row
        times = tx.from_db(at), tx.from_db(seen_at)
        fetch = Fetch(message_id, link, why, channel, consent, url, *times)
        found.setdefault(fetch.message_id, []).append(fetch)
    return found


def forget(tx: Tx, message_ids: Iterable[int], until: datetime) -> None:
    """What was fetched of these later than that stays."""
    tx.run(_FORGET, tx.ids(message_ids), tx.to_db(until))


_ADD = both(
    "INSERT INTO letter_fetch (message_id, link, why, channel, consent, url, at, seen_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_QUIET = both(
    "SELECT f.message_id FROM letter_fetch AS f WHERE f.at <= ? AND NOT EXISTS"
    " (SELECT 1 FROM letter_fetch AS g WHERE g.message_id = f.message_id AND g.at > ?)"
    " ORDER BY f.at, f.message_id LIMIT ?",
    columns=1,
)
_OF = both(
    "SELECT message_id, link, why, channel, consent, url, at, seen_at FROM letter_fetch"
    " WHERE message_id IN [ids] ORDER BY at, link, why",
    columns=8,
)
_FORGET = both("DELETE FROM letter_fetch WHERE message_id IN [ids] AND at <= ?")
