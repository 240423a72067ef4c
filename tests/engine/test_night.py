"""The work of a night is done once: whoever asks, however many, wherever they die, whatever the clocks do."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from lifecycle.engine import night
from lifecycle.engine.installation import Installation
from lifecycle.engine.night import MOST_TRIES, Job, Nights, Shift, Stopped, night_of, recent
from lifecycle.errors import Unavailable
from lifecycle.settings import NightTime
from lifecycle.store import schedule
from lifecycle.store.schedule import Claim, Run
from lifecycle.store.sql import Tx, both
from tests.scenarios.driver import day
from tests.support.engine import installation, opened, set_clock
from tests.support.proxy import Proxy

AT_THREE = NightTime(at=time(3), zone="UTC")
NO_TIME = timedelta(0)
_COUNT = both("SELECT count(*) FROM effect")
_EFFECT = both("INSERT INTO effect VALUES (1)")
_TABLE = both("CREATE TABLE effect (n integer)")


@pytest.fixture
def inst(database_url: str) -> Iterator[Installation]:
    """On the tenth day, at noon, with a table in which a job leaves a row each time it is done."""
    with installation(database_url) as made:
        set_clock(made, day(9.5))
        with made.db.write() as tx:
            tx.run(_TABLE)
        yield made


class Rows:
    """Leaves one row, in the transaction in which it ends."""

    name = "rows"

    def __init__(self, before: Callable[[Shift], object] = lambda _: None) -> None:
        self._before = before

    def do(self, shift: Shift) -> str:
        self._before(shift)
        return shift.end(self._leave)

    def _leave(self, tx: Tx) -> str:
        tx.run(_EFFECT)
        return "left a row"


class Failing:
    name = "failing"

    def do(self, shift: Shift) -> str:
        raise RuntimeError("no room")


def effects(inst: Installation) -> int:
    with inst.db.read() as tx:
        count: int = tx.value(_COUNT)
    return count


def nights(inst: Installation, *jobs: Job) -> Nights:
    return Nights(inst, AT_THREE, jobs or [Rows()])


def newest(inst: Installation) -> Run:
    return recent(inst, 1)[0]


# -- which night it is -------------------------------------------------------------------------


def berlin(text: str) -> date:
    at_half_past_two = NightTime(at=time(2, 30), zone="Europe/Berlin")
    return night_of(datetime.fromisoformat(text).replace(tzinfo=UTC), at_half_past_two, "UTC")


def test_a_night_begins_at_its_local_time() -> None:
    assert berlin("2026-01-10 01:29:59") == date(2026, 1, 9)
    assert berlin("2026-01-10 01:30:00") == date(2026, 1, 10)
    assert berlin("2026-01-10 23:30:00") == date(2026, 1, 10), "which is the eleventh there already"


def test_an_hour_that_comes_twice_begins_one_night() -> None:
    """On 25 October 2026 the clocks in Berlin go back from three to two: half past two comes twice."""
    assert berlin("2026-10-25 00:29:59") == date(2026, 10, 24)
    later = ("00:30:00", "00:59:59", "01:00:00", "01:29:59", "01:30:00")
    assert {berlin(f"2026-10-25 {at}") for at in later} == {date(2026, 10, 25)}


def test_where_its_hour_is_left_out_a_night_begins_at_the_first_instant_after_it() -> None:
    """On 29 March 2026 the clocks in Berlin go forward from two to three."""
    assert berlin("2026-03-29 00:59:59") == date(2026, 3, 28)
    assert berlin("2026-03-29 01:00:00") == date(2026, 3, 29)


def test_without_a_zone_of_its_own_it_is_the_policys() -> None:
    now = datetime(2026, 1, 10, 1, tzinfo=UTC)
    assert night_of(now, NightTime(at=time(3)), "Asia/Shanghai") == date(2026, 1, 10)
    assert night_of(now, NightTime(at=time(3)), "UTC") == date(2026, 1, 9)


def test_a_day_that_a_zone_skips_has_its_night_all_the_same() -> None:
    """Samoa had no 30 December 2011."""
    samoa = NightTime(at=time(3), zone="Pacific/Apia")
    eve = datetime(2011, 12, 30, 9, 59, 59, tzinfo=UTC)
    found = [night_of(eve + timedelta(hours=hours), samoa, "UTC").day for hours in range(6)]
    assert found == [29, 30, 30, 30, 31, 31], "the skipped one begins at the first instant after it"


# -- once --------------------------------------------------------------------------------------


def test_each_night_is_worked_on_once(inst: Installation) -> None:
    assert [nights(inst).work() for _ in range(3)] == [1, 0, 0]
    assert effects(inst) == 1
    set_clock(inst, day(10.1))
    assert nights(inst).work() == 0, "the next one begins at three"
    set_clock(inst, day(10.125))
    assert [nights(inst).work() for _ in range(2)] == [1, 0]
    assert effects(inst) == 2
    assert [(run.fire_key, run.tries, run.failed) for run in recent(inst, 9)] == [
        ("2026-01-11", 1, False),
        ("2026-01-10", 1, False),
    ]


def test_nights_that_were_missed_are_made_up_for_once(inst: Installation) -> None:
    nights(inst).work()
    set_clock(inst, day(40))
    assert [nights(inst).work() for _ in range(2)] == [1, 0]
    assert [run.fire_key for run in recent(inst, 9)] == ["2026-02-09", "2026-01-10"]


def test_a_clock_that_goes_back_begins_no_earlier_night(inst: Installation) -> None:
    """The engine's may be that of a server that was set right."""
    nights(inst).work()
    set_clock(inst, day(5))
    assert nights(inst).work() == 0
    assert effects(inst) == 1


