"""When was that? The times of a table, mostly local ones without an offset, as instants in UTC.

Clocks that are put back give an hour twice, clocks that are put forward leave one out; the mapping
says what its times mean then.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from lifecycle.errors import Problem
from lifecycle.intake.mapping import AmbiguousTime, LocalTime, SkippedTime
from lifecycle.intake.strict_json import shown

FIRST_YEAR, LAST_YEAR = 1900, 2200  # beyond lies a placeholder or a mistake
REMEMBERED = 50_000  # texts; rows often share theirs

_DAY_FIRST = re.compile(r"[0-9]{1,2}[/.][0-9]{1,2}[/.]([0-9]{2}|[0-9]{4})\b.*")
_Day = tuple[datetime, datetime]  # its local midnight, without zone; the same in UTC

_TIME_OF_DAY = re.compile(r"%[HIpMSfcX]")


class InstantReader:
    """Reads the texts of one column; raises Problem for what is no time, or not clearly one."""

    def __init__(self, said: LocalTime) -> None:
        self._said = said
        self._parse = _iso_parser(said.at) if said.format is None else _parser(said.format, said.at)
        self._zone = ZoneInfo(said.timezone) if said.timezone is not None else None
        self._remembered: dict[str, datetime] = {}
        self._plain_days: dict[str, _Day] = {}  # by the date as it is written

    def read(self, text: str) -> datetime:
        # The short way, for the time of a plain day; nearly every row of a big table takes it.
        day = self._plain_days.get(text[:10])
        if day is not None and len(text) > 10:
            try:
                return day[1] + (datetime.fromisoformat(text) - day[0])
            except (ValueError, TypeError):
                pass  # no time, or one with an offset: found out below
        instant = self._remembered.get(text)
        if instant is None:
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            instant = self._remembered[text] = self._read(text)
        return instant

    def _read(self, text: str) -> datetime:
        try:
            local = self._parse(text)
        except ValueError as error:
            raise self._invalid(text, str(error)) from None
        if not FIRST_YEAR <= local.year <= LAST_YEAR:
            raise self._invalid(text, f"the year {local.year:04} is implausible")
        if local.tzinfo is not None:
            return local.astimezone(UTC)
        if self._zone is None:
            raise Problem(
                "timestamp_needs_offset",
                "the time has no offset from UTC, and the mapping names no time zone",
                got=shown(text),
                hint="say `timezone: Europe/London`, or wherever it was written, in the mapping",
            )
        plain = _plain_day(local.toordinal(), self._zone)
        if plain is None:
            return self._on_uneven_day(local, self._zone, text)
        if self._said.format is None and len(text) > 10:
            if len(self._plain_days) >= REMEMBERED:
                self._plain_days.clear()
            self._plain_days[text[:10]] = plain
        return plain[1] + (local - plain[0])

    def _on_uneven_day(self, local: datetime, zone: ZoneInfo, text: str) -> datetime:
        """Of the two readings of a time, `fold` 0 goes by the offset before the clocks changed."""
        before = local.replace(tzinfo=zone, fold=0)
        after = local.replace(tzinfo=zone, fold=1)
        first, second = before.astimezone(UTC), after.astimezone(UTC)
        if first < second:
            if self._said.ambiguous is AmbiguousTime.REFUSE:
                raise _unclear("timestamp_ambiguous", "comes twice", text, zone)
            return first if self._said.ambiguous is AmbiguousTime.FIRST else second
        if first > second and self._said.skipped is SkippedTime.REFUSE:
            raise _unclear("timestamp_skipped", "never comes", text, zone)
        return first

    def _invalid(self, text: str, why: str) -> Problem:
        if self._said.format is None and _DAY_FIRST.fullmatch(text):
            return Problem(
                "ambiguous_date",
                "day and month cannot be told apart in this date",
                got=shown(text),
                expected="ISO 8601, such as 2026-02-01 09:30",
                hint='set `format`, such as "%d/%m/%Y %H:%M", in the mapping',
            )
        return Problem(
            "timestamp_invalid",
            f"this is no time: {why}",
            got=shown(text),
            expected=f"a time written as {self._said.format or 'ISO 8601'}",
        )


def _iso_parser(at: time) -> Callable[[str], datetime]:
    def parse(text: str) -> datetime:
        if len(text) <= 10:
            return datetime.combine(date.fromisoformat(text), at)
        return datetime.fromisoformat(text)

    return parse


def _parser(format_: str, at: time) -> Callable[[str], datetime]:
    dated_only = _TIME_OF_DAY.search(format_) is None

    def parse(text: str) -> datetime:
        read = datetime.strptime(text, format_)  # noqa: DTZ007  the zone is the mapping's to say
        return datetime.combine(read, at) if dated_only else read

    return parse


@lru_cache(maxsize=10_000)
def _plain_day(ordinal: int, zone: ZoneInfo) -> _Day | None:
    """A day on which, and around which, every local time comes exactly once; None: it is not.

    Looked at hour by hour, from three hours before it to three hours after it: no zone has ever
    changed its clocks and changed them back within an hour.
    """
    midnight = datetime.fromordinal(ordinal)
    offsets = {zone.utcoffset(midnight + timedelta(hours=hour)) for hour in range(-3, 28)}
    offset = offsets.pop()
    if offsets or offset is None:
        return None
    return midnight, (midnight - offset).replace(tzinfo=UTC)


def _unclear(code: str, what: str, text: str, zone: ZoneInfo) -> Problem:
    return Problem(
        code,
        f"this time {what} in {zone.key}, where the clocks are changed that day",
        got=shown(text),
        expected="a time that comes once, or `ambiguous` and `skipped` in the mapping",
    )
