"""Processes die while they publish, recompute and take events in; it ends in the truth of a quiet run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lifecycle.engine.publishing.history import Standing
from tests.chaos import publishing
from tests.chaos.company import ANYWHERE
from tests.chaos.fates import PUBLISH_POINTS
from tests.chaos.publishing import MANY_PROCESSES, ONE_PROCESS, Plan, Story, quiet

SEED = int(os.environ.get("SEED", "1"))


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    story, folder = Story.of(SEED), tmp_path_factory.mktemp("quiet")
    return Plan(seed=SEED, story=story, truth=quiet(f"sqlite:///{folder / 'quiet.db'}", story))


def test_whoever_is_killed_while_policies_are_published_and_events_go_on_coming_nothing_is_lost(
    database_url: str, tmp_path: Path, plan: Plan
) -> None:
    """`up` on SQLite; `serve`, `work` and `schedule` on PostgreSQL, where a lease has to run out."""
    roles = ONE_PROCESS if database_url.startswith("sqlite:") else MANY_PROCESSES
    outcome = publishing.run(database_url, roles, plan, tmp_path)
    assert outcome.broken == []
    assert outcome.unforeseen == []
    standings = [entry.standing for entry in outcome.entries]
    assert standings == [Standing.REPLACED, Standing.REPLACED, Standing.JUDGES]
    for entry in outcome.entries[1:]:
        assert entry.recomputation is not None
        assert entry.recomputation.done == entry.recomputation.customers
        assert not entry.recomputation.overtaken
    assert outcome.entries[-1].approval is not None
    # and it was as hard as it was meant to be
    assert outcome.points.keys() == set(PUBLISH_POINTS)
    amid = [death for death in outcome.deaths if death.doom == ANYWHERE and death.is_amid]
    assert {death.at.version for death in amid if death.at is not None} == {2, 3}
    assert outcome.crossed
    assert outcome.taken > 0
