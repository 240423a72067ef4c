"""How a test holds histories, told in days, against thresholds of dormancy."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from lifecycle.domain.event import OUR_SOURCE, SENT, Event
from lifecycle.domain.instant import BEGINNING
from lifecycle.domain.policy import OwnRhythm, Policy, PolicyVersion
from lifecycle.engine.backtest.dormancy import Listening, listening
from lifecycle.engine.backtest.dormancy_grid import Question, dormancy_check, grid_of
from lifecycle.insight.dormancy import Grid, Tally, Whose
from lifecycle.insight.silences import Threshold
from lifecycle.insight.thresholds import Figures, Part, Row
from lifecycle.policy.load import loads
from tests.policies import scenario_policy
from tests.scenarios.driver import ANNA, day, happened, order

POLICY = scenario_policy(less=True)
ASKED = Question(
    check="quiet",
    days=(30, 60),
    quantiles=(Decimal("0.5"),),
    at_least=10,
    at_most=100,
    otherwise=50,
    horizon=100,
    in_time=50,
)
SIXTY = Threshold(wait=timedelta(days=60), in_force=True)
THIRTY = Threshold(wait=timedelta(days=30))
OWN = Threshold(
    wait=OwnRhythm(
        fact="usual_gap",
        at_least=timedelta(days=10),
        at_most=timedelta(days=100),
        otherwise=timedelta(days=50),
    ),
    quantile=Decimal("0.5"),
)


def policy(text: str = POLICY) -> Policy:
    return loads(text).policy


def version(text: str = POLICY) -> PolicyVersion:
    loaded = loads(text)
    return PolicyVersion(number=1, hash=loaded.hash, effective_at=BEGINNING, policy=loaded.policy)


def letter(on: float) -> Event:
    """One that left."""
    told = happened(SENT, on, f"letter-{on:g}", rule="win-back", step=1, channel="email")
    return told._replace(source=OUR_SOURCE)


def work_of(until: float = 400, text: str = POLICY, asked: Question = ASKED) -> Listening:
    made = version(text)
    check = dormancy_check(made.policy, asked.check)
    return listening(made, check, grid_of(made.policy, check, asked, day(until)))


def tallied(
    *histories: Sequence[Event], until: float = 400, text: str = POLICY, asked: Question = ASKED
) -> tuple[Tally, Grid]:
    """The customers are named by their place."""
    work = work_of(until, text, asked)
    people = [(f"{ANNA}-{number}", list(own)) for number, own in enumerate(histories)]
    return work.begin()(people), work.grid


def part(*histories: Sequence[Event], whose: Whose = Whose.ALL, until: float = 400) -> Part:
    return Figures(*tallied(*histories, until=until), whose).part()


def said(row: Row) -> tuple[int, int, int, int, int, float | None]:
    """Alarms, false ones, those after a letter, lost, missed, and days until the lost are declared."""
    return (
        row.false.of,
        row.false.count,
        row.after_letter,
        row.missed.of,
        row.missed.count,
        row.declared_mean,
    )


def made_up(*, customers: int, seed: int, regular: bool = False) -> list[list[Event]]:
    """Regular ones come every 5 or every 45 days, and one day never again; others as chance has it."""
    chance = random.Random(seed)
    histories = []
    for _ in range(customers):
        rhythm = chance.choice([5, 45])
        on, told = chance.uniform(0, 20), []
        until = chance.uniform(60, 290)
        while on < until:
            told.append(order(round(on, 3)))
            on += rhythm * chance.uniform(0.9, 1.1) if regular else chance.expovariate(1 / 40)
        histories.append(told)
    return histories
