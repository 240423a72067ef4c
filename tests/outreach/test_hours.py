"""When is it quiet where a customer lives, and which of her days are open?"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from lifecycle.domain.policy import QuietHours, WorkingDays
from lifecycle.outreach.hours import (
    closed_until,
    day_of,
    is_open,
    midnight,
    public_holidays,
    quiet_until,
)
from tests.calendar.test_slots import days_of_change, distinct_zones
from tests.outreach.cases import QUIET, SHANGHAI, WEEKDAYS, days, instant, local

MINUTE = timedelta(minutes=1)


def quiet(since: str, until: str) -> QuietHours:
    return QuietHours(since=time.fromisoformat(since), until=time.fromisoformat(until))


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-05-13T20:59:59.999999", None),
        ("2026-05-13T21:00", "2026-05-14T09:00"),
        ("2026-05-13T23:59", "2026-05-14T09:00"),
        ("2026-05-14T00:00", "2026-05-14T09:00"),
        ("2026-05-14T08:59:59.999999", "2026-05-14T09:00"),
        ("2026-05-14T09:00", None),
    ],
)
def test_quiet_hours_over_midnight_are_half_open(at: str, until: str | None) -> None:
    assert quiet_until(local(at), QUIET, SHANGHAI) == (until and local(until))


def test_quiet_hours_may_lie_within_a_day() -> None:
    siesta = quiet("13:00", "15:00")
    assert quiet_until(local("2026-05-13T14:00"), siesta, SHANGHAI) == local("2026-05-13T15:00")
    assert quiet_until(local("2026-05-13T15:00"), siesta, SHANGHAI) is None
    assert quiet_until(local("2026-05-13T12:59"), siesta, SHANGHAI) is None


def test_no_quiet_hours_are_none_and_so_are_empty_ones() -> None:
    assert quiet_until(local("2026-05-13T03:00"), None, SHANGHAI) is None
    assert quiet_until(local("2026-05-13T03:00"), quiet("03:00", "03:00"), SHANGHAI) is None


CHANGES = [
    # zone, quiet since, until, at, quiet until
    # New York: the hour from 02:00 is missing, so what ends in it ends at 03:00, 07:00Z
    ("America/New_York", "22:00", "02:30", "2026-03-08T06:59:59Z", "2026-03-08T07:00:00Z"),
    ("America/New_York", "22:00", "02:30", "2026-03-08T07:00:00Z", None),
    # and what begins in it begins then
    ("America/New_York", "02:30", "05:00", "2026-03-08T06:59:59Z", None),
    ("America/New_York", "02:30", "05:00", "2026-03-08T07:00:00Z", "2026-03-08T09:00:00Z"),
    # the hour from 01:00 is repeated: quiet until the second 01:30, 06:30Z
    ("America/New_York", "22:00", "01:30", "2026-11-01T05:45:00Z", "2026-11-01T06:30:00Z"),
    ("America/New_York", "22:00", "01:30", "2026-11-01T06:30:00Z", None),
    # and from the first 01:30 on
    ("America/New_York", "01:30", "05:00", "2026-11-01T05:30:00Z", "2026-11-01T10:00:00Z"),
    ("America/New_York", "01:30", "05:00", "2026-11-01T06:10:00Z", "2026-11-01T10:00:00Z"),
    # Lord Howe: half an hour is missing from 02:00, and repeated from 01:30
    ("Australia/Lord_Howe", "22:00", "02:15", "2026-10-03T15:29:59Z", "2026-10-03T15:30:00Z"),
    ("Australia/Lord_Howe", "22:00", "01:45", "2026-04-04T14:50:00Z", "2026-04-04T15:15:00Z"),
    # Samoa left out 30 December 2011: the night of the 29th ends as the 31st begins
    ("Pacific/Apia", "22:00", "09:00", "2011-12-30T09:30:00Z", "2011-12-30T10:00:00Z"),
    ("Pacific/Apia", "22:00", "09:00", "2011-12-30T10:00:00Z", "2011-12-30T19:00:00Z"),
    ("Pacific/Apia", "13:00", "15:00", "2011-12-30T09:59:59Z", None),
]


@pytest.mark.parametrize(("zone", "since", "until", "at", "ends"), CHANGES)
def test_quiet_hours_on_days_on_which_clocks_change(
    zone: str, since: str, until: str, at: str, ends: str | None
) -> None:
    found = quiet_until(instant(at), quiet(since, until), ZoneInfo(zone))
    assert found == (ends and instant(ends))


def shown(at: datetime, zone: ZoneInfo) -> time:
    return at.astimezone(zone).time()


def is_within(clock: time, hours: QuietHours) -> bool:
    if hours.since < hours.until:
        return hours.since <= clock < hours.until
    return clock >= hours.since or clock < hours.until


@pytest.mark.parametrize("part", range(4))
def test_no_clock_of_any_zone_shows_a_quiet_time_where_it_is_not_quiet(part: int) -> None:
    """Around the changes of 2020 to 2037, in every quarter of an hour of the two days.

    What is quiet ends where the clock has left the quiet time, or in what a change skips or repeats.
    """
    windows = [QUIET, quiet("01:30", "02:15"), quiet("23:15", "00:45"), quiet("02:45", "01:15")]
    zones = distinct_zones()
    assert len(zones) > 60
    for name in zones[part::4]:
        zone = ZoneInfo(name)
        changes = days_of_change(zone)
        for day in {*changes[:2], *changes[-2:], date(2020, 2, 29), date(2037, 12, 30)}:
            start = datetime.combine(day, time(), UTC) - timedelta(days=1)
            for n in range(4 * 48):
                at = start + n * 15 * MINUTE
                for hours in windows:
                    end = quiet_until(at, hours, zone)
                    where = (name, at, hours, end)
                    if end is None:
                        assert not is_within(shown(at, zone), hours), where
                    else:
                        assert end > at, where
                        assert end - at <= timedelta(hours=27), where
                        until = quiet_until(end, hours, zone)
                        assert until is None or hours == windows[-1], where


def test_samoas_missing_day_and_lord_howes_half_hours_break_no_quiet_hour() -> None:
    for name, day in (
        ("Pacific/Apia", date(2011, 12, 30)),
        ("Australia/Lord_Howe", date(2026, 4, 5)),
        ("Australia/Lord_Howe", date(2026, 10, 4)),
    ):
        zone = ZoneInfo(name)
        start = datetime.combine(day, time(), UTC) - timedelta(days=2)
        for n in range(60 * 96):
            at = start + n * MINUTE
            if quiet_until(at, QUIET, zone) is None:
                assert not is_within(shown(at, zone), QUIET), (name, at)


# -- days


def test_a_day_lasts_from_its_midnight_to_the_next() -> None:
    assert day_of(local("2026-05-13T00:00"), SHANGHAI) == date(2026, 5, 13)
    assert day_of(local("2026-05-12T23:59:59"), SHANGHAI) == date(2026, 5, 12)
    assert midnight(date(2026, 5, 13), SHANGHAI) == local("2026-05-13T00:00")


def test_where_midnight_is_shown_twice_the_day_begins_at_the_first() -> None:
    """In St John's clocks went from 00:01 back to 23:01 until 2011."""
    zone = ZoneInfo("America/St_Johns")
    first = midnight(date(2010, 11, 7), zone)
    assert first == instant("2010-11-07T02:30:00Z")
    again = first + 10 * MINUTE  # clocks show 23:10 of the 6th once more
    assert again.astimezone(zone).date() == date(2010, 11, 6)
    assert day_of(again, zone) == date(2010, 11, 7)
    assert day_of(first - MINUTE, zone) == date(2010, 11, 6)


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        ("2026-05-15T23:59", None),  # Friday
        ("2026-05-16T00:00", "2026-05-18T00:00"),
        ("2026-05-17T23:59", "2026-05-18T00:00"),
        ("2026-05-18T00:00", None),
    ],
)
def test_marketing_waits_for_the_next_working_day(at: str, opens: str | None) -> None:
    assert closed_until(local(at), WEEKDAYS, SHANGHAI) == (opens and local(opens))
    assert closed_until(local(at), None, SHANGHAI) is None


