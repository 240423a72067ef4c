"""Losing the broker and finding it again is one line in the log each."""

from __future__ import annotations

import logging

import pytest

from workers.line import Line


class Wound:
    """A monotonic clock that a test moves by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_until_it_has_been_heard_it_is_away_and_nothing_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    line = Line("redis://broker")
    before = line.away
    line.found("apply")
    assert (before, line.away) == (True, False)
    assert caplog.messages == []


def test_each_change_is_told_once_however_many_listen(caplog: pytest.LogCaptureFixture) -> None:
    clock = Wound()
    with caplog.at_level(logging.WARNING):
        line = Line("redis://broker", clock)
        for _ in range(3):
            line.lost("apply", ConnectionError("refused"))
            line.lost("due", ConnectionError("refused"))
            clock.seconds += 4
        for _ in range(3):
            line.found("apply")
            line.found("due")
    assert caplog.messages == [
        (
            "the broker at redis://broker does not answer (ConnectionError: refused);"
            " looking into the database instead, every second, until it does"
        ),
        "the broker at redis://broker answers again, after 12 s",
    ]


def test_it_is_away_as_long_as_one_queue_fails(caplog: pytest.LogCaptureFixture) -> None:
    line = Line("redis://broker")
    line.found("apply")
    for _ in range(3):
        line.lost("due", ValueError("a key of somebody else's"))
        line.found("apply")
        assert line.away
    assert len(caplog.messages) == 1
    line.found("due")
    assert not line.away


def test_a_second_loss_is_told_with_its_own_time(caplog: pytest.LogCaptureFixture) -> None:
    clock = Wound()
    line = Line("redis://broker", clock)
    for seconds in (7, 3):
        line.lost("apply", ConnectionError("refused"))
        clock.seconds += seconds
        line.found("apply")
        clock.seconds += 100
    assert [message[-4:] for message in caplog.messages if "again" in message] == [" 7 s", " 3 s"]
