"""Nobody waits for a ring, and none that was asked for after the last was sent is forgotten."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from lifecycle.engine.readiness import Broker as Heard
from tests.workers.conftest import until
from workers import ringer as module
from workers.line import Line
from workers.ringer import Ringer

PATIENCE = 30


class Broker:
    """Takes a ring as soon as the test lets it."""

    def __init__(self) -> None:
        self.rung: list[str] = []
        self.began = threading.Semaphore(0)
        self.may_go_on = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)

    def send(self, bell: str) -> None:
        self.began.release()
        assert self.may_go_on.acquire(timeout=PATIENCE)
        self.rung.append(bell)
        self.ended.release()


Make = Callable[[Callable[[str], object]], Ringer]


@pytest.fixture
def ringer() -> Iterator[Make]:
    made: list[Ringer] = []

    def make(send: Callable[[str], object]) -> Ringer:
        made.append(Ringer(send, Line("redis://broker")))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.stop()


def test_while_the_broker_takes_its_time_all_further_rings_become_one(ringer: Make) -> None:
    """But one there is: what was put down since the first began was not seen by who answers that."""
    broker = Broker()
    ring = ringer(broker.send).ring
    ring("apply")
    assert broker.began.acquire(timeout=PATIENCE)
    for _ in range(50):
        ring("apply")
    broker.may_go_on.release(2)
    assert broker.ended.acquire(timeout=PATIENCE)
    assert broker.ended.acquire(timeout=PATIENCE)
    assert broker.rung == ["apply", "apply"]


def test_each_bell_rings_in_the_order_in_which_it_was_asked_for(ringer: Make) -> None:
    broker = Broker()
    each = ringer(broker.send)
    for bell in ("apply", "due", "apply", "due"):
        each.ring(bell)
    broker.may_go_on.release(10)
    each.stop()
    assert sorted(set(broker.rung)) == ["apply", "due"]
    assert broker.rung[0] == "apply"


def test_a_ring_that_fails_is_told_once_and_stops_no_other(
    ringer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    tried = threading.Semaphore(0)

    def refuse(bell: str) -> None:
        tried.release()
        raise ConnectionError("refused")

    each = ringer(refuse)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            each.ring("apply")
            assert tried.acquire(timeout=PATIENCE)
        each.stop()
    assert len(caplog.messages) == 1
    assert "the broker at redis://broker does not answer (ConnectionError: refused)" in caplog.text


def test_a_ring_that_failed_is_repeated_until_one_goes_well_and_both_are_told(
    ringer: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asks meanwhile: a process that nothing is posted to finds the broker all the same."""
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.01)
    failures, answered = iter(range(3)), threading.Event()

    def send(bell: str) -> None:
        if next(failures, None) is not None:
            raise ConnectionError("refused")
        answered.set()

    with caplog.at_level(logging.WARNING):
        ringer(send).ring("apply")
        assert answered.wait(PATIENCE)
        until(lambda: "answers again" in caplog.text)
    assert len(caplog.messages) == 2


def test_a_stop_rings_what_was_asked_for_before(ringer: Make) -> None:
    rung: list[str] = []
    each = ringer(rung.append)
    each.ring("apply")
    each.stop()
    assert rung == ["apply"]


def test_it_knows_how_the_last_ring_fared_and_asking_tries_again(ringer: Make) -> None:
    """Or a process that nobody posts to would call a broker away for ever that is back."""
    tried = threading.Semaphore(0)
    away = True

    def send(bell: str) -> None:
        tried.release()
        if away:
            raise ConnectionError("refused")

    each = ringer(send)
    assert each.broker() is Heard.UNHEARD
    until(lambda: each.broker() is Heard.AWAY)
    away = False
    until(lambda: each.broker() is Heard.ANSWERS)
    each.stop()  # it has rung for every question until then
    while tried.acquire(blocking=False):
        pass
    assert each.broker() is Heard.ANSWERS
    assert not tried.acquire(blocking=False), "a broker that answers is not rung for nothing"
