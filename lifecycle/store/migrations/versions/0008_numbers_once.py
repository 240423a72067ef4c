"""Customers and messages of an SQLite file get numbers that were never given before.

Links and letters name them by number, and a backup that is restored has forgotten the last ones.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return  # PostgreSQL counts by sequences anyway
    for name in ("customer", "message"):
        with op.batch_alter_table(
            name, recreate="always", table_kwargs={"sqlite_autoincrement": True}
        ):
            pass
