"""A version that was published beside them is brought to all customers by the processes of each mode."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import pytest

from lifecycle.bootstrap import beside, build, installation_of
from lifecycle.engine.verify import verify
from lifecycle.settings import Settings
from lifecycle.store import recomputations
from lifecycle.store.database import Database
from lifecycle.store.schema import migrate
from tests.policies import SCENARIO_POLICY
from tests.scenarios.driver import order
from tests.support.engine import draft, of, opened
from tests.support.publishing import published
from tests.workers.conftest import until
from workers import clockwork, processes
from workers.embedded import running
from workers.processes import scheduling, working

SOON = timedelta(milliseconds=50)
HASTY = SCENARIO_POLICY.replace("after: 60d", "after: 45d")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "policy.yaml").write_text(SCENARIO_POLICY, "utf-8")
    monkeypatch.setattr(clockwork, "SWEEP_EVERY", SOON)
    monkeypatch.setattr(processes, "SWEEP_EVERY", SOON)
    return folder


def known(settings: Settings) -> None:
    """Thirty customers who bought on day 0."""
    with build(settings) as engine:
        for number in range(30):
            engine.accept([draft(event) for event in of(f"c{number}", order(0))])
        engine.apply_pending()


def publish_beside(settings: Settings) -> None:
    """As the command line does, on a connection of its own."""
    with beside(settings) as db:
        published(installation_of(db), HASTY, restates=True)


def is_everybody_there(url: str) -> bool:
    with opened(url) as inst, inst.db.read() as tx:
        found = recomputations.all_of(tx)[2]
        return found.ended_at is not None and found.done == 30


def test_one_process_on_sqlite_does_it_beside_everything_else(tmp_path: Path, config: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'up.db'}", config_dir=config)
    known(settings)
    with running(settings) as engine:
        publish_beside(settings)
        until(lambda: is_everybody_there(settings.database_url))
        engine.fire_due()
        assert verify(engine.installation) == []


@pytest.mark.postgres
@pytest.mark.parametrize("mode", [scheduling, working], ids=["schedulers", "workers"])
def test_processes_of_their_own_share_it(
    postgres_database_url: str,
    config: Path,
    mode: Callable[[Settings], AbstractContextManager[object]],
) -> None:
    """Two of them; one at a time is at it, and whoever is later finds nothing to do."""
    db = Database.open(postgres_database_url)
    migrate(db)
    db.close()
    settings = Settings(database_url=postgres_database_url, config_dir=config)
    known(settings)
    publish_beside(settings)
    with mode(settings), mode(settings):
        until(lambda: is_everybody_there(settings.database_url))
    with opened(settings.database_url) as inst:
        assert verify(inst) == []
