"""How did customers pass through the states, day by day? The counts from which rates are estimated.

Days are counted back from the end: day 0 is the 24 hours up to it, day k those before. A customer's
age is the number of whole days since she entered her state. Nothing here grows with the customers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cache, lru_cache
from itertools import repeat

NEW = ""  # where a customer is before the day of her first event
YEAR = 364  # days back from which rates are taken: each season once, in whole weeks
WEEK = 7
OLDER = (60, 180)  # beyond the single days, ages are taken together: so many, so many, the rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """Ages in days, each by itself up to `single`, then together: a timed check strikes on one day."""

    single: int

    @property
    def cells(self) -> int:
        return self.single + len(OLDER) + 1

    def cell(self, age: int) -> int:
        if age < self.single:
            return age
        beyond = age - self.single
        for number, width in enumerate(OLDER):
            if beyond < width:
                return self.single + number
            beyond -= width
        return self.single + len(OLDER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which days are looked at: a year up to the end, and a year up to what is held back from it.

    Weeks are counted back from the end; where what is held back begins, one of them is cut short, so
    that both years are made of whole ones.
    """

    held_back: int  # days; 0: none

    @property
    def weeks_held_back(self) -> int:
        return -(-self.held_back // WEEK)

    def week(self, day: int) -> int:
        if day < self.held_back:
            return day // WEEK
        return self.weeks_held_back + (day - self.held_back) // WEEK

    def days(self, week: int) -> range:
        """The days of that week."""
        first = self.weeks_held_back
        if week < first:
            return range(week * WEEK, min((week + 1) * WEEK, self.held_back))
        begins = self.held_back + (week - first) * WEEK
        return range(begins, begins + WEEK)

    @property
    def recent(self) -> range:
        """Weeks of the year up to the end."""
        return range(self.week(YEAR - 1) + 1)

    @property
    def before(self) -> range:
        """Weeks of the year up to what is held back."""
        return range(self.weeks_held_back, self.weeks_held_back + YEAR // WEEK)

    @property
    def looked_at(self) -> int:
        """Days back, of which more than the sizes is counted."""
        return self.held_back + YEAR + WEEK

    def years(self, day: int) -> int:
        """To which years that day belongs, as bits: RECENT, BEFORE, both, or 0."""
        week = self.week(day)
        return RECENT * (week in self.recent) + BEFORE * (week in self.before)


RECENT = 1
BEFORE = 2


@dataclass(slots=True, kw_only=True)
class Passages:
    """Counts of some customers; those of others are added, in any order."""

    customers: int = 0
    oldest: int = -1  # the day of the first event
    present: Counter[tuple[str, int]] = field(default_factory=Counter)  # (state, cell), at the end
    earlier: Counter[tuple[str, int]] = field(default_factory=Counter)  # … before what is held back
    change: Counter[tuple[str, int]] = field(default_factory=Counter)
    # (state, day) → how many more are in it at the end of the day than at its beginning
    exposed: Counter[tuple[str, int, int]] = field(default_factory=Counter)
    # (state, cell, week) → customers who began a day of that week so
    moves: Counter[tuple[str, int, str, int]] = field(default_factory=Counter)
    # (state, cell, state at the end of the day, years) → where they went, herself again included
    flows: Counter[tuple[str, str, int]] = field(default_factory=Counter)  # the same, by week
    letters: Counter[tuple[str, str, int, int]] = field(default_factory=Counter)
    # (rule, state, cell, years) → letters to customers who had begun the day so
    sent: Counter[tuple[str, int]] = field(default_factory=Counter)  # (rule, day)

    def merge(self, other: Passages) -> None:
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, Counter):
                for key, count in theirs.items():
                    mine[key] += count
            elif each.name == "oldest":
                self.oldest = max(mine, theirs)
            else:
                setattr(self, each.name, mine + theirs)

    @property
    def days(self) -> int:
        """How long the history is; the day of the first event is one."""
        return self.oldest + 1

    def sizes(self, last: int) -> Iterator[Counter[str]]:
        """How many were in each state at the end of day 0, 1 … `last`, backwards."""
        size: Counter[str] = Counter()
        for (state, _), count in self.present.items():
            size[state] += count
        states = sorted({state for state, _ in self.change})
        for day in range(last + 1):
            yield Counter({state: count for state, count in size.items() if count})
            for state in states:
                size[state] -= self.change[state, day]


def note(
    counts: Passages,
    entered: Sequence[tuple[int, str]],
    letters: Iterable[tuple[int, str]],
    ages: Ages,
    span: Span,
) -> None:
    """Add a customer: the days on which she entered states, and those of her letters with their rule.

    Entries are in their order, the first one her first event. Of several on one day the last counts:
    what is foretold is where customers are when a day ends.
    """
    by_day = dict(entered)  # the last of a day wins, in the place of the first: still in order
    stays = list(by_day.items())
    counts.customers += 1
    counts.oldest = max(counts.oldest, stays[0][0])
    before, since = NEW, 0
    for day, state in stays:
        if before != NEW:
            _expose(counts, before, since, day, ages, span)
            counts.change[before, day] -= 1
        counts.change[state, day] += 1
        cell = 0 if before == NEW else ages.cell(since - day - 1)
        if day < span.looked_at and (years := _years(span)[day]):
            counts.moves[before, cell, state, years] += 1
            counts.flows[before, state, span.week(day)] += 1
        before, since = state, day
    _expose(counts, before, since, 0, ages, span)
    counts.present[before, ages.cell(since)] += 1
    _note_earlier(counts, stays, ages, span)
    _note_letters(counts, stays, letters, ages, span)


def _expose(counts: Passages, state: str, since: int, last: int, ages: Ages, span: Span) -> None:
    """Each day that she began in that state, from the one after she entered it to `last`."""
    weeks = _weeks(span)
    first = min(since, len(weeks)) - 1
    if first < last:
        return
    cells = _cells(ages, since)[since - first - 1 : since - last]
    counts.exposed.update(zip(repeat(state), cells, reversed(weeks[last : first + 1])))


@cache
def _weeks(span: Span) -> tuple[int, ...]:
    """Of each day that is looked at."""
    return tuple(map(span.week, range(span.looked_at)))


@cache
def _years(span: Span) -> tuple[int, ...]:
    """Likewise."""
    return tuple(map(span.years, range(span.looked_at)))


@lru_cache(maxsize=4096)
def _cells(ages: Ages, days: int) -> tuple[int, ...]:
    """Of each age up to so many days."""
    return tuple(map(ages.cell, range(days)))


def _note_earlier(
    counts: Passages, stays: Sequence[tuple[int, str]], ages: Ages, span: Span
) -> None:
    at = _before(stays, span.held_back)
    if at is not None:
        counts.earlier[at[1], ages.cell(at[0] - span.held_back)] += 1


def _note_letters(
    counts: Passages,
    stays: Sequence[tuple[int, str]],
    letters: Iterable[tuple[int, str]],
    ages: Ages,
    span: Span,
) -> None:
    for day, rule in letters:
        counts.sent[rule, day] += 1
        if day >= span.looked_at or not (years := _years(span)[day]):
            continue
        at = _before(stays, day + 1)
        if at is None:
            counts.letters[rule, NEW, 0, years] += 1
        else:
            counts.letters[rule, at[1], ages.cell(at[0] - day - 1), years] += 1


def _before(stays: Sequence[tuple[int, str]], day: int) -> tuple[int, str] | None:
    """The last that she had entered by the end of that day."""
    found = None
    for stay in stays:
        if stay[0] < day:
            break
        found = stay
    return found
