"""The column types that both databases share: row ids, instants, keys, transaction ids."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Identity, Integer, Text
from sqlalchemy.dialects.postgresql import TEXT, TIMESTAMP
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import Column
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import TypeEngine, UserDefinedType

POSTGRESQL = "postgresql"
SQLITE = "sqlite"


class TransactionId(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id; on SQLite, which has one writer, always 0."""

    cache_ok = True


ischema_names["xid8"] = TransactionId  # or SQLAlchemy warns when it reads the schema


@compiles(TransactionId, POSTGRESQL)
def _xid8(*_: Any, **__: Any) -> str:
    return "XID8"


@compiles(TransactionId, SQLITE)
def _zero(*_: Any, **__: Any) -> str:
    return "BIGINT"


class CurrentTransaction(ColumnElement[int]):
    """As a server default: the id of the transaction that writes the row."""

    inherit_cache = True


@compiles(CurrentTransaction, POSTGRESQL)
def _current(*_: Any, **__: Any) -> str:
    return "pg_current_xact_id()"


@compiles(CurrentTransaction, SQLITE)
def _none(*_: Any, **__: Any) -> str:
    return "0"


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