def test_the_day_is_that_of_her_zone() -> None:
    """It is Saturday in Samoa while it is Friday in Honolulu."""
    at = instant("2026-05-16T09:00:00Z")
    assert closed_until(at, WEEKDAYS, ZoneInfo("Pacific/Honolulu")) is None
    assert closed_until(at, WEEKDAYS, ZoneInfo("Pacific/Apia")) is not None


def test_an_open_day_wins_over_a_closed_one_and_that_over_weekdays_and_holidays() -> None:
    calendar = WorkingDays(
        weekdays=frozenset(range(5)),
        holidays="CN",
        closed=days("2026-05-13", "2026-05-14"),
        open=days("2026-05-09", "2026-05-14", "2026-10-01"),
    )
    told = {
        "2026-05-12": True,  # Tuesday
        "2026-05-13": False,  # closed by hand
        "2026-05-14": True,  # closed, but open
        "2026-05-09": True,  # the Saturday on which China works for its holiday in May
        "2026-05-16": False,  # Saturday
        "2026-05-04": False,  # within that holiday
        "2026-10-01": True,  # National Day, but open
        "2026-10-02": False,
    }
    assert {day: is_open(date.fromisoformat(day), calendar) for day in told} == told


def test_a_holiday_that_falls_on_a_sunday_is_kept_on_the_day_in_lieu_of_it() -> None:
    """New Year's Day of 2028 is a Saturday; Americans have the Friday off, which is of 2027."""
    assert date(2026, 7, 3) in public_holidays("US", 2026)
    assert date(2027, 12, 31) in public_holidays("US", 2027)
    assert date(2026, 7, 2) not in public_holidays("US", 2026)


def test_a_day_that_samoa_left_out_opens_nothing() -> None:
    """The 30th was a Friday; whoever waits for it waits on to the next open day."""
    zone = ZoneInfo("Pacific/Apia")
    calendar = WorkingDays(weekdays=frozenset({4}))
    at = instant("2011-12-29T20:00:00Z")
    first = closed_until(at, calendar, zone)
    assert first == instant("2011-12-30T10:00:00Z")  # where the 31st begins, a Saturday
    assert closed_until(first, calendar, zone) == midnight(date(2012, 1, 6), zone)
