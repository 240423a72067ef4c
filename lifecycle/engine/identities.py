"""Whom does an identifier name, as somebody types it? It is read as intake reads it."""

from __future__ import annotations

from lifecycle.errors import NotFound, Problem
from lifecycle.intake.native import customer_key
from lifecycle.intake.strict_json import shown
from lifecycle.store import customers
from lifecycle.store.sql import Tx


def find(tx: Tx, typed: str) -> int:
    """The id of the customer; raises NotFound where no event of hers could be, or was, posted so."""
    return customers.find(tx, known_key(typed))


def known_key(typed: str) -> str:
    """The identifier as it would be stored; raises NotFound for what intake refuses."""
    try:
        return customer_key(typed)
    except Problem as refused:
        raise NotFound(f"no customer is known as {shown(typed)}: {refused.detail}") from refused
