"""A migrated database of either kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from lifecycle.store.database import Database


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    with closing(Database.open(database_url)) as opened:
        yield opened


@pytest.fixture
def postgres_db(postgres_database_url: str) -> Iterator[Database]:
    """For what only several writers at once can show."""
    with closing(Database.open(postgres_database_url)) as opened:
        yield opened
