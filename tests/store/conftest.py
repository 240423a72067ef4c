"""A migrated database of either kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lifecycle.store import schema
from lifecycle.store.database import Database


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    opened = Database.open(database_url)
    try:
        schema.migrate(opened)
        yield opened
    finally:
        opened.close()


@pytest.fixture
def postgres_db(postgres_database_url: str) -> Iterator[Database]:
    """For what only several writers at once can show."""
    opened = Database.open(postgres_database_url)
    try:
        schema.migrate(opened)
        yield opened
    finally:
        opened.close()
