"""When a local date's hour strikes: calendar slots in a customer's own zone.

A missing hour (clocks go forward, a skipped day) means the first valid instant after it; a repeated
hour means its first occurrence. 29 February falls on the 28th in other years. Days of the Chinese
calendar are `lunar`'s.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lifecycle.domain.lunar import gregorian

_SECOND = timedelta(seconds=1)


@lru_cache(maxsize=1024)
def zone(name: str | None, otherwise: str) -> ZoneInfo:
    """The zone of that name; the policy's where there is none or the name has since been dropped."""
    if name:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            # A name that tzdata no longer has, or never had (`America` is a folder there): documented
            # to fall back to the policy's zone.
            pass
    return ZoneInfo(otherwise)


@lru_cache(maxsize=65536)
def slot(day: date, at: time, where: ZoneInfo) -> datetime:
    """The UTC instant at which local `at` strikes on local `day`; computed once a day and zone."""
    wall = datetime.combine(day, at)
    first = wall.replace(tzinfo=where, fold=0).astimezone(UTC)
    if first.astimezone(where).replace(tzinfo=None) == wall:
        return first
    return _end_of_gap(wall.replace(tzinfo=where, fold=1).astimezone(UTC), first, where)


def _end_of_gap(before: datetime, after: datetime, where: ZoneInfo) -> datetime:
    """The instant between two at which the clocks went forward, by halving, to the second."""
    new = after.astimezone(where).utcoffset()
    while after - before > _SECOND:
        middle = before + ((after - before) // 2 // _SECOND) * _SECOND
        if middle.astimezone(where).utcoffset() == new:
            after = middle
        else:
            before = middle
    return after


def occurrence(month_day: tuple[int, int], year: int) -> date:
    """The local date in a year."""
    month, day = month_day
    if (month, day) == (2, 29) and (year % 4 or (year % 100 == 0 and year % 400)):
        day = 28
    return date(year, month, day)


def next_slot(
    month_day: tuple[int, int],
    at: time,
    where: ZoneInfo,
    *,
    after: datetime,
    not_before: datetime,
    fired: date | None,
    lunar: bool = False,
) -> tuple[datetime, date] | None:
    """The first slot strictly after `after`, at or after `not_before`, on a date later than `fired`.

    `lunar`: the month and day are of the Chinese calendar. None only where the calendar itself ends.
    """
    since = max(after, not_before)
    # the last date of a year may strike when the next has begun in Greenwich, a skipped one later yet
    year = since.year - 1 if since.month == 1 and since.day <= 3 else since.year
    year = max(year, 1 if fired is None else fired.year)
    if lunar:  # a year of the Chinese calendar ends in ours that follows
        year = max(year - 1, 1)
    while year < 9999:
        day = gregorian(*month_day, year) if lunar else occurrence(month_day, year)
        if day is not None and (fired is None or day > fired):
            instant = slot(day, at, where)
            if instant > after and instant >= not_before:
                return instant, day
        year += 1
    return None
