"""When does a wall clock first show a given local time? By walking through the minutes, not by rule."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

WIDEST = timedelta(hours=16)  # no zone has ever been this far ahead of UTC
MINUTE = timedelta(minutes=1)


@cache
def instant_of(zone: str, day: date, at: time) -> datetime:
    """The first instant whose local date and time is `day` and `at`, or past it.

    "Or past it" is what a skipped hour, or a skipped day, means; "first" is what a repeated hour
    means. Exact for zones whose offset is a whole number of minutes and `at` of whole minutes.
    """
    wanted = datetime.combine(day, at)
    wall = ZoneInfo(zone)
    instant = wanted.replace(tzinfo=UTC) - WIDEST
    while instant.astimezone(wall).replace(tzinfo=None) < wanted:
        instant += MINUTE
    return instant
