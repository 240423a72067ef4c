"""On which date of ours does a day of the Chinese calendar fall?"""

from __future__ import annotations

from datetime import date
from functools import cache

_JULIAN = 1_721_425  # the Julian day number of the day before 1 January of the year 1


@cache
def gregorian(month: int, day: int, lunar_year: int) -> date | None:
    """The date of a month and day in a year of the Chinese calendar, which begins in spring.

    Leap months do not count: month 8 is the ordinary eighth one. Where the month is shorter than
    `day`, its last day is meant. None for a month that a year did not have, as in an old reform of
    the calendar, and where our own calendar ends. Kept for ever: a year takes a millisecond to
    compute, and there are few.
    """
    from lunar_python import LunarMonth  # it takes long to load, and most commands need none of it

    found = LunarMonth.fromYm(lunar_year, month)
    if found is None:
        return None
    first = int(found.getFirstJulianDay()) - _JULIAN
    last = first + min(day, found.getDayCount()) - 1
    return date.fromordinal(last) if 1 <= last <= date.max.toordinal() else None
