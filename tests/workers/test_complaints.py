"""What goes wrong in the background is told, but does not flood the log."""

from __future__ import annotations

import logging

import pytest

from lifecycle.bootstrap import Complaints
from lifecycle.errors import Unavailable


class Wound:
    """A monotonic clock that a test moves by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def fail(error: Exception) -> Exception:
    """The same error from the same place, with a traceback as in life."""

    def broken() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        broken()
    return caught.value


def test_the_same_failure_is_logged_once_a_minute_with_how_often_it_came(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Wound()
    complaints = Complaints(clock)
    for second in range(0, 62, 2):
        clock.seconds = second
        complaints.about("ring_failed", "ring", fail(ConnectionError("refused")))
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert messages == [
        "ring failed: ConnectionError",
        "ring failed (and 29 times since it was last logged): ConnectionError",
    ]
    assert complaints.total == 31


def test_another_failure_is_logged_at_once(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints(Wound())
    complaints.about("ring_failed", "ring", fail(ConnectionError("refused")))
    complaints.about("ring_failed", "ring", fail(TimeoutError("waited")))
    assert len(caplog.records) == 2


def test_what_is_about_the_installation_is_told_in_its_own_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Those of any other error may quote what was posted."""
    Complaints(Wound()).about("tick_failed", "tick", fail(Unavailable("the disk is full")))
    assert caplog.messages == ["tick failed: the disk is full"]


def test_only_a_defect_shows_its_traceback_and_only_the_first_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Wound()
    complaints = Complaints(clock)
    complaints.about("tick_failed", "tick", fail(KeyError("facts")))
    clock.seconds = 61
    complaints.about("tick_failed", "tick", fail(KeyError("facts")))
    complaints.about("tick_failed", "tick", fail(Unavailable("the database does not answer")))
    assert [record.exc_info is not None for record in caplog.records] == [True, False, False]
    assert {record.levelno for record in caplog.records} == {logging.ERROR}
