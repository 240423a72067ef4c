"""Letters leave at their rate, and whoever comes too early is told how long to wait."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.outreach.channels.throttle import Throttle


class Hands:
    """A clock that the test moves by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_after_a_burst_letters_leave_at_the_rate() -> None:
    clock = Hands()
    throttle = Throttle(2.0, 3, monotonic=clock)
    assert [throttle.take() for _ in range(3)] == [0.0, 0.0, 0.0]
    assert throttle.take() == pytest.approx(0.5)
    clock.now += 0.2
    assert throttle.take() == pytest.approx(0.3)
    clock.now += 0.3
    assert throttle.take() == 0.0
    assert throttle.take() == pytest.approx(0.5)


def test_whoever_waits_as_long_as_told_may_go() -> None:
    clock = Hands()
    throttle = Throttle(3.0, monotonic=clock)
    throttle.take()
    for _ in range(1000):
        clock.now += throttle.take()
        assert throttle.take() == 0.0


def test_a_rest_saves_up_no_more_than_the_burst() -> None:
    clock = Hands()
    throttle = Throttle(10.0, 4, monotonic=clock)
    clock.now += 3600
    assert [throttle.take() for _ in range(5)] == [0.0, 0.0, 0.0, 0.0, pytest.approx(0.1)]


def test_asking_counts_nothing_and_what_did_not_go_is_given_back() -> None:
    throttle = Throttle(1.0, 1, monotonic=Hands())
    assert [throttle.wait() for _ in range(3)] == [0.0] * 3
    assert throttle.take() == 0.0
    assert throttle.wait() == pytest.approx(1.0)
    throttle.give_back()
    throttle.give_back()
    assert throttle.take() == 0.0
    assert throttle.take() > 0, "giving back twice does not make the burst larger"


def test_without_a_rate_nobody_waits() -> None:
    throttle = Throttle(None)
    assert {throttle.take() for _ in range(1000)} == {0.0}
    assert throttle.wait() == 0.0


def test_a_clock_that_goes_back_lets_nobody_through() -> None:
    clock = Hands()
    throttle = Throttle(1.0, monotonic=clock)
    throttle.take()
    clock.now -= 500
    assert throttle.take() == pytest.approx(1.0)


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns after nearly every step."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-9)
    yield
    sys.setswitchinterval(usual)


def test_threads_never_get_more_than_there_is(hasty: None) -> None:
    throttle = Throttle(0.001, 50, monotonic=Hands())
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda _: throttle.take(), range(4000)))
    assert waits.count(0.0) == 50


@given(
    rate=st.floats(0.01, 1000),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 10), min_size=1, max_size=100),
)
def test_over_any_time_no_more_go_than_burst_and_rate_allow(
    rate: float, burst: int, pauses: list[float]
) -> None:
    clock = Hands()
    throttle = Throttle(rate, burst, monotonic=clock)
    begun, gone = clock.now, 0
    for pause in pauses:
        clock.now += pause
        while throttle.take() == 0.0 and gone < 10_000:
            gone += 1
        assert gone <= burst + (clock.now - begun) * rate + 1e-6
