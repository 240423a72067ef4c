"""The policy that an installation starts with."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import pytest

from lifecycle.domain.policy import (
    After,
    MessageClass,
    OnCalendar,
    OnRequest,
    OnState,
    OnTransition,
    OutreachRule,
    Period,
    QuietHours,
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


OUTREACH = {rule.name: rule for rule in POLICY.outreach}

GROUPS = {
    "nurture series": "nurture",
    "fast answer by a person": "answer-enquiry",
    "confirmation of an enquiry": "enquiry-received",
    "cart": "cart-reminder",
    "promotion": "promotion-intent",
    "thanks": "thanks",
    "after-sales care": "care-after-30-days",
    "satisfaction": "survey",
    "follow-up of a bad score": "unhappy-follow-up",
    "cross-sell": "cross-sell",
    "membership": "welcome-loyal",
    "points": "points-statement",
    "referral": "referral",
    "early access": "early-access",
    "birthday": "birthday",
    "anniversary": "anniversary",
    "solar festival": "new-year",
    "lunar festival": "spring-festival",
    "another lunar festival": "mid-autumn",
    "product news": "product-news",
    "light activation": "activation",
    "win-back": "win-back-first",
    "high value first": "high-value-goes-quiet",
    "last win-back": "win-back-last",
    "reason of leaving": "churn-questionnaire",
    "welcome back": "welcome-back",
    "strategic warning": "strategic-goes-quiet",
    "strategic rhythm": "strategic-rhythm",
    "executive meeting": "strategic-executive",
}


def test_every_strategy_has_a_rule_and_no_rule_is_without_one() -> None:
    assert sorted(GROUPS.values()) == sorted(OUTREACH)


def test_no_message_goes_out_after_its_time_has_passed() -> None:
    assert [rule.name for rule in POLICY.outreach if rule.expires is None] == []


def test_marketing_needs_consent_and_holds_some_customers_out() -> None:
    for rule in POLICY.outreach:
        if rule.message_class is MessageClass.MARKETING:
            assert (rule.purpose, rule.holdout) == ("marketing", Decimal("0.05"))
        else:
            assert rule.holdout == 0
    assert {name for name, rule in OUTREACH.items() if rule.purpose == "survey"} == {
        "survey",
        "churn-questionnaire",
    }


def falls_due_for_everyone(rule: OutreachRule) -> bool:
    """On one morning, or when somebody asks for it, and not only for a few important customers."""
    trigger = rule.trigger
    fixed = isinstance(trigger, OnCalendar) and trigger.attribute is None
    return (fixed or isinstance(trigger, OnRequest)) and rule.guard != "strategic == true"


def test_what_falls_due_for_everyone_at_once_is_spread() -> None:
    at_once = {name for name, rule in OUTREACH.items() if falls_due_for_everyone(rule)}
    spread = {name for name, rule in OUTREACH.items() if rule.spread}
    assert at_once - spread == {"early-access"}  # only for the loyal ones who are named
    assert spread <= at_once


def test_a_series_stops_and_a_reminder_is_not_sent_where_it_has_done_its_work() -> None:
    assert OUTREACH["nurture"].cancel_on == OUTREACH["cart-reminder"].cancel_on == ("order_paid",)
    assert OUTREACH["win-back-last"].states == ("churned",)
    assert len(OUTREACH["nurture"].delays) == len(OUTREACH["win-back-last"].delays) == 3


def test_stays_and_entries_cause_messages_too() -> None:
    assert OUTREACH["promotion-intent"].trigger == OnState(
        names=("intent",), stayed=timedelta(days=14)
    )
    assert OUTREACH["referral"].trigger == OnState(names=("loyal",), stayed=timedelta(days=60))
    assert OUTREACH["activation"].trigger == OnState(names=("dormant",))


def test_nobody_gets_too_much_nor_anything_at_night() -> None:
    sending = POLICY.sending
    assert [(cap.most, cap.window, cap.channel, cap.message_class) for cap in sending.caps] == [
        (3, timedelta(days=7), None, MessageClass.MARKETING),
        (1, Period.DAY, "sms", MessageClass.MARKETING),
    ]
    assert sending.quiet == QuietHours(since=time(21), until=time(9))
    assert sending.working_days is None
    assert sending.holdout == 0


@pytest.mark.parametrize(
    ("currency", "first_sale"),
    [("GBP", datetime(2009, 12, 1, tzinfo=UTC)), ("USD", datetime(1997, 1, 1, tzinfo=UTC))],
)
def test_amounts_of_the_real_histories_have_a_rate(currency: str, first_sale: datetime) -> None:
    """Online Retail is in pounds from 2009 on, CDNOW in dollars from 1997 on."""
    rates = [rate for rate in POLICY.rates if rate.currency == currency]
    assert min(rate.since for rate in rates) <= first_sale
