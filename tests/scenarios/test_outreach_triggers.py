"""Worked histories of what causes a message: states, stays, lunar days, requests; and of consent."""

from __future__ import annotations

from lifecycle.domain.event import Event
from tests.policies import scenario_policy
from tests.scenarios.driver import (
    Begin,
    asked,
    consented,
    happened,
    moved,
    order,
    page,
    refund,
    withdrew,
)

HOUR = 1 / 24
NINE = 9 * HOUR


def with_outreach(*rules: str, less: bool = False) -> str:
    return scenario_policy(less=less, outreach=rules)


# Entering a state

ASLEEP = "{name: asleep, on: {state: dormant}, channels: [email]}"


def test_entering_a_state_is_a_cause_whatever_brought_her_there(begin: Begin) -> None:
    """Once by a check, once by an operator's hand; coming back in between makes it a new entry."""
    anna = begin(with_outreach(ASLEEP))
    anna.post(order(0), at=0)
    anna.reach(60)
    anna.post(order(70), at=70)
    anna.post(moved("dormant", 80), at=80)
    assert anna.messages() == [("asleep", 60), ("win-back", 60), ("asleep", 80)]


def test_of_several_states_each_entry_is_a_cause(begin: Begin) -> None:
    rule = "{name: gone, on: {state: [dormant, churned]}, channels: [email], steps: [0d, 3d]}"
    anna = begin(with_outreach(rule))
    anna.post(order(0), at=0)
    anna.reach(121)
    gone = [message for message in anna.messages() if message.rule == "gone"]
    assert gone == [("gone", 60), ("gone", 63), ("gone", 120), ("gone", 123)]


def test_to_begin_in_the_first_state_is_not_to_enter_it(begin: Begin) -> None:
    """But to come back to it is."""
    rule = "{name: welcome, on: {state: potential}, channels: [email]}"
    anna = begin(with_outreach(rule, less=True))
    anna.post(page(0), at=1)
    assert anna.messages() == []
    anna.post(order(2), refund(3), at=3)
    assert anna.steps() == [("first", 2), ("undo", 3)]
    assert anna.messages() == [("welcome", 3)]


def test_an_entry_that_a_late_event_takes_back_causes_nothing(begin: Begin) -> None:
    anna = begin(with_outreach(ASLEEP))
    anna.post(order(0), at=0)
    anna.reach(61)
    anna.post(page(40), at=61)
    assert anna.messages() == []
    anna.reach(100)
    assert anna.messages() == [("asleep", 100), ("win-back", 100)]


# Staying in a state

STUCK = "{name: stuck, on: {state: deal, stayed: 14d}, channels: [email]}"


def test_a_stay_that_lasts_long_enough_is_a_cause_once(begin: Begin) -> None:
    """What happens meanwhile without a step does not begin it anew."""
    anna = begin(with_outreach(STUCK))
    anna.post(order(0), page(3), at=3)
    assert anna.next_check() == ("stuck", 14)
    anna.reach(14)
    assert anna.messages() == [("stuck", 14)]
    anna.post(page(20), order(30), at=30)
    assert anna.next_check() == ("quiet", 90)
    anna.reach(89)
    assert anna.messages() == [("stuck", 14)]


def test_a_stay_that_ends_in_time_causes_nothing_and_the_next_one_counts_anew(
    begin: Begin,
) -> None:
    anna = begin(with_outreach(STUCK, less=True))
    anna.post(order(0), refund(10), order(12), at=12)
    assert anna.steps() == [("first", 0), ("undo", 10), ("first", 12)]
    anna.reach(25)
    assert anna.messages() == []
    anna.reach(26)
    assert anna.messages() == [("stuck", 26)]


def test_each_stay_has_a_turn_of_its_own(begin: Begin) -> None:
    anna = begin(with_outreach(STUCK, less=True))
    anna.post(order(0), at=0)
    anna.reach(14)
    anna.post(refund(20), order(21), at=21)
    anna.reach(35)
    assert anna.messages() == [("stuck", 14), ("stuck", 35)]


def test_at_the_instant_of_an_event_the_stay_is_judged_first(begin: Begin) -> None:
    """Fourteen days are over when the refund comes: the check stands before the event."""
    anna = begin(with_outreach(STUCK, less=True))
    anna.post(order(0), refund(14), at=14)
    assert anna.steps() == [("first", 0), ("undo", 14)]
    assert anna.messages() == [("stuck", 14)]


def test_moving_on_among_the_states_of_a_rule_begins_another_stay(begin: Begin) -> None:
    rule = "{name: stuck, on: {state: [deal, loyal], stayed: 14d}, channels: [email]}"
    anna = begin(with_outreach(rule))
    anna.post(order(0), order(5), order(10), at=10)
    assert anna.state() == "loyal"
    assert anna.next_check() == ("stuck", 24)
    anna.reach(30)
    assert anna.messages() == [("stuck", 24)]


def test_a_stay_whose_guard_says_no_is_spent(begin: Begin) -> None:
    """The second order comes a day too late for this stay, and the state stays the same."""
    rule = "{name: stuck, on: {state: deal, stayed: 14d}, when: orders >= 2, channels: [email]}"
    anna = begin(with_outreach(rule, less=True))
    anna.post(order(0), at=14)
    anna.post(order(15), at=15)
    anna.reach(40)
    assert anna.messages() == []
    assert anna.next_check() == ("quiet", 75)


