"""Is the schema the newest? Told without the migration library, which takes longer to import than
most commands take to run; `schema` has it, and the words for a schema that is not.
"""

from __future__ import annotations

from pathlib import Path

from lifecycle.store.database import Database
from lifecycle.store.sql import Tx, both, either

_VERSIONS = Path(__file__).parent / "migrations" / "versions"


def newest() -> str:
    """The revision that this program was written for: the names of the files begin with theirs."""
    return max(path.name.partition("_")[0] for path in _VERSIONS.glob("[0-9]*_*.py"))


def is_current(db: Database) -> bool:
    """Whether the database has exactly the schema that this program was written for."""
    with db.read() as tx:
        return is_as_written(tx)


def is_as_written(tx: Tx) -> bool:
    """The same within a transaction of the caller's."""
    return bool(tx.value(_IS_THERE)) and _found(tx) == newest()


def is_newer(tx: Tx) -> bool:
    """Whether a newer program has migrated it meanwhile. What it added does no harm: it only adds."""
    found = _found(tx) if tx.value(_IS_THERE) else None
    return found is not None and found > newest()


def _found(tx: Tx) -> str | None:
    row = tx.row(_REVISION)
    return None if row is None else row[0]


_IS_THERE = either(
    sqlite="SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'",
    postgresql="SELECT count(*) FROM pg_class WHERE oid = to_regclass('alembic_version')",
)
_REVISION = both("SELECT version_num FROM alembic_version")
