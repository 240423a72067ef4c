"""Alembic runs this to apply revisions, on the connection and in the transaction it is given."""

from __future__ import annotations

from alembic import context

from lifecycle.store.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,  # on SQLite too: the transaction was begun by us
)
with context.begin_transaction():
    context.run_migrations()
