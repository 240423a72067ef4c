"""The schema is made by migrations, is the one that the tables describe, and is checked at start."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from lifecycle.errors import Unusable
from lifecycle.store import revision, schema
from lifecycle.store.database import Database
from lifecycle.store.sql import Tx, both
from lifecycle.store.tables import METADATA
from tests.store.made import add, day, new, pending


@pytest.fixture
def empty(empty_database_url: str) -> Any:
    opened = Database.open(empty_database_url)
    yield opened
    opened.close()


def test_migrating_says_what_was_done_and_does_it_once(empty: Database) -> None:
    assert schema.migrate(empty)[0] == "0001"
    assert schema.migrate(empty) == []
    schema.require_current(empty)


def test_the_tables_are_those_that_the_program_describes(empty: Database) -> None:
    """No column, index or type is in one and not in the other."""
    schema.migrate(empty)
    engine = empty.engine()
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
            },
        )
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def test_texts_are_compared_by_code_point_in_every_key_column(empty: Database) -> None:
    """On a server that sorts as in a dictionary, too."""
    schema.migrate(empty)
    if empty.dialect == "sqlite":
        return
    with empty.read() as tx:
        wrong = tx.rows(
            both(
                "SELECT table_name, column_name FROM information_schema.columns"
                " WHERE table_schema = 'public' AND collation_name IS DISTINCT FROM 'C'"
                " AND (table_name, column_name) IN (('customer', 'key'), ('customer', 'state'),"
                " ('identity', 'key'), ('event', 'source'), ('event', 'event_id'),"
                " ('step', 'cause'), ('step', 'rule'), ('message', 'cause'), ('message', 'rule'))"
            )
        )
    assert wrong == []


def test_everybody_may_migrate_at_once(empty_database_url: str) -> None:
    """One does it, the others wait; nobody sees an error."""
    done: list[list[str]] = []
    failed: list[BaseException] = []
    barrier = threading.Barrier(3)

    def start() -> None:
        db = Database.open(empty_database_url)
        try:
            barrier.wait()
            done.append(schema.migrate(db))
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)
        finally:
            db.close()

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    assert sorted(map(len, done)) == [0, 0, max(map(len, done))]
    assert max(map(len, done)) > 0


def test_an_empty_or_older_schema_is_refused(empty: Database) -> None:
    """Row 43: it names the command that helps."""
    with pytest.raises(Unusable, match=r"schema is empty.*run `lifecycle migrate`") as raised:
        schema.require_current(empty)
    assert "\n" not in str(raised.value)


def test_a_newer_schema_is_refused(empty: Database) -> None:
    """Row 43: an old program must neither use it nor turn it back."""
    schema.migrate(empty)
    with empty.write() as tx:
        tx.run(both("UPDATE alembic_version SET version_num = '9999'"))

    for refuse in (schema.require_current, schema.migrate):
        with pytest.raises(Unusable, match="9999, which is newer than this program") as raised:
            refuse(empty)
        assert "\n" not in str(raised.value)
        assert "run the newer program" in str(raised.value)


_EVENT = (
    "INSERT INTO event (source, event_id, identity_id, type, occurred_at, received_at, dated,"
    " properties, body_hash, run_id) VALUES ('shop', ?, ?, 'order_paid', ?, ?, ?, '{}', 'ab', NULL)"
    " RETURNING id"
)


def add_as_then(db: Database, event_id: str, customer: str, *, waits: bool = True) -> None:
    """The statements of the first release, which know nothing of what came later."""

    def unit(tx: Tx) -> None:
        at = tx.to_db(day(1))
        tx.run(
            both(
                "INSERT INTO customer (key, state, created_at) VALUES (?, 'potential', ?)"
                " ON CONFLICT (key) DO NOTHING"
            ),
            customer,
            at,
        )
        tx.run(
            both(
                "INSERT INTO identity (key, customer_id) SELECT key, id FROM customer"
                " WHERE key = ? ON CONFLICT (key) DO NOTHING"
            ),
            customer,
        )
        identity = tx.value(both("SELECT id FROM identity WHERE key = ?"), customer)
        row = tx.value(both(_EVENT), event_id, identity, at, at, True)
        if waits:
            tx.run(both("INSERT INTO pending (event_id, identity_id) VALUES (?, ?)"), row, identity)

    db.run(unit)


def at_the_first_release(db: Database) -> None:
    """As a program of 0001 left it: somebody's events, some of them pending."""
    engine = db.engine()
    with engine.begin() as connection:
        command.upgrade(schema._config(connection), "0001")
    engine.dispose()
    add_as_then(db, "1", "ann", waits=False)
    add_as_then(db, "2", "ben")


Rows = list[dict[str, Any]]


def everything(db: Database) -> dict[str, Rows]:
    """All rows of all tables but Alembic's own, by column."""
    engine = db.engine()
    with engine.connect() as connection:
        names = [name for name in inspect(connection).get_table_names() if "alembic" not in name]
        rows = {
            name: sorted(
                map(dict, connection.exec_driver_sql(f"SELECT * FROM {name}").mappings()), key=repr
            )
            for name in names
        }
    engine.dispose()
    return rows


def test_a_database_of_the_first_release_keeps_everything(empty: Database) -> None:
    """On either database; what is new is empty, and the schema is the one that the program describes.

    But for one pause: nothing that was planned until then leaves before a person has looked at it.
    """
    at_the_first_release(empty)
    before = everything(empty)
    assert before["event"]

    assert schema.migrate(empty)[0] == "0002"

    after = everything(empty)
    for name, rows in before.items():
        kept = [
            {column: row.pop(column) for column in was}
            for row, was in zip(after[name], rows, strict=True)
        ]
        assert kept == rows
        assert {value for row in after.pop(name) for value in row.values()} <= {None, 0}
    assert [row["scope"] for row in after.pop("pause")] == ["real"]
    assert not any(after.values())
    assert pending(empty, "ben") == ["2"]
    test_the_tables_are_those_that_the_program_describes(empty)


def test_a_program_of_the_release_before_goes_on_after_the_migration(empty: Database) -> None:
    """Its statements name their columns, so what is new is not in its way."""
    at_the_first_release(empty)
    schema.migrate(empty)
    add_as_then(empty, "4", "ben")
    assert pending(empty, "ben") == ["2", "4"]


def test_an_older_schema_is_told_from_which_to_which(empty: Database) -> None:
    at_the_first_release(empty)
    newest = revision.newest()
    with pytest.raises(Unusable, match=rf"revision 0001 and this program needs {newest}; run"):
        schema.require_current(empty)


def test_the_working_directory_has_no_say(
    empty: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = nowhere\n")
    monkeypatch.chdir(tmp_path)

    schema.migrate(empty)

    add(empty, new("1"))
    assert pending(empty, "ann") == ["1"]


def test_a_file_with_a_dangling_reference_is_not_migrated(tmp_path: Path) -> None:
    empty = Database.open(f"sqlite:///{tmp_path / 'test.db'}")
    at_the_first_release(empty)
    engine = empty.engine()
    with engine.begin() as connection:  # which checks none
        connection.exec_driver_sql("UPDATE identity SET customer_id = 77 WHERE key = 'ben'")
    before = everything(empty)

    with pytest.raises(
        Unusable, match=r"row \d+ of identity refers to a customer that is not there"
    ):
        schema.migrate(empty)

    assert everything(empty) == before
    engine.dispose()
    empty.close()
