"""A forecast of an installation: the same from a database, a file, and on any number of processes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from lifecycle.cli.output import plain
from lifecycle.domain.policy import Policy
from lifecycle.engine.backtest.asking import Candidate, recorded
from lifecycle.engine.backtest.course import Ways
from lifecycle.engine.backtest.histories import Filed, filed
from lifecycle.engine.forecast import Asked, Report, ages_of, ahead, timed
from lifecycle.errors import NotReady, Problem
from lifecycle.insight.passages import Ages
from lifecycle.intake import simulate
from lifecycle.intake.draft import Draft
from lifecycle.policy import load, loads
from tests.policies import SCENARIO_POLICY, scenario_policy
from tests.realdata.installed import SHIPPED_POLICY, installed

WAYS = Ways(addresses={"email": "email", "sms": "phone", "task": None}, everybody=True)
START = datetime(2024, 1, 1, tzinfo=UTC)
LATER = START + timedelta(days=500)
ASKED = Asked(days=10, every=5, held_back=21)


@pytest.fixture(scope="module")
def shipped() -> Policy:
    return load(SHIPPED_POLICY).policy


@pytest.fixture(scope="module")
def drafts(shipped: Policy) -> list[Draft]:
    """Sixty made-up customers over 300 days."""
    made = simulate.bulk(seed=7, customers=60, start=START, days=300, policy=shipped)
    return [simulate.draft(event, LATER) for event in made]


@pytest.fixture(scope="module")
def from_a_file(drafts: list[Draft]) -> Iterator[Filed]:
    with filed(drafts) as found:
        yield found


@pytest.fixture(scope="module")
def told(shipped: Policy, from_a_file: Filed) -> Report:
    return ahead(Candidate.of(shipped, "", "shipped"), from_a_file, WAYS, ASKED)


def test_a_database_and_several_processes_give_the_forecast_of_the_file(
    database_url: str, shipped: Policy, drafts: list[Draft], told: Report
) -> None:
    with installed(database_url, LATER) as engine:
        engine.post(drafts)
        history = recorded(engine.inst.db, database_url)
        candidate = Candidate.of(shipped, "", "shipped")
        assert plain(ahead(candidate, history, WAYS, ASKED)) == plain(told)
        assert plain(ahead(candidate, history, WAYS, ASKED, processes=2)) == plain(told)


def test_it_tells_where_everybody_is_now_and_when_figures_are_read(told: Report) -> None:
    assert sum(state.now for state in told.states) == told.customers == 60
    assert [(at - told.as_of).days for at in told.readings] == [5, 10]
    for state in told.states:
        assert (state.readings is None) == (state.why is not None)
    churned = next(state for state in told.states if state.state == "churned")
    assert churned.why is not None
    assert "at ages in this state that nobody had yet" in churned.why, (
        "two are, for the longest time"
    )


def test_it_is_checked_on_what_was_held_back(told: Report) -> None:
    assert told.check.held_back == 21
    assert told.check.since == told.as_of - timedelta(days=21)
    assert told.check.found is not None
    assert told.check.found.sizes is not None
    assert told.check.found.sizes.figures % 5 == 0, "after 5, 10, 15, 20 and 21 days"
    assert [said.split(":")[0] for said in told.check.verdict] == [
        "Sizes of states",
        "Letters of each rule",
        "Letters of all rules",
    ]


def test_more_than_half_of_the_history_cannot_be_held_back(
    shipped: Policy, from_a_file: Filed
) -> None:
    with pytest.raises(Problem) as caught:
        ahead(Candidate.of(shipped, "", ""), from_a_file, WAYS, Asked(held_back=180))
    assert caught.value.code == "held_back_too_long"
    assert str(caught.value).startswith("180 days cannot be held back from a history of ")


def test_a_history_that_is_too_short_is_told_to_be(shipped: Policy) -> None:
    """Forty days: no figure, and no check; what there is now is told."""
    made = simulate.bulk(seed=7, customers=20, start=START, days=40, policy=shipped)
    with filed([simulate.draft(event, LATER) for event in made]) as found:
        told = ahead(Candidate.of(shipped, "", ""), found, WAYS, Asked())
    assert {state.readings for state in told.states} == {None}
    assert {rule.total for rule in told.rules} == {None}
    assert told.letters is None
    assert sum(state.now for state in told.states) == told.customers
    (verdict,) = told.check.verdict
    assert verdict.startswith(
        "not enough data yet to check the forecast: 90 days held back leave 0"
    )


def test_without_events_there_is_nothing_to_forecast_from(shipped: Policy) -> None:
    with filed([]) as found, pytest.raises(NotReady, match="there are no events in it"):
        ahead(Candidate.of(shipped, "", ""), found, WAYS, Asked())


def test_ages_are_single_days_up_to_the_longest_check() -> None:
    policy = loads(SCENARIO_POLICY).policy
    assert ages_of([policy]) == Ages(single=122)
    longer = loads(
        scenario_policy(outreach=["{name: x, on: {state: loyal, stayed: 200d}, channels: [email]}"])
    ).policy
    assert ages_of([policy, longer]) == Ages(single=202)
    assert timed(policy) == {
        ("deal", "dormant"),
        ("loyal", "dormant"),
        ("reactivated", "dormant"),
        ("dormant", "churned"),
    }
