"""Further worked histories, in the form of the first twenty: corners that somebody will ask about."""

from __future__ import annotations

from lifecycle.domain.event import Event
from tests.policies import scenario_policy
from tests.scenarios.driver import Begin, closed, happened, moved, order, page, refund
from tests.scenarios.policies import EXAMPLES, WITH_BYE

HOUR = 1 / 24
NINE = 9 * HOUR


# Order, and time that does not pass


def test_at_one_instant_capital_letters_come_first(begin: Begin) -> None:
    """Ties go by source, then id, text by code point: `Shop` comes before `shop`."""
    anna = begin(EXAMPLES)
    anna.post(closed(5), order(5)._replace(source="Shop"), at=5)
    assert anna.steps() == [("first", 5), ("left", 5)]
    berta = begin(EXAMPLES)
    berta.post(order(5), closed(5)._replace(source="Shop"), at=5)
    assert berta.steps() == [("left", 5), ("back", 5)]


def test_many_events_at_one_instant_are_no_loop(begin: Begin) -> None:
    """At most ten steps may follow from one event or check; every event counts anew."""
    anna = begin(
        scenario_policy(transitions=["{name: undo, on: order_refunded, from: deal, to: potential}"])
    )
    orders = [order(1, f"{number:02}") for number in range(0, 14, 2)]
    refunds = [happened("order_refunded", 1, f"{number:02}") for number in range(1, 14, 2)]
    anna.post(*orders, *refunds, at=1)
    assert anna.steps() == [("first", 1), ("undo", 1)] * 7


# Timed checks

COOL = "{name: cool, after: 30d, since: last_order_at, from: deal, to: dormant}"
WARM = "{name: warm, on: survey_answered, from: dormant, to: deal}"


def test_in_a_new_stay_a_check_fires_again_for_the_same_anchor(begin: Begin) -> None:
    """Once an anchor and stay, never before the state was entered, and each firing is numbered."""
    anna = begin(scenario_policy(transitions=[COOL, WARM]))
    anna.post(order(0), happened("survey_answered", 31), at=31)
    assert anna.steps() == [("first", 0), ("cool", 30), ("warm", 31), ("cool", 31)]
    causes = [step["cause"] for step in anna.told() if step["rule"] == "cool"]
    anchored = "check:cool@2026-01-01T00:00:00Z"
    assert causes == [f"{anchored}#1", f"{anchored}#2"]


def test_a_check_fires_in_each_stay_after_she_was_looked_at_in_between(begin: Begin) -> None:
    """What a check has spent is part of what is stored between two folds."""
    anna = begin(EXAMPLES)
    anna.post(order(0), at=0)
    anna.reach(61)
    anna.post(order(70), at=70)
    anna.reach(131)
    assert anna.steps() == [("first", 0), ("quiet", 60), ("back", 70), ("quiet", 130)]


RHYTHM = "{fact: usual_gap, at_least: 1d, at_most: 50d, otherwise: 45d}"
DRIFT = f"{{name: drift, after: {RHYTHM}, since: last_order_at, from: deal, to: dormant}}"
WITH_RHYTHM = scenario_policy(
    facts=["usual_gap: {gap: page_viewed, quantile: 0.5}"], transitions=[DRIFT]
)


def test_a_check_waits_as_long_as_her_own_rhythm_says(begin: Begin) -> None:
    anna = begin(WITH_RHYTHM)
    anna.post(order(0), page(1), page(21), at=22)
    assert anna.fact("usual_gap") == "1728000"
    assert anna.steps() == [("first", 0), ("drift", 21)]


def test_until_there_is_a_rhythm_a_check_waits_otherwise(begin: Begin) -> None:
    anna = begin(WITH_RHYTHM)
    anna.post(order(0), page(1), at=1)
    assert anna.fact("usual_gap") is None
    assert anna.next_check() == ("drift", 45)


def test_a_shorter_rhythm_does_not_reach_into_the_past(begin: Begin) -> None:
    """The gap of 30 days ends before the page that shows it: the check is due with that page."""
    anna = begin(WITH_RHYTHM)
    anna.post(order(0), page(10), at=39)
    assert anna.next_check() == ("drift", 45)
    anna.post(page(40), at=41)
    assert anna.steps() == [("first", 0), ("drift", 40)]


