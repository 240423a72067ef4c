"""Figures by cell of ages, of which most are 0: what is rare happens at few ages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter, mul
from typing import NamedTuple

Picker = Callable[[Sequence[float]], Sequence[float]]


class Row(NamedTuple):
    """Without the zeros: they add nothing to any sum, and are more than half of all figures."""

    cells: Sequence[int]  # ascending: sums are rounded in the order of ages
    figures: Sequence[float]
    pick: Picker  # what another row, with all its zeros, has in these cells

    @classmethod
    def of(cls, figures: Iterable[float]) -> Row:
        some = {cell: figure for cell, figure in enumerate(figures) if figure}
        cells = list(some)
        return cls(cells, list(some.values()), _picker(cells))

    def times(self, factor: float) -> Row:
        return Row(self.cells, [figure * factor for figure in self.figures], self.pick)

    def by_cell(self, factors: Sequence[float]) -> Row:
        """Each figure times the factor of its cell."""
        return Row(self.cells, list(map(mul, self.figures, self.pick(factors))), self.pick)

    def among(self, people: Sequence[float]) -> float:
        """How many it is of those people."""
        return float(sum(map(mul, self.pick(people), self.figures)))

    def twice_among(self, people: Sequence[float]) -> float:
        """The same, with each figure squared."""
        return float(sum(map(mul, map(mul, self.pick(people), self.figures), self.figures)))


def _picker(cells: Sequence[int]) -> Picker:
    """`itemgetter` is by far the fastest, but gives no tuple of less than two."""
    if len(cells) > 1:
        return itemgetter(*cells)
    return lambda row: [row[cell] for cell in cells]
