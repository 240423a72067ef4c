"""Is this the database that it was, or a copy of it? Backups are restored, and files are copied for a try.

A PostgreSQL database is known by its server, by its number there, and by a mark: the number of a table of
ours, which a dump that is restored over it makes anew. An SQLite file is known by where it lies, by its
inode and by a mark: a file beside it has the same one, and both get another now and then. A backup that is
copied back has an old one, whether it took over the inode or not.
"""

from __future__ import annotations

import os
import secrets
from functools import partial
from pathlib import Path
from uuid import uuid4

from lifecycle.errors import Unusable
from lifecycle.store.sql import Tx, both, either

MARK_FILE = ".mark"  # after the name of the database
FORGOTTEN = 1_000_000_000  # rows of a table that a backup may be behind
_MARKED = " mark "


def is_as_recorded(tx: Tx) -> bool | None:
    """Whether it is the one that was recorded last; None: none ever was."""
    row = tx.row(_READ)
    if row is None:
        return None
    place, _, mark = row[0].partition(_MARKED)
    return place == _place(tx) and mark in _marks(tx)


def record(tx: Tx) -> None:
    """It is this one. Of SQLite every copy that was made before is told from it from now on.

    Raises Unusable where nothing can be written beside the database.
    """
    row = tx.row(_READ)
    if tx.dialect == "postgresql":
        mark = tx.value(_TABLE)
    else:
        mark = secrets.token_hex(8)
        before = row[0].partition(_MARKED)[2] if row else ""
        # Either is right until the commit, whatever becomes of it.
        _write(_mark_file(tx), f"{before} {mark}")
        tx.after_commit(partial(_write, _mark_file(tx), mark))
    named = f"{_place(tx)}{_MARKED}{mark}"
    if row is None or row[0] != named:
        tx.run(_FORGET)
        tx.run(_WRITE, named)


def skip_numbers(tx: Tx) -> None:
    """Customers and messages from now on get numbers that none had whom this backup has forgotten.

    Their links are in mailboxes, and providers know their letters; they must not be taken for others'.
    """
    for table in ("customer", "message"):
        tx.value(_SKIP[table], FORGOTTEN)


def _place(tx: Tx) -> str:
    if tx.dialect == "postgresql":
        server, number = tx.rows(_SERVER)[0]
        return f"postgresql {server} {number}"
    path = Path(tx.value(_FILE))
    return f"sqlite {path} {path.stat().st_ino}"


def _mark_file(tx: Tx) -> Path:
    return Path(tx.value(_FILE) + MARK_FILE)


def _marks(tx: Tx) -> list[str]:
    """Any of these is right."""
    if tx.dialect == "postgresql":
        return [tx.value(_TABLE), ""]  # none: a program recorded it that knew of no mark here
    try:
        return _mark_file(tx).read_text().split()
    except OSError:
        return []


def _write(path: Path, marks: str) -> None:
    """Whole or not at all, and on the disk before the database is."""
    new = path.with_name(f"{path.name}-{uuid4().hex}")
    try:
        with new.open("w") as file:
            file.write(f"{marks}\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise Unusable(
            f"{path}: cannot be written: {error.strerror}; let this program write beside its database"
        ) from error


_SERVER = either(
    sqlite="SELECT '', ''",
    postgresql=(
        "SELECT (SELECT system_identifier FROM pg_control_system())::text,"
        " (SELECT oid FROM pg_database WHERE datname = current_database())::text"
    ),
)
_TABLE = either(sqlite="SELECT ''", postgresql="SELECT 'instance'::regclass::oid::text")
_SKIP = {
    table: either(
        sqlite=f"UPDATE sqlite_sequence SET seq = seq + ? WHERE name = '{table}' RETURNING seq",
        postgresql=(
            f"SELECT setval(pg_get_serial_sequence('{table}', 'id'),"
            f" nextval(pg_get_serial_sequence('{table}', 'id')) + ?)"
        ),
    )
    for table in ("customer", "message")
}
_FILE = either(
    sqlite="SELECT file FROM pragma_database_list WHERE name = 'main'", postgresql="SELECT ''"
)
_READ = both("SELECT identity FROM instance ORDER BY id DESC LIMIT 1")
_FORGET = both("DELETE FROM instance")
_WRITE = both("INSERT INTO instance (identity) VALUES (?)")
