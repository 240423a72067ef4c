"""Which threshold declares the lost soonest, without more false alarms than are wanted?"""

from __future__ import annotations

from dataclasses import dataclass

from lifecycle.insight.intervals import Rate
from lifecycle.insight.thresholds import Comparison, Figures, Part, Row, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggested:
    """By days for all, and by an own rhythm if there is one that is truly sooner."""

    wanted: float  # the share of false alarms that is not to be exceeded
    days: int | None  # the fewest whole days for all; None: none short of the horizon
    false: Rate | None  # with them, if no letter had brought anybody back
    gained: float | None  # days, against the check in force
    rhythm: Row | None  # the own rhythm to be taken instead
    comparison: Comparison | None  # why


def suggested(figures: Figures, part: Part, wanted: float, horizon: int) -> Suggested:
    """Days for all are what anybody understands, so an own rhythm must be shown to be sooner."""
    found = figures.fixed_for(wanted)
    days = found if found < horizon else None
    in_force = part.rows[0].declared_mean
    compared = {each.threshold: each for each in part.comparisons}
    best = min(
        (
            row
            for row in part.rows
            if row.threshold in compared
            and compared[row.threshold].verdict is Verdict.BETTER
            and _is_within(row, wanted)
            and row.declared_mean is not None
            and (days is None or row.declared_mean < days)
        ),
        key=_declared,
        default=None,
    )
    return Suggested(
        wanted=wanted,
        days=days,
        false=None if days is None else figures.fixed_rate(days),
        gained=None if days is None or in_force is None else in_force - days,
        rhythm=best,
        comparison=None if best is None else compared[best.threshold],
    )


def _is_within(row: Row, wanted: float) -> bool:
    return row.at_most.rate is not None and row.at_most.rate <= wanted


def _declared(row: Row) -> float:
    assert row.declared_mean is not None, "rows without lost customers were left out"
    return row.declared_mean