def test_a_spent_check_without_a_target_is_armed_by_the_next_order(begin: Begin) -> None:
    anna = begin(scenario_policy(care=True))
    anna.post(order(0), at=0)
    anna.reach(31)
    anna.post(order(32), at=32)
    assert anna.next_check() == ("care", 62)
    anna.reach(62)
    assert anna.messages() == [("care", 30), ("care", 62)]


# Guards and facts


def test_a_window_ends_before_the_instant_that_lies_its_length_ago(begin: Begin) -> None:
    """`within: 60d` at d60 is (d0, d60]: the order of d0 is just outside."""
    anna = begin(scenario_policy(quiet_when="recent >= 1", facts=[RECENT.format(days=60)]))
    anna.post(order(0), at=60)
    assert anna.steps() == [("first", 0)]
    assert ("quiet", 60) in anna.refused()


def test_a_window_that_is_a_day_longer_holds_it(begin: Begin) -> None:
    anna = begin(scenario_policy(quiet_when="recent >= 1", facts=[RECENT.format(days=61)]))
    anna.post(order(0), at=60)
    assert anna.steps() == [("first", 0), ("quiet", 60)]


def test_windows_of_every_kind_have_the_same_edge(begin: Begin) -> None:
    kinds = ["count", "sum", "min", "max", "distinct"]
    what = {kind: "order_paid" if kind == "count" else "order_paid.amount" for kind in kinds}
    facts = [f"{kind}_30d: {{{kind}: {what[kind]}, within: 30d}}" for kind in kinds]
    anna = begin(scenario_policy(facts=facts))
    anna.post(order(0, amount="10.50"), order(1, amount="7"), at=29)
    assert [anna.fact(f"{kind}_30d") for kind in kinds] == [2, "17.5", "7", "10.5", 2]
    anna.reach(30)
    assert [anna.fact(f"{kind}_30d") for kind in kinds] == [1, "7", "7", "7", 1]
    anna.reach(31)
    assert [anna.fact(f"{kind}_30d") for kind in kinds] == [0, "0", None, None, 0]


RECENT = "recent: {{count: order_paid, within: {days}d}}"


def test_a_guard_that_cannot_be_answered_refuses_and_stops_nobody(begin: Begin) -> None:
    """The largest amount of an order without one is empty, and empty is not more than 100."""
    anna = begin(
        scenario_policy(
            facts=["largest: {max: order_paid.amount}"],
            transitions=[
                "{name: big, on: page_viewed, from: deal, to: loyal, when: largest > 9.5}"
            ],
        )
    )
    anna.post(happened("order_paid", 0), page(1), at=2)
    assert anna.fact("largest") is None
    assert anna.refused() == [("page_viewed", 1)]
    anna.post(order(3, amount="10"), page(4), at=4)
    assert anna.steps() == [("first", 0), ("big", 4)]


def test_money_is_summed_exactly(begin: Begin) -> None:
    """0.1 and 0.2 less 0.3 is nothing, which binary fractions deny."""
    anna = begin(
        scenario_policy(
            facts=["spent: {sum: order_paid.amount, less: order_refunded.amount}"],
            transitions=[
                "{name: undo, on: order_refunded, from: deal, to: potential, when: spent <= 0.0}"
            ],
        )
    )
    back = happened("order_refunded", 3, amount="0.3")
    anna.post(order(1, amount="0.1"), order(2, amount="0.2"), back, at=3)
    assert anna.fact("spent") == "0"
    assert anna.steps() == [("first", 1), ("undo", 3)]


