"""The run on SQLite: one process is the whole installation, and it is killed again and again."""

from __future__ import annotations

import time
from pathlib import Path

from lifecycle.killpoints import Point
from lifecycle.resources import config_dir
from lifecycle.store.database import Database
from tests.chaos.campaign import (
    UNTIL,
    Campaign,
    Outcome,
    Plan,
    Tell,
    campaign,
    hits,
    outcome,
    until_quiet,
)
from tests.chaos.crew import Post
from tests.chaos.expected import expected
from tests.chaos.judge import judged
from tests.chaos.material import posts
from tests.support.engine import opened
from tests.support.postgres_warden import free_port


def run(plan: Plan, tell: Tell) -> Outcome:
    """From an empty file to the verdicts."""
    begun, port = time.monotonic(), free_port()
    with (
        expected(plan.material, UNTIL) as wanted,
        campaign(plan, [port], tell) as under_way,
    ):
        url = f"sqlite:///{under_way.folder / 'chaos.db'}"
        environment = {
            "LIFECYCLE_DATABASE_URL": url,
            "LIFECYCLE_CONFIG_DIR": str(config_dir()),
            "LIFECYCLE_PORT": str(port),
            "LIFECYCLE_CLOCK": plan.clock,
        }
        events = plan.material.of()
        batches = posts(events, plan.seed)
        up = Post(
            command=("up",), environment=environment, points=tuple(Point), sabotage=plan.sabotage
        )
        with under_way.a_pass("SIGKILL at every point"):
            under_way.post(batches)
            under_way.endure([up], plan.seconds)
        stuck = _heal(under_way, url, up)
        verdicts = hits(under_way, stuck)
        under_way.tell("the oracle and the quiet run")
        quiet = wanted.quiet.result()
        digests = {"a quiet run": quiet.digest, "the oracle": wanted.oracle.result()}
        under_way.tell("the verdicts")
        with opened(url) as inst:
            verdicts += judged(
                inst,
                posted=under_way.posted,
                poison=under_way.poison,
                answers=under_way.answers,
                until=UNTIL,
                expected=digests,
            )
        return outcome(under_way, "SQLite", verdicts, time.monotonic() - begun, {})


def _heal(under_way: Campaign, url: str, up: Post) -> str | None:
    """Nobody is killed any more."""
    under_way.tell("quiet again")
    under_way.crew.take_places([Post(command=up.command, environment=up.environment)])
    _await_file(under_way, url)
    db = Database.open(url)
    try:
        return until_quiet(under_way, db)
    finally:
        db.close()
        under_way.crew.leave()


def _await_file(under_way: Campaign, url: str) -> None:
    while not Path(url.removeprefix("sqlite:///")).exists():
        under_way.crew.tend(0.1)
