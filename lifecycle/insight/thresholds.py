"""Which threshold of dormancy is how good, and is an own rhythm better than days for all?

What the words mean is said in `dormancy`, which counts; here the counts are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cached_property

from lifecycle.insight.dormancy import Came, Grid, Tally, Whose
from lifecycle.insight.intervals import (
    GROUPS,
    Interval,
    Rate,
    Weights,
    percentiles,
    resamples,
    weighted,
)
from lifecycle.insight.silences import Threshold

_DAY = timedelta(days=1) // timedelta(microseconds=1)
ENOUGH = 30  # lost silences, and lulls, below which nothing is said
_LULLS = frozenset({Came.BACK, Came.AFTER_LETTER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a threshold would have done, to all silences or to a part of them."""

    threshold: Threshold
    false: Rate  # false alarms without a letter, of all alarms
    after_letter: int  # further alarms in a lull
    at_most: Rate  # false alarms if no letter had brought anybody back
    missed: Rate  # lost and not declared in time, of the lost
    declared_mean: float | None  # days to being declared, of the lost
    declared_median: int | None  # whole days, the lower one of two
    gained: float | None  # mean days sooner than by the check in force
    ahead: float | None  # mean days before the horizon


class Verdict(StrEnum):
    BETTER = "better"
    NOT_BETTER = "not_better"  # the interval holds zero
    WORSE = "worse"
    NOT_ENOUGH = "not_enough_data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A customer's own rhythm against the same number of days for all, at equal false alarms.

    `fixed` is the least number of days that gives no more false alarms, between two whole days by the
    straight line. `earlier` is that less the mean days in which the own rhythm declares the lost.
    """

    threshold: Threshold
    fixed: float | None
    earlier: float | None  # days; below zero: later
    interval: Interval | None  # by resampling customers, with the same draws for both
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The answers for all silences, or for some of them."""

    whose: Whose
    judged: int
    lulls: int
    after_letter: int  # lulls with a letter in them
    lost: int
    left: int  # away for the horizon, but she had left the states of the check otherwise
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]

    @property
    def is_enough(self) -> bool:
        return self.lost >= ENOUGH and self.lulls >= ENOUGH


