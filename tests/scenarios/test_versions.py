"""Histories under two policy versions, each judging from its own instant on."""

from __future__ import annotations

import pytest

from lifecycle.domain.fold import fold, unwanted
from lifecycle.domain.instant import BEGINNING
from lifecycle.domain.policy import PolicyVersion
from lifecycle.domain.timeline import Timeline
from lifecycle.policy import loads
from tests.policies import SCENARIO_POLICY, scenario_policy
from tests.scenarios.driver import day, happened, order, page

BY_RATE = "rates: {{USD: {{2020-01-01: {rate}}}}}\nfacts:\n  revenue: {{sum: order_paid.amount}}\n"


def versions(first: str, second: str, *, from_day: float) -> Timeline:
    """The second takes effect on a day."""
    policies = [(1, BEGINNING, first), (2, day(from_day), second)]
    return Timeline(
        [
            PolicyVersion(number=number, hash="", effective_at=at, policy=loads(text).policy)
            for number, at, text in policies
        ]
    )


def test_a_check_due_at_the_instant_of_a_new_version_is_judged_by_it() -> None:
    """Under the old one she would have gone dormant on day 60."""
    waits_longer = SCENARIO_POLICY.replace("after: 60d", "after: 90d")
    timeline = versions(scenario_policy(), waits_longer, from_day=60)
    folded = fold(timeline, None, [order(0)], day(89))
    assert [step.rule for step in folded.steps] == ["first"]
    folded = fold(timeline, None, [order(0)], day(90))
    assert [(step.rule, step.at, step.version) for step in folded.steps][1:] == [
        ("quiet", day(90), 2)
    ]


def test_a_fact_in_money_is_another_fact_at_other_rates() -> None:
    """Each version reads its own, over the whole history."""
    with_rates = [
        scenario_policy().replace("facts:\n", BY_RATE.format(rate=rate)) for rate in ("7", "8")
    ]
    timeline = versions(*with_rates, from_day=10)
    paid = order(1)._replace(properties={"amount": "10", "currency": "USD"})
    snapshot = fold(timeline, None, [paid], day(20)).snapshot
    revenue = [
        timeline.keepers[version.facts()["revenue"]].exact(
            snapshot.cells[version.facts()["revenue"]], day(20)
        )
        for version in timeline.versions
    ]
    assert revenue == ["70", "80"]


@pytest.mark.parametrize("interaction", [False, True])
def test_what_only_a_later_version_declares_is_unknown_to_the_earlier_one(
    interaction: bool,
) -> None:
    """An unknown type counts as an interaction there, whatever it is declared to be afterwards."""
    declared = f"events:\n  webinar_joined: {{interaction: {str(interaction).lower()}}}\n"
    later = SCENARIO_POLICY.replace("events:\n", declared)
    timeline = versions(SCENARIO_POLICY, later, from_day=200)
    joined = happened("webinar_joined", 50)
    folded = fold(timeline, None, [order(0), joined], day(199))
    assert [(step.rule, step.at) for step in folded.steps][:2] == [
        ("first", day(0)),
        ("quiet", day(110)),
    ]
    seen = [folded.snapshot.cells[version.facts()["last_seen_at"]] for version in timeline.versions]
    assert seen == [day(50), day(50 if interaction else 0)]


def test_what_was_spent_stays_spent_where_a_later_version_counts_from_an_earlier_anchor() -> None:
    """Fired for the first order under the old version, which counted from the last one: and once.

    What the old version alone would have let be forgotten cannot be folded on from.
    """
    first_order = "facts:\n  first_order_at: {first: order_paid}\n"
    old = scenario_policy(care=True).replace("facts:\n", first_order)
    new = old.replace(
        "on: {after: 30d, since: last_order_at}", "on: {after: 30d, since: first_order_at}"
    )
    timeline = versions(old, new, from_day=200)
    folded = fold(timeline, None, [order(0), order(100)], day(300))
    cared = [message for message in folded.messages if message.rule == "care"]
    assert [message.planned_at for message in cared] == [day(30), day(130)]
    assert timeline.shape != versions(old, old, from_day=200).shape


def test_guards_of_outreach_that_said_no_are_counted_too() -> None:
    """Nothing is planned, and nothing is forgotten: the customer's card tells how often."""
    rule = "{name: thanks, on: {event: order_paid}, channels: [email], when: orders >= 3}"
    timeline = versions(scenario_policy(outreach=[rule]), scenario_policy(), from_day=100)
    folded = fold(timeline, None, [order(0), order(1), page(2), order(3)], day(4))
    assert [message.rule for message in folded.messages] == ["thanks"]
    assert folded.snapshot.refused["thanks"] == 2


STUCK = "{name: stuck, on: {state: deal, stayed: 14d}, channels: [email]}"


def test_a_new_rule_about_a_stay_that_has_lasted_long_is_due_when_it_takes_effect_and_once() -> (
    None
):
    timeline = versions(scenario_policy(), scenario_policy(outreach=[STUCK]), from_day=30)
    folded = fold(timeline, None, [order(0)], day(59))
    assert [(m.rule, m.planned_at, m.version) for m in folded.messages] == [("stuck", day(30), 2)]


def test_a_stay_that_had_its_turn_has_none_under_a_later_version() -> None:
    """Its identity is its name: what is spent stays spent, whatever the new length."""
    longer = STUCK.replace("14d", "20d")
    timeline = versions(
        scenario_policy(outreach=[STUCK]), scenario_policy(outreach=[longer]), from_day=16
    )
    folded = fold(timeline, None, [order(0)], day(59))
    assert [(m.rule, m.planned_at) for m in folded.messages] == [("stuck", day(14))]


@pytest.mark.parametrize(("version", "answer"), [(1, False), (2, True), (3, False)])
def test_what_keeps_a_message_from_going_is_what_its_own_version_says(
    version: int, answer: bool
) -> None:
    """Two orders are too many under the second version only; the third has no such condition."""
    thanks = "{{name: thanks, on: {{event: order_paid}}, channels: [email]{}}}"
    texts = [
        scenario_policy(outreach=[thanks.format(more)])
        for more in (", unless: orders >= 3", ", unless: orders >= 2", "")
    ]
    timeline = Timeline(
        [
            PolicyVersion(number=n, hash="", effective_at=at, policy=loads(text).policy)
            for n, at, text in zip((1, 2, 3), (BEGINNING, day(10), day(20)), texts, strict=True)
        ]
    )
    snapshot = fold(timeline, None, [order(0), order(1)], day(2)).snapshot
    assert unwanted(timeline, snapshot, "thanks", version, day(3)) is answer


def test_a_condition_without_an_answer_keeps_a_message_from_going() -> None:
    """Nobody knows whether it is wanted; a message more is worse than one less."""
    rule = (
        "{name: thanks, on: {event: page_viewed}, channels: [email], "
        "unless: 'at - last_order_at < duration(\"24h\")'}"
    )
    timeline = versions(scenario_policy(outreach=[rule]), scenario_policy(), from_day=100)
    empty = fold(timeline, None, [page(0)], day(1)).snapshot
    assert unwanted(timeline, empty, "thanks", 1, day(1))
    known = fold(timeline, None, [order(0)], day(5)).snapshot
    assert not unwanted(timeline, known, "thanks", 1, day(5))
