"""Intervals of rates, against published figures; and draws that are always the same."""

from __future__ import annotations

import pytest

from lifecycle.insight.intervals import GROUPS, Rate, percentiles, resamples, weighted


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I, method 3: the score interval
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_the_published_one(
    count: int, of: int, low: float, high: float
) -> None:
    found = Rate.wilson(count, of)
    assert found.low == pytest.approx(low, abs=5e-5)
    assert found.high == pytest.approx(high, abs=5e-5)


def test_it_holds_the_rate_and_mirrors_that_of_the_opposite() -> None:
    for of in (1, 7, 40):
        for count in range(of + 1):
            one, other = Rate.wilson(count, of), Rate.wilson(of - count, of)
            assert one.low is not None
            assert one.high is not None
            assert one.rate is not None
            assert 0 <= one.low <= one.rate <= one.high <= 1
            assert other.high == pytest.approx(1 - one.low)


def test_a_rate_of_nothing_has_no_interval() -> None:
    assert Rate.wilson(0, 0) == Rate(count=0, of=0, rate=None, low=None, high=None)


def test_the_draws_are_the_same_every_time_and_each_draws_as_many_as_there_are() -> None:
    once, again = list(resamples(times=5)), list(resamples(times=5))
    assert once == again
    assert {sum(weights) for weights in once} == {GROUPS}
    assert weighted(once[0], [1] * GROUPS) == GROUPS


def test_percentiles_leave_out_the_outermost_twentieth() -> None:
    found = percentiles([float(number) for number in range(401)])
    assert (found.low, found.high) == (10.0, 390.0)
