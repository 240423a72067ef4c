"""A provider that fails again and again is left alone, and tried with one letter before all go again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from lifecycle.outreach.channels.breaker import Breaker, State
from lifecycle.outreach.outcome import Accepted, Ambiguous, Fault, Outcome, Refused
from tests.outreach.channels.test_throttle import Hands


def refused(fault: Fault, *, permanent: bool = False) -> Refused:
    return Refused(code="c", detail="d", fault=fault, permanent=permanent)


WORKS: list[Outcome] = [
    Accepted(),
    refused(Fault.RECIPIENT),
    refused(Fault.RECIPIENT, permanent=True),
    refused(Fault.MESSAGE, permanent=True),
]
FAILS: list[Outcome] = [
    refused(Fault.PROVIDER),
    refused(Fault.PROVIDER, permanent=True),
    Ambiguous(code="dot_timeout", detail="d"),
]


def opened(clock: Hands, *, faults: int = 3, pause: float = 10, longest: float = 60) -> Breaker:
    breaker = Breaker(faults=faults, pause=pause, longest=longest, monotonic=clock)
    for _ in range(faults):
        assert breaker.enter() == 0.0
        breaker.record(FAILS[0])
    return breaker


@pytest.mark.parametrize("outcome", FAILS)
def test_it_opens_after_so_many_faults_in_a_row(outcome: Outcome) -> None:
    breaker = Breaker(faults=3, pause=10, monotonic=Hands())
    for _ in range(2):
        breaker.record(outcome)
        assert breaker.state() is State.CLOSED
        assert breaker.enter() == 0.0
    breaker.record(outcome)
    assert breaker.state() is State.OPEN
    assert breaker.enter() == breaker.wait() == pytest.approx(10)


@pytest.mark.parametrize("outcome", WORKS)
def test_whatever_shows_that_the_provider_works_begins_the_count_anew(outcome: Outcome) -> None:
    breaker = Breaker(faults=2, monotonic=Hands())
    for _ in range(5):
        breaker.record(FAILS[0])
        breaker.record(outcome)
    assert breaker.state() is State.CLOSED


@pytest.mark.parametrize("outcome", WORKS)
def test_after_the_pause_one_letter_is_tried_and_if_it_goes_well_all_go(outcome: Outcome) -> None:
    clock = Hands()
    breaker = opened(clock)
    clock.now += 9.9
    assert breaker.enter() == pytest.approx(0.1)
    clock.now += 0.1
    assert breaker.state() is State.HALF_OPEN
    assert breaker.enter() == 0.0
    assert breaker.enter() > 0, "the second one waits for what comes of the first"
    breaker.record(outcome)
    assert breaker.state() is State.CLOSED
    assert [breaker.enter() for _ in range(5)] == [0.0] * 5


def test_each_trial_that_fails_doubles_the_pause_up_to_the_longest() -> None:
    clock = Hands()
    breaker = opened(clock, pause=10, longest=60)
    for pause in (10, 20, 40, 60, 60):
        assert breaker.wait() == pytest.approx(pause)
        clock.now += pause
        assert breaker.enter() == 0.0
        breaker.record(FAILS[0])
    clock.now += 60
    breaker.record(Accepted())
    for _ in range(3):
        breaker.record(FAILS[0])
    assert breaker.wait() == pytest.approx(10), "and begins with the first one again"


def test_letters_that_were_under_way_when_it_opened_do_not_lengthen_the_pause() -> None:
    clock = Hands()
    breaker = opened(clock)
    for _ in range(20):
        breaker.record(FAILS[0])
    assert breaker.wait() == pytest.approx(10)


def test_a_trial_that_was_not_sent_after_all_leaves_its_place_to_another() -> None:
    clock = Hands()
    breaker = opened(clock)
    clock.now += 10
    assert breaker.enter() == 0.0
    breaker.leave()
    assert breaker.enter() == 0.0


def test_a_trial_of_which_nothing_is_heard_is_given_up_on() -> None:
    clock = Hands()
    breaker = opened(clock)
    clock.now += 10
    assert breaker.enter() == 0.0
    assert breaker.enter() == pytest.approx(10)
    clock.now += 10
    assert breaker.enter() == 0.0


def test_of_many_threads_one_makes_the_trial() -> None:
    clock = Hands()
    breaker = opened(clock)
    clock.now += 10
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: breaker.enter(), range(100))).count(0.0) == 1
