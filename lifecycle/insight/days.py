"""What happens on one day: who stays is a day older, and who moves begins anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import mul

from lifecycle.insight.passages import OLDER
from lifecycle.insight.rows import Row

STEEP = 0.05  # a day's probability from which on hazards are scaled exactly


@dataclass(frozen=True, slots=True, kw_only=True)
class Exits:
    """A day's probabilities of leaving a state, with all of it that every scaling needs."""

    leaving: list[Row]  # a destination
    whole: list[float]  # of leaving at all, a cell
    stays: list[float]  # of staying, a cell
    steep: list[int]  # cells which so many leave that twice the hazard is not twice as many

    @classmethod
    def of(cls, leaving: Sequence[Sequence[float]]) -> Exits:
        rows, cells = list(map(Row.of, leaving)), len(leaving[0])
        whole = _together(rows, cells)
        return cls(
            leaving=rows,
            whole=whole,
            stays=[max(1.0 - each, 0.0) for each in whole],
            steep=[cell for cell, each in enumerate(whole) if each > STEEP],
        )


Hazards = tuple[list[Row], list[float]]
"""A day's probabilities of leaving a state, a destination; and of staying, a cell."""

Luck = Mapping[tuple[str, str], float]
"""(state or NEW, state) → how many times as many move on a day as expected."""


def a_day_later(
    people: Mapping[str, list[float]],
    goals: Mapping[str, Sequence[str]],
    hazards: Mapping[str, Hazards],
    new: Mapping[str, float],
    luck: Luck | None,
) -> dict[str, list[float]]:
    """Who stays is a day older; who moves, or is new, is at the beginning.

    Those who move more by chance than expected are taken from all who would have stayed.
    """
    arrived = dict.fromkeys(people, 0.0)
    for to, count in new.items():
        arrived[to] += count
    stayed = dict(people)
    for state, (leaving, stays) in hazards.items():
        cells = people[state]
        staying = list(map(mul, cells, stays))
        more, left = 0.0, sum(staying)
        for to, share in zip(goals[state], leaving, strict=True):
            moved = share.among(cells)
            if luck is not None:
                extra = min(moved * (luck[state, to] - 1.0), left - more)
                more += extra
                moved += extra
            arrived[to] += moved
        if more:
            kept = 1.0 - more / left
            staying = [each * kept for each in staying]
        stayed[state] = staying
    return {state: _aged(cells, arrived[state]) for state, cells in stayed.items()}


def surely_a_day_later(
    sure: Mapping[str, list[float]],
    hazards: Mapping[str, Hazards],
    people: Mapping[str, Sequence[float]],
) -> dict[str, list[float]]:
    """As `Chances` has it; `people` are those of the day after, who are sure when they come."""
    later = {}
    for state, cells in sure.items():
        if state in hazards:
            stays = hazards[state][1]
            later[state] = _aged(list(map(mul, map(mul, cells, stays), stays)), people[state][0])
        else:
            later[state] = _aged(cells, people[state][0])
    return later


def _aged(cells: Sequence[float], arrived: float) -> list[float]:
    """Single days move on by one; of ages taken together, a day's share does."""
    single = len(cells) - len(OLDER) - 1
    aged = [arrived, *cells[: single - 1]]
    coming = cells[single - 1]
    for number, width in enumerate(OLDER):
        here = cells[single + number]
        aged.append(coming + here * (1.0 - 1.0 / width))
        coming = here / width
    aged.append(coming + cells[-1])
    return aged


def scaled(exits: Exits, factors: Sequence[float]) -> Hazards:
    """The same probabilities with hazards so many times as large; and who stays.

    The hazards are proportional in continuous time: 1 − (1 − p)^f for a single destination (Prentice
    and Gloeckler, Biometrics 1978), so a timed check that strikes everybody still does, and nobody
    twice. Small probabilities are multiplied.
    """
    times = [row.times(factor) for row, factor in zip(exits.leaving, factors, strict=True)]
    heavy = _together(times, len(exits.stays))
    stays = [1.0 - each for each in heavy]
    ratios = [1.0] * len(stays)
    cells = exits.steep if min(stays) >= 1.0 - 2 * STEEP else range(len(stays))
    for cell in cells:
        if now := heavy[cell]:
            stays[cell] = exits.stays[cell] ** (now / exits.whole[cell])
            ratios[cell] = (1.0 - stays[cell]) / now
    return [row.by_cell(ratios) for row in times], stays


def _together(leaving: Sequence[Row], cells: int) -> list[float]:
    whole = [0.0] * cells
    for row in leaving:
        for cell, share in zip(row.cells, row.figures, strict=True):
            whole[cell] += share
    return whole
