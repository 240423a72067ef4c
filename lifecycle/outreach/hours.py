"""When is it quiet where a customer lives, and which of her days are open?

Everything is by her own clock. A day lasts from its midnight to the next one; where clocks skip an
hour, what would begin or end in it does so at the first instant after it (`domain.calendar.slot`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from lifecycle.domain.calendar import slot
from lifecycle.domain.policy import QuietHours, WorkingDays

_DAY = timedelta(days=1)
_MIDNIGHT = time(0)
_SEARCHED = 366  # days in which a calendar must have an open one; no public holiday is rarer


def day_of(at: datetime, zone: ZoneInfo) -> date:
    """The local day that an instant belongs to.

    Where clocks go back over midnight, what they show twice belongs to the day that has begun.
    """
    day = at.astimezone(zone).date()
    while midnight(day + _DAY, zone) <= at:
        day += _DAY
    return day


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which a local day begins."""
    return slot(day, _MIDNIGHT, zone)


def quiet_until(at: datetime, quiet: QuietHours | None, zone: ZoneInfo) -> datetime | None:
    """When the quiet hours end in which an instant lies; None where it lies in none.

    They last from the first time that her clock says `since` to the last time that it says `until`,
    so that an hour that is repeated is never half quiet.
    """
    if quiet is None:
        return None
    for begin, end in _nights(at.astimezone(zone).date(), quiet.since, quiet.until, zone):
        if begin <= at < end:
            return end
    return None


@lru_cache(maxsize=16384)
def _nights(
    today: date, since: time, until: time, zone: ZoneInfo
) -> tuple[tuple[datetime, datetime], ...]:
    """The quiet hours that may hold an instant of a local day."""
    overnight = _DAY if until < since else timedelta(0)
    return tuple(
        (slot(day, since, zone), _last(day + overnight, until, zone))
        for day in (today - _DAY, today, today + _DAY)
    )


def closed_until(at: datetime, days: WorkingDays | None, zone: ZoneInfo) -> datetime | None:
    """When the next open day begins; None where the instant lies in one.

    A calendar that has none within a year is looked at again after it.
    """
    if days is None:
        return None
    today = day_of(at, zone)
    if is_open(today, days):
        return None
    following = (today + n * _DAY for n in range(1, _SEARCHED))
    opening = next((day for day in following if is_open(day, days)), today + _SEARCHED * _DAY)
    return midnight(opening, zone)


def is_open(day: date, days: WorkingDays) -> bool:
    """`open` wins over `closed`, which wins over weekdays and holidays.

    So a Saturday on which people work for a long holiday, as China announces them every autumn, is
    named in `open`.
    """
    if day in days.open:
        return True
    if day in days.closed or day.weekday() not in days.weekdays:
        return False
    return days.holidays is None or day not in public_holidays(days.holidays, day.year)


@lru_cache(maxsize=512)
def public_holidays(country: str, year: int) -> frozenset[date]:
    """Of the whole country; days in lieu of those that fall on a weekend are among them."""
    import holidays  # a third of a second, which only those wait for who ask

    return frozenset(holidays.country_holidays(country, years=year, expand=False))


@lru_cache(maxsize=65536)
def _last(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The last instant at which clocks show it on a day; in a skipped hour as `slot` says."""
    wall = datetime.combine(day, at)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    shown = second.astimezone(zone).replace(tzinfo=None)
    return second if shown == wall else slot(day, at, zone)
