"""How many messages may a customer still get, and when does the next one fit?"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from lifecycle.domain.instant import END
from lifecycle.domain.policy import Cap, Period
from lifecycle.outreach.caps import bounds, period_of
from lifecycle.outreach.verdict import Defer, Reason, Send, Spent
from tests.outreach.cases import (
    DAY,
    HOUR,
    MARKETING,
    NOON,
    SERVICE,
    SHANGHAI,
    case,
    instant,
    judged,
    local,
    rule,
    sending,
    sent,
)

TICK = timedelta(microseconds=1)


def full_until(cap: Cap, *spent: Spent, at: datetime = NOON) -> datetime | None:
    (bound,) = bounds(rule(), "email", sending(cap), spent)
    return bound.full_until(at, SHANGHAI)


def test_a_rolling_window_frees_a_place_exactly_when_the_oldest_leaves_it() -> None:
    """(now − window, now]: at the very instant it counts no more."""
    cap = Cap(most=2, window=DAY)
    spent = [sent(NOON - 20 * HOUR), sent(NOON - HOUR)]
    free = NOON + 4 * HOUR
    assert full_until(cap, *spent) == free
    assert full_until(cap, *spent, at=free - TICK) == free
    assert full_until(cap, *spent, at=free) is None
    assert full_until(cap, spent[0]) is None


def test_where_more_left_than_the_cap_allows_enough_of_them_must_leave_it() -> None:
    """A cap that was lowered: of five, four must be gone."""
    spent = [sent(NOON - n * HOUR) for n in range(5)]
    assert full_until(Cap(most=2, window=DAY), *spent) == NOON - HOUR + DAY


def test_what_another_machines_clock_dates_ahead_counts_too() -> None:
    assert full_until(Cap(most=1, window=DAY), sent(NOON + HOUR)) == NOON + HOUR + DAY
    assert full_until(Cap(most=1, window=Period.DAY), sent(NOON + HOUR)) is not None


def test_a_window_longer_than_time_itself_stays_full() -> None:
    assert full_until(Cap(most=1, window=timedelta(days=9_999_999)), sent(NOON)) == END


@pytest.mark.parametrize(
    ("period", "before", "first", "frees"),
    [
        (Period.DAY, "2026-05-12T23:59:59", "2026-05-13T00:00", "2026-05-14T00:00"),
        (Period.WEEK, "2026-05-10T23:59:59", "2026-05-11T00:00", "2026-05-18T00:00"),
        (Period.MONTH, "2026-04-30T23:59:59", "2026-05-01T00:00", "2026-06-01T00:00"),
    ],
)
def test_a_window_of_the_calendar_is_that_of_her_zone(
    period: Period, before: str, first: str, frees: str
) -> None:
    cap = Cap(most=1, window=period)
    assert full_until(cap, sent(local(before))) is None
    assert full_until(cap, sent(local(first))) == local(frees)


def test_periods_follow_the_clocks_of_the_zone() -> None:
    new_york, havana = ZoneInfo("America/New_York"), ZoneInfo("America/Havana")
    since, until = period_of(instant("2026-03-08T12:00:00Z"), Period.DAY, new_york)
    assert until - since == timedelta(hours=23)
    since, until = period_of(instant("2026-11-01T12:00:00Z"), Period.DAY, new_york)
    assert until - since == timedelta(hours=25)
    since, until = period_of(instant("2026-03-08T12:00:00Z"), Period.DAY, havana)
    assert since == instant("2026-03-08T05:00:00Z")  # midnight is missing: it begins at 01:00
    december = period_of(instant("2026-12-31T12:00:00Z"), Period.MONTH, new_york)
    assert december == (local("2026-12-01T00:00", new_york), local("2027-01-01T00:00", new_york))
    leaving = period_of(instant("2011-12-30T09:00:00Z"), Period.DAY, ZoneInfo("Pacific/Apia"))
    assert leaving == (instant("2011-12-29T10:00:00Z"), instant("2011-12-30T10:00:00Z"))


def test_a_cap_of_a_channel_counts_and_holds_that_channel_alone() -> None:
    policy = sending(Cap(most=1, window=DAY, channel="sms"))
    assert judged(case(), policy, sent(NOON, "sms"), sent(NOON)) == Send(channel="email")
    by_sms = case(rule(channels=("sms",)))
    assert judged(by_sms, policy, sent(NOON)) == Send(channel="sms")
    assert judged(by_sms, policy, sent(NOON, "sms")) == Defer(until=NOON + DAY, reason=Reason.CAP)


def test_a_cap_that_names_no_class_is_of_marketing() -> None:
    policy = sending(Cap(most=1, window=DAY))
    service = sent(NOON, message_class=SERVICE)
    assert judged(case(), policy, service) == Send(channel="email")
    assert judged(case(rule(message_class=SERVICE)), policy, sent(NOON)) == Send(channel="email")
    assert judged(case(rule(message_class=SERVICE)), policy, service) == Send(channel="email")


def test_a_cap_may_name_service() -> None:
    policy = sending(Cap(most=1, window=DAY, message_class=SERVICE))
    served = case(rule(message_class=SERVICE))
    held = Defer(until=NOON + DAY, reason=Reason.CAP)
    assert judged(served, policy, sent(NOON, message_class=SERVICE)) == held
    assert judged(served, policy, sent(NOON, message_class=MARKETING)) == Send(channel="email")
    assert judged(case(), policy, sent(NOON, message_class=SERVICE)) == Send(channel="email")


def test_a_rules_own_cap_counts_its_own_messages_of_any_class() -> None:
    own = rule(message_class=SERVICE, cap=Cap(most=1, window=DAY))
    held = Defer(until=NOON + DAY, reason=Reason.CAP)
    assert judged(case(own), None, sent(NOON, name="win-back", message_class=SERVICE)) == held
    assert judged(case(own), None, sent(NOON, name="other")) == Send(channel="email")


def test_of_several_caps_the_message_waits_until_the_last_lets_it_go() -> None:
    policy = sending(Cap(most=1, window=DAY), Cap(most=2, window=7 * DAY))
    spent = [sent(NOON - 6 * DAY), sent(NOON - HOUR)]
    assert judged(case(), policy, *spent) == Defer(until=NOON + DAY, reason=Reason.CAP)
    assert judged(case(), policy, *spent, at=NOON + DAY) == Send(channel="email")


def test_a_task_for_an_employee_uses_up_no_place() -> None:
    assert judged(case(), sending(Cap(most=1, window=DAY)), sent(NOON, "task")) == Send(
        channel="email"
    )
