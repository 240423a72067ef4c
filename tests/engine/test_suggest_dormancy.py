"""Which check is meant, what may be tried, and one answer wherever the history comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from lifecycle.domain.event import Event
from lifecycle.domain.policy import OwnRhythm
from lifecycle.engine.backtest import histories as sources
from lifecycle.engine.backtest.asking import recorded
from lifecycle.engine.backtest.dormancy import Answer, suggest, written
from lifecycle.engine.backtest.dormancy_grid import Question, dormancy_check, grid_of
from lifecycle.engine.backtest.histories import filed
from lifecycle.errors import NotReady, Problem
from lifecycle.insight.silences import Threshold
from lifecycle.insight.thresholds import Verdict
from tests.insight.listening import ASKED, letter, made_up, policy, version
from tests.policies import scenario_policy
from tests.scenarios.driver import day, order
from tests.support.engine import arrive, draft, installation, of
from tests.support.folding import counted_takes

RHYTHM = "{fact: usual_gap, at_least: 20d, at_most: 90d, otherwise: 40d}"
BY_RHYTHM = scenario_policy(facts=["usual_gap: {gap: order_paid, quantile: 0.9}"]).replace(
    "after: 60d", f"after: {RHYTHM}"
)
REGULAR = made_up(customers=150, seed=2, regular=True)


def everybody(histories: list[list[Event]] = REGULAR, *more: Event) -> list[Event]:
    told = [event for place, own in enumerate(histories) for event in of(f"c{place:03}", *own)]
    return [*told, *of("last", order(400)), *more]


def by_file(events: list[Event], asked: Question = ASKED, processes: int = 1) -> Answer:
    with filed(map(draft, events)) as found:
        return suggest(version(), found, asked, processes=processes)


# -- which check is meant ------------------------------------------------------------------------


def test_the_check_is_the_one_after_which_another_gives_the_customer_up() -> None:
    """`lost` waits since an interaction too, and leads nowhere from where anything is waited for."""
    check = dormancy_check(policy())
    assert (check.rule.name, check.since.name) == ("quiet", "last_seen_at")
    assert dormancy_check(policy(), "lost").since.name == "last_order_at"


def test_the_gaps_are_those_of_the_check_or_of_the_policy_or_of_interactions() -> None:
    with_fact = scenario_policy(facts=["usual_gap: {gap: order_paid, quantile: 0.9}"])
    assert dormancy_check(policy()).gap.event == "interaction"
    assert dormancy_check(policy(with_fact)).gap.event == "order_paid"
    assert dormancy_check(policy(BY_RHYTHM)).gap.quantile == Decimal("0.9")


@pytest.mark.parametrize(
    ("text", "name", "code", "expected"),
    [
        (
            scenario_policy(
                transitions=[
                    "{name: bored, after: 5d, since: last_seen_at, from: loyal, to: dormant}"
                ]
            ),
            None,
            "which_check",
            "one of quiet, lost, bored",
        ),
        (scenario_policy(), "qiet", "no_such_check", "one of quiet, lost"),
        (scenario_policy(), "first", "no_such_check", "one of quiet, lost"),
        (
            scenario_policy()
            .replace("{last: interaction}", "{last: order_refunded}")
            .replace("{last: order_paid}", "{first: order_paid}"),
            None,
            "no_dormancy_check",
            "a transition with `after`",
        ),
    ],
)
def test_a_check_that_cannot_be_told_is_asked_for(
    text: str, name: str | None, code: str, expected: str
) -> None:
    with pytest.raises(Problem) as raised:
        dormancy_check(policy(text), name)
    assert (raised.value.code, raised.value.pointer) == (code, "check")
    assert expected in (raised.value.expected or "")


# -- what is tried -------------------------------------------------------------------------------


def test_left_out_everything_is_as_the_policy_has_it() -> None:
    grid = grid_of(policy(), dormancy_check(policy()), Question(), day(400))
    own = OwnRhythm(
        fact="usual_gap",
        at_least=timedelta(days=30),
        at_most=timedelta(days=180),
        otherwise=timedelta(days=60),
    )
    assert (grid.horizon, grid.in_time) == (180, 90)
    assert [each.wait for each in grid.thresholds] == [
        *(timedelta(days=days) for days in (60, 30, 45, 90, 120, 180)),
        own,
        own,
        own,
    ]
    assert [each.in_force for each in grid.thresholds] == [True, *[False] * 8]
    patient = scenario_policy().replace("after: 120d", "after: 300d")
    assert (
        grid_of(policy(patient), dormancy_check(policy(patient)), Question(), day(0)).horizon == 300
    )


def test_an_own_rhythm_in_force_keeps_its_bounds_and_is_not_tried_twice() -> None:
    check = dormancy_check(policy(BY_RHYTHM))
    grid = grid_of(policy(BY_RHYTHM), check, Question(days=()), day(400))
    first, *others = grid.thresholds
    assert (first.in_force, first.quantile) == (True, Decimal("0.9"))
    assert [each.quantile for each in others] == [Decimal("0.8"), Decimal("0.95")]
    assert {each.wait for each in grid.thresholds} == {check.wait}


@pytest.mark.parametrize(
    ("asked", "pointer", "told"),
    [
        (Question(days=(30, 0)), "days", "0 days are no time to wait"),
        (Question(days=(-5,)), "days", "-5 days"),
        (Question(days=(181,)), "days", "181 days, and what comes after 180 is not judged"),
        (Question(quantiles=(Decimal(1),)), "quantiles", "1 is no quantile"),
        (Question(quantiles=(Decimal(0),)), "quantiles", "0 is no quantile"),
        (Question(quantiles=(Decimal("-0.5"),)), "quantiles", "-0.5 is no quantile"),
        (Question(quantiles=(Decimal("NaN"),)), "quantiles", "NaN is no quantile"),
        (Question(horizon=0), "horizon", "0 days"),
        (Question(horizon=59), "horizon", "quiet waits up to 60 days"),
        (Question(in_time=180), "in-time", "at most 179"),
        (Question(at_least=100, at_most=50), "at-least", "at least 100 and at most 50"),
        (Question(at_most=500), "at-most", "500 days"),
        (Question(otherwise=0), "otherwise", "0 days"),
        (Question(false_alarms=1.5), "false-alarms", "150%"),
    ],
)
def test_what_cannot_be_tried_is_refused_by_its_flag(
    asked: Question, pointer: str, told: str
) -> None:
    with pytest.raises(Problem) as raised:
        grid_of(policy(), dormancy_check(policy()), asked, day(400))
    assert raised.value.pointer == pointer
    assert told in f"{raised.value.detail} {raised.value.expected}"


# -- the answer ----------------------------------------------------------------------------------


def test_own_rhythm_is_suggested_where_it_is_shown_to_be_sooner() -> None:
    answer = by_file(everybody(), replace(ASKED, quantiles=(Decimal("0.9"),), false_alarms=0.35))
    found = answer.suggested
    assert answer.parts[0].comparisons[0].verdict is Verdict.BETTER
    assert found.days is not None
    assert found.rhythm is not None
    assert (found.rhythm.declared_mean or 0) < found.days
    assert answer.days_written == (f"after: {found.days}d",)
    assert answer.rhythm_written == (
        "usual_gap: {gap: interaction, quantile: 0.9}",
        "after: {fact: usual_gap, at_least: 10d, at_most: 100d, otherwise: 50d}",
    )


def test_days_for_all_are_the_fewest_that_keep_to_the_wanted_share() -> None:
    answer = by_file(everybody(), replace(ASKED, quantiles=(), false_alarms=0.1))
    found = answer.suggested
    assert found.rhythm is None
    assert answer.rhythm_written == ()
    assert found.days is not None
    rates = {}
    for days in (found.days - 1, found.days):
        row = by_file(everybody(), replace(ASKED, days=(days,), quantiles=())).parts[0].rows[1]
        rates[days] = row.false.rate or 0
    assert rates[found.days - 1] > 0.1 >= rates[found.days]
    assert found.false is not None
    assert found.false.rate == rates[found.days]


def test_by_default_as_many_false_alarms_as_now_are_allowed() -> None:
    answer = by_file(everybody(), replace(ASKED, quantiles=()))
    assert answer.suggested.wanted == answer.parts[0].rows[0].false.rate


@pytest.mark.parametrize("asked", [ASKED, replace(ASKED, days=(), quantiles=())])
def test_too_little_history_says_nothing(asked: Question) -> None:
    with pytest.raises(
        NotReady, match=r"not enough data yet: .* 0 ended within 100 days and 0 did not"
    ):
        by_file(of("anna", order(0), order(50)), asked)
    with pytest.raises(NotReady, match="not enough data yet: there are no events"):
        by_file([], asked)


def test_the_answer_is_the_same_by_any_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = by_file(everybody())
    monkeypatch.setattr(sources, "IN_MEMORY", 100)  # so that there are several parts
    assert by_file(everybody()) == whole
    assert by_file(everybody(), processes=2) == whole


@pytest.fixture
def told(database_url: str) -> Iterator[Answer]:
    with installation(database_url, scenario_policy(less=True)) as inst:
        soon = REGULAR[1][0].occurred_at + timedelta(days=1)
        sent = letter(0)._replace(customer="c001", occurred_at=soon, received_at=soon)
        arrive(inst, *everybody(REGULAR, sent))
        yield suggest(version(), recorded(inst.db, database_url), ASKED, processes=1)


def test_what_is_recorded_gives_what_a_file_gives_but_for_the_letters_in_it(told: Answer) -> None:
    """A day after c001 was first seen a letter left, and she came back: nobody knows why."""
    whole = by_file(everybody())
    assert told.counts == whole.counts
    assert (whole.parts[0].after_letter, told.parts[0].after_letter) == (0, 1)
    for ours, theirs in zip(told.parts[0].rows, whole.parts[0].rows, strict=True):
        assert ours.at_most == theirs.at_most
        assert ours.missed == theirs.missed


def test_a_threshold_is_written_as_a_policy_says_it() -> None:
    check = dormancy_check(policy(BY_RHYTHM))
    own = check.wait
    assert isinstance(own, OwnRhythm)
    made = policy(BY_RHYTHM)
    known = Threshold(wait=own, quantile=Decimal("0.9"))
    assert written(made, check, known) == (f"after: {RHYTHM}",)
    assert written(made, check, Threshold(wait=own, quantile=Decimal("0.8"))) == (
        "usual_gap: {gap: order_paid, quantile: 0.8}",
        f"after: {RHYTHM}",
    )
    assert written(made, check, Threshold(wait=timedelta(hours=36))) == ("after: 36h",)
    median = Threshold(wait=own, quantile=Decimal("0.5"))
    assert written(policy(), dormancy_check(policy()), median) == (
        "usual_gap: {gap: interaction, quantile: 0.5}",
        f"after: {RHYTHM}",
    )


def test_an_event_that_cannot_be_folded_is_left_out_and_counted() -> None:
    """As an installation puts it aside; she is looked at without it."""
    broken = order(1)._replace(customer="c000", id="broken", properties={"amount": "much"})
    text = scenario_policy(facts=["spent: {sum: order_paid.amount}"])
    with filed(map(draft, everybody([*REGULAR], broken))) as found:
        answer = suggest(version(text), found, ASKED, processes=1)
    assert answer.counts.unfolded == 1
    assert answer.counts.customers == 151


def test_however_many_events_of_a_kind_cannot_be_folded_the_rest_is_folded_twice_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = counted_takes(monkeypatch)
    text = scenario_policy(facts=["spent: {sum: order_paid.amount}"])
    good = everybody()
    broken = [
        order(1 + number)._replace(
            customer="c000", id=f"broken-{number}", properties={"amount": "much"}
        )
        for number in range(40)
    ]
    with filed(map(draft, [*good, *broken])) as found:
        answer = suggest(version(text), found, ASKED, processes=1)
    with filed(map(draft, good)) as found:
        without = suggest(version(text), found, ASKED, processes=1)
    assert answer.counts.unfolded == 40
    assert answer.counts.customers == without.counts.customers
    assert taken.total() <= 2 * len(good) + len(REGULAR[0]) + 1
