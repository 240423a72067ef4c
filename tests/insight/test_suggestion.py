"""What is suggested: the fewest days that keep to a share, and an own rhythm only if it is shown better."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lifecycle.insight.dormancy import Whose
from lifecycle.insight.suggestion import suggested
from lifecycle.insight.thresholds import Figures, Verdict
from tests.insight.listening import made_up, tallied
from tests.scenarios.driver import order


@pytest.mark.parametrize("verdict", list(Verdict))
def test_an_own_rhythm_is_suggested_only_if_it_is_shown_to_be_better(verdict: Verdict) -> None:
    figures = Figures(*tallied(*made_up(customers=60, seed=2, regular=True)), Whose.ALL)
    part = figures.part()
    (compared,) = part.comparisons
    judged = replace(part, comparisons=(replace(compared, verdict=verdict),))
    found = suggested(figures, judged, wanted=0.5, horizon=100)
    assert (found.rhythm is not None) is (verdict is Verdict.BETTER)
    assert found.days is not None


def test_an_own_rhythm_that_is_later_or_has_more_false_alarms_is_not_suggested() -> None:
    figures = Figures(*tallied(*made_up(customers=60, seed=2, regular=True)), Whose.ALL)
    part = figures.part()
    (compared,) = part.comparisons
    better = replace(part, comparisons=(replace(compared, verdict=Verdict.BETTER),))
    assert suggested(figures, better, wanted=0.1, horizon=100).rhythm is None  # has more
    assert suggested(figures, better, wanted=0.9, horizon=100).rhythm is None  # a day is sooner


def test_where_only_the_horizon_itself_is_right_often_enough_no_days_are_suggested() -> None:
    figures = Figures(*tallied([order(0), order(99.5)]), Whose.ALL)
    found = suggested(figures, figures.part(), wanted=0.0, horizon=100)
    assert (found.days, found.false, found.gained) == (None, None, None)
