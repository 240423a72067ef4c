"""Which letter that left does a report speak of, whose was it, and what became of the message?"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from lifecycle.domain.fate import Fate
from lifecycle.store.sql import Row, Tx, both, texts


class Handed(NamedTuple):
    """One attempt that handed a letter to a provider, or may have."""

    message_id: int
    number: int  # of the attempt
    channel: str
    address_hash: str | None  # to which it went; None: without a secret, or no address
    began_at: datetime
    ended_at: (
        datetime | None
    )  # when the provider's answer was written down; None: not yet, or never
    customer_id: int
    rule: str
    step: int  # of the series, from 1
    marketing: bool
    fate: Fate
    live: bool  # its cause stands


def of_message(tx: Tx, message_id: int, channel: str | None) -> Handed | None:
    """The latest attempt that may have reached somebody, by that channel if one is named."""
    found = [_handed(tx, row) for row in tx.rows(_OF_MESSAGE, message_id)]
    named = [each for each in found if channel is None or each.channel == channel]
    return named[-1] if named else None


def by_provider_ids(tx: Tx, ids: Iterable[str], channel: str | None) -> Handed | None:
    """The attempt that a provider knows by one of these."""
    found = [_handed(tx, row) for row in tx.rows(_BY_PROVIDER, texts(ids))]
    named = [each for each in found if channel is None or each.channel == channel]
    return named[-1] if named else None


def hashes_of_message(tx: Tx, message_id: int, channel: str) -> set[str]:
    """Of the addresses of a channel to which a message was handed over."""
    return {row[0] for row in tx.rows(_HASHES, message_id, channel)}


def hashes_of_customer(tx: Tx, customer_id: int, channel: str) -> set[str]:
    """Of the addresses of a channel to which anything was ever handed over for her."""
    return {row[0] for row in tx.rows(_ALL_HASHES, customer_id, channel)}


def resolve(
    tx: Tx, message_id: int, fate: Fate, reason: str | None, now: datetime, sent_at: datetime | None
) -> bool:
    """A message of which nobody knew whether it left: now somebody does. False: it is not unknown.

    The customer must be locked.
    """
    changed = tx.run(
        _RESOLVE, fate.value, reason, tx.to_db(now), tx.to_db_or_none(sent_at), message_id
    )
    return changed == 1


_COLUMNS = (
    "a.message_id, a.number, a.channel, a.address_hash, a.began_at, a.ended_at, m.customer_id, m.rule,"
    " m.number, m.message_class, m.fate, m.live"
)
_JOINED = f"SELECT {_COLUMNS} FROM send_attempt AS a JOIN message AS m ON m.id = a.message_id"
# A definite no has never reached anybody, so nothing can be reported of it.
_MAY_HAVE_LEFT = "(a.outcome IS NULL OR a.outcome IN ('accepted', 'ambiguous'))"
_OF_MESSAGE = both(
    f"{_JOINED} WHERE a.message_id = ? AND {_MAY_HAVE_LEFT} ORDER BY a.number", columns=12
)
_BY_PROVIDER = both(
    f"{_JOINED} WHERE a.provider_id IN [texts] ORDER BY a.began_at, a.number", columns=12
)
_HASHES = both(
    "SELECT DISTINCT address_hash FROM send_attempt WHERE message_id = ? AND channel = ?"
    " AND address_hash IS NOT NULL",
    columns=1,
)
_ALL_HASHES = both(
    "SELECT DISTINCT a.address_hash FROM message AS m JOIN send_attempt AS a"
    " ON a.message_id = m.id WHERE m.customer_id = ? AND a.channel = ?"
    " AND a.address_hash IS NOT NULL",
    columns=1,
)
_RESOLVE = both(
    "UPDATE message SET fate = ?, reason = ?, fate_at = ?, sent_at = ?"
    " WHERE id = ? AND fate = 'unknown'"
)


def _handed(tx: Tx, row: Row) -> Handed:
    return Handed(
        message_id=row[0],
        number=row[1],
        channel=row[2],
        address_hash=row[3],
        began_at=tx.from_db(row[4]),
        ended_at=tx.from_db_or_none(row[5]),
        customer_id=row[6],
        rule=row[7],
        step=row[8],
        marketing=row[9] == "marketing",
        fate=Fate(row[10]),
        live=bool(row[11]),
    )
