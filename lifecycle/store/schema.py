"""Is the database's schema the one that this program was written for, and how does it become so?"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from lifecycle.errors import Unusable
from lifecycle.store.database import Database

_OURS_ALONE = 0x6C69_6665  # of the advisory lock: "life"


def migrate(db: Database) -> list[str]:
    """Bring the schema up to date; the revisions that were applied, none when it was current.

    Everybody may start at once: one migrates, the others wait and find nothing to do. It is all
    one transaction, so an interruption leaves the schema as it was.
    """
    engine = db.engine()
    try:
        with engine.begin() as connection:
            if db.dialect == "postgresql":
                _wait_for_others(connection)
            before = _current(connection)
            missing = _missing(before, db.shown)
            if missing:
                command.upgrade(_config(connection), "head")
                _refuse_dangling(connection, db)
            return missing
    except DBAPIError as error:
        raise db.told(error.orig) or error from error
    finally:
        engine.dispose()


def _refuse_dangling(connection: Connection, db: Database) -> None:
    """SQLite checks no references while tables are made anew."""
    if db.dialect == "sqlite":
        found = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if found is not None:
            raise Unusable(
                f"{db.shown}: row {found[1]} of {found[0]} refers to a {found[2]} that is not there;"
                " the schema was not changed. The file is damaged: restore a backup"
            )


def require_current(db: Database) -> None:
    """Raise `Unusable` unless the schema is exactly the one that this program knows."""
    engine = db.engine()
    try:
        with engine.connect() as connection:
            current = _current(connection)
    except DBAPIError as error:
        raise db.told(error.orig) or error from error
    finally:
        engine.dispose()
    if _missing(current, db.shown):
        raise Unusable(
            f"{db.shown}: the schema is {f'of revision {current}' if current else 'empty'} and "
            f"this program needs {_scripts().get_current_head()}; run `lifecycle migrate`"
        )


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _missing(current: str | None, shown: str) -> list[str]:
    """The revisions that lead from the current one to ours, in order; a newer one is refused."""
    try:
        newest_first = list(_scripts().iterate_revisions("head", current or "base"))
    except (CommandError, RevisionError) as error:
        raise Unusable(
            f"{shown}: the schema is of revision {current}, which is newer than this program "
            f"(it knows up to {_scripts().get_current_head()}); run the newer program"
        ) from error
    return [script.revision for script in reversed(newest_first)]


def _wait_for_others(connection: Connection) -> None:
    connection.exec_driver_sql("SET LOCAL lock_timeout TO 0")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_OURS_ALONE})")
    connection.exec_driver_sql("SET LOCAL lock_timeout TO '5s'")
    connection.exec_driver_sql("SET LOCAL statement_timeout TO 0")


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config(None))


def _config(connection: Connection | None) -> Config:
    """Alembic's settings, without any file: the working directory has no say in them."""
    config = Config()
    place = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(place).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