def test_foreign_money_is_taken_at_the_rate_of_its_day_and_rounded_half_to_even(
    begin: Begin,
) -> None:
    """0.01 at 0.5 is 0.005, rounded to 0.00; 0.03 is 0.015, rounded to 0.02; then the rate doubles."""
    policy = scenario_policy(facts=["spent: {sum: order_paid.amount}"])
    anna = begin(f"{policy}rates:\n  USD: {{2025-01-01: 0.5, 2026-01-05: 1.0}}\n")
    for on, amount in ((1, "0.01"), (2, "0.03"), (4, "0.03")):
        anna.post(order_in("USD", on, amount), at=on)
    assert anna.fact("spent") == "0.05"
    anna.post(order_in("USD", 3.999, "1.00"), order_in("CNY", 4, "1"), at=5)
    assert anna.fact("spent") == "1.55"


def order_in(currency: str, on: float, amount: str) -> Event:
    return happened("order_paid", on, f"{currency}-{on}", amount=amount, currency=currency)


def test_a_reversal_does_not_touch_the_last_order(begin: Begin) -> None:
    anna = begin(scenario_policy(less=True))
    anna.post(order(0), order(10), refund(20), at=20)
    assert anna.fact("orders") == 1
    assert anna.fact("last_order_at") == "2026-01-11T00:00:00Z"


# Messages


def test_a_series_counts_every_delay_from_its_cause(begin: Begin) -> None:
    rule = "{name: sorry, on: {event: order_refunded}, channels: [email], steps: [1h, 3d, 7d]}"
    anna = begin(scenario_policy(outreach=[rule]))
    anna.post(refund(1), at=1)
    assert anna.messages() == [("sorry", 1 + HOUR), ("sorry", 4), ("sorry", 8)]


def test_a_message_of_an_event_is_judged_with_that_event_counted(begin: Begin) -> None:
    rule = "{name: thanks, on: {event: order_paid}, when: orders >= 2, channels: [email]}"
    anna = begin(scenario_policy(outreach=[rule]))
    anna.post(order(0), order(1), at=1)
    assert anna.messages() == [("thanks", 1)]


def test_a_message_moves_with_the_check_that_plans_it(begin: Begin) -> None:
    """`lost` is due at d120, but not before dormancy began, which a late page puts off to d125."""
    anna = begin(WITH_BYE)
    anna.post(order(0), page(50), at=50)
    anna.reach(126)
    assert anna.messages() == [("win-back", 110), ("bye", 120)]
    anna.post(page(65), at=126)
    assert anna.steps() == [("first", 0), ("quiet", 125), ("lost", 125)]
    assert anna.messages() == [("bye", 125), ("win-back", 125)]


def test_a_message_that_fell_comes_back_for_the_day_on_which_its_check_fires(begin: Begin) -> None:
    """The same check at the same anchor, fired for the first time, half a year later."""
    anna = begin(WITH_BYE)
    anna.post(order(0), at=0)
    anna.reach(121)
    assert anna.messages() == [("win-back", 60), ("bye", 120)]
    anna.post(page(59), page(118), page(177), at=200)
    assert anna.messages() == []
    anna.reach(238)
    assert anna.steps() == [("first", 0), ("quiet", 237), ("lost", 237)]
    assert anna.messages() == [("bye", 237), ("win-back", 237)]


# Dates

WITH_BIRTHDAY = scenario_policy(
    outreach=["{name: birthday, on: {calendar: birthday, at: '09:00'}, channels: [email]}"]
)


def test_a_birthday_comes_once_a_year_in_her_own_zone(begin: Begin) -> None:
    """At nine in Shanghai it is one o'clock in Greenwich."""
    anna = begin(WITH_BIRTHDAY)
    known = {"birthday": "1990-01-02", "timezone": "Asia/Shanghai"}
    anna.post(happened("profile_changed", 0, attributes=known), at=0)
    anna.reach(367)
    assert anna.messages() == [("birthday", 1 + HOUR), ("birthday", 366 + HOUR)]


def test_what_she_tells_us_after_the_hour_waits_for_the_next_year(begin: Begin) -> None:
    anna = begin(WITH_BIRTHDAY)
    anna.post(happened("profile_changed", 0.5, attributes={"birthday": "1990-01-01"}), at=1)
    assert anna.messages() == []
    assert anna.next_check() == ("birthday", 365 + NINE)


