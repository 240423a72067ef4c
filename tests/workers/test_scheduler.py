"""`python scheduler.py` alone does what the clockwork inside `lifecycle up` does."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lifecycle import resources
from lifecycle.bootstrap import Access, build
from lifecycle.settings import Settings
from lifecycle.store import schema
from lifecycle.store.database import Database
from tests.scenarios.driver import order
from tests.support.engine import draft
from tests.support.process import Start, started

SCHEDULER = Path(__file__).resolve().parents[2] / "scheduler.py"


@pytest.fixture
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    db = Database.open(database_url)
    schema.migrate(db)
    db.close()
    for name in ("CONFIG_DIR", "PORT", "CLOCK"):
        monkeypatch.delenv(f"LIFECYCLE_{name}", raising=False)
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", database_url)
    return Settings(database_url=database_url, config_dir=resources.config_dir())


@pytest.fixture
def scheduler() -> Iterator[Start]:
    with started(str(SCHEDULER)) as start:
        yield start


@pytest.fixture
def lifecycle() -> Iterator[Start]:
    with started() as start:
        yield start


def test_it_applies_what_waits_and_fires_what_is_due(
    settings: Settings, scheduler: Start, lifecycle: Start
) -> None:
    """An order of long ago waits: it makes a customer, and time has made her dormant and lost."""
    with build(settings, access=Access.WRITE) as engine:
        engine.accept([draft(order(-700))])
    ticking = scheduler()
    log = lifecycle("log", "--follow", "--json")
    told = [json.loads(log.line(r"^\{.*\}$")[0]) for _ in range(3)]
    assert [line["rule"] for line in told] == ["first-purchase", "goes-quiet", "lost"]
    assert ticking.end(signal.SIGTERM) == (0, "", "")


def test_it_does_not_share_an_sqlite_file_with_another_that_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheduler: Start
) -> None:
    url = f"sqlite:///{tmp_path / 'test.db'}"
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", url)
    with build(Settings(database_url=url, config_dir=resources.config_dir())):
        code, _, err = scheduler().ended()
    assert code == 78
    assert "another lifecycle process" in err
    assert err.count("\n") == 1
