"""When a calendar slot strikes: on the clocks of the customer's own zone, once a local date.

A skipped hour or day means the first valid instant after it; a repeated hour its first occurrence.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest

from lifecycle.domain.calendar import slot
from tests.oracle.local_time import instant_of, instants_of

CASES = [
    # zone, local date, local time, instant
    ("Asia/Shanghai", "2026-05-17", "09:00", "2026-05-17T01:00:00Z"),
    # the hour from 02:00 is missing: clocks go from 01:59:59 to 03:00:00
    ("America/New_York", "2026-03-08", "01:59", "2026-03-08T06:59:00Z"),
    ("America/New_York", "2026-03-08", "02:00", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-03-08", "02:30", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-03-08", "03:00", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-03-08", "03:01", "2026-03-08T07:01:00Z"),
    # the hour from 01:00 is repeated: the first one counts
    ("America/New_York", "2026-11-01", "00:59", "2026-11-01T04:59:00Z"),
    ("America/New_York", "2026-11-01", "01:00", "2026-11-01T05:00:00Z"),
    ("America/New_York", "2026-11-01", "01:30", "2026-11-01T05:30:00Z"),
    ("America/New_York", "2026-11-01", "02:00", "2026-11-01T07:00:00Z"),
    # half an hour, missing from 02:00 and repeated from 01:30
    ("Australia/Lord_Howe", "2026-10-04", "02:00", "2026-10-03T15:30:00Z"),
    ("Australia/Lord_Howe", "2026-10-04", "02:15", "2026-10-03T15:30:00Z"),
    ("Australia/Lord_Howe", "2026-10-04", "02:30", "2026-10-03T15:30:00Z"),
    ("Australia/Lord_Howe", "2026-04-05", "01:45", "2026-04-04T14:45:00Z"),
    ("Australia/Lord_Howe", "2026-04-05", "02:00", "2026-04-04T15:30:00Z"),
    # midnight itself is missing: the day begins at 01:00
    ("Africa/Cairo", "2026-04-24", "00:00", "2026-04-23T22:00:00Z"),
    ("Africa/Cairo", "2026-04-24", "00:30", "2026-04-23T22:00:00Z"),
    ("America/Havana", "2026-03-08", "00:00", "2026-03-08T05:00:00Z"),
    # midnight is repeated
    ("America/Havana", "2026-11-01", "00:30", "2026-11-01T04:30:00Z"),
    # Samoa left out 30 December 2011: the slot falls at the first instant of the 31st
    ("Pacific/Apia", "2011-12-29", "23:59", "2011-12-30T09:59:00Z"),
    ("Pacific/Apia", "2011-12-30", "00:00", "2011-12-30T10:00:00Z"),
    ("Pacific/Apia", "2011-12-30", "09:00", "2011-12-30T10:00:00Z"),
    ("Pacific/Apia", "2011-12-30", "23:59", "2011-12-30T10:00:00Z"),
    ("Pacific/Apia", "2011-12-31", "00:00", "2011-12-30T10:00:00Z"),
    ("Pacific/Apia", "2011-12-31", "09:00", "2011-12-30T19:00:00Z"),
    # Kwajalein left out 21 August 1993
    ("Pacific/Kwajalein", "1993-08-21", "09:00", "1993-08-21T12:00:00Z"),
    # Troll goes two hours at once
    ("Antarctica/Troll", "2026-03-29", "02:30", "2026-03-29T01:00:00Z"),
    ("Antarctica/Troll", "2026-10-25", "01:30", "2026-10-24T23:30:00Z"),
    # Dublin's winter time is the one that is marked as daylight saving
    ("Europe/Dublin", "2026-03-29", "01:30", "2026-03-29T01:00:00Z"),
    ("Europe/Dublin", "2026-10-25", "01:30", "2026-10-25T00:30:00Z"),
    # Morocco's clocks go back for Ramadan
    ("Africa/Casablanca", "2026-02-15", "02:30", "2026-02-15T01:30:00Z"),
    ("Africa/Casablanca", "2026-03-22", "02:30", "2026-03-22T02:00:00Z"),
    # the furthest zones: the same date lasts fifty hours
    ("Pacific/Kiritimati", "2026-05-17", "00:00", "2026-05-16T10:00:00Z"),
    ("Etc/GMT+12", "2026-05-17", "23:59", "2026-05-18T11:59:00Z"),
]


@pytest.mark.parametrize(("zone", "day", "at", "instant"), CASES)
def test_slots_of_days_on_which_clocks_change(zone: str, day: str, at: str, instant: str) -> None:
    wanted = datetime.fromisoformat(instant)
    local, hour = date.fromisoformat(day), time.fromisoformat(at)
    assert instant_of(zone, local, hour) == wanted, "the oracle"
    assert slot(local, hour, ZoneInfo(zone)) == wanted


def distinct_zones() -> list[str]:
    """One name of every set of clocks that differ from 2020 to 2037, of the six hundred names."""
    months = [datetime(2020 + n // 12, n % 12 + 1, 15, tzinfo=UTC) for n in range(18 * 12)]
    told: dict[tuple[timedelta | None, ...], str] = {}
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        told.setdefault(tuple(month.astimezone(zone).utcoffset() for month in months), name)
    return sorted(told.values())


def days_of_change(zone: ZoneInfo) -> list[date]:
    """The local dates from 2020 to 2037 on which the offset changes."""
    noons = [datetime(2020, 1, 1, 12, tzinfo=UTC) + timedelta(days=n) for n in range(18 * 365 + 5)]
    return [
        after.astimezone(zone).date()
        for before, after in pairwise(noons)
        if before.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset()
    ]


@pytest.mark.parametrize("part", range(4))
def test_every_zone_agrees_with_a_walk_through_the_minutes(part: int) -> None:
    """Around the first and the last changes of the clocks, and on quiet days."""
    hours = [time(0), time(0, 30), time(1, 30), time(2, 15), time(3), time(9), time(23, 59)]
    zones = distinct_zones()
    assert len(zones) > 60
    for name in zones[part::4]:
        zone = ZoneInfo(name)
        changes = days_of_change(zone)
        for day in {*changes[:3], *changes[-3:], date(2020, 2, 29), date(2037, 12, 31)}:
            struck = [slot(day, at, zone) for at in hours]
            assert struck == instants_of(name, day, hours), (name, day)
