"""The work of the night in whole processes: alone on SQLite, many on PostgreSQL, told to stop amid it."""

from __future__ import annotations

import shutil
import signal
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from lifecycle import resources
from lifecycle.bootstrap import build
from lifecycle.clock import WOUND_FOR, ClockSpec
from lifecycle.engine import night
from lifecycle.engine.reading import customer
from lifecycle.engine.verify import verify
from lifecycle.settings import Settings
from lifecycle.store import clock as clock_row
from lifecycle.store.schedule import Run
from tests.scenarios.driver import order
from tests.support.current import make_current
from tests.support.engine import draft, of, opened
from tests.support.process import started
from tests.workers.conftest import Many, until
from workers import clockwork
from workers.embedded import running
from workers.processes import scheduling

SOON = timedelta(milliseconds=50)
NOON = "2026-01-01T12:00:00Z"
GOLD = """\
import pathlib

def scores(customers, at):
    with pathlib.Path(__file__).with_name("called").open("a") as file:
        file.write(f"{at.isoformat()}\\n")
    for each in customers:
        yield each.key, {"tier": "gold"}
"""
SLOW = """\
import os, pathlib, time

def scores(customers, at):
    pathlib.Path(__file__).with_name("called").write_text(str(os.getpid()))
    time.sleep(600)
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config folder with the policy that is shipped and a hook."""
    folder = tmp_path / "config"
    shutil.copytree(resources.config_dir(), folder)
    (folder / "hooks.py").write_text(GOLD)
    monkeypatch.setattr(clockwork, "NIGHT_EVERY", SOON)
    monkeypatch.setattr(clockwork, "SWEEP_EVERY", SOON)
    return folder


def calls(config: Path) -> list[str]:
    called = config / "called"
    return called.read_text().splitlines() if called.exists() else []


def recent(url: str) -> list[Run]:
    with opened(url) as inst:
        return night.recent(inst, 1000)


def done(url: str, job: str) -> list[Run]:
    return [run for run in recent(url) if run.job == job and run.finished_at and not run.failed]


def settings(url: str, config: Path, clock: str = NOON) -> Settings:
    return Settings(
        database_url=url, config_dir=config, scoring="hooks:scores", clock=ClockSpec.parse(clock)
    )


def known(url: str, config: Path, *keys: str) -> None:
    """They have ordered before the first night is looked for."""
    make_current(url)
    with build(settings(url, config)) as engine:
        engine.accept([draft(event) for key in keys for event in of(key, order(0))])
        engine.apply_pending()


def test_one_process_on_sqlite_does_it_beside_everything_else(tmp_path: Path, config: Path) -> None:
    """What it scored is folded at once. It stands at noon, and comes again a day later."""
    url = f"sqlite:///{tmp_path / 'up.db'}"
    known(url, config, "mei")
    with running(settings(url, config)) as engine:
        until(lambda: customer(engine.installation, "mei").attributes == {"tier": "gold"})
        until(lambda: bool(done(url, "scoring")))
        assert engine.work_of_the_night() == 0
        assert verify(engine.installation) == []
    with running(settings(url, config, "2026-01-02T12:00:00Z")) as engine:
        until(lambda: len(done(url, "scoring")) == 2)
    assert [(run.fire_key, run.tries) for run in done(url, "scoring")] == [
        ("2026-01-02", 1),
        ("2026-01-01", 1),
    ]
    assert len(calls(config)) == 2


@pytest.mark.postgres
def test_many_schedulers_do_it_once(postgres_database_url: str, config: Path) -> None:
    """All of them look as fast as they can; each looks once more when it is done."""
    url = postgres_database_url
    known(url, config, "mei", "bo")
    with ExitStack() as stack:
        engines = [stack.enter_context(scheduling(settings(url, config))) for _ in range(5)]
        until(lambda: bool(done(url, "scoring") and done(url, "retention")))
        assert [engine.work_of_the_night() for engine in engines] == [0] * 5
        until(lambda: customer(engines[0].installation, "bo").attributes == {"tier": "gold"})
        assert verify(engines[0].installation) == []
    assert [run.tries for run in recent(url)] == [1, 1]
    assert len(calls(config)) == 1


def _nobody_winds_the_clock(url: str) -> bool:
    with opened(url) as inst, inst.db.read() as tx:
        found = clock_row.read(tx)
        assert found is not None
        return inst.db.clock(tx) - found.real_origin > WOUND_FOR


@pytest.mark.postgres
def test_processes_of_their_own_do_each_night_once(
    many: Many, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day passes every second; whoever is told to stop gives back what it is at."""
    known(many.url, config, "mei")
    monkeypatch.setenv("LIFECYCLE_CONFIG_DIR", str(config))
    monkeypatch.setenv("LIFECYCLE_SCORING", "hooks:scores")
    monkeypatch.setenv("LIFECYCLE_CLOCK", f"{NOON}*86400")
    until(lambda: _nobody_winds_the_clock(many.url))  # it has another one until now
    schedulers = [many.start("schedule") for _ in range(3)]
    until(lambda: len(done(many.url, "scoring")) >= 4)
    for scheduler in schedulers:
        scheduler.process.send_signal(signal.SIGTERM)
    assert [scheduler.ended()[0] for scheduler in schedulers] == [0, 0, 0]
    finished = done(many.url, "scoring")
    assert {run.tries for run in finished} == {1}
    tries = sum(run.tries for run in recent(many.url) if run.job == "scoring")
    assert len(finished) <= len(calls(config)) <= tries
    assert many.violations() == []


def test_a_stop_does_not_wait_for_a_hook(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was at waits for whoever comes next, and no process is left behind."""
    url = f"sqlite:///{tmp_path / 'up.db'}"
    known(url, config, "mei")
    (config / "hooks.py").write_text(SLOW)
    arguments = ("--database", url, "--config-dir", str(config), "--port", "0")
    with started() as start:
        process = start("up", *arguments, "--clock", f"{NOON}*2", "--scoring", "hooks:scores")
        until(lambda: bool(calls(config)))
        begun = time.monotonic()
        assert process.end(signal.SIGTERM)[0] == 0
    assert time.monotonic() - begun < 30
    (run,) = [run for run in recent(url) if run.job == "scoring"]
    assert (run.finished_at, run.outcome) == (None, "stopped with its process")
    (child,) = calls(config)
    assert not Path("/proc", child).exists()
