"""How much do weeks differ, beyond what chance does?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Swing:
    """How much more or less than expected happened in each week; what chance alone does is taken off."""

    weekly: tuple[float, ...]  # the oldest first; 1.0: as much as expected

    def after(self, start: int, week: int) -> float:
        """So many weeks after one of the history; its end is followed by its beginning."""
        return self.weekly[(start + week) % len(self.weekly)] if self.weekly else 1.0


def swing(seen: Sequence[int], expected: Sequence[float], variance: Sequence[float]) -> Swing:
    """What is left of the weeks' differences when those that chance alone makes are taken off.

    Their variance beyond chance is estimated by the method of moments, as for a negative binomial:
    s² = max(0, Σ((n − μ)² − v) / Σμ²). Each week's deviation n/μ − 1 is shrunk by √(s² / (s² + v/μ²)),
    so that the deviations have the variance s²; where s² is 0, all weeks are as expected.
    """
    whole = sum(mean * mean for mean in expected)
    if not whole:
        return Swing(weekly=(1.0,) * len(seen))
    beyond = sum(
        (count - mean) ** 2 - chance
        for count, mean, chance in zip(seen, expected, variance, strict=True)
    )
    extra = max(0.0, beyond / whole)
    weekly = []
    for count, mean, chance in zip(seen, expected, variance, strict=True):
        if not extra or mean <= 0:
            weekly.append(1.0)
            continue
        trust = math.sqrt(extra / (extra + chance / mean**2))
        weekly.append(max(0.02, 1.0 + trust * (count / mean - 1.0)))
    return Swing(weekly=tuple(weekly))
