"""Where does a value stand, and which values are written at an axis?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

from lifecycle.web.pages.told import MONTHS

_MONTH_STEPS = (1, 2, 3, 6)
_YEAR_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_DAY_STEPS = (1, 2, 7, 14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """From values to pixels, in a straight line."""

    low: float
    high: float
    start: float  # the pixel of `low`
    end: float  # that of `high`

    def __call__(self, value: float) -> float:
        if self.high == self.low:
            return (self.start + self.end) / 2
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


class Tick(NamedTuple):
    at: float
    said: str


def round_ticks(most: float, about: int) -> list[int]:
    """Whole numbers from zero that are easy to read, about so many, none above `most`."""
    step, place = 1, 0
    while most / step > about:
        step = (1, 2, 5)[place % 3] * 10 ** (place // 3)
        place += 1
    return list(range(0, int(most) + 1, step))


def calendar_ticks(first: date, last: date, most: int) -> list[tuple[date, str]]:
    """Beginnings of days, weeks, months or years between the two, no more than `most` of them.

    The first day alone where there are too many days, and none of them begins anything longer.
    """
    for made in (*_by_days(first, last), *_by_months(first, last)):
        ticks = list(made)
        if 0 < len(ticks) <= most:
            return ticks
    return [(first, _day(first))]


def _day(at: date) -> str:
    return f"{at.day} {MONTHS[at.month - 1]}"


def _by_days(first: date, last: date) -> Iterator[Iterator[tuple[date, str]]]:
    for step in _DAY_STEPS:
        if (last - first).days <= 70:
            yield _days(first, last, step)


def _days(first: date, last: date, step: int) -> Iterator[tuple[date, str]]:
    at = first + timedelta(days=-first.weekday() % 7) if step >= 7 else first
    while at <= last:
        yield at, _day(at)
        at += timedelta(days=step)


def _by_months(first: date, last: date) -> Iterator[Iterator[tuple[date, str]]]:
    for step in _MONTH_STEPS:
        yield _months(first, last, step)
    for step in _YEAR_STEPS:
        yield _months(first, last, 12 * step)


def _months(first: date, last: date, step: int) -> Iterator[tuple[date, str]]:
    """January and the first one say their year."""
    number = first.year * 12 + first.month - 1
    if first.day > 1:
        number += 1
    number += -number % step
    unsaid = True
    while number // 12 <= last.year and (at := date(number // 12, number % 12 + 1, 1)) <= last:
        if step >= 12:
            yield at, f"{at.year}"
        else:
            yield (
                at,
                f"{MONTHS[at.month - 1]} {at.year}"
                if unsaid or at.month == 1
                else MONTHS[at.month - 1],
            )
        unsaid = False
        number += step


def pieces(count: int, most: int) -> list[range]:
    """Neighbours put together, so that no more than `most` are left; the last may hold fewer."""
    size = max(1, -(-count // most))
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """The places nearest to those wanted, in their order, so that each has `gap` to the next.

    `wanted` ascends. Where there is no room for all between `low` and `high`, they go beyond `high`.
    """
    placed: list[float] = []
    for place in wanted:
        placed.append(max(place, placed[-1] + gap if placed else low))
    limit = high
    for number in range(len(placed) - 1, -1, -1):
        placed[number] = min(placed[number], limit)
        limit = placed[number] - gap
    if placed and placed[0] < low:
        return [low + number * gap for number in range(len(placed))]
    return placed
