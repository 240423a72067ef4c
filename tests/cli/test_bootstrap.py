"""The composition root: who may open what, which clock holds, and what a ring may do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command

from lifecycle import cli, resources
from lifecycle.bootstrap import Access, Engine, beside, build, is_any_key
from lifecycle.clock import ClockSpec, Origin
from lifecycle.engine import keys
from lifecycle.engine.accept import Accepted
from lifecycle.errors import NotReady, Overloaded, PolicyRefused, Unusable
from lifecycle.settings import Settings
from lifecycle.store import clock as clock_row
from lifecycle.store import reading, revision, schema
from lifecycle.store.database import Database
from lifecycle.store.sql import both
from tests.scenarios.driver import order
from tests.support.engine import draft

NIGHT = timedelta(hours=9)
FAST = ClockSpec.parse("2026-01-01T00:00:00Z*86400")
STILL = ClockSpec.parse("2026-06-01T00:00:00Z")


@pytest.fixture
def settings(database_url: str) -> Settings:
    """On a fresh database of either kind, with its schema in place."""
    return Settings(database_url=database_url, config_dir=resources.config_dir())


@pytest.fixture
def sqlite(tmp_path: Path) -> Settings:
    return Settings(
        database_url=f"sqlite:///{tmp_path / 'test.db'}", config_dir=resources.config_dir()
    )


@pytest.fixture
def postgres_settings(postgres_database_url: str) -> Settings:
    return Settings(database_url=postgres_database_url, config_dir=resources.config_dir())


def origin_of(engine: Engine) -> Origin:
    with engine.db.read() as tx:
        origin = clock_row.read(tx)
    assert origin is not None
    return origin


def let_real_time_pass(settings: Settings, passed: timedelta) -> None:
    """As if the latest winding had been that much longer ago."""
    db = Database.open(settings.database_url)
    with db.write() as tx:
        origin = clock_row.read(tx)
        assert origin is not None
        clock_row.write(tx, replace(origin, real_origin=origin.real_origin - passed))
    db.close()


# -- work


def test_what_is_accepted_is_applied_and_whoever_waits_for_steps_is_woken(
    settings: Settings,
) -> None:
    with build(settings) as engine:
        before = engine.rounds
        [result] = engine.accept([draft(order(0))])
        applied = engine.apply_pending()
        assert isinstance(result, Accepted)
        assert (applied.events, applied.steps > 0, applied.more) == (1, True, False)
        assert engine.wait_for_steps(0, since=before)
        assert not engine.wait_for_steps(0)  # nothing has come since


def test_a_ring_that_fails_never_fails_the_request(sqlite: Settings) -> None:
    """The events are durable, and the sweep finds them: the failure is counted and logged."""

    def dead_line() -> None:
        raise ConnectionError("the broker is away")

    with build(sqlite, ring=dead_line) as engine:
        [result] = engine.accept([draft(order(0))])
        assert isinstance(result, Accepted)
        assert engine.complaints.total == 1
        assert engine.apply_pending().events == 1


def test_the_ring_comes_after_the_commit(sqlite: Settings) -> None:
    """Whoever is woken by it finds the event: rung before, it might look too early."""
    seen: list[int] = []

    def look() -> None:
        db = Database.open(sqlite.database_url)
        with db.read() as tx:
            seen.append(reading.count_events(tx))
        db.close()

    with build(sqlite, ring=look) as engine:
        engine.accept([draft(order(0))])
    assert seen == [1]


def test_no_more_events_are_taken_than_may_wait(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the setting; it is looked for every few seconds, and here each time."""
    monkeypatch.setattr("lifecycle.engine.backlog.LOOK_EVERY", 0)
    with build(replace(settings, max_pending=1)) as engine:
        engine.accept([draft(order(0)), draft(order(1))])
        with pytest.raises(Overloaded, match="more than 1 events wait"):
            engine.accept([draft(order(2))])
        assert engine.apply_pending().events == 2
        engine.accept([draft(order(2))])


# -- who may open what


def test_an_sqlite_file_has_one_writing_process_and_any_number_that_look(sqlite: Settings) -> None:
    with build(sqlite):
        for access in (Access.RUN, Access.WRITE):
            with pytest.raises(Unusable, match=rf"another lifecycle process \(id {os.getpid()}\)"):
                build(sqlite, access=access)
        with build(sqlite, access=Access.READ) as reader:
            assert reader.policy().initial == "potential"
    with build(sqlite, access=Access.WRITE) as writer:  # free again
        assert writer.policy().initial == "potential"


