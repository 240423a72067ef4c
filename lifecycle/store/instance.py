"""Is this the database that it was, or a copy of it? Backups are restored, and files are copied for a try.

A PostgreSQL database is known by its server and its number there; an SQLite file by where it lies and
by its inode, which a restored file has anew.
"""

from __future__ import annotations

from pathlib import Path

from lifecycle.store.sql import Tx, both, either


def identity(tx: Tx) -> str:
    """Of the database as it is."""
    if tx.dialect == "postgresql":
        server, number = tx.rows(_SERVER)[0]
        return f"postgresql {server} {number}"
    path = Path(tx.value(_FILE))
    return f"sqlite {path} {path.stat().st_ino}"


def recorded(tx: Tx) -> str | None:
    """As it was when it was last asked; None: never."""
    row = tx.row(_READ)
    return None if row is None else row[0]


def record(tx: Tx, identity: str) -> None:
    tx.run(_FORGET)
    tx.run(_WRITE, identity)


_SERVER = either(
    sqlite="SELECT '', ''",
    postgresql=(
        "SELECT (SELECT system_identifier FROM pg_control_system())::text,"
        " (SELECT oid FROM pg_database WHERE datname = current_database())::text"
    ),
)
_FILE = either(
    sqlite="SELECT file FROM pragma_database_list WHERE name = 'main'", postgresql="SELECT ''"
)
_READ = both("SELECT identity FROM instance ORDER BY id DESC LIMIT 1")
_FORGET = both("DELETE FROM instance")
_WRITE = both("INSERT INTO instance (identity) VALUES (?)")
