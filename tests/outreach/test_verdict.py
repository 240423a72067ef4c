"""May a message go now, later, or never? Which rule says so, and until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise, permutations
from typing import Any

import pytest

from lifecycle.domain.policy import Cap, Goal, Period, Sending
from lifecycle.outreach.reasons import told
from lifecycle.outreach.verdict import (
    Case,
    Defer,
    Option,
    Reason,
    Send,
    Spent,
    Suppress,
    order,
    verdict,
)
from tests.outreach.cases import (
    CONSENTED,
    DAY,
    HOUR,
    NOON,
    QUIET,
    SERVICE,
    WEEKDAYS,
    case,
    judged,
    local,
    rule,
    sending,
    sent,
)


def reason(found: Any) -> Reason | None:
    return None if isinstance(found, Send) else found.reason


# -- in which order the rules are asked

EVERYTHING_SAYS_NO: dict[Reason, dict[str, Any]] = {
    # what makes each rule say no: of the rule, of the case, of its one channel, of the policy
    Reason.WRONG_STATE: {"rule": {"states": ("churned",)}},
    Reason.UNWANTED: {"case": {"unwanted": True}},
    Reason.CANCELLED_BY: {"rule": {"cancel_on": ("order_paid",)}},
    Reason.GOAL_REACHED: {"rule": {"goal": Goal(event="visited", within=DAY)}},
    Reason.EXPIRED: {"case": {"expires_at": NOON}},
    Reason.NO_CHANNEL: {"option": {"ready": False}},
    Reason.NO_ADDRESS: {"option": {"has_address": False}},
    Reason.NO_CONSENT: {"case": {"consents": {}}},
    Reason.ADDRESS_SUPPRESSED: {"option": {"suppressed": True}},
    Reason.FAILED_BEFORE: {"option": {"failed": True}},
    Reason.HOLDOUT: {"rule": {"holdout": Decimal(1)}},
    Reason.CAP: {"sending": {"caps": (Cap(most=1, window=DAY),)}},
    Reason.QUIET_HOURS: {"sending": {"quiet": QUIET}},
    Reason.CLOSED_DAY: {"sending": {"working_days": WEEKDAYS}},
    Reason.PAUSED: {"option": {"paused": True}},
    Reason.BREAKER: {"option": {"open_at": NOON + 90 * DAY}},
}


ASKED = [one for one in Reason if one not in {Reason.RATE, Reason.NOT_READY}]
"""All but those that are known only where a letter is handed over."""


def all_say_no(*reasons: Reason) -> tuple[Case, Sending]:
    """On a Sunday at midnight, an order after the cause, one message sent: only these rules mind."""
    parts: dict[str, dict[str, Any]] = {"rule": {}, "case": {}, "option": {}, "sending": {}}
    for one in reasons:
        for what, said in EVERYTHING_SAYS_NO[one].items():
            parts[what] |= said
    happened = {"order_paid": NOON, "visited": NOON}
    options = [Option(channel="email", **parts["option"])]
    made = case(rule(**parts["rule"]), options=options, happened=happened, **parts["case"])
    return made, Sending(**parts["sending"])


@pytest.mark.parametrize("alone", ASKED)
def test_each_rule_that_says_no_is_heard(alone: Reason) -> None:
    made, policy = all_say_no(alone)
    at = local("2026-05-17T00:00")
    found = verdict(made, policy, [sent(at - HOUR)], at)
    assert reason(found) is alone
    assert isinstance(found, Defer) == (list(Reason).index(alone) >= list(Reason).index(Reason.CAP))
    made, policy = all_say_no()
    assert verdict(made, policy, [sent(at - HOUR)], at) == Send(channel="email")


def test_the_rules_are_asked_in_the_order_of_the_reasons() -> None:
    """With every rule against it the first decides; taken away one by one, the next does."""
    at = local("2026-05-17T00:00")
    for number, first in enumerate(ASKED):
        made, policy = all_say_no(*ASKED[number:])
        assert reason(verdict(made, policy, [sent(at - HOUR)], at)) is first
    for earlier, later in pairwise(ASKED):
        made, policy = all_say_no(later, earlier)
        assert reason(verdict(made, policy, [sent(at - HOUR)], at)) is earlier


def test_every_reason_is_told_as_half_a_sentence_of_its_own() -> None:
    sentences = [told(one) for one in Reason]
    assert len(set(sentences)) == len(Reason)
    assert all(text and not text.endswith(".") and text[0].islower() for text in sentences)


# -- what ends a message before any channel is looked for


def test_it_is_sent_only_in_the_states_that_the_rule_names() -> None:
    while_dormant = rule(states=("dormant", "churned"))
    assert judged(case(while_dormant)) == Send(channel="email")
    assert judged(case(while_dormant, state="deal")) == Suppress(reason=Reason.WRONG_STATE)
    assert judged(case(rule(states=()), state="anything")) == Send(channel="email")


def test_only_events_that_the_rule_names_cancel_it() -> None:
    series = rule(cancel_on=("order_paid", "account_closed"))
    assert judged(case(series, happened={"account_closed": NOON})) == Suppress(
        reason=Reason.CANCELLED_BY
    )
    assert judged(case(series, happened={"page_viewed": NOON})) == Send(channel="email")


def test_a_goal_reached_after_its_time_does_not_count() -> None:
    aimed = rule(goal=Goal(event="order_paid", within=DAY))
    made = case(aimed, caused_at=NOON - 3 * DAY)
    in_time = made._replace(happened={"order_paid": NOON - 2 * DAY})
    too_late = made._replace(happened={"order_paid": NOON - 2 * DAY + timedelta(microseconds=1)})
    assert judged(in_time) == Suppress(reason=Reason.GOAL_REACHED)
    assert judged(too_late) == Send(channel="email")


def test_it_expires_at_the_very_instant() -> None:
    made = case(expires_at=NOON)
    assert judged(made, at=NOON - timedelta(microseconds=1)) == Send(channel="email")
    assert judged(made, at=NOON) == Suppress(reason=Reason.EXPIRED)


def test_what_is_put_off_beyond_its_time_is_still_put_off_until_that_has_come() -> None:
    made = case(expires_at=local("2026-05-14T02:00"))
    policy = Sending(quiet=QUIET)
    night = local("2026-05-13T23:00")
    found = judged(made, policy, at=night)
    assert found == Defer(until=local("2026-05-14T09:00"), reason=Reason.QUIET_HOURS)
    assert judged(made, policy, at=local("2026-05-14T02:00")) == Suppress(reason=Reason.EXPIRED)


# -- channels


def test_the_first_channel_in_order_of_preference_that_can_take_it_does() -> None:
    email, sms = Option(channel="email"), Option(channel="sms")
    assert judged(case(options=[email, sms])) == Send(channel="email")
    assert judged(case(options=[sms, email])) == Send(channel="sms")
    for hindered in (
        replace(email, ready=False),
        replace(email, has_address=False),
        replace(email, suppressed=True),
        replace(email, failed=True),
    ):
        assert judged(case(options=[hindered, sms])) == Send(channel="sms")


def test_a_channel_that_waits_is_not_given_up_for_the_next() -> None:
    paused, broken = (
        Option(channel="email", paused=True),
        Option(channel="email", open_at=NOON + HOUR),
    )
    sms = Option(channel="sms")
    assert judged(case(options=[paused, sms])) == Defer(
        until=NOON + timedelta(minutes=1), reason=Reason.PAUSED
    )
    assert judged(case(options=[broken, sms])) == Defer(until=NOON + HOUR, reason=Reason.BREAKER)
    assert judged(case(options=[broken, sms]), at=NOON + HOUR) == Send(channel="email")


STAGES = [
    (Reason.NO_CHANNEL, {"ready": False, "has_address": False, "failed": True}),
    (Reason.NO_ADDRESS, {"has_address": False, "suppressed": True}),
    (Reason.ADDRESS_SUPPRESSED, {"suppressed": True, "failed": True}),
    (Reason.FAILED_BEFORE, {"failed": True}),
]


@pytest.mark.parametrize(("first", "second"), list(permutations(STAGES, 2)))
def test_where_no_channel_is_left_the_one_that_got_furthest_says_why(
    first: tuple[Reason, dict[str, Any]], second: tuple[Reason, dict[str, Any]]
) -> None:
    options = [Option(channel=f"c{n}", **said) for n, (_, said) in enumerate((first, second))]
    furthest = max(first[0], second[0], key=list(Reason).index)
    assert judged(case(options=options)) == Suppress(reason=furthest)


def test_a_rule_without_any_channel_has_none() -> None:
    assert judged(case(rule(channels=()))) == Suppress(reason=Reason.NO_CHANNEL)


# -- consent


@pytest.mark.parametrize(
    ("consents", "sent_by"),
    [
        ({}, None),
        ({"marketing/all": True}, "email"),
        ({"marketing/email": True}, "email"),
        ({"marketing/sms": True}, "sms"),
        ({"marketing/all": False}, None),
        ({"marketing/all": True, "marketing/email": False}, "sms"),
        ({"marketing/all": False, "marketing/sms": True}, "sms"),
        ({"marketing/email": False, "marketing/sms": False, "marketing/all": True}, None),
        ({"survey/all": True, "service/all": True}, None),
    ],
)
def test_marketing_goes_where_she_consented_and_what_was_said_of_the_channel_wins(
    consents: dict[str, bool], sent_by: str | None
) -> None:
    wanted = Suppress(reason=Reason.NO_CONSENT) if sent_by is None else Send(channel=sent_by)
    assert judged(case(consents=consents)) == wanted


@pytest.mark.parametrize(
    ("consents", "sent_by"),
    [
        ({}, "email"),
        ({"marketing/all": False, "marketing/email": False}, "email"),
        ({"service/email": False}, "sms"),
        ({"service/all": False}, None),
        ({"service/all": False, "service/sms": True}, "sms"),
    ],
)
def test_service_needs_no_consent_but_a_withdrawal_is_honoured(
    consents: dict[str, bool], sent_by: str | None
) -> None:
    wanted = Suppress(reason=Reason.NO_CONSENT) if sent_by is None else Send(channel=sent_by)
    assert judged(case(rule(message_class=SERVICE), consents=consents)) == wanted


def test_a_task_for_an_employee_asks_nothing_of_the_customer() -> None:
    """Neither her consent, nor her caps, nor her night."""
    refusing = {"service/all": False, "service/task": False}
    asked = rule(channels=("task",), message_class=SERVICE)
    assert judged(case(asked, consents=refusing)) == Send(channel="task")
    offered = rule(channels=("task",), holdout=Decimal(1))
    policy = sending(Cap(most=1, window=DAY), quiet=QUIET, holdout=Decimal(1))
    night = local("2026-05-13T23:00")
    found = judged(case(offered, consents={}), policy, sent(night - HOUR), at=night)
    assert found == Send(channel="task")


# -- holdout


def test_the_group_that_gets_no_marketing_gets_service() -> None:
    policy = Sending(holdout=Decimal(1))
    assert judged(case(), policy) == Suppress(reason=Reason.HOLDOUT)
    assert judged(case(rule(message_class=SERVICE)), policy) == Send(channel="email")


def test_service_is_never_held_out_even_where_a_rule_says_so() -> None:
    assert judged(case(rule(message_class=SERVICE, holdout=Decimal(1)))) == Send(channel="email")


def test_who_gets_it_gets_her_variant() -> None:
    one = rule(variants={"coupon": 1, "plain": 0})
    assert judged(case(one)) == Send(channel="email", variant="coupon")


# -- several rules that put it off


def test_it_is_put_off_to_where_no_rule_puts_it_off_again_for_the_first_reason() -> None:
    """A cap that frees at 03:00 on a Saturday: then it is night, then a weekend, then Monday 09:00."""
    policy = sending(Cap(most=1, window=7 * DAY), quiet=QUIET, working_days=WEEKDAYS)
    spent = sent(local("2026-05-09T03:00"))
    found = judged(case(), policy, spent)
    assert found == Defer(until=local("2026-05-18T09:00"), reason=Reason.CAP)
    assert judged(case(), policy, spent, at=local("2026-05-18T09:00")) == Send(channel="email")


def test_a_pause_at_the_end_of_the_day_reaches_into_the_quiet_hours() -> None:
    paused = [Option(channel="email", paused=True)]
    found = judged(case(options=paused), Sending(quiet=QUIET), at=local("2026-05-13T20:59:30"))
    assert found == Defer(until=local("2026-05-14T09:00"), reason=Reason.PAUSED)


def test_a_breaker_that_opens_on_a_holiday_waits_for_the_day_after() -> None:
    """1 May 2026 is a Friday, and a holiday until the 5th in China."""
    policy = Sending(quiet=QUIET, working_days=replace(WEEKDAYS, holidays="CN"))
    options = [Option(channel="email", open_at=local("2026-05-01T10:00"))]
    found = judged(case(options=options), policy, at=local("2026-04-30T20:00"))
    assert found == Defer(until=local("2026-05-06T09:00"), reason=Reason.BREAKER)


def test_service_is_not_kept_from_anybody_by_night_or_on_a_sunday() -> None:
    policy = Sending(quiet=QUIET, working_days=WEEKDAYS)
    at = local("2026-05-17T02:00")
    assert judged(case(rule(message_class=SERVICE)), policy, at=at) == Send(channel="email")
    assert isinstance(judged(case(), policy, at=at), Defer)


def test_a_calendar_without_any_open_day_is_looked_at_again_and_never_hangs() -> None:
    policy = Sending(working_days=replace(WEEKDAYS, weekdays=frozenset()))
    found = judged(case(), policy)
    assert isinstance(found, Defer)
    assert found.reason is Reason.CLOSED_DAY
    assert NOON + 365 * DAY < found.until < NOON + 800 * DAY


# -- which of several messages is judged first


def test_the_highest_priority_wins_the_last_place_of_a_cap() -> None:
    policy = sending(Cap(most=1, window=DAY))
    low, high = case(rule("low", priority=10)), case(rule("high", priority=90))
    spent: list[Spent] = []
    found = {}
    for one in order([low, high]):
        found[one.rule.name] = said = judged(one, policy, *spent)
        if isinstance(said, Send):
            spent.append(sent(NOON, said.channel, one.rule.name))
    assert found == {
        "high": Send(channel="email"),
        "low": Defer(until=NOON + DAY, reason=Reason.CAP),
    }


def test_equals_are_judged_by_cause_then_by_rule_and_step() -> None:
    wanted = [
        case(rule("z", priority=60)),
        case(rule("z"), caused_at=NOON - 2 * HOUR),
        case(rule("a"), number=2),
        case(rule("b"), number=1, cause="event:shop|1"),
        case(rule("b"), number=1, cause="event:shop|2"),
    ]
    for shuffled in permutations(wanted):
        assert order(shuffled) == wanted


# -- caps, as a message meets them


def test_a_cap_of_none_at_all_is_a_no_and_not_a_wait() -> None:
    assert judged(case(), sending(Cap(most=0, window=Period.DAY))) == Suppress(reason=Reason.CAP)
    assert judged(case(rule(cap=Cap(most=0, window=DAY)))) == Suppress(reason=Reason.CAP)


def test_a_rule_may_stand_outside_the_caps_of_all_but_not_outside_its_own() -> None:
    policy = sending(Cap(most=1, window=DAY), Cap(most=0, window=DAY, channel="email"))
    free = rule(capped=False)
    assert judged(case(free), policy, sent(NOON)) == Send(channel="email")
    own = replace(free, cap=Cap(most=1, window=7 * DAY))
    assert judged(case(own), policy, sent(NOON, name="other")) == Send(channel="email")
    assert judged(case(own), policy, sent(NOON - DAY, name="win-back")) == Defer(
        until=NOON + 6 * DAY, reason=Reason.CAP
    )


def test_consent_is_looked_up_for_the_purpose_of_the_rule() -> None:
    asked = rule(message_class=SERVICE, purpose="survey")
    assert judged(case(asked, consents=CONSENTED)) == Suppress(reason=Reason.NO_CONSENT)
    assert judged(case(asked, consents={"survey/email": True})) == Send(channel="email")