def test_a_leap_day_is_kept_on_the_28th_in_other_years(begin: Begin) -> None:
    anna = begin(WITH_BIRTHDAY)
    anna.post(happened("profile_changed", 0, attributes={"birthday": "1992-02-29"}), at=0)
    anna.reach(800)
    assert anna.messages() == [
        ("birthday", 58 + NINE),  # 2026-02-28
        ("birthday", 423 + NINE),  # 2027-02-28
        ("birthday", 789 + NINE),  # 2028-02-29
    ]


def test_a_date_does_not_come_twice_to_one_who_travels_west(begin: Begin) -> None:
    """It is 2 January in Kiritimati first, and in Honolulu a day later; she is a year older once."""
    anna = begin(WITH_BIRTHDAY)
    east = {"birthday": "1990-01-02", "timezone": "Pacific/Kiritimati"}
    west = {"timezone": "Pacific/Honolulu"}
    anna.post(happened("profile_changed", 0, attributes=east), at=0)
    anna.reach(1)
    assert anna.messages() == [("birthday", NINE + 10 * HOUR)]
    anna.post(happened("profile_changed", 1, attributes=west), at=2)
    assert anna.messages() == [("birthday", NINE + 10 * HOUR)]
    assert anna.next_check() == ("birthday", 366 + NINE + 10 * HOUR)


def test_a_corrected_birthday_counts_from_the_correction(begin: Begin) -> None:
    anna = begin(WITH_BIRTHDAY)
    anna.post(happened("profile_changed", 0, attributes={"birthday": "1990-01-06"}), at=0)
    anna.reach(6)
    anna.post(happened("profile_changed", 7, attributes={"birthday": "1990-01-10"}), at=7)
    anna.reach(10)
    assert anna.messages() == [("birthday", 5 + NINE), ("birthday", 9 + NINE)]


def test_a_correction_that_arrives_late_takes_the_wrong_day_back(begin: Begin) -> None:
    anna = begin(WITH_BIRTHDAY)
    anna.post(happened("profile_changed", 0, attributes={"birthday": "1990-01-06"}), at=0)
    anna.reach(6)
    assert anna.messages() == [("birthday", 5 + NINE)]
    anna.post(happened("profile_changed", 1, attributes={"birthday": "1990-01-10"}), at=6)
    assert anna.messages() == []
    assert anna.next_check() == ("birthday", 9 + NINE)


def test_a_move_gives_no_time_to_a_check_that_was_never_armed(begin: Begin) -> None:
    """Where the fact is empty, a check with a target is not armed even after a move."""
    anna = begin(scenario_policy())
    anna.post(refund(0), at=0)
    anna.post(moved("loyal", 1), at=1)
    assert anna.steps() == [("moved", 1)]
    assert anna.next_check() is None


# What became of letters


def ours(kind: str, on: float) -> Event:
    """What the engine itself records of a letter."""
    return happened(kind, on)._replace(source="lifecycle")


def test_facts_count_what_became_of_letters_and_it_is_no_interaction(begin: Begin) -> None:
    facts = ("clicks: {count: lifecycle.clicked, within: 90d}", "seen: {count: interaction}")
    anna = begin(scenario_policy(facts=facts))
    anna.post(order(0), ours("lifecycle.clicked", 1), ours("lifecycle.opened", 1), at=1)
    assert (anna.fact("clicks"), anna.fact("seen")) == (1, 1)
    anna.post(ours("lifecycle.prefetched", 2), ours("lifecycle.clicked", 2), at=2)
    assert (anna.fact("clicks"), anna.fact("seen")) == (2, 1)
    anna.reach(91.5)
    assert anna.fact("clicks") == 1


def test_a_timed_check_may_count_from_her_last_click(begin: Begin) -> None:
    anna = begin(
        scenario_policy(
            facts=["last_click_at: {last: lifecycle.clicked}"],
            transitions=["{name: cold, after: 20d, since: last_click_at, from: deal, to: dormant}"],
        )
    )
    anna.post(order(0), ours("lifecycle.clicked", 5), at=5)
    anna.post(ours("lifecycle.clicked", 10), at=10)
    anna.reach(31)
    assert anna.steps() == [("first", 0), ("cold", 30)]