def make_it_older(settings: Settings) -> None:
    """The database as the program of the first release would have left it."""
    db = Database.open(settings.database_url)
    engine = db.engine()
    with engine.begin() as connection:
        command.upgrade(schema._config(connection), "0001")
    engine.dispose()
    db.close()


def test_an_older_sqlite_file_is_brought_up_to_date_by_whoever_writes_first(
    sqlite: Settings,
) -> None:
    make_it_older(sqlite)
    with pytest.raises(Unusable, match="revision 0001"):
        build(sqlite, access=Access.READ)
    with build(sqlite) as engine:
        assert revision.is_current(engine.db)


@pytest.mark.postgres
def test_an_older_postgresql_waits_for_the_command(empty_postgres_url: str) -> None:
    """Processes of the release before may still be running on it."""
    settings = Settings(database_url=empty_postgres_url, config_dir=resources.config_dir())
    make_it_older(settings)
    with pytest.raises(Unusable, match=r"revision 0001.*run `lifecycle migrate`"):
        build(settings)
    assert cli.run(["migrate", "--database", empty_postgres_url]) == 0
    with build(settings) as engine:
        assert revision.is_current(engine.db)


def test_keys_are_made_beside_whoever_runs(sqlite: Settings) -> None:
    """Who revokes a key cannot wait for the installation to be stopped."""
    with build(sqlite), beside(sqlite) as db:
        assert not is_any_key(sqlite)
        keys.create(db, "shop", [], by="olga")
        assert is_any_key(sqlite)


@pytest.mark.parametrize("make", [lambda _: None, make_it_older], ids=["missing", "older"])
def test_a_key_may_be_made_before_the_first_start(
    sqlite: Settings, make: Callable[[Settings], None]
) -> None:
    """An installation is made ready for it, or its schema brought up to date."""
    make(sqlite)
    assert not is_any_key(sqlite)
    with beside(sqlite) as db:
        keys.create(db, "shop", [], by="olga")
    with build(sqlite, access=Access.READ) as reader:
        assert reader.policy().initial == "potential"
        assert is_any_key(sqlite)


def test_asking_for_keys_makes_no_database(sqlite: Settings, tmp_path: Path) -> None:
    assert not is_any_key(sqlite)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.postgres
def test_on_postgresql_several_may_run_at_once(postgres_settings: Settings) -> None:
    with build(postgres_settings) as one, build(postgres_settings) as another:
        one.accept([draft(order(0))])
        assert another.apply_pending().events == 1


@pytest.mark.postgres
def test_postgresql_is_migrated_only_on_request(empty_postgres_url: str) -> None:
    settings = Settings(database_url=empty_postgres_url, config_dir=resources.config_dir())
    with pytest.raises(Unusable, match="run `lifecycle migrate`"):
        build(settings)


def test_whoever_only_looks_does_not_put_a_policy_in_force(settings: Settings) -> None:
    with build(settings, access=Access.READ) as reader, pytest.raises(NotReady):
        reader.policy()


def test_a_failed_start_leaves_the_file_free(sqlite: Settings, tmp_path: Path) -> None:
    broken = tmp_path / "config"
    broken.mkdir()
    (broken / "policy.yaml").write_text("version: 1", "utf-8")
    with pytest.raises(PolicyRefused):
        build(replace(sqlite, config_dir=broken))
    with build(sqlite) as engine:
        assert engine.policy().initial == "potential"


# -- the schema


def test_the_quick_look_at_the_schema_agrees_with_the_migrations(empty_database_url: str) -> None:
    """A database without a schema, one with the newest, and one of a future release."""
    db = Database.open(empty_database_url)
    assert not revision.is_current(db)
    applied = schema.migrate(db)
    assert applied[-1] == revision.newest()
    assert revision.is_current(db)
    with db.write() as tx:
        tx.run(both("UPDATE alembic_version SET version_num = '9999'"))
    assert not revision.is_current(db)
    db.close()


def test_a_command_does_not_wait_for_libraries_that_only_migrations_need() -> None:
    """Together they take as long to import as all the rest."""
    program = "import lifecycle.bootstrap, sys; print({'alembic', 'sqlalchemy'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ran.stdout == b"set()\n"


