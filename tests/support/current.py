"""How does a test get a database with today's schema? Migrated once a process, and copied from then on.

A test that is about migrations asks for an empty database and migrates it itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import cache, partial
from pathlib import Path

from lifecycle.store import revision, urls
from lifecycle.store.database import Database
from lifecycle.store.schema import migrate
from tests.support import postgres


def open_current(url: str) -> Database:
    """The database, its schema made if it is not there; what it had keeps."""
    path = urls.parse(url).path
    if path is not None and not path.exists():
        path.write_bytes(_file())
    db = Database.open(url)
    if not revision.is_current(db):
        migrate(db)
    return db


def make_current(url: str) -> None:
    """The same, and closed again."""
    open_current(url).close()


@cache
def _file() -> bytes:
    """An SQLite file with the schema and nothing else."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "current.db"
        with closing(Database.open(f"sqlite:///{path}")) as db:
            migrate(db)
        return path.read_bytes()


Copies = Callable[[], AbstractContextManager[str]]
"""The URL of a new PostgreSQL database with today's schema, dropped when the block ends or soon after."""


@contextmanager
def postgres_copies(admin_url: str) -> Iterator[Copies]:
    with postgres.fresh_database(admin_url) as template, postgres.dropping(admin_url) as drop:
        make_current(template)
        yield partial(postgres.fresh_database, admin_url, template, drop)
