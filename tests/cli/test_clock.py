"""The made-up clock: what may be asked for, and that it neither leaps nor turns back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.clock import WOUND_FOR, ClockSpec, Origin, begin
from lifecycle.errors import Unusable

START = datetime(2011, 12, 10, tzinfo=UTC)
REAL = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)

A_DAY_A_SECOND = ClockSpec.parse("2011-12-10T00:00:00Z*86400")
STANDING = ClockSpec.parse("2011-12-10T00:00:00Z")


def started(spec: ClockSpec, found: Origin | None, real_now: datetime) -> Origin:
    """The row after a process has started with this clock, alone on its database."""
    origin = begin(spec, found, real_now, alone=True, lived_until=None)
    assert origin is not None
    return origin


@pytest.mark.parametrize(
    ("text", "start", "rate"),
    [
        ("2011-12-10T00:00:00Z", START, 0),
        ("2011-12-10T08:00:00+08:00", START, 0),
        ("2011-12-10T00:00:00.250Z*86400", START + SECOND / 4, 86400),
        ("2011-12-10T00:00:00Z*1", START, 1),
        ("2011-12-10T00:00:00Z*0.5", START, 0.5),
    ],
)
def test_a_clock_is_a_start_and_a_rate(text: str, start: datetime, rate: float) -> None:
    spec = ClockSpec.parse(text)
    assert spec.start == start
    assert spec.rate == rate
    assert ClockSpec.parse(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("noon", "'noon' is not a clock; allowed: 2011-12-10T00:00:00Z"),
        ("2011-12-10", "is not a clock"),
        ("2011-12-10T00:00:00", "is not a clock"),  # no offset: whose midnight?
        ("2011-12-10T00:00:00Z*", "is not a clock"),
        ("2011-12-10T00:00:00Z*-5", "is not a clock"),
        ("2011-12-10T00:00:00Z*1e9", "is not a clock"),
        ("2011-12-10T00:00:00Z * 5", "is not a clock"),
        ("2011-02-30T00:00:00Z", "is no instant"),
        ("0001-01-01T00:00:00+08:00", "is no instant"),
        ("9999-06-01T00:00:00Z", "the end of time"),
        ("2011-12-10T00:00:00Z*0", "leave out"),
        ("2011-12-10T00:00:00Z*999999999", "at most 100000000"),
    ],
)
def test_what_is_no_clock_is_refused_with_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(Unusable, match=said) as refused:
        ClockSpec.parse(text, where="--clock")
    assert str(refused.value).startswith("--clock: ")


def test_it_starts_there_and_runs_that_many_times_faster() -> None:
    origin = started(A_DAY_A_SECOND, None, REAL)
    assert A_DAY_A_SECOND.at(origin, REAL) == START
    assert A_DAY_A_SECOND.at(origin, REAL + 2 * SECOND) == START + 2 * DAY


def test_without_a_rate_it_stands_still() -> None:
    origin = started(STANDING, None, REAL)
    assert STANDING.at(origin, REAL + 1000 * DAY) == START


def test_wound_every_second_it_runs_on_without_losing_any_time() -> None:
    origin = started(A_DAY_A_SECOND, None, REAL)
    for second in range(1, 101):
        origin = A_DAY_A_SECOND.wind(origin, REAL + second * SECOND)
    assert A_DAY_A_SECOND.at(origin, REAL + 100 * SECOND) == START + 100 * DAY


def test_after_a_crash_it_does_not_leap_over_the_night() -> None:
    """Nobody winds it while nothing runs: it stands still at most one winding after the crash."""
    crashed = started(A_DAY_A_SECOND, None, REAL)
    morning = started(A_DAY_A_SECOND, crashed, REAL + timedelta(hours=9))
    said = A_DAY_A_SECOND.at(morning, REAL + timedelta(hours=9))
    assert said == START + DAY * (WOUND_FOR / SECOND)
    assert A_DAY_A_SECOND.at(morning, REAL + timedelta(hours=9) + SECOND) == said + DAY


def test_after_a_stop_it_goes_on_exactly_where_it_stood() -> None:
    stopped = A_DAY_A_SECOND.stop(started(A_DAY_A_SECOND, None, REAL), REAL + 2 * SECOND)
    assert A_DAY_A_SECOND.at(stopped, REAL + 500 * DAY) == START + 2 * DAY
    again = started(A_DAY_A_SECOND, stopped, REAL + 500 * DAY)
    assert A_DAY_A_SECOND.at(again, REAL + 500 * DAY + SECOND) == START + 3 * DAY


def test_a_machine_that_slept_does_not_make_it_leap_either() -> None:
    """The same process goes on after eight hours of a closed lid; its next winding is late."""
    origin = started(A_DAY_A_SECOND, None, REAL)
    woken = REAL + timedelta(hours=8)
    latest = START + DAY * (WOUND_FOR / SECOND)
    assert A_DAY_A_SECOND.at(origin, woken) == latest
    assert A_DAY_A_SECOND.at(A_DAY_A_SECOND.wind(origin, woken), woken) == latest


@given(
    beats=st.lists(
        st.tuples(st.integers(-100, 10_000_000), st.sampled_from(["read", "wind", "stop", "begin"]))
    ),
    rate=st.sampled_from(["", "*0.001", "*1", "*86400", "*99999999"]),
)
def test_whatever_happens_to_real_time_it_never_goes_back_behind_its_latest_winding(
    beats: list[tuple[int, str]], rate: str
) -> None:
    """And while real time only goes forward, no reading is before an earlier one."""
    spec = ClockSpec.parse(f"2011-12-10T00:00:00Z{rate}")
    real, origin, before = REAL, started(spec, None, REAL), START
    for milliseconds, what in beats:
        real += timedelta(milliseconds=milliseconds)
        if milliseconds < 0:
            before = origin.virtual_origin
        match what:
            case "wind":
                origin = spec.wind(origin, real)
            case "stop":
                origin = spec.stop(origin, real)
            case "begin":
                origin = started(spec, origin, real)
        now = spec.at(origin, real)
        assert before <= now <= origin.seen
        before = now


def test_it_stands_still_at_the_end_of_time_instead_of_overflowing() -> None:
    spec = ClockSpec.parse("9998-12-31T00:00:00Z*100000000")
    origin = started(spec, None, REAL)
    for second in range(5):
        origin = spec.wind(origin, REAL + second * SECOND)
    assert spec.at(origin, REAL + 9 * DAY) == datetime(9999, 1, 1, tzinfo=UTC)


def test_another_clock_may_start_later_but_never_earlier() -> None:
    lived = A_DAY_A_SECOND.stop(started(A_DAY_A_SECOND, None, REAL), REAL + 3 * SECOND)
    later = ClockSpec.parse("2012-01-01T00:00:00Z")
    assert later.at(started(later, lived, REAL), REAL) == datetime(2012, 1, 1, tzinfo=UTC)
    with pytest.raises(
        Unusable, match=r"has lived until 2011-12-13T00:00:00Z; nothing was changed"
    ):
        started(ClockSpec.parse("2011-12-11T00:00:00Z"), lived, REAL)


def test_real_time_comes_back_unless_the_database_has_lived_beyond_it() -> None:
    past = started(STANDING, None, REAL)
    assert begin(None, past, REAL, alone=True, lived_until=None) is None
    ahead = started(ClockSpec.parse("2030-01-01T00:00:00Z"), None, REAL)
    with pytest.raises(Unusable, match="real time would turn the clock back"):
        begin(None, ahead, REAL, alone=True, lived_until=None)


@pytest.mark.parametrize("spec", [None, ClockSpec.parse("2020-01-01T00:00:00Z")])
def test_a_clock_that_another_process_keeps_running_is_not_taken_from_it(
    spec: ClockSpec | None,
) -> None:
    """Where several processes may work, the row in use stays; once it has run down it is free."""
    used = started(A_DAY_A_SECOND, None, REAL)
    with pytest.raises(Unusable, match="another process keeps it running"):
        begin(spec, used, REAL + SECOND, alone=False, lived_until=None)
    assert begin(A_DAY_A_SECOND, used, REAL + SECOND, alone=False, lived_until=None) is not None
    assert begin(spec, used, REAL + WOUND_FOR, alone=False, lived_until=None) != used


def test_a_database_that_has_lived_in_real_time_is_not_turned_back_either() -> None:
    """What it took in and fired would lie ahead of the clock, and be a future event or a late one."""
    said = "lived in real time until 2011-12-10T00:00:01Z; nothing was changed"
    with pytest.raises(Unusable, match=said):
        begin(STANDING, None, REAL, alone=True, lived_until=START + SECOND)
    assert begin(STANDING, None, REAL, alone=True, lived_until=START) is not None


def test_without_a_made_up_clock_there_is_no_row() -> None:
    assert begin(None, None, REAL, alone=False, lived_until=None) is None
