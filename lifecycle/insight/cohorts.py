"""How does a population of customers go on, by state and age, from day to day?

It is carried forward as a cohort component projection does with people (Preston, Heuveline and Guillot,
Demography, 2001, ch. 6), by the rates of a semi-Markov process in days (Howard, Dynamic Probabilistic
Systems II, 1971, ch. 10): once with what is expected, and as it may turn out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from operator import add
from random import Random
from typing import Any

from lifecycle.insight.days import (
    Exits,
    Hazards,
    Luck,
    a_day_later,
    scaled,
    surely_a_day_later,
)
from lifecycle.insight.passages import NEW, WEEK
from lifecycle.insight.rates import Rates
from lifecycle.insight.rows import Row
from lifecycle.insight.swings import Swing

Population = Mapping[tuple[str, int], int]
"""(state, cell of ages) → customers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """What is asked for."""

    days: int
    every: int  # days between two readings
    level: float  # the share of futures that lie within an interval

    @property
    def readings(self) -> tuple[int, ...]:
        """After how many days the figures are read; the last day is always one."""
        return (*range(self.every, self.days, self.every), self.days)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated:
    """A rule whose letters go out on a date: what its dates brought, and when the next ones are."""

    letters: int
    present: int  # customers there were on those dates, added up
    ahead: tuple[int, ...]  # days ahead, the first one is 1


