"""How often do customers move and get letters, by state and time in it, and how much does it vary?

A day's probability of moving, for each state, age and destination, is the share that moved: the
discrete-time hazard of a semi-Markov process. Of letters it is the number a customer-day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from lifecycle.insight.passages import NEW, WEEK, YEAR, Passages, Span
from lifecycle.insight.swings import Swing, swing

SETTLED = (
    182  # days of history before a year whose seasons are believed: beginnings look like seasons
)
PRIOR = 1.0  # customer-days for which an age is taken to be like all ages of its state


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """How customers leave one state."""

    to: tuple[str, ...]
    counts: Sequence[Sequence[int]]  # a destination, a cell
    exposed: Sequence[int]  # customer-days, a cell
    usual: Sequence[float]  # a destination: of all ages together

    def expected(self) -> list[list[float]]:
        """A day's probabilities, a destination and a cell: the posterior mean."""
        return [
            [
                (count + PRIOR * usual) / (exposed + PRIOR)
                for count, exposed in zip(counts, self.exposed, strict=True)
            ]
            for counts, usual in zip(self.counts, self.usual, strict=True)
        ]

    def posterior(self) -> Posterior:
        stays = 1.0 - sum(self.usual)
        cells = []
        for cell, exposed in enumerate(self.exposed):
            went = [counts[cell] for counts in self.counts]
            cells.append(
                (
                    exposed - sum(went) + PRIOR * stays,
                    [count + PRIOR * usual for count, usual in zip(went, self.usual, strict=True)],
                )
            )
        return Posterior(cells=cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """What is known of how customers leave one state.

    Independent Dirichlet posteriors, a cell: parameters are the counts, plus a prior worth PRIOR
    customer-days of the state's own mean (Gelman et al., Bayesian Data Analysis, 3rd ed., 3.4).
    """

    cells: Sequence[tuple[float, Sequence[float]]]  # parameters of staying, and of each destination

    def drawn(self, chance: Random) -> list[list[float]]:
        """Probabilities as they might be, given what was seen, a destination and a cell.

        A Dirichlet draw is a set of gamma draws divided by their sum.
        """
        gamma = chance.gammavariate
        shares = []
        for staying, leaving in self.cells:
            rest = gamma(staying, 1.0) if staying > 0 else 0.0
            went = [gamma(shape, 1.0) if shape > 0 else 0.0 for shape in leaving]
            whole = rest + sum(went)
            shares.append([each / whole for each in went] if whole else went)
        return [list(each) for each in zip(*shares, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """The letters of one rule, by how those who get them begin the day."""

    counts: Mapping[str, Sequence[int]]  # state → a cell; NEW has a single one
    exposed: Mapping[str, Sequence[int]]  # customer-days likewise, of NEW the customers

    @property
    def total(self) -> int:
        return sum(map(sum, self.counts.values()))

    def expected(self) -> dict[str, list[float]]:
        """Letters a customer-day."""
        return {
            state: [
                count / exposed if count else 0.0
                for count, exposed in zip(counts, self.exposed[state], strict=True)
            ]
            for state, counts in self.counts.items()
        }

    def drawn(self, chance: Random) -> dict[str, list[float]]:
        """Gamma posteriors with the variance of a binomial share, as hardly anyone gets two a day."""
        return {
            state: [
                _drawn_rate(count, exposed, chance) if count else 0.0
                for count, exposed in zip(counts, self.exposed[state], strict=True)
            ]
            for state, counts in self.counts.items()
        }


def _drawn_rate(count: int, exposed: int, chance: Random) -> float:
    rate = count / exposed
    shape = count / max(1.0 - rate, 0.01)
    return chance.gammavariate(shape, rate / shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """All that is known of a year."""

    days: int  # of history that went into it
    cells: int  # of ages
    entering: Mapping[str, int]  # first state → customers who were new
    leaving: Mapping[str, Leaving]  # by state
    sending: Mapping[str, Sending]  # by rule
    swings: Mapping[tuple[str, str], Swing]  # (state or NEW, state)
    letters: Mapping[str, Swing]  # by rule
    weeks: int  # that the swings have
    a_year_ago: int | None  # the one of them that was then; None: too short a history for seasons


def rates(
    counts: Passages,
    span: Span,
    weeks: range,
    bit: int,
    cells: int,
    dated: frozenset[str] = frozenset(),
) -> Rates:
    """The rates of those weeks. Letters of `dated` rules, which go out on a date, are left out."""
    known = [week for week in reversed(weeks) if span.days(week).stop <= counts.days]
    days = sum(len(span.days(week)) for week in known) + _partly(counts, span, weeks)
    exposed: defaultdict[str, list[int]] = defaultdict(lambda: [0] * cells)
    for (state, cell, week), count in counts.exposed.items():
        if week in weeks:
            exposed[state][cell] += count
    settled = len(known) == len(weeks) and counts.days - span.days(weeks[-1]).stop >= SETTLED
    leaving, entering = _leaving(counts, bit, exposed, cells)
    sending = _sending(counts, bit, exposed, sum(entering.values()), dated, cells)
    return Rates(
        days=days,
        cells=cells,
        entering=entering,
        leaving=leaving,
        sending=sending,
        swings=_swings(counts, known, span, leaving, entering, days),
        letters=_letter_swings(counts, known, span, sending, entering),
        weeks=len(known),
        a_year_ago=len(known) - YEAR // WEEK if settled else None,
    )


def _partly(counts: Passages, span: Span, weeks: range) -> int:
    """Days of the week in which the history begins, if it is one of these."""
    for week in weeks:
        days = span.days(week)
        if days.start < counts.days < days.stop:
            return counts.days - days.start
    return 0


def _leaving(
    counts: Passages, bit: int, exposed: Mapping[str, Sequence[int]], cells: int
) -> tuple[dict[str, Leaving], dict[str, int]]:
    went: defaultdict[str, defaultdict[str, list[int]]] = defaultdict(
        lambda: defaultdict(lambda: [0] * cells)
    )
    entering: defaultdict[str, int] = defaultdict(int)
    for (state, cell, to, years), count in counts.moves.items():
        if not years & bit:
            continue
        if state == NEW:
            entering[to] += count
        else:
            went[state][to][cell] += count
    leaving = {}
    for state in sorted(exposed):
        goals = tuple(sorted(went[state]))
        total = sum(exposed[state])
        leaving[state] = Leaving(
            to=goals,
            counts=[went[state][each] for each in goals],
            exposed=exposed[state],
            usual=[sum(went[state][each]) / total for each in goals],
        )
    return leaving, dict(sorted(entering.items()))


def _sending(
    counts: Passages,
    bit: int,
    exposed: Mapping[str, Sequence[int]],
    entered: int,
    dated: frozenset[str],
    cells: int,
) -> dict[str, Sending]:
    found: defaultdict[str, defaultdict[str, list[int]]] = defaultdict(
        lambda: defaultdict(lambda: [0] * cells)
    )
    for (rule, state, cell, years), count in counts.letters.items():
        if years & bit and rule not in dated:
            found[rule][state][cell] += count
    return {
        rule: Sending(
            counts={
                state: known[:1] if state == NEW else known
                for state, known in sorted(found[rule].items())
            },
            exposed={
                state: [entered] if state == NEW else exposed[state]
                for state in sorted(found[rule])
            },
        )
        for rule in sorted(found)
    }


# -- how much weeks differ -------------------------------------------------------------------------


def _swings(
    counts: Passages,
    weeks: Sequence[int],
    span: Span,
    leaving: Mapping[str, Leaving],
    entering: Mapping[str, int],
    days: int,
) -> dict[tuple[str, str], Swing]:
    swings: dict[tuple[str, str], Swing] = {}
    for to, count in entering.items():
        expected = [count / days * len(span.days(week)) for week in weeks]
        seen = [counts.flows[NEW, to, week] for week in weeks]
        swings[NEW, to] = swing(seen, expected, expected)
    by_week = _by_week(counts, weeks)
    for state, known in leaving.items():
        for to, probabilities in zip(known.to, known.expected(), strict=True):
            expected, variance = [], []
            for week in weeks:
                terms = [
                    (count * probabilities[cell], probabilities[cell])
                    for cell, count in by_week[state, week]
                ]
                expected.append(sum(term for term, _ in terms))
                variance.append(sum(term * (1.0 - each) for term, each in terms))
            seen = [counts.flows[state, to, week] for week in weeks]
            swings[state, to] = swing(seen, expected, variance)
    return swings


def _letter_swings(
    counts: Passages,
    weeks: Sequence[int],
    span: Span,
    sending: Mapping[str, Sending],
    entering: Mapping[str, int],
) -> dict[str, Swing]:
    by_week = _by_week(counts, weeks)
    for week in weeks:
        by_week[NEW, week] = [(0, sum(counts.flows[NEW, to, week] for to in entering))]
    swings = {}
    for rule, known in sending.items():
        usual = known.expected()
        expected, variance = [], []
        for week in weeks:
            mean = spread = 0.0
            for state, rates_of in usual.items():
                for cell, people in by_week[state, week]:
                    mean += people * rates_of[cell]
                    spread += people * rates_of[cell] * max(1.0 - rates_of[cell], 0.0)
            expected.append(mean)
            variance.append(spread)
        seen = [sum(counts.sent[rule, day] for day in span.days(week)) for week in weeks]
        swings[rule] = swing(seen, expected, variance)
    return swings


def _by_week(
    counts: Passages, weeks: Sequence[int]
) -> defaultdict[tuple[str, int], list[tuple[int, int]]]:
    """(state, week) → customer-days of each cell, in order."""
    wanted = set(weeks)
    found: defaultdict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for (state, cell, week), count in sorted(counts.exposed.items()):
        if week in wanted:
            found[state, week].append((cell, count))
    return found