class Figures:
    """What a tally says of some of the silences."""

    def __init__(self, tally: Tally, grid: Grid, whose: Whose) -> None:
        self._tally, self._grid, self.whose = tally, grid, whose

    def _of(self, rhythm: bool) -> bool:  # noqa: FBT001
        return self.whose is Whose.ALL or rhythm is (self.whose is Whose.RHYTHM)

    @cached_property
    def _totals(self) -> Counter[Came]:
        totals: Counter[Came] = Counter()
        for (_, rhythm, came, _), silences in self._tally.silences.items():
            if self._of(rhythm):
                totals[came] += silences
        return totals

    @cached_property
    def _could(self) -> tuple[list[list[int]], list[list[int]]]:
        """By day and group: silences in which a check of so many days fires, and lulls of those."""
        fires = [[0] * GROUPS for _ in range(self._grid.horizon + 1)]
        false = [[0] * GROUPS for _ in range(self._grid.horizon + 1)]
        for (group, rhythm, came, days), silences in self._tally.silences.items():
            if self._of(rhythm):
                fires[days][group] += silences
                if came in _LULLS:
                    false[days][group] += silences
        for column in (fires, false):
            for days in range(self._grid.horizon - 1, -1, -1):
                for group in range(GROUPS):
                    column[days][group] += column[days + 1][group]
        return fires, false

    @cached_property
    def _alarms(self) -> list[tuple[list[int], list[int]]]:
        """By threshold and group: alarms, and those in a lull."""
        found = [([0] * GROUPS, [0] * GROUPS) for _ in self._grid.thresholds]
        for (group, rhythm, came, number), alarms in self._tally.alarms.items():
            if self._of(rhythm):
                found[number][0][group] += alarms
                if came in _LULLS:
                    found[number][1][group] += alarms
        return found

    @cached_property
    def _lost(self) -> list[int]:
        """By group."""
        lost = [0] * GROUPS
        for (group, rhythm, came, _), silences in self._tally.silences.items():
            if came is Came.LOST and self._of(rhythm):
                lost[group] += silences
        return lost

    @cached_property
    def _waited(self) -> list[list[int]]:
        """By threshold and group: microseconds to being declared, of the lost."""
        waited = [[0] * GROUPS for _ in self._grid.thresholds]
        for (group, rhythm, number), micros in self._tally.waited.items():
            if self._of(rhythm):
                waited[number][group] += micros
        return waited

    def part(self) -> Part:
        totals = self._totals
        return Part(
            whose=self.whose,
            judged=totals.total(),
            lulls=totals[Came.BACK] + totals[Came.AFTER_LETTER],
            after_letter=totals[Came.AFTER_LETTER],
            lost=totals[Came.LOST],
            left=totals[Came.LEFT],
            rows=tuple(self._row(number) for number in range(len(self._grid.thresholds))),
            comparisons=self._comparisons(),
        )

    def _row(self, number: int) -> Row:
        came: Counter[Came] = Counter()
        for (_, rhythm, became, which), alarms in self._tally.alarms.items():
            if which == number and self._of(rhythm):
                came[became] += alarms
        mean, in_force = self._mean(number), self._mean(0)
        return Row(
            threshold=self._grid.thresholds[number],
            false=Rate.wilson(came[Came.BACK], came.total()),
            after_letter=came[Came.AFTER_LETTER],
            at_most=Rate.wilson(came[Came.BACK] + came[Came.AFTER_LETTER], came.total()),
            missed=Rate.wilson(self._late(number), self._totals[Came.LOST]),
            declared_mean=mean,
            declared_median=self._median(number),
            gained=None if mean is None or in_force is None else in_force - mean,
            ahead=None if mean is None else self._grid.horizon - mean,
        )

    def _late(self, number: int) -> int:
        return sum(
            silences
            for (rhythm, which), silences in self._tally.late.items()
            if which == number and self._of(rhythm)
        )

    def _median(self, number: int) -> int | None:
        days: Counter[int] = Counter()
        for (rhythm, which, day), silences in self._tally.declared.items():
            if which == number and self._of(rhythm):
                days[day] += silences
        below = 0
        for day in sorted(days):
            below += days[day]
            if 2 * below >= days.total():
                return day
        return None

    def _mean(self, number: int, weights: Weights | None = None) -> float | None:
        lost, waited = _sum(self._lost, weights), _sum(self._waited[number], weights)
        return waited / (lost * _DAY) if lost else None

    # -- own rhythm against fixed days ----------------------------------------------------------

    def fixed_for(self, rate: float) -> int:
        """The fewest whole days after which alarms are false at most so often."""
        return _Curve(self._could, None).days(rate)

    def fixed_rate(self, days: int) -> Rate:
        """How often alarms after so many days are false, if no letter had brought anybody back."""
        fires, false = self._could
        return Rate.wilson(sum(false[days]), sum(fires[days]))

    def _comparisons(self) -> tuple[Comparison, ...]:
        if self.whose is Whose.NO_RHYTHM:
            return ()  # there an own rhythm is so many days for all
        own = [
            number
            for number, threshold in enumerate(self._grid.thresholds)
            if threshold.quantile is not None
        ]
        drawn = self._drawn(own) if own else {}
        return tuple(self._compared(number, drawn[number]) for number in own)

    def _compared(self, number: int, drawn: Sequence[float]) -> Comparison:
        told = self._against(number, _Curve(self._could, None), None)
        threshold = self._grid.thresholds[number]
        totals = self._totals
        lulls = totals[Came.BACK] + totals[Came.AFTER_LETTER]
        if told is None or not drawn or min(lulls, totals[Came.LOST]) < ENOUGH:
            return Comparison(
                threshold=threshold,
                fixed=None if told is None else told[0],
                earlier=None if told is None else told[1],
                interval=None,
                verdict=Verdict.NOT_ENOUGH,
            )
        interval = percentiles(drawn)
        verdict = Verdict.NOT_BETTER
        if interval.low > 0:
            verdict = Verdict.BETTER
        elif interval.high < 0:
            verdict = Verdict.WORSE
        return Comparison(
            threshold=threshold,
            fixed=told[0],
            earlier=told[1],
            interval=interval,
            verdict=verdict,
        )

    def _drawn(self, own: Sequence[int]) -> dict[int, list[float]]:
        """The same comparison over resampled customers."""
        drawn: dict[int, list[float]] = {number: [] for number in own}
        for weights in resamples():
            curve = _Curve(self._could, weights)
            for number in own:
                told = self._against(number, curve, weights)
                if told is not None:
                    drawn[number].append(told[1])
        return drawn

    def _against(
        self, number: int, curve: _Curve, weights: Weights | None
    ) -> tuple[float, float] | None:
        """The days for all that give as many false alarms, and how much later those are."""
        alarms, false = (_sum(column, weights) for column in self._alarms[number])
        mean = self._mean(number, weights)
        if not alarms or mean is None:
            return None
        fixed = curve.least(false / alarms)
        return fixed, fixed - mean


class _Curve:
    """The share of false alarms by whole days, summed up only as far as it is asked for."""

    def __init__(
        self, could: tuple[list[list[int]], list[list[int]]], weights: Weights | None
    ) -> None:
        self._fires, self._false = could
        self._weights = weights
        self._known: list[float] = []

    def _at(self, days: int) -> float:
        """`days` from 1 on, each asked for after the one before."""
        while len(self._known) < days:
            day = len(self._known) + 1
            fires = _sum(self._fires[day], self._weights)
            false = _sum(self._false[day], self._weights)
            self._known.append(false / fires if fires else 0.0)
        return self._known[days - 1]

    def days(self, rate: float) -> int:
        """The fewest whole days; there are some, as at the horizon nothing is false."""
        days = 1
        while self._at(days) > rate:
            days += 1
        return days

    def least(self, rate: float) -> float:
        """Between two whole days by the straight line."""
        days = self.days(rate)
        if days == 1:
            return 1.0
        before, now = self._at(days - 1), self._at(days)
        return days - 1 + (before - rate) / (before - now)


def _sum(column: Sequence[int], weights: Weights | None) -> int:
    return sum(column) if weights is None else weighted(weights, column)
