"""Which addresses must not be written to, and for which messages?

An address is known by its keyed hash alone, so this outlives the person's data. Nothing but a person
lifts a suppression: an import that says otherwise changes nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from lifecycle.store.sql import Tx, both, texts

ALL = "all"  # nothing at all: the address does not exist
MARKETING = "marketing"  # no marketing; service messages go on
SOFT_WITHIN = timedelta(days=14)
SOFT_MOST = 5  # soft bounces within that time …
SOFT_FOR = timedelta(days=30)  # … silence an address for so long


def list_scope(purpose: str) -> str:
    """Messages of one purpose."""
    return f"list:{purpose}"


class SuppressionRow(NamedTuple):
    address_hash: str
    scope: str
    reason: str  # hard_bounce, soft_bounces, complaint, unsubscribed, asked_by_hand
    since: datetime
    until: datetime | None  # None: for good


def suppressed(tx: Tx, hashes: Iterable[str], now: datetime) -> dict[str, frozenset[str]]:
    """The scopes in which each of these addresses is suppressed now; one that is not is left out."""
    found: dict[str, set[str]] = {}
    for address_hash, scope in tx.rows(_SUPPRESSED, texts(hashes), tx.to_db(now)):
        found.setdefault(address_hash, set()).add(scope)
    return {address_hash: frozenset(scopes) for address_hash, scopes in found.items()}


def covers(scopes: Iterable[str], purpose: str | None, *, marketing: bool) -> bool:
    """Whether a message of that purpose and class is among what these scopes keep away."""
    kept = {ALL}
    if marketing:
        kept.add(MARKETING)
    if purpose is not None:
        kept.add(list_scope(purpose))
    return not kept.isdisjoint(scopes)


def of(tx: Tx, hashes: Iterable[str]) -> list[SuppressionRow]:
    """Everything that is kept of these addresses, what is over included."""
    return [
        SuppressionRow(row[0], row[1], row[2], tx.from_db(row[3]), tx.from_db_or_none(row[4]))
        for row in tx.rows(_OF, texts(hashes))
    ]


def add(
    tx: Tx,
    address_hash: str,
    scope: str,
    reason: str,
    now: datetime,
    *,
    until: datetime | None = None,
) -> bool:
    """False where it was suppressed for as long already: then nothing is changed."""
    changed = tx.run(_ADD, address_hash, scope, reason, tx.to_db(now), tx.to_db_or_none(until))
    return changed == 1


def remove(tx: Tx, hashes: Iterable[str], scope: str) -> bool:
    """False where none of them was suppressed in that scope."""
    return tx.run(_REMOVE, texts(hashes), scope) > 0


def note_soft_bounce(tx: Tx, address_hash: str, message_key: str, now: datetime) -> int:
    """How many messages could not be delivered for now within a fortnight; the same one counts once.

    What is older is forgotten.
    """
    tx.run(_FORGET, address_hash, tx.to_db(now - SOFT_WITHIN))
    tx.run(_NOTE, address_hash, message_key, tx.to_db(now))
    count: int = tx.value(_COUNT, address_hash)
    return count


_SUPPRESSED = both(
    "SELECT address_hash, scope FROM suppression WHERE address_hash IN [texts]"
    " AND (until IS NULL OR until > ?)",
    columns=2,
)
_OF = both(
    "SELECT address_hash, scope, reason, since, until FROM suppression"
    " WHERE address_hash IN [texts] ORDER BY since, scope",
    columns=5,
)
_ADD = both(
    "INSERT INTO suppression (address_hash, scope, reason, since, until) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (address_hash, scope) DO UPDATE SET reason = excluded.reason,"
    " since = excluded.since, until = excluded.until"
    " WHERE suppression.until IS NOT NULL"
    " AND (excluded.until IS NULL OR excluded.until > suppression.until)"
)
_REMOVE = both("DELETE FROM suppression WHERE address_hash IN [texts] AND scope = ?")
_FORGET = both("DELETE FROM soft_bounce WHERE address_hash = ? AND at <= ?")
_NOTE = both(
    "INSERT INTO soft_bounce (address_hash, message_key, at) VALUES (?, ?, ?)"
    " ON CONFLICT (address_hash, message_key) DO NOTHING"
)
_COUNT = both("SELECT count(*) FROM soft_bounce WHERE address_hash = ?")