def test_of_many_schedulers_in_one_process_one_does_it(inst: Installation) -> None:
    """All ask at once, and whoever does it takes until all others have asked."""
    many = 8
    barrier, asked = threading.Barrier(many), threading.Semaphore(0)

    def until_all_have_asked(_: Shift) -> None:
        assert all(asked.acquire(timeout=60) for _ in range(many - 1))

    def ask() -> None:
        barrier.wait(timeout=60)
        if not nights(inst, Rows(until_all_have_asked)).work():
            asked.release()

    threads = [threading.Thread(target=ask) for _ in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert effects(inst) == 1
    assert newest(inst).tries == 1


@pytest.mark.postgres
def test_of_many_schedulers_in_processes_of_their_own_one_does_it(
    postgres_database_url: str,
) -> None:
    with installation(postgres_database_url) as inst, inst.db.write() as tx:
        tx.run(_TABLE)
        set_clock_within(tx)
    ends = [forked(postgres_database_url, Rows()) for _ in range(6)]
    assert [os.waitpid(child, 0)[1] for child in ends] == [0] * 6
    with opened(postgres_database_url) as inst:
        assert effects(inst) == 1
        assert newest(inst).tries == 1


def set_clock_within(tx: Tx) -> None:
    """The clock of `installation` stands at its first midnight, before three: a day later."""
    tx.run(both("UPDATE clock SET virtual_origin = ?, seen = ?"), *[tx.to_db(day(1.5))] * 2)


def forked(url: str, job: Job) -> int:
    """A process that asks ten times and ends; its number."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        with opened(url) as inst:
            for _ in range(10):
                nights(inst, job).work()
        code = 0
    finally:
        os._exit(code)


def test_who_did_it_is_told_by_host_and_process(inst: Installation) -> None:
    nights(inst).work()
    host, process, _ = newest(inst).worker.rsplit("-", 2)
    assert (host, int(process)) == (socket.gethostname(), os.getpid())


# -- who dies, and who is late -----------------------------------------------------------------


def die(*_: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def killed(inst: Installation, url: str, job: Job) -> None:
    """A process is killed over the job; on SQLite it has the file for itself, as `up` has."""
    child = forked(url, job)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


class DyingAtTheEnd(Rows):
    """Killed when all is written and nothing committed."""

    def _leave(self, tx: Tx) -> str:
        super()._leave(tx)
        die()


@pytest.mark.parametrize("job", [Rows(before=die), DyingAtTheEnd()], ids=["claimed", "written"])
def test_a_job_whose_process_was_killed_is_taken_over_and_done_once(
    inst: Installation, database_url: str, job: Job
) -> None:
    killed(inst, database_url, job)
    assert effects(inst) == 0
    assert nights(inst).work() == 0, "its lease is not over yet"
    assert newest(inst).finished_at is None
    let_the_lease_end(inst)
    assert [nights(inst).work() for _ in range(2)] == [1, 0]
    assert effects(inst) == 1
    assert (newest(inst).tries, newest(inst).failed) == (2, False)


def let_the_lease_end(inst: Installation) -> None:
    with inst.db.write() as tx:
        now = tx.to_db(inst.db.clock(tx))
        tx.run(both("UPDATE schedule_run SET lease_until = ? WHERE finished_at IS NULL"), now)


def test_a_job_that_kills_every_process_is_given_up(
    inst: Installation, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(MOST_TRIES):
        killed(inst, database_url, Rows(before=die))
        let_the_lease_end(inst)
    done = Rows()
    assert [nights(inst, done).work() for _ in range(2)] == [0, 0]
    run = newest(inst)
    assert run.failed
    assert run.finished_at is not None
    assert run.outcome == "given up: 5 tries ended with their process"
    assert "is given up after 5 tries" in caplog.text
    set_clock(inst, day(10.5))
    assert nights(inst, done).work() == 1, "the next night is another chance"


def test_one_who_has_lost_the_claim_writes_nothing_more(
    inst: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that was asleep for longer than its lease: another has done the work meanwhile."""

    def overtaken(_: Shift) -> None:
        let_the_lease_end(inst)
        assert nights(inst).work() == 1

    assert nights(inst, Rows(overtaken)).work() == 0
    assert effects(inst) == 1
    assert (newest(inst).tries, newest(inst).outcome) == (2, "left a row")
    assert "was taken over by another process" in caplog.text


def test_a_write_of_one_who_has_lost_the_claim_is_undone(inst: Installation) -> None:
    def overtaken_amid_a_write(shift: Shift) -> None:
        let_the_lease_end(inst)
        nights(inst).work()
        shift.write(lambda tx: tx.run(_EFFECT))

    nights(inst, Rows(overtaken_amid_a_write)).work()
    assert effects(inst) == 1


def test_whoever_is_alive_keeps_the_claim_however_long_it_takes(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(night, "KEEP_EVERY", NO_TIME)

    def long(shift: Shift) -> None:
        let_the_lease_end(inst)
        shift.stay()
        assert nights(inst).work() == 0

    assert nights(inst, Rows(long)).work() == 1
    assert newest(inst).tries == 1


def test_a_night_that_is_over_is_taken_from_whoever_is_still_at_it(inst: Installation) -> None:
    def until_the_next_night(_: Shift) -> None:
        set_clock(inst, day(10.5))
        assert nights(inst).work() == 1

    assert nights(inst, Rows(until_the_next_night)).work() == 0
    assert effects(inst) == 1
    assert [(run.fire_key, run.outcome) for run in recent(inst, 2)] == [
        ("2026-01-11", "left a row"),
        ("2026-01-10", "overtaken by 2026-01-11"),
    ]


def test_a_process_that_is_to_end_gives_its_job_back_at_once(inst: Installation) -> None:
    def stopped(shift: Shift) -> None:
        going.stop()
        shift.stay()

    going = nights(inst, Rows(stopped))
    assert going.work() == 0
    assert effects(inst) == 0
    assert going.work() == 0, "it begins nothing any more"
    assert nights(inst).work() == 1


# -- failures ----------------------------------------------------------------------------------


def test_a_job_that_fails_stops_no_other_and_is_tried_again_later(
    inst: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    assert nights(inst, Failing(), Rows()).work() == 1
    with inst.db.read() as tx:
        (failing,) = [each for each in schedule.latest(tx) if each.job == "failing"]
    assert (failing.failed, failing.succeeded_at) == (True, None)
    run = next(each for each in recent(inst, 2) if each.job == "failing")
    assert (run.outcome, run.finished_at) == ("RuntimeError: no room", None)
    assert "failing of the night of 2026-01-10 failed, try 1 of 5" in caplog.text
    assert "no room" not in " ".join(caplog.messages), "it may quote somebody"
    nights(inst, Failing()).work()
    assert next(each for each in recent(inst, 2) if each.job == "failing").tries == 1
    let_the_lease_end(inst)
    nights(inst, Failing()).work()
    assert next(each for each in recent(inst, 2) if each.job == "failing").tries == 2


def test_a_job_that_fails_every_time_is_tried_so_often_a_night(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(night, "AGAIN_AFTER", NO_TIME)
    for _ in range(MOST_TRIES + 3):
        nights(inst, Failing()).work()
    run = newest(inst)
    assert (run.tries, run.failed, run.outcome) == (MOST_TRIES, True, "RuntimeError: no room")
    assert run.finished_at is not None


# -- outages -----------------------------------------------------------------------------------


@pytest.fixture
def line(postgres_database_url: str) -> Iterator[Proxy]:
    """To the database of the installation `afar`."""
    with Proxy(postgres_database_url) as made:
        yield made


@pytest.fixture
def afar(postgres_database_url: str, line: Proxy) -> Iterator[Installation]:
    """As `inst`, at the other end of a line that the test may cut."""
    with installation(postgres_database_url) as made:
        set_clock(made, day(9.5))
        with made.db.write() as tx:
            tx.run(_TABLE)
    with opened(line.instead_of(postgres_database_url)) as made:
        yield made


@pytest.mark.postgres
def test_a_job_outlives_an_outage_that_is_shorter_than_its_lease(
    afar: Installation,
    line: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An hour of work is not thrown away for seconds; each call asks for as long as `run` tries."""
    monkeypatch.setattr(night, "KEEP_EVERY", NO_TIME)

    def through_outages(shift: Shift) -> None:
        for _ in range(2):
            line.cut()
            shift.stay()
            shift.stay()
            line.mend()
            shift.stay()

    assert nights(afar, Rows(through_outages)).work() == 1
    assert effects(afar) == 1
    assert newest(afar).tries == 1
    waits = [each for each in caplog.messages if "cannot extend its lease" in each]
    assert len(waits) == 2, "each outage is told once"
    assert "PostgreSQL" in waits[0]


def test_a_job_that_cannot_keep_its_claim_fails_before_its_lease_is_over(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up when 20 s of two minutes are left, by the clock of its process."""
    clock = [0.0]
    monkeypatch.setattr(night, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    stayed: list[float] = []

    def without_the_database(shift: Shift) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(schedule, "keep", away)
            for clock[0] in (19.0, 21.0, 99.0, 100.0, 101.0):
                shift.stay()
                stayed.append(clock[0])

    assert nights(inst, Rows(without_the_database)).work() == 0
    assert stayed == [19.0, 21.0, 99.0]
    assert effects(inst) == 0
    assert (newest(inst).tries, newest(inst).outcome) == (1, "the database does not answer")


def away(*_: object, **__: object) -> NoReturn:
    raise Unavailable("the database does not answer")


@pytest.mark.postgres
def test_a_job_whose_last_commit_went_unanswered_is_done(
    postgres_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It was committed, so the second run must neither write again nor take it for somebody else's."""
    lose = threading.Event()

    def losing(data: bytes) -> bytes:
        if lose.is_set() and b"COMMIT\0" in data:
            lose.clear()
            raise ConnectionError
        return data

    class Unanswered(Rows):
        def _leave(self, tx: Tx) -> str:
            lose.set()
            return super()._leave(tx)

    with (
        Proxy(postgres_database_url, answers=losing) as line,
        installation(line.instead_of(postgres_database_url)) as inst,
    ):
        set_clock(inst, day(9.5))
        with inst.db.write() as tx:
            tx.run(_TABLE)
        assert nights(inst, Unanswered()).work() == 1
        assert not lose.is_set()
        assert effects(inst) == 1
        assert (newest(inst).tries, newest(inst).outcome) == (1, "left a row")
    assert "taken over" not in caplog.text


class Refusing:
    """Finds the database away for all that its claim is ended by."""

    name = "refusing"

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
        self._broken = monkeypatch
        self._error = error

    def do(self, shift: Shift) -> str:
        for ending in ("give_back", "finish"):
            self._broken.setattr(schedule, ending, away)
        raise self._error


class Back(Rows):
    """Does its work when the database is there again."""

    def __init__(self, broken: pytest.MonkeyPatch) -> None:
        super().__init__(lambda _: broken.undo())


@pytest.mark.parametrize("ended", [Stopped(), RuntimeError("no room")], ids=["stopped", "failed"])
def test_a_job_whose_failure_cannot_be_recorded_stops_no_other_and_its_lease_ends_by_itself(
    inst: Installation, caplog: pytest.LogCaptureFixture, ended: Exception
) -> None:
    with pytest.MonkeyPatch.context() as broken:
        assert nights(inst, Refusing(broken, ended), Back(broken)).work() == 1
    assert effects(inst) == 1
    assert "how refusing of the night of 2026-01-10 ended could not be recorded" in caplog.text
    assert "the database does not answer" in caplog.text
    anew = nights(inst, Named("refusing"))
    assert anew.work() == 0, "its lease is not over yet"
    let_the_lease_end(inst)
    assert anew.work() == 1


def test_a_job_that_cannot_be_given_up_is_given_up_later(
    inst: Installation, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(MOST_TRIES):
        killed(inst, database_url, Rows(before=die))
        let_the_lease_end(inst)
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(schedule, "finish", away)
        assert nights(inst).work() == 0
    assert "how rows of the night of 2026-01-10 ended could not be recorded" in caplog.text
    assert "failed, try" not in caplog.text
    let_the_lease_end(inst)
    assert nights(inst).work() == 0
    assert newest(inst).outcome == "given up: 5 tries ended with their process"
    assert newest(inst).finished_at is not None


def test_a_job_that_cannot_be_claimed_stops_no_other_and_is_told(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whoever looks every few seconds, who tells the same thing once a minute."""
    claim = schedule.claim

    def claim_rows_alone(tx: Tx, job: str, *given: Any, **named: Any) -> Claim | None:
        return claim(tx, job, *given, **named) if job == "rows" else away()

    with monkeypatch.context() as broken:
        broken.setattr(schedule, "claim", claim_rows_alone)
        jobs = nights(inst, Named("first"), Rows(), Named("last"))
        with pytest.raises(Unavailable, match="does not answer"):
            jobs.work()
    assert effects(inst) == 1
    assert jobs.work() == 2


class Named(Rows):
    """Leaves no row."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def _leave(self, tx: Tx) -> str:
        return "left nothing"
