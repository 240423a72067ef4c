"""Everything fails at once, in two minutes: `make chaos` in small. And the harness itself must go red.

A small part of the customers, a few kills at each point; SEED=… repeats what was drawn. Time is not
judged here, nor is it bounded by more than a patience that only a run that hangs uses up.
"""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from tests.chaos import disk, distributed, embedded, report, sabotage
from tests.chaos.campaign import Plan
from tests.chaos.material import material
from tests.chaos.outcome import Outcome

SEED = int(os.environ.get("SEED", "1"))
PATIENCE = 600.0  # seconds, which only a run that hangs uses up

EVERY_POINT = 2  # kills
AMONG_MANY = 3  # so that there are some in each pass

POSTGRES = (pytest.mark.postgres, pytest.mark.redis)


def small(*, every: int = 60, **plan: Any) -> Plan:
    return Plan(
        **{
            "seed": SEED,
            "material": material(SEED, every=every),
            "goal": EVERY_POINT,
            "seconds": 120,
            "limit": PATIENCE,
            "aborts": 1,
            "restarts": 2,
            "restart_within": 10,
            "stops": 1,
            "workers": 2,
            "disk": False,
            **plan,
        }
    )


def told(outcome: Outcome) -> str:
    page = io.StringIO()
    report.show(Console(file=page, width=140), outcome)
    return page.getvalue()


def broken(outcome: Outcome) -> set[str]:
    return {verdict.promise for verdict in outcome.verdicts if not verdict.kept}


def silent(_: str) -> None:
    """Nobody watches."""


def test_one_process_on_sqlite_is_killed_everywhere_and_nothing_is_lost() -> None:
    outcome = embedded.run(small(), silent)
    assert outcome.kept, told(outcome)


@pytest.mark.postgres
@pytest.mark.redis
def test_many_processes_die_while_their_servers_fail_and_nothing_is_lost() -> None:
    outcome = distributed.run(small(goal=AMONG_MANY), silent)
    assert outcome.kept, told(outcome)


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgres", marks=POSTGRES[:1])])
def test_a_full_disk_is_told_takes_nothing_by_halves_and_heals(database: str) -> None:
    filled = disk.filled(database, SEED)
    if filled.why:
        pytest.skip(f"no file system can be mounted here: {filled.why}")
    assert filled.refused >= disk.REFUSED
    assert [verdict for verdict in filled.verdicts if not verdict.kept] == []


QUIET = "the digest is that of a quiet run"
VERIFIED = "`lifecycle verify` finds nothing"
STORED = "no event that was answered for is missing"

Run = Callable[[Plan, Callable[[str], object]], Outcome]


@pytest.mark.parametrize(
    ("run", "defect", "promises"),
    [
        pytest.param(
            embedded.run, sabotage.CLEARED_EARLY, {QUIET, VERIFIED}, id="cleared early, SQLite"
        ),
        pytest.param(embedded.run, sabotage.FORGOTTEN, {QUIET, STORED}, id="forgotten, SQLite"),
        pytest.param(
            distributed.run,
            sabotage.NO_LOCK,
            {QUIET},
            id="no lock, PostgreSQL",
            marks=POSTGRES,
        ),
    ],
)
def test_with_a_defect_in_it_the_run_goes_red(run: Run, defect: str, promises: set[str]) -> None:
    """What the harness is there to find is put into the processes, and found."""
    plan = small(every=100, goal=1, beside_poison=0.0, passes=["flushed"], workers=4, patience=30.0)
    outcome = run(dataclasses.replace(plan, sabotage=defect), silent)
    assert broken(outcome) >= promises, told(outcome)