# -- the clock


def test_without_a_clock_of_its_own_the_engine_runs_on_real_time(settings: Settings) -> None:
    with build(settings) as engine:
        assert abs(engine.now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_clock_that_stands_still_stands_still_for_everybody(settings: Settings) -> None:
    with build(replace(settings, clock=STILL)) as engine:
        assert engine.now() == STILL.start
        with build(settings, access=Access.READ) as reader:
            assert reader.now() == STILL.start


def test_a_clock_goes_on_after_a_night_exactly_where_it_was_stopped(sqlite: Settings) -> None:
    fast = replace(sqlite, clock=FAST)
    with build(fast) as engine:
        engine.wind_clock()
    let_real_time_pass(fast, NIGHT)
    with build(sqlite, access=Access.READ) as reader:
        stopped_at = reader.now()
        assert stopped_at == origin_of(reader).virtual_origin  # not a second was added
    with build(fast) as engine:
        assert origin_of(engine).virtual_origin == stopped_at


def test_a_clock_does_not_leap_over_the_night_after_a_crash(settings: Settings) -> None:
    """Nobody stopped it, so it has run on for what its last winding carried, and no further."""
    fast = replace(settings, clock=FAST)
    engine = build(fast)
    wound_until = origin_of(engine).seen
    engine.db.close()  # as the end of the process leaves it: `close` was never called
    let_real_time_pass(fast, NIGHT)
    with build(fast) as again:
        assert origin_of(again).virtual_origin == wound_until


def test_commands_follow_the_clock_that_the_database_has(sqlite: Settings) -> None:
    with build(replace(sqlite, clock=STILL)):
        pass
    with build(sqlite, access=Access.WRITE) as writer:
        assert writer.now() == STILL.start
    with build(replace(sqlite, clock=STILL), access=Access.READ) as reader:
        assert reader.now() == STILL.start


def test_whoever_looks_cannot_choose_another_clock(sqlite: Settings) -> None:
    with build(replace(sqlite, clock=STILL)):
        pass
    with pytest.raises(Unusable, match="this database runs on LIFECYCLE_CLOCK=2026-06-01"):
        build(replace(sqlite, clock=FAST), access=Access.READ)


def test_running_without_a_clock_of_its_own_goes_back_to_real_time(sqlite: Settings) -> None:
    past = ClockSpec.parse("2011-12-10T00:00:00Z")
    with build(replace(sqlite, clock=past)):
        pass
    with build(sqlite) as engine:
        assert engine.now() > datetime(2025, 1, 1, tzinfo=UTC)


def test_a_clock_is_not_turned_back(sqlite: Settings) -> None:
    with build(replace(sqlite, clock=STILL)):
        pass
    with pytest.raises(Unusable, match="would turn the clock back"):
        build(replace(sqlite, clock=FAST))
    with build(sqlite, access=Access.READ) as reader:
        assert reader.now() == STILL.start


@pytest.mark.parametrize("applied", [False, True])
def test_a_clock_does_not_start_before_what_happened_in_real_time(
    settings: Settings, applied: bool
) -> None:
    """Whether it was only taken in, or folded as well; where nothing has happened, any clock may start."""
    past = ClockSpec.parse("2011-12-10T00:00:00Z")
    with build(settings) as engine:
        now = engine.now()
        received = past.start if applied else now
        engine.accept([draft(order(0)._replace(occurred_at=past.start, received_at=received))])
        if applied:
            engine.apply_pending()
    with pytest.raises(Unusable, match="this database has lived in real time until"):
        build(replace(settings, clock=past))
    later = ClockSpec.parse(f"{now + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}")
    with build(replace(settings, clock=later)) as engine:
        assert engine.now() == later.start


@pytest.mark.postgres
def test_a_clock_in_use_is_not_taken_from_another_process(postgres_settings: Settings) -> None:
    later = ClockSpec.parse("2027-01-01T00:00:00Z")
    with build(replace(postgres_settings, clock=FAST)) as engine:
        origin = origin_of(engine)
        for clock in (None, later):
            with pytest.raises(Unusable, match="another process keeps it running"):
                build(replace(postgres_settings, clock=clock))
        assert origin_of(engine) == origin
