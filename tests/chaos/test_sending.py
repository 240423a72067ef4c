"""Senders die at every point while the mail server fails: `make chaos CHAOS_ARGS=sending` in small."""

from __future__ import annotations

import io
import os
import shutil
from typing import Any

import pytest
from rich.console import Console

from lifecycle.killpoints import Point
from tests.chaos import report, sabotage, sending
from tests.chaos.sending import Sending, Storm

SEED = int(os.environ.get("SEED", "1"))
PATIENCE = 300.0  # seconds, which only a run that hangs uses up

DATABASES = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


def small(**storm: Any) -> Storm:
    return Storm(
        **{"seed": SEED, "messages": 400, "goal": 2, "limit": PATIENCE, "every": 20, **storm}
    )


def told(outcome: Sending) -> str:
    page = io.StringIO()
    report.show_sending(Console(file=page, width=140), outcome)
    return page.getvalue()


def silent(_: str) -> None:
    """Nobody watches."""


@pytest.mark.parametrize("database", DATABASES)
def test_whoever_dies_marketing_leaves_once_and_service_twice_at_most(database: str) -> None:
    outcome = sending.RUNS[database](small(), silent)
    assert outcome.kept, told(outcome)


ONCE = "marketing is taken 1 x at most"
TOLD_ONCE = "one event tells what became of each"
HEALS = "it heals by itself"


def went_red(database: str, **storm: Any) -> tuple[set[str], str]:
    """What was broken; and the report of it. There is nothing to look at in its folder."""
    storm = {"limit": 20.0, "patience": 5.0, **storm}
    outcome = sending.RUNS[database](small(**storm), silent)
    if outcome.folder is not None:
        shutil.rmtree(outcome.folder)
    return {verdict.promise for verdict in outcome.verdicts if not verdict.kept}, told(outcome)


@pytest.mark.parametrize(
    ("defect", "points", "goal", "promise"),
    [
        pytest.param(
            sabotage.NOT_IN_FLIGHT,
            (Point.SEND_ACCEPTED, Point.SEND_BEFORE_SENT),
            5,
            ONCE,
            id="not in flight",
        ),
        pytest.param(sabotage.RESENT, (Point.SEND_ACCEPTED,), 6, ONCE, id="sent again"),
        pytest.param(sabotage.NOT_RECLAIMED, (Point.SEND_CLAIMED,), 1, HEALS, id="not reclaimed"),
    ],
)
def test_with_a_defect_in_it_the_run_goes_red(
    defect: str, points: tuple[Point, ...], goal: int, promise: str
) -> None:
    """What the harness is there to find is put into the senders, and found."""
    broken, page = went_red(
        "sqlite", messages=200, goal=goal, every=12, points=points, sabotage=defect
    )
    assert promise in broken, page


@pytest.mark.postgres
def test_who_writes_down_an_outcome_that_is_not_his_to_write_is_found() -> None:
    """He slept on the way, and another has sent it meanwhile: both say so."""
    broken, page = went_red(
        "postgres",
        goal=1,
        senders=4,
        stops=2,
        limit=40.0,
        meddle_every=PATIENCE,  # who pauses waits for who sleeps amid a claim, and others for her
        points=(Point.SEND_IN_FLIGHT, Point.SEND_ACCEPTED),
        sabotage=sabotage.NO_LEASE,
    )
    assert TOLD_ONCE in broken, page
