"""A ring is answered until nothing is left; where there is much, others are called to help."""

from __future__ import annotations

import logging

import pytest
from dramatiq.middleware.time_limit import TimeLimitExceeded

from lifecycle.bootstrap import Complaints
from workers.rounds import LONGEST_SECONDS, Rounds


class Waiting:
    """So many batches of work; each takes a while on a clock of its own."""

    def __init__(self, batches: int, seconds: float = 1.0) -> None:
        self.left = batches
        self.seconds = seconds
        self.now = 0.0
        self.rings = 0

    def batch(self) -> bool:
        self.now += self.seconds
        self.left -= 1
        return self.left >= 0

    def ring(self, bell: str) -> None:
        assert bell == "apply"
        self.rings += 1

    def rounds(self) -> Rounds:
        return Rounds(
            {"apply": self.batch},
            ring=self.ring,
            complaints=Complaints(),
            monotonic=lambda: self.now,
        )


@pytest.mark.parametrize(("batches", "rings"), [(0, 0), (1, 0), (2, 1), (5, 4)])
def test_it_works_until_nothing_is_left_and_calls_for_company_from_the_second_batch_on(
    batches: int, rings: int
) -> None:
    """One batch is the usual case, and a second worker would look for nothing."""
    waiting = Waiting(batches)
    waiting.rounds().answer("apply")
    assert waiting.left < 0
    assert waiting.rings == rings


def test_a_long_round_ends_with_a_ring_so_that_it_can_be_told_from_one_that_hangs() -> None:
    waiting = Waiting(100, seconds=6)
    waiting.rounds().answer("apply")
    assert waiting.now < 2 * LONGEST_SECONDS
    assert waiting.left > 0
    assert waiting.rings > 0


def test_told_to_stop_it_begins_no_other_batch() -> None:
    waiting = Waiting(10)
    rounds = waiting.rounds()
    whole = waiting.batch

    def stop_amid_the_third() -> bool:
        if waiting.left == 8:
            rounds.stop()
        return whole()

    rounds._batches = {"apply": stop_amid_the_third}
    rounds.answer("apply")
    rounds.look()
    assert waiting.left == 7


@pytest.mark.parametrize("error", [RuntimeError("the fold is broken"), TimeLimitExceeded()])
def test_what_a_batch_raises_is_told_and_ends_only_that_bell(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    fired: list[int] = []

    def broken() -> bool:
        raise error

    def due() -> bool:
        fired.append(1)
        return False

    rounds = Rounds({"apply": broken, "due": due}, ring=lambda _bell: None, complaints=Complaints())
    with caplog.at_level(logging.ERROR):
        rounds.look()
    assert fired == [1]
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("work 'apply' failed")