def _pair() -> defaultdict[Any, list[float]]:
    return defaultdict(lambda: [0.0, 0.0])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Days within one week and between two readings."""

    number: int
    first: int  # from 1
    last: int
    week: int
    reading: int


@dataclass(slots=True, kw_only=True)
class Future:
    """One course that things may take."""

    sizes: list[Mapping[str, float]]  # a reading: state → customers
    letters: dict[str, list[float]]  # rule → a reading: since the one before


@dataclass(slots=True, kw_only=True)
class Chances:
    """Of the expected course: what happens on each day or part, as mean and variance by chance.

    Of n customers, each still there with probability S, n·S·p move or get a letter on average, with
    the variance n·S·p − n·S²·p² (a binomial share of a binomial share). `sure` is n·S².
    """

    moves: defaultdict[tuple[str, str, int], list[float]] = field(default_factory=_pair)
    letters: defaultdict[tuple[str, int], list[float]] = field(default_factory=_pair)
    lived: dict[str, list[float]] = field(default_factory=dict)  # customer-days, a cell

    def note_day(
        self,
        terms: _Terms,
        week: int,
        day: int,
        people: Mapping[str, list[float]],
        sure: Mapping[str, list[float]],
    ) -> None:
        for to, count in terms.new[week].items():
            _add(self.moves[NEW, to, day], count, count)
        for state, (leaving, _) in terms.hazards[week].items():
            for to, share in zip(terms.to[state], leaving, strict=True):
                mean, known = share.among(people[state]), share.twice_among(sure[state])
                _add(self.moves[state, to, day], mean, mean - known)

    def note(
        self,
        terms: _Terms,
        part: _Part,
        lived: Mapping[str, list[float]],
        sure: Mapping[str, list[float]],
    ) -> None:
        for rule, rates in terms.sending.items():
            factor = terms.swung[part.number][rule]
            for state, rate in rates.items():
                mean, known = rate.among(lived[state]), rate.twice_among(sure[state])
                pair = self.letters[rule, part.number]
                _add(pair, mean * factor, max(mean - known, 0.0) * factor)
        for state, cells in lived.items():
            known_days = self.lived.get(state)
            self.lived[state] = cells if known_days is None else list(map(add, known_days, cells))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """By what the population goes on."""

    to: Mapping[str, Sequence[str]]  # state → where its customers go
    hazards: Sequence[Mapping[str, Hazards]]  # a week
    new: Sequence[Mapping[str, float]]  # a week: state → new customers a day
    sending: Mapping[str, Mapping[str, Row]]  # rule → state → letters a customer-day
    swung: Sequence[Mapping[str, float]]  # a part: rule → how many times as many letters
    dated: Mapping[str, float]  # rule → letters a customer on its date


class World:
    """What all futures have in common."""

    def __init__(
        self, present: Population, rates: Rates, ahead: Ahead, dated: Mapping[str, Dated]
    ) -> None:
        self.rates = rates
        self.ahead = ahead
        self.dated = {rule: each for rule, each in dated.items() if each.ahead and each.present}
        moves = {to for leaving in rates.leaving.values() for to in leaving.to}
        states = {state for state, _ in present} | {*rates.leaving} | {*rates.entering} | moves
        self.present = {state: [0.0] * rates.cells for state in sorted(states)}
        for (state, cell), count in present.items():
            self.present[state][cell] += count
        self.parts = tuple(_parts(ahead))
        self.weeks = range(self.parts[-1].week + 1)
        self.posteriors = {state: known.posterior() for state, known in rates.leaving.items()}
        self.chances = Chances()

    def expected(self) -> Future:
        """Each rate as it is estimated, each week as usual, nothing by chance; fills `chances`."""
        rates = self.rates
        terms = self._terms(
            {state: known.expected() for state, known in rates.leaving.items()},
            {to: count / rates.days for to, count in rates.entering.items()},
            {rule: known.expected() for rule, known in rates.sending.items()},
            [
                {edge: self._usual(each, week) for edge, each in rates.swings.items()}
                for week in self.weeks
            ],
            [
                {rule: self._usual(each, part.week) for rule, each in rates.letters.items()}
                for part in self.parts
            ],
            {rule: each.letters / each.present for rule, each in self.dated.items()},
        )
        return self._live(terms, None)

    def drawn(self, chance: Random) -> Future:
        """As it may turn out; after `expected`."""
        rates = self.rates
        hazards = {state: known.drawn(chance) for state, known in self.posteriors.items()}
        entering = {
            to: chance.gammavariate(count, 1 / rates.days) for to, count in rates.entering.items()
        }
        sending = {rule: known.drawn(chance) for rule, known in rates.sending.items()}
        start = chance.randrange(rates.weeks) if rates.weeks else 0
        if rates.a_year_ago is not None and chance.random() < 0.5:
            start = rates.a_year_ago
        moves = [
            {edge: swing.after(start, week) for edge, swing in rates.swings.items()}
            for week in self.weeks
        ]
        luck = [
            {edge: _by_chance(shape, chance) for edge, shape in day.items()}
            for day in self._shapes_of_moves
        ]
        letters = [
            {
                rule: swing.after(start, part.week) * _by_chance(shapes[rule], chance)
                for rule, swing in rates.letters.items()
            }
            for part, shapes in zip(self.parts, self._shapes_of_letters, strict=True)
        ]
        dated = {rule: _on_its_date(each, chance) for rule, each in self.dated.items()}
        return self._live(self._terms(hazards, entering, sending, moves, letters, dated), luck)

    @cached_property
    def _shapes_of_moves(self) -> list[dict[tuple[str, str], float | None]]:
        """A day."""
        moves = self.chances.moves
        return [
            {edge: _shape(moves[(*edge, day)]) for edge in self.rates.swings}
            for day in range(1, self.ahead.days + 1)
        ]

    @cached_property
    def _shapes_of_letters(self) -> list[dict[str, float | None]]:
        """A part."""
        letters = self.chances.letters
        return [
            {rule: _shape(letters[rule, part.number]) for rule in self.rates.letters}
            for part in self.parts
        ]

    def _usual(self, swing: Swing, week: int) -> float:
        """Half of what was otherwise a year ago: one year cannot tell a season from an accident."""
        then = self.rates.a_year_ago
        return 1.0 if then is None else (1.0 + swing.after(then, week)) / 2

    def _terms(
        self,
        leaving: Mapping[str, list[list[float]]],
        entering: Mapping[str, float],
        sending: Mapping[str, Mapping[str, list[float]]],
        moves: Sequence[Mapping[tuple[str, str], float]],
        letters: Sequence[Mapping[str, float]],
        dated: Mapping[str, float],
    ) -> _Terms:
        to = {state: known.to for state, known in self.rates.leaving.items() if known.to}
        exits = {state: Exits.of(leaving[state]) for state in to}

        @cache  # weeks that do not swing are alike
        def hazards(state: str, *factors: float) -> Hazards:
            return scaled(exits[state], factors)

        return _Terms(
            to=to,
            hazards=[
                {
                    state: hazards(state, *(factor[state, each] for each in goals))
                    for state, goals in to.items()
                }
                for factor in moves
            ],
            new=[
                {state: count * factor[NEW, state] for state, count in entering.items()}
                for factor in moves
            ],
            sending={
                rule: {state: Row.of(each) for state, each in by_state.items()}
                for rule, by_state in sending.items()
            },
            swung=letters,
            dated=dated,
        )

    def _live(self, terms: _Terms, luck: Sequence[Luck] | None) -> Future:
        """Without `luck` nothing happens by chance, and `chances` is filled."""
        people = sure = self.present
        rules = [*self.rates.sending, *self.dated]
        future = Future(
            sizes=[], letters={rule: [0.0] * len(self.ahead.readings) for rule in rules}
        )
        for part in self.parts:
            hazards, new = terms.hazards[part.week], terms.new[part.week]
            lived, lived_surely = self._nobody(), self._nobody()
            for day in range(part.first, part.last + 1):
                self._write_on_date(future, terms, part, day, people)
                _add_all(lived, people)
                if luck is None:
                    self.chances.note_day(terms, part.week, day, people, sure)
                    _add_all(lived_surely, sure)
                    today = new
                    people = a_day_later(people, terms.to, hazards, today, None)
                    sure = surely_a_day_later(sure, hazards, people)
                else:
                    lucky = luck[day - 1]
                    today = {to: count * lucky[NEW, to] for to, count in new.items()}
                    people = a_day_later(people, terms.to, hazards, today, lucky)
                lived[NEW][0] += sum(today.values())
            for rule, rates in terms.sending.items():
                sent = sum(rate.among(lived[state]) for state, rate in rates.items())
                future.letters[rule][part.reading] += sent * terms.swung[part.number][rule]
            if luck is None:
                lived_surely[NEW] = lived[NEW]
                self.chances.note(terms, part, lived, lived_surely)
            if part.last == self.ahead.readings[part.reading]:
                future.sizes.append({state: sum(cells) for state, cells in people.items()})
        return future

    def _nobody(self) -> dict[str, list[float]]:
        return {NEW: [0.0], **{state: [0.0] * self.rates.cells for state in self.present}}

    def _write_on_date(
        self,
        future: Future,
        terms: _Terms,
        part: _Part,
        day: int,
        people: Mapping[str, Sequence[float]],
    ) -> None:
        for rule, each in self.dated.items():
            if day in each.ahead:
                everybody = sum(map(sum, people.values()))
                future.letters[rule][part.reading] += everybody * terms.dated[rule]


def _add_all(lived: dict[str, list[float]], people: Mapping[str, Sequence[float]]) -> None:
    for state, cells in people.items():
        lived[state] = list(map(add, lived[state], cells))


def _parts(ahead: Ahead) -> Iterator[_Part]:
    cuts = sorted({*range(WEEK, ahead.days, WEEK), *ahead.readings})
    first, reading = 1, 0
    for number, last in enumerate(cuts):
        yield _Part(
            number=number, first=first, last=last, week=(first - 1) // WEEK, reading=reading
        )
        reading += last == ahead.readings[reading]
        first = last + 1


def _shape(expected: Sequence[float]) -> float | None:
    """Of a gamma distribution that varies as chance makes so many moves or letters; None: not at all."""
    mean, variance = expected
    return None if mean <= 0.0 or variance <= 1e-9 * mean else mean * mean / variance


def _by_chance(shape: float | None, chance: Random) -> float:
    """A factor with the mean 1."""
    return 1.0 if shape is None else chance.gammavariate(shape, 1.0 / shape)


def _on_its_date(dated: Dated, chance: Random) -> float:
    """Letters a customer; the one or two dates that were seen say nothing of how dates differ."""
    rate = dated.letters / dated.present
    shape = dated.letters / max(1.0 - rate, 0.01)
    return chance.gammavariate(shape, rate / shape) if shape else 0.0


def _add(pair: list[float], mean: float, variance: float) -> None:
    pair[0] += mean
    pair[1] += variance
