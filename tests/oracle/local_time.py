"""When does a wall clock first show a given local time, and which days does a lunar calendar call so?

By walking through the minutes and the days, not by rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from lunar_python import Solar

WIDEST = timedelta(hours=16)  # no zone has ever been this far ahead of UTC
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@cache
def instant_of(zone: str, day: date, at: time) -> datetime:
    """The first instant whose local date and time is `day` and `at`, or past it.

    "Or past it" is what a skipped hour, or a skipped day, means; "first" is what a repeated hour
    means. Exact for zones whose offset is a whole number of minutes and `at` of whole minutes.
    """
    return instants_of(zone, day, [at])[0]


def instants_of(zone: str, day: date, hours: Sequence[time]) -> list[datetime]:
    """The same for ascending local times of one date, on one walk."""
    wall = ZoneInfo(zone)
    instant = datetime.combine(day, hours[0], tzinfo=UTC) - WIDEST
    found = []
    for at in hours:
        wanted = datetime.combine(day, at)
        while instant.astimezone(wall).replace(tzinfo=None) < wanted:
            instant += MINUTE
        found.append(instant)
    return found


@cache
def days_called(month_day: tuple[int, int], first_year: int, last_year: int) -> tuple[date, ...]:
    """The dates of these years that the Chinese calendar calls so; day 30: the last of a month.

    Asks each date for its name there, which is the way opposite to that of the engine.
    """
    day, found = date(first_year, 1, 1), []
    while day.year <= last_year:
        month, number = lunar_name(day)
        last = lunar_name(day + DAY)[0] != month
        if month == month_day[0] and (number == month_day[1] or (last and month_day[1] == 30)):
            found.append(day)
        day += DAY
    return tuple(found)


@cache
def lunar_name(day: date) -> tuple[int, int]:
    """Month and day; the month of a leap month is negative."""
    lunar = Solar.fromYmd(day.year, day.month, day.day).getLunar()
    return lunar.getMonth(), lunar.getDay()
