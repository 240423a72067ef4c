"""Rings are dropped while one waits, and no work is lost by it."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.doorbell import Doorbell


def test_while_one_ring_waits_every_further_one_is_dropped() -> None:
    sent: list[str] = []
    bell = Doorbell(lambda: sent.append("ring"))
    for _ in range(5):
        bell.ring()
    assert sent == ["ring"]


def test_after_the_answer_the_next_ring_is_sent() -> None:
    sent: list[str] = []
    bell = Doorbell(lambda: sent.append("ring"))
    bell.ring()
    bell.answer()
    bell.ring()
    assert sent == ["ring", "ring"]


def test_a_ring_that_could_not_be_sent_does_not_silence_the_next() -> None:
    fails = [True, False]

    def send() -> None:
        if fails.pop(0):
            raise ConnectionError("the line is dead")

    bell = Doorbell(send)
    with pytest.raises(ConnectionError):
        bell.ring()
    bell.ring()
    assert not fails


@given(st.lists(st.sampled_from(["work", "come", "look"]), max_size=40))
def test_in_any_interleaving_work_that_was_rung_for_is_found(history: list[str]) -> None:
    """A worker that comes answers first and looks second; between the two, anything may arrive.

    Whatever the order, at the end a worker is on the way, or at the door, or nothing is left.
    """
    waiting, on_the_way, at_the_door = 0, 0, 0

    def send() -> None:
        nonlocal on_the_way
        on_the_way += 1

    bell = Doorbell(send)
    for step in history:
        if step == "work":
            waiting += 1
            bell.ring()
        elif step == "come" and on_the_way:
            on_the_way -= 1
            at_the_door += 1
            bell.answer()
        elif step == "look" and at_the_door:
            at_the_door -= 1
            waiting = 0
        assert on_the_way <= 1
    assert waiting == 0 or on_the_way or at_the_door


def test_threads_that_ring_at_once_send_one_ring() -> None:
    sent: list[str] = []
    bell = Doorbell(lambda: sent.append("ring"))
    start = threading.Barrier(8)

    def ring() -> None:
        start.wait()
        bell.ring()

    threads = [threading.Thread(target=ring) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sent == ["ring"]
