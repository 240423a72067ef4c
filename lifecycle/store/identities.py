"""Whom does an identifier name? Every identifier that was ever posted is kept; the first of a
customer is her own key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from lifecycle.store.sql import Tx, both, bulk, texts

Named = tuple[int, int]  # an identifier's row, and the customer whom it names today


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
    found = find(tx, since)
    missing = since.keys() - found.keys()
    if missing:
        made = sorted(only(missing))
        _make(tx, [(key, initial, tx.to_db(since[key])) for key in made])
        found |= find(tx, made)
    return found


def find(tx: Tx, keys: Iterable[str]) -> dict[str, Named]:
    """Those of the identifiers that are known."""
    return {
        key: (identity_id, customer_id)
        for key, identity_id, customer_id in tx.rows(_FIND, texts(keys))
    }


_FIND = both("SELECT key, id, customer_id FROM identity WHERE key IN [texts]", columns=3)
_MAKE = bulk(
    "key text, state text, created_at timestamptz",
    "INSERT INTO customer (key, state, created_at) SELECT * FROM [rows] WHERE true"
    " ON CONFLICT (key) DO NOTHING",
)
_NAME = both(
    "INSERT INTO identity (key, customer_id)"
    " SELECT key, id FROM customer WHERE key IN [texts] ORDER BY key"
    " ON CONFLICT (key) DO NOTHING"
)


def _make(tx: Tx, customers: list[tuple[str, str, object]]) -> None:
    tx.bulk(_MAKE, customers)
    tx.run(_NAME, texts(key for key, _, _ in customers))
