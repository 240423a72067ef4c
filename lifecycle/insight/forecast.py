"""How many customers will be in each state, and how many letters will leave, day by day ahead?

Expected values, with intervals of futures that are drawn; and of what too little is known for that. The
same history gives the same figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from lifecycle.insight.cohorts import Ahead, Dated, Future, Population, World
from lifecycle.insight.rates import Rates

DRAWS = 200  # futures that are drawn; the ends of an interval are theirs
SEED = 20_111_209  # always the same futures
LEAST_DAYS = 56  # of history: less than eight weeks tell nothing of how weeks differ
UNSEEN = 0.1  # of the days ahead that customers spend at ages which nobody had in the history


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A figure with its interval."""

    expected: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    """Of one rule."""

    total: Band
    periods: tuple[Band, ...]  # up to each reading from the one before


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Whatever is not in it is in `missing`, with the reason: not enough data yet."""

    readings: tuple[int, ...]
    sizes: Mapping[str, tuple[Band, ...]]  # state → at each reading
    letters: Mapping[str, Letters]  # by rule
    volume: Letters | None  # of all these together
    missing: Mapping[str, str]  # states, and rules as `rule:name`
    drawn: int = DRAWS


def forecast(
    present: Population,
    rates: Rates,
    ahead: Ahead,
    *,
    states: Sequence[str],
    rules: Sequence[str],
    timed: frozenset[tuple[str, str]] = frozenset(),
    dated: Mapping[str, Dated] | None = None,
    draws: int = DRAWS,
) -> Forecast:
    """Expected values, with intervals of `draws` futures.

    A future has rates as they might be given what was seen, weeks that swing together as a run of
    weeks of the history did (a circular block bootstrap, Politis and Romano 1992), and the chance of
    who moves. `timed` are moves that time alone makes: from a state that is too little known they
    make the next one unknown.
    """
    dated = dated or {}
    if rates.days < LEAST_DAYS:
        why = f"the history has {rates.days} days, and {LEAST_DAYS} are needed"
        missing = dict.fromkeys([*states, *(f"rule:{rule}" for rule in rules)], why)
        return Forecast(readings=ahead.readings, sizes={}, letters={}, volume=None, missing=missing)
    world = World(present, rates, ahead, dated)
    plain = world.expected()
    drawn = [world.drawn(Random(f"{SEED}/{number}")) for number in range(draws)]  # noqa: S311 - a model
    missing = _missing(world.chances.lived, rates, states, rules, timed, dated)
    known = [rule for rule in rules if f"rule:{rule}" not in missing]
    return Forecast(
        readings=ahead.readings,
        sizes={
            state: tuple(
                _band(
                    plain.sizes[number].get(state, 0.0),
                    [each.sizes[number].get(state, 0.0) for each in drawn],
                    ahead.level,
                )
                for number in range(len(ahead.readings))
            )
            for state in states
            if state not in missing
        },
        letters={rule: _letters([rule], plain, drawn, ahead) for rule in known},
        volume=_letters(known, plain, drawn, ahead) if known else None,
        missing=missing,
        drawn=draws,
    )


def _letters(rules: Sequence[str], plain: Future, drawn: Sequence[Future], ahead: Ahead) -> Letters:
    """Of these rules together."""
    readings = range(len(ahead.readings))
    mine = _summed(plain, rules, readings)
    others = [_summed(each, rules, readings) for each in drawn]
    return Letters(
        total=_band(sum(mine), [sum(each) for each in others], ahead.level),
        periods=tuple(
            _band(mine[number], [each[number] for each in others], ahead.level)
            for number in readings
        ),
    )


def _summed(future: Future, rules: Sequence[str], readings: range) -> list[float]:
    found = [future.letters[rule] for rule in rules if rule in future.letters]
    return [sum(each[number] for each in found) for number in readings]


def _band(expected: float, drawn: Sequence[float], level: float) -> Band:
    """The quantiles that leave out as much below as above (Hyndman and Fan 1996, type 7)."""
    ordered = sorted(drawn)
    low = _quantile(ordered, (1.0 - level) / 2)
    high = _quantile(ordered, (1.0 + level) / 2)
    return Band(expected=round(expected, 1), low=round(low, 1), high=round(high, 1))


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


# -- what is not known -----------------------------------------------------------------------------


def _missing(
    lived: Mapping[str, Sequence[float]],
    rates: Rates,
    states: Sequence[str],
    rules: Sequence[str],
    timed: frozenset[tuple[str, str]],
    dated: Mapping[str, Dated],
) -> dict[str, str]:
    """Which states and rules too little is known of, and why."""
    missing: dict[str, str] = {}
    for state in states:
        days_ahead = lived.get(state, ())
        known = rates.leaving.get(state)
        unseen = sum(
            days for cell, days in enumerate(days_ahead) if known is None or not known.exposed[cell]
        )
        if unseen > UNSEEN * sum(days_ahead) and unseen >= 1:
            missing[state] = (
                f"{unseen / sum(days_ahead):.0%} of the days ahead are at ages in this state that nobody had yet"
            )
    _spread(missing, timed)
    for rule in rules:
        if rule in dated:
            if dated[rule].ahead and not dated[rule].present:
                missing[f"rule:{rule}"] = "no date of it lies in the history"
            continue
        sending = rates.sending.get(rule)
        if sending is None:
            if missing:
                missing[f"rule:{rule}"] = "none were sent, and not all states are known yet"
            continue
        silent = sum(sum(counts) for state, counts in sending.counts.items() if state in missing)
        if silent > UNSEEN * sending.total:
            missing[f"rule:{rule}"] = "it writes to customers of a state that is not known yet"
    return missing


def _spread(missing: dict[str, str], timed: frozenset[tuple[str, str]]) -> None:
    while True:
        more = {
            to: f"who comes from {state} by time alone is not known yet"
            for state, to in sorted(timed)
            if state in missing and to not in missing
        }
        if not more:
            return
        missing.update(more)
