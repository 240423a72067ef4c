"""Sums are exact: not a digit of what was posted is lost, whatever it is added to and taken from."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from lifecycle.domain.fold import facts_at, fold
from lifecycle.domain.policy import PolicyVersion
from lifecycle.domain.timeline import Timeline
from lifecycle.intake.values import number
from lifecycle.policy.load import loads
from tests.scenarios.driver import day, happened

POLICY = """\
version: 1
timezone: UTC
currency: CNY
states: {potential: {initial: true}, deal: {final: true}}
events:
  weighed: {properties: {kg: number}}
  taken: {properties: {kg: number}}
facts:
  whole: {sum: weighed.kg, less: taken.kg}
  recent: {sum: weighed.kg, less: taken.kg, within: 5d}
transitions:
  - {name: first, on: weighed, from: potential, to: deal}
"""
LOADED = loads(POLICY)
TIMELINE = Timeline(
    [PolicyVersion(number=1, hash=LOADED.hash, effective_at=day(-1000), policy=LOADED.policy)]
)


def spelled(digits: int, places: int) -> str:
    """A number as intake would store it: so many digits, of which so many stand after the point."""
    text = f"{abs(digits):0{places + 1}}"
    point = len(text) - places
    sign = "-" if digits < 0 else ""
    return number(f"{sign}{text[:point]}.{text[point:]}" if places else f"{sign}{text}")


NUMBERS = st.one_of(
    st.builds(spelled, st.integers(-(10**30) + 1, 10**30 - 1), st.just(0)),
    st.builds(spelled, st.integers(-999, 999), st.integers(0, 29)),
    st.builds(spelled, st.integers(-(10**15), 10**15), st.integers(0, 15)),
)


@given(st.lists(st.tuples(st.sampled_from(["weighed", "taken"]), NUMBERS), min_size=1, max_size=12))
def test_no_digit_is_lost_in_a_sum_nor_when_its_window_moves_on(
    given_: list[tuple[str, str]],
) -> None:
    """One a day: with the sixth, the first has left the window of five days."""
    events = [happened(kind, on, kg=text) for on, (kind, text) in enumerate(given_)]
    last = day(len(events) - 1)
    told = facts_at(TIMELINE, fold(TIMELINE, None, events, last).snapshot, last)
    signed = [Fraction(text) if kind == "weighed" else -Fraction(text) for kind, text in given_]
    assert Fraction(told["whole"]) == sum(signed)
    assert Fraction(told["recent"]) == sum(signed[-5:])
