"""The run on SQLite: one process is the whole installation, and it is killed again and again."""

from __future__ import annotations

import contextlib
import dataclasses
import time

from lifecycle.resources import config_dir
from lifecycle.store.database import Database
from lifecycle.store.schema import migrate
from tests.chaos import disk, poisoning
from tests.chaos.campaign import UNTIL, Plan, Tell, campaign
from tests.chaos.crew import Post
from tests.chaos.expected import expected
from tests.chaos.fates import ENGINE_POINTS
from tests.chaos.judge import nothing_waits
from tests.chaos.material import posts
from tests.chaos.outcome import Outcome, concluded
from tests.support.postgres_warden import free_port


def run(plan: Plan, tell: Tell) -> Outcome:
    """From an empty file to the verdicts."""
    begun, port = time.monotonic(), free_port()
    with expected(plan.material, UNTIL) as wanted, campaign(plan, [port], tell) as under_way:
        url = f"sqlite:///{under_way.folder / 'chaos.db'}"
        with contextlib.closing(Database.open(url)) as db:
            migrate(db)  # so that it can be looked at before the first process has begun
        up = Post(
            command=("up",),
            environment={
                "LIFECYCLE_DATABASE_URL": url,
                "LIFECYCLE_CONFIG_DIR": str(config_dir()),
                "LIFECYCLE_PORT": str(port),
                "LIFECYCLE_CLOCK": plan.clock,
            },
            points=ENGINE_POINTS,
            sabotage=plan.sabotage,
        )
        calm = [dataclasses.replace(up, points=())]
        beside_kills, beside_poison = poisoning.divided(plan, posts(plan.material.of(), plan.seed))
        with under_way.a_pass("killed at every point"):
            under_way.post(beside_kills)
            under_way.endure(
                [up], plan.limit or plan.seconds, nothing_waits=lambda: nothing_waits(url)
            )
        rates = poisoning.suffer(under_way, url, calm, beside_poison)
        filled = disk.filled("sqlite", plan.seed) if plan.disk else None
        return concluded(under_way, "SQLite", url, calm, wanted, rates, filled, begun)
