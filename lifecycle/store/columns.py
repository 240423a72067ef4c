"""The column types that both databases share: row ids, instants, keys."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Identity, Integer, Text
from sqlalchemy.dialects.postgresql import TEXT, TIMESTAMP
from sqlalchemy.schema import Column
from sqlalchemy.types import TypeEngine

POSTGRESQL = "postgresql"
SQLITE = "sqlite"


def instant() -> TypeEngine[Any]:
    """Microseconds since 1970 on SQLite, `timestamptz` on PostgreSQL."""
    return BigInteger().with_variant(TIMESTAMP(timezone=True), POSTGRESQL)


def key_text() -> TypeEngine[Any]:
    """Text that compares by code point, as Python's str does, whatever the server's locale."""
    return Text().with_variant(TEXT(collation="C"), POSTGRESQL)


def big() -> TypeEngine[Any]:
    return BigInteger()


def row_id(name: str = "id") -> Column[int]:
    """A primary key that the database numbers; on SQLite it is the rowid."""
    return Column(name, BigInteger().with_variant(Integer(), SQLITE), Identity(), primary_key=True)


def foreign_row_id(name: str) -> Column[int]:
    """A primary key that is another table's row id; on SQLite it is the rowid too."""
    return Column(
        name,
        BigInteger().with_variant(Integer(), SQLITE),
        primary_key=True,
        autoincrement=False,
    )
