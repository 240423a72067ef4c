"""How sure is a figure? Wilson's interval of a rate, and resampling for what has no formula."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import mul

_Z = 1.959963984540054  # 97.5 % of the normal distribution lies below it


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How many of how many, with the 95 % interval of the true rate."""

    count: int
    of: int
    rate: float | None  # None: of none
    low: float | None
    high: float | None

    @classmethod
    def wilson(cls, count: int, of: int) -> Rate:
        """The score interval of Wilson, J. Am. Stat. Assoc. 22 (1927), as Brown, Cai and DasGupta,
        Statistical Science 16 (2001), advise. It takes each of `of` for independent of the others.
        """
        if not of:
            return cls(count=count, of=of, rate=None, low=None, high=None)
        p, z2 = count / of, _Z * _Z
        middle = (p + z2 / (2 * of)) / (1 + z2 / of)
        half = _Z / (1 + z2 / of) * math.sqrt(p * (1 - p) / of + z2 / (4 * of * of))
        return cls(
            count=count,
            of=of,
            rate=p,
            low=0.0 if count == 0 else max(middle - half, 0.0),
            high=1.0 if count == of else min(middle + half, 1.0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """95 % of what resampling gave lies in it."""

    low: float
    high: float


GROUPS = 200  # into which customers fall by the hash of their key
RESAMPLES = 400
SEED = 20111209

Weights = Sequence[int]
"""How often each group was drawn."""


def resamples(groups: int = GROUPS, times: int = RESAMPLES, seed: int = SEED) -> Iterator[Weights]:
    """The bootstrap (Efron 1979) over groups of whole customers, always the same draws.

    Whole customers, because the silences of one are alike; groups of them, so that it takes the same
    memory for a thousand customers as for ten million.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret is made of it
    for _ in range(times):
        weights = [0] * groups
        for group in chance.choices(range(groups), k=groups):
            weights[group] += 1
        yield weights


def percentiles(values: Sequence[float]) -> Interval:
    """The middle 95 %, by nearest rank."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return Interval(low=ordered[math.floor(0.025 * last)], high=ordered[math.ceil(0.975 * last)])


def weighted(weights: Weights, column: Sequence[int]) -> int:
    return sum(map(mul, weights, column))
