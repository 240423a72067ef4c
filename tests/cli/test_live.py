"""The log as it grows, while policies are published: in the terminal of `up`, and in `log --follow`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lifecycle.bootstrap import Engine, build
from lifecycle.cli.live import LiveLog
from lifecycle.clock import ClockSpec
from lifecycle.domain.instant import BEGINNING
from lifecycle.policy import loads
from lifecycle.settings import Settings
from tests.policies import SCENARIO_POLICY
from tests.scenarios.driver import day, order
from tests.support.engine import arrive, of, publish, reach
from tests.support.process import started

HASTY = loads(SCENARIO_POLICY.replace("after: 60d", "after: 45d")).policy


@pytest.fixture
def engine(home: Path) -> Iterator[Engine]:
    """It runs under version 1, and bert has come to rest under it."""
    (home / "config").mkdir()
    (home / "config" / "policy.yaml").write_text(SCENARIO_POLICY, "utf-8")
    settings = Settings(
        database_url=f"sqlite:///{home / 'lifecycle.db'}",
        config_dir=home / "config",
        clock=ClockSpec.parse("2026-01-01T00:00:00Z"),
    )
    with build(settings) as engine:
        arrive(engine.installation, *of("bert", order(0)))
        reach(engine.installation, day(61))
        yield engine


def quickened(engine: Engine) -> None:
    """Version 2 begins to judge, and moves anna."""
    publish(engine.installation, HASTY, number=2, effective_at=day(61))
    arrive(engine.installation, *of("anna", order(61)))
    reach(engine.installation, day(107))


def test_the_terminal_tells_a_version_that_takes_over_and_what_it_waits_for(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    live = LiveLog(engine)
    live.look()
    assert capsys.readouterr().out == ""
    quickened(engine)
    live.look()
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "── policy version 2 judges, from 2026-03-03 00:00:00 UTC ──"
    assert told[-1].endswith("45 days since last_seen_at")
    live.look()
    assert capsys.readouterr().out == ""


def test_the_terminal_says_of_a_version_that_restates_history_that_it_judges_all_of_it(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    live = LiveLog(engine)
    publish(engine.installation, HASTY, number=2, effective_at=BEGINNING)
    live.look()
    said = "── policy version 2 judges, from the beginning of all history ──\n"
    assert capsys.readouterr().out == said


def test_who_follows_the_log_is_told_what_a_version_waits_for_that_came_later(
    engine: Engine,
) -> None:
    with started() as start:
        log = start("log", "--follow")
        log.line("bert .* 60 days since last_seen_at")
        quickened(engine)
        log.line("anna .* 45 days since last_seen_at")
        log.end(signal.SIGINT)
