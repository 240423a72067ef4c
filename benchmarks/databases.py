"""Empty databases to measure on: an SQLite file, or a database of a real PostgreSQL."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lifecycle.bootstrap import Access, Engine, build
from lifecycle.clock import ClockSpec
from lifecycle.resources import config_dir
from lifecycle.settings import Settings
from lifecycle.store import schema
from lifecycle.store.database import Database
from tests.support import postgres

KINDS = ("sqlite", "postgresql")


@contextmanager
def empty(kind: str) -> Iterator[str]:
    """The URL of a migrated database without content, gone when the block ends.

    PostgreSQL is the server that the tests would use; without one named, the wheel's, which then
    keeps to `fsync` as a production server does.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if kind == "sqlite":
            url = f"sqlite:///{folder / 'bench.db'}"
        else:
            server = stack.enter_context(postgres.server(folder / "pg", fsync=True))
            url = stack.enter_context(postgres.fresh_database(server))
        db = Database.open(url)
        schema.migrate(db)
        db.close()
        yield url


@contextmanager
def engine(url: str, clock: str | None = None, *, access: Access = Access.RUN) -> Iterator[Engine]:
    """The engine on it, under the default policy."""
    settings = Settings(
        database_url=url,
        config_dir=config_dir(),
        clock=None if clock is None else ClockSpec.parse(clock),
    )
    with build(settings, access=access) as built:
        yield built
