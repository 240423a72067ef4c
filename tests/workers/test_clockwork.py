"""Ticks: each in its own thread, never twice at once, and none stops for another's failure."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from lifecycle.bootstrap import Complaints
from workers.clockwork import Clockwork, Tick

PATIENCE = 30
SOON = timedelta(milliseconds=10)


@pytest.fixture
def run() -> Iterator[Callable[..., Complaints]]:
    """Starts a clockwork of the given ticks; stops it at the end of the test."""
    started: list[Clockwork] = []

    def start(**ticks: Callable[[], object]) -> Complaints:
        complaints = Complaints()
        clockwork = Clockwork(
            [Tick(name=name, every=SOON, do=do) for name, do in ticks.items()], complaints
        )
        started.append(clockwork)
        clockwork.start()
        return complaints

    yield start
    for clockwork in started:
        clockwork.stop()


def test_a_tick_comes_again_and_again(run: Callable[..., Complaints]) -> None:
    came = threading.Semaphore(0)
    run(sweep=came.release)
    assert all(came.acquire(timeout=PATIENCE) for _ in range(3))


def test_a_tick_that_raises_comes_again_and_stops_no_other(run: Callable[..., Complaints]) -> None:
    failed, came = threading.Semaphore(0), threading.Semaphore(0)

    def fail() -> None:
        failed.release()
        raise RuntimeError("the database is away")

    complaints = run(broken=fail, sweep=came.release)
    assert all(failed.acquire(timeout=PATIENCE) for _ in range(3))
    assert all(came.acquire(timeout=PATIENCE) for _ in range(3))
    assert complaints.total >= 2  # the third may not have come to its end yet


def test_a_slow_tick_is_never_run_twice_at_once_and_holds_up_no_other(
    run: Callable[..., Complaints],
) -> None:
    lock, came, overlaps = threading.Lock(), threading.Semaphore(0), []
    go_on = threading.Event()

    def slow() -> None:
        if not lock.acquire(blocking=False):
            overlaps.append(1)
            return
        go_on.wait(PATIENCE)
        lock.release()

    run(slow=slow, quick=came.release)
    assert all(came.acquire(timeout=PATIENCE) for _ in range(20))
    go_on.set()
    assert not overlaps


def test_a_stop_waits_for_the_ticks_that_are_running() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def tick() -> None:
        begun.set()
        go_on.wait(PATIENCE)
        ended.set()

    clockwork = Clockwork([Tick(name="sweep", every=SOON, do=tick)], Complaints())
    clockwork.start()
    assert begun.wait(PATIENCE)
    threading.Timer(0, go_on.set).start()
    clockwork.stop()
    assert ended.is_set()