def test_the_stay_in_the_first_state_begins_with_the_first_event(begin: Begin) -> None:
    rule = "{name: hello, on: {state: potential, stayed: 3d}, channels: [email]}"
    anna = begin(with_outreach(rule))
    anna.post(page(2), at=2)
    assert anna.next_check() == ("hello", 5)
    anna.post(page(1), at=3)
    assert anna.next_check() == ("hello", 4)
    anna.reach(9)
    assert anna.messages() == [("hello", 4)]


def test_an_operator_who_moves_her_begins_a_stay_and_one_who_moves_her_nowhere_does_not(
    begin: Begin,
) -> None:
    anna = begin(with_outreach(STUCK))
    anna.post(refund(0), at=0)
    anna.post(moved("deal", 1), at=1)
    assert anna.next_check() == ("stuck", 15)
    anna.reach(16)
    assert anna.messages() == [("stuck", 15)]


def test_a_stay_that_a_late_event_ends_causes_nothing_any_more(begin: Begin) -> None:
    anna = begin(with_outreach(STUCK, less=True))
    anna.post(order(0), at=0)
    anna.reach(15)
    assert anna.messages() == [("stuck", 14)]
    anna.post(refund(5), at=15)
    assert anna.steps() == [("first", 0), ("undo", 5)]
    assert anna.messages() == []


def test_a_stay_that_a_late_event_lets_begin_earlier_is_over_earlier(begin: Begin) -> None:
    anna = begin(with_outreach(STUCK))
    anna.post(order(10), at=10)
    anna.reach(24)
    assert anna.messages() == [("stuck", 24)]
    anna.post(order(4), at=25)
    assert anna.messages() == [("stuck", 18)]


# Days of the Chinese calendar

SPRING = "{name: spring, on: {calendar: 'lunar 01-01', at: '09:00'}, channels: [email]}"
EVE = "{name: eve, on: {calendar: 'lunar 12-30', at: '09:00'}, channels: [email]}"


def test_the_spring_festival_comes_on_another_date_each_year(begin: Begin) -> None:
    anna = begin(with_outreach(SPRING))
    anna.post(page(0), at=0)
    anna.reach(800)
    assert anna.messages() == [
        ("spring", 47 + NINE),  # 2026-02-17
        ("spring", 401 + NINE),  # 2027-02-06
        ("spring", 755 + NINE),  # 2028-01-26
    ]


def test_new_years_eve_is_the_last_day_of_the_last_month_whether_it_has_thirty_or_not(
    begin: Begin,
) -> None:
    """The twelfth month has 29 days in the years that end in 2026 and 2027."""
    anna = begin(with_outreach(EVE))
    anna.post(page(0), at=0)
    anna.reach(500)
    assert anna.messages() == [("eve", 46 + NINE), ("eve", 400 + NINE)]


def test_a_festival_begins_by_her_own_clock(begin: Begin) -> None:
    anna = begin(with_outreach(SPRING))
    anna.post(happened_in("Asia/Shanghai"), at=0)
    assert anna.next_check() == ("spring", 47 + HOUR)
    anna.post(happened_in("America/New_York", on=1), at=1)
    assert anna.next_check() == ("spring", 47 + 14 * HOUR)


def happened_in(zone: str, on: float = 0) -> Event:
    return happened("profile_changed", on, attributes={"timezone": zone})


# Asked for by hand

NEWS = "{name: news, on: request, channels: [email]}"


def test_a_request_is_a_cause_each_time_that_somebody_makes_it(begin: Begin) -> None:
    anna = begin(with_outreach(NEWS))
    anna.post(page(0), at=0)
    anna.post(asked("news", 3), at=3)
    anna.post(asked("news", 5), at=5)
    assert anna.messages() == [("news", 3), ("news", 5)]
    assert anna.steps() == []


def test_a_request_is_no_sign_of_life(begin: Begin) -> None:
    """The customer has done nothing: her sixty days of silence go on."""
    anna = begin(with_outreach(NEWS))
    anna.post(order(0), at=0)
    anna.post(asked("news", 30), at=30)
    assert anna.next_check() == ("quiet", 60)


def test_a_request_asks_the_guard_and_only_rules_that_wait_for_one(begin: Begin) -> None:
    guarded = "{name: vip, on: request, when: orders >= 2, channels: [email]}"
    anna = begin(with_outreach(guarded, ASLEEP))
    anna.post(order(0), at=0)
    anna.post(asked("vip", 1), asked("asleep", 1), asked("none-such", 1), at=1)
    assert anna.messages() == []
    anna.post(order(2), at=2)
    anna.post(asked("vip", 3), at=3)
    assert anna.messages() == [("vip", 3)]


# Consent


def test_what_she_says_of_all_channels_takes_the_place_of_what_she_said_of_each(
    begin: Begin,
) -> None:
    anna = begin(scenario_policy())
    anna.post(consented("marketing", "email", 0), consented("survey", "email", 0.5), at=1)
    anna.post(withdrew("marketing", "all", 2), at=2)
    assert anna.consents() == {"marketing/all": False, "survey/email": True}
    anna.post(consented("marketing", "sms", 3), at=3)
    assert anna.consents() == {
        "marketing/all": False,
        "marketing/sms": True,
        "survey/email": True,
    }


def test_the_last_word_is_the_last_by_event_time_whenever_it_arrives(begin: Begin) -> None:
    """A yes of day 1 that arrives after the no of day 2 changes nothing."""
    anna = begin(scenario_policy())
    anna.post(withdrew("marketing", "all", 2), at=2)
    anna.post(consented("marketing", "email", 1), at=3)
    assert anna.consents() == {"marketing/all": False}
