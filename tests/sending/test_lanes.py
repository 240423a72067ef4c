"""One lane a channel: how far it is filled, and that one which stands still holds nobody else up."""

from __future__ import annotations

import threading
import time
from datetime import datetime

import pytest

from lifecycle.engine.installation import Installation
from lifecycle.engine.sending import sender as senders
from lifecycle.engine.sending.lanes import MOST_WAITING, WAITING, Lane
from lifecycle.outreach.letter import Letter
from lifecycle.outreach.outcome import Accepted, Outcome
from tests.sending.conftest import bought, known
from tests.sending.post_office import TestOffice, Wire, sender
from tests.support.engine import arrive

AT_ONCE = 2


class Watched:
    """A lane whose letters take as long as the test says, by a clock of its own."""

    def __init__(self, seconds: float) -> None:
        self.now = 0.0
        self.lane: Lane[int] = Lane("email", AT_ONCE, self._hand_over, lambda: self.now)
        self._seconds = seconds
        self._one_by_one = threading.Lock()

    def _hand_over(self, _: int) -> None:
        with self._one_by_one:
            self.now += self._seconds


def room_after(letters: int, seconds: float) -> int:
    watched = Watched(seconds)
    for number in range(letters):
        assert watched.lane.take(number)
        assert watched.lane.wait_until_empty(30)
    assert watched.lane.stop(30) == []
    return watched.lane.room


def test_a_lane_takes_as_much_as_it_hands_over_in_a_second() -> None:
    """A few for each thread at first, and where letters are slow: what is claimed cannot be paused."""
    few = AT_ONCE * (1 + WAITING)
    assert room_after(0, 0.0) == few
    assert room_after(40, 5.0) == few
    assert few < room_after(40, 0.05) < AT_ONCE * 30
    assert room_after(80, 0.0001) == AT_ONCE * (1 + MOST_WAITING)


def test_a_lane_is_filled_again_once_it_is_half_empty() -> None:
    """A claim of one letter costs the same as one of a hundred."""
    go_on = threading.Semaphore(0)
    lane: Lane[int] = Lane("email", AT_ONCE, lambda _: go_on.acquire())
    for number in range(AT_ONCE * (1 + WAITING)):
        lane.take(number)
    assert not lane.wait_for_room(0)
    for left in range(4):
        assert lane.room == 0, left
        go_on.release()
    assert not lane.wait_for_room(0)
    go_on.release()
    assert lane.wait_for_room(30)
    assert lane.room >= 5
    go_on.release(10)
    assert lane.wait_until_empty(30)
    lane.stop(30)


def test_letters_that_come_at_once_leave_at_once() -> None:
    """Also where no thread has had the time to begin: a slow letter holds none of them up."""
    together = threading.Barrier(4)
    lane: Lane[int] = Lane("email", 4, lambda _: together.wait(30))
    for number in range(4):
        lane.take(number)
    assert lane.wait_until_empty(30)
    assert not together.broken
    lane.stop(30)


def test_all_lanes_stop_in_the_time_of_one(
    inst: Installation, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks a process to end kills it after half a minute, however many channels it has."""
    monkeypatch.setattr(senders, "STOP_SECONDS", 1.5)
    go_on, begun = threading.Event(), threading.Barrier(3)

    def never(_: Letter) -> Outcome:
        begun.wait(60)
        assert go_on.wait(120)
        return Accepted()

    office = TestOffice(Wire(answer=never), Wire(name="sms", address="phone", answer=never))
    profile, *agreed = known(now)
    by_phone = {"attributes": {"name": "Anna", "phone": "+8613800138000"}}
    arrive(inst, profile._replace(properties=by_phone), *agreed, bought(now))
    arrive(inst, *known(now, "bert"), bought(now, "bert"))
    sending = sender(inst, office)
    sending.batch()
    begun.wait(60)
    began = time.monotonic()
    sending.stop()
    took = time.monotonic() - began
    go_on.set()
    assert sending.all_sent(30)
    assert took < 2 * 1.5


def test_a_channel_that_hands_nothing_over_holds_no_other_up(
    inst: Installation, now: datetime
) -> None:
    """There is more for it than is looked at in one claim, and all of that was due earlier."""
    go_on = threading.Event()

    def never(_: Letter) -> Outcome:
        assert go_on.wait(120)
        return Accepted()

    stuck, quick = Wire(answer=never), Wire(name="sms", address="phone")
    office = TestOffice(stuck, quick)
    crowd = [one for n in range(230) for one in (*known(now, f"c{n}"), bought(now, f"c{n}"))]
    arrive(inst, *crowd)
    profile, *agreed = known(now)
    by_phone = {"attributes": {"name": "Anna", "phone": "+8613800138000"}}
    arrive(inst, profile._replace(properties=by_phone), *agreed, bought(now))
    sending = sender(inst, office)
    try:
        deadline = time.monotonic() + 60
        while not quick.letters:
            assert time.monotonic() < deadline
            sending.batch()
    finally:
        go_on.set()
        sending.stop()
