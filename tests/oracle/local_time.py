"""When does a wall clock first show a given local time? By walking through the minutes, not by rule."""

from __future__ import annotations

from collections.abc import Sequence
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
