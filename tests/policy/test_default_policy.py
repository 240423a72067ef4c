"""The policy that an installation starts with."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from lifecycle.domain.policy import (
    After,
    MessageClass,
    OnCalendar,
    OnTransition,
    ValueType,
)
from lifecycle.policy import load
from lifecycle.resources import config_dir

LOADED = load(config_dir() / "policy.yaml")
POLICY = LOADED.policy
RULES = {rule.name: rule for rule in POLICY.transitions}
STATES = ["potential", "intent", "deal", "loyal", "dormant", "churned", "reactivated"]


def labelled(things: Iterable[object]) -> bool:
    return all(set(getattr(thing, "labels", {})) == {"en", "zh"} for thing in things)


def test_it_has_no_findings_not_even_warnings() -> None:
    assert LOADED.findings == ()


def test_it_has_all_seven_stages_in_english_and_chinese() -> None:
    assert [state.name for state in POLICY.states] == STATES
    assert labelled(POLICY.states)
    assert labelled(POLICY.transitions)
    assert labelled(POLICY.outreach)


def test_two_clocks_one_for_contact_and_one_for_buying() -> None:
    quiet, lost = RULES["goes-quiet"].trigger, RULES["lost"].trigger
    assert isinstance(quiet, After)
    assert isinstance(lost, After)
    facts = {fact.name: fact for fact in POLICY.facts}
    assert (quiet.since, facts[quiet.since].event) == ("last_seen_at", "interaction")
    assert (lost.since, facts[lost.since].event) == ("last_order_at", "order_paid")


def test_reversals_take_away_and_lead_back() -> None:
    facts = {fact.name: fact for fact in POLICY.facts}
    assert facts["revenue"].less_event == "order_refunded"
    assert facts["orders"].less_event == "order_returned"
    assert RULES["undo-purchase"].to == POLICY.initial


def test_whoever_was_won_back_becomes_a_customer_or_a_loyal_one_again() -> None:
    leaving = {rule.to for rule in POLICY.transitions if "reactivated" in rule.sources}
    assert {"deal", "loyal"} <= leaving


def test_anybody_may_leave_on_purpose() -> None:
    assert set(RULES["leaves"].sources) == set(STATES) - {"churned"}


def test_the_strategic_flag_and_the_owner_are_attributes_and_no_stage() -> None:
    assert POLICY.attributes["strategic"] is ValueType.BOOL
    assert POLICY.attributes["owner"] is ValueType.TEXT
    assert "strategic" not in STATES


def test_it_plans_care_after_days_a_birthday_and_win_backs() -> None:
    triggers = {rule.name: rule.trigger for rule in POLICY.outreach}
    assert isinstance(triggers["care-after-30-days"], After)
    birthday = triggers["birthday"]
    assert isinstance(birthday, OnCalendar)
    assert birthday.attribute == "birthday"
    assert triggers["win-back-first"] == OnTransition(names=("goes-quiet",))
    assert triggers["win-back-last"] == OnTransition(names=("lost",))
    services = [r for r in POLICY.outreach if r.message_class is MessageClass.SERVICE]
    assert all("task" not in r.channels for r in POLICY.outreach if r not in services)


@pytest.mark.parametrize(
    ("currency", "first_sale"),
    [("GBP", datetime(2009, 12, 1, tzinfo=UTC)), ("USD", datetime(1997, 1, 1, tzinfo=UTC))],
)
def test_amounts_of_the_real_histories_have_a_rate(currency: str, first_sale: datetime) -> None:
    """Online Retail is in pounds from 2009 on, CDNOW in dollars from 1997 on."""
    rates = [rate for rate in POLICY.rates if rate.currency == currency]
    assert min(rate.since for rate in rates) <= first_sale
