"""Whom does an identifier name? Every identifier that was ever posted is kept; the first of a
customer is her own key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from lifecycle.store.sql import Tx, both, bulk, either, texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """An identifier's row, and the customer that it names today."""

    identity_id: int
    customer_id: int


def find_or_make(
    tx: Tx,
    since: Mapping[str, datetime],
    initial: str,
    *,
    only: Callable[[set[str]], set[str]],
) -> dict[str, Named]:
    """The identity of each key; `only` says which of those not found are to be made.

    A new one gets a customer of her own, in the state `initial`, created at the instant given.
    Two transactions may make the same customer at once: both find the one that was first.
    """
    found = _find(tx, since)
    missing = since.keys() - found.keys()
    if missing:
        made = sorted(only(missing))
        _make(tx, [(key, initial, tx.to_db(since[key])) for key in made])
        found |= _find(tx, made)
    return found


_FIND = both("SELECT key, id, customer_id FROM identity WHERE key IN [texts]")
_MAKE = bulk(
    "key text, state text, created_at timestamptz",
    sqlite="INSERT INTO customer (key, state, created_at) VALUES (?, ?, ?)",
    postgresql=(
        "INSERT INTO customer (key, state, created_at) SELECT * FROM [rows]"
        " ON CONFLICT (key) DO NOTHING"
    ),
)
_NAME = either(
    sqlite="INSERT INTO identity (key, customer_id)"
    " SELECT key, id FROM customer WHERE key IN [texts] ORDER BY key",
    postgresql="INSERT INTO identity (key, customer_id)"
    " SELECT key, id FROM customer WHERE key IN [texts] ORDER BY key"
    " ON CONFLICT (key) DO NOTHING",
)


def _find(tx: Tx, keys: Mapping[str, object] | list[str]) -> dict[str, Named]:
    return {
        key: Named(identity_id=identity_id, customer_id=customer_id)
        for key, identity_id, customer_id in tx.rows(_FIND, texts(keys))
    }


def _make(tx: Tx, customers: list[tuple[str, str, object]]) -> None:
    tx.bulk(_MAKE, customers)
    tx.run(_NAME, texts(key for key, _, _ in customers))
