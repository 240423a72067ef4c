"""A job is claimed by one on each occasion, taken over from the dead, and never disturbed by the late."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from lifecycle.store import schedule
from lifecycle.store.database import Database
from lifecycle.store.schedule import Claim, Latest, Run
from lifecycle.store.sql import Tx
from tests.store.made import day

HOUR = timedelta(hours=1)


def claim(
    db: Database, now: datetime, *, key: str = "2026-01-02", worker: str = "one", job: str = "a"
) -> Claim | None:
    def unit(tx: Tx) -> Claim | None:
        return schedule.claim(tx, job, key, worker=worker, now=now, lease_until=now + HOUR)

    return db.run(unit)


def claimed(db: Database, now: datetime, **more: str) -> Claim:
    found = claim(db, now, **more)
    assert found is not None
    return found


def runs(db: Database) -> list[Run]:
    with db.read() as tx:
        return schedule.recent(tx, 100)


def test_whoever_comes_first_has_it_and_no_other(db: Database) -> None:
    assert claimed(db, day(2)) == Claim(job="a", fire_key="2026-01-02", tries=1)
    assert claim(db, day(2), worker="two") is None
    assert claimed(db, day(2), worker="two", job="b").tries == 1
    assert claimed(db, day(2), worker="two", key="2026-01-03").tries == 1


def test_what_is_done_is_not_done_again(db: Database) -> None:
    held = claimed(db, day(2))
    assert db.run(lambda tx: schedule.finish(tx, held, day(2) + HOUR / 2, "all of it"))
    assert claim(db, day(9)) is None
    (run,) = runs(db)
    assert (run.worker, run.started_at, run.finished_at) == ("one", day(2), day(2) + HOUR / 2)
    assert (run.failed, run.outcome) == (False, "all of it")


def test_from_the_instant_at_which_its_lease_is_over_another_may_take_it(db: Database) -> None:
    claimed(db, day(2))
    assert claim(db, day(2) + HOUR - timedelta(microseconds=1), worker="two") is None
    assert claimed(db, day(2) + HOUR, worker="two").tries == 2
    assert runs(db)[0].worker == "two"


def test_a_lease_is_extended_by_whoever_is_alive(db: Database) -> None:
    held = claimed(db, day(2))
    assert db.run(lambda tx: schedule.keep(tx, held, day(3)))
    assert claim(db, day(2) + 2 * HOUR, worker="two") is None


def test_one_who_comes_back_late_changes_nothing(db: Database) -> None:
    """Not while another is at it, and not after that one has finished."""
    late = claimed(db, day(2))
    held = claimed(db, day(3), worker="two")
    before = runs(db)
    for _ in range(2):
        assert not db.run(lambda tx: schedule.keep(tx, late, day(9)))
        assert not db.run(lambda tx: schedule.finish(tx, late, day(3), "late"))
        assert not db.run(lambda tx: schedule.give_back(tx, late, day(3), "late"))
        assert runs(db) == before
        db.run(lambda tx: schedule.finish(tx, held, day(3) + HOUR, "in time"))
        before = runs(db)
    assert before[0].outcome == "in time"


def test_what_failed_is_tried_again_from_an_instant_on(db: Database) -> None:
    held = claimed(db, day(2))
    assert db.run(lambda tx: schedule.give_back(tx, held, day(2) + HOUR / 2, "no room"))
    (run,) = runs(db)
    assert (run.failed, run.outcome, run.finished_at) == (True, "no room", None)
    assert claim(db, day(2) + HOUR / 3) is None
    again = claimed(db, day(2) + HOUR / 2)
    assert again.tries == 2
    db.run(lambda tx: schedule.finish(tx, again, day(3), "all of it"))
    assert (runs(db)[0].failed, runs(db)[0].outcome) == (False, "all of it")


def test_what_finished_long_ago_is_forgotten_some_at_a_time(db: Database) -> None:
    """What is unfinished is kept, and so is the latest of each job: by it the others are known to be over."""
    for at in (1, 2, 3, 5):
        finished(db, f"2026-01-0{at}", at)
    finished(db, "2026-01-01", 1, job="old")
    claimed(db, day(1), key="2026-01-01", job="b")
    assert db.run(lambda tx: schedule.forget(tx, day(4), 2)) == 2
    assert db.run(lambda tx: schedule.forget(tx, day(4), 2)) == 1
    assert db.run(lambda tx: schedule.forget(tx, day(99), 2)) == 0
    assert [(run.job, run.fire_key) for run in runs(db)] == [
        ("a", "2026-01-05"),
        ("b", "2026-01-01"),
        ("old", "2026-01-01"),
    ]


def finished(db: Database, key: str, at: int, job: str = "a") -> None:
    held = claimed(db, day(at), key=key, job=job)
    assert db.run(lambda tx: schedule.finish(tx, held, day(at), "done"))


def test_of_many_who_try_at_once_one_has_it(db: Database) -> None:
    """Each in a transaction of its own, all begun before any has claimed."""
    barrier = threading.Barrier(5)
    held: list[Claim | None] = []

    def try_it(number: int) -> None:
        barrier.wait(timeout=30)
        held.append(claim(db, day(2), worker=str(number)))

    threads = [threading.Thread(target=try_it, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.tries for each in held if each] == [1]
    assert len(held) == 5


def test_an_earlier_occasion_is_over_once_a_later_one_was_claimed(db: Database) -> None:
    """Whoever is still at it has lost it, and nobody begins it any more; another job's is its own affair."""
    early = claimed(db, day(2), key="2026-01-02")
    other = claimed(db, day(2), key="2026-01-02", job="b")
    claimed(db, day(3), key="2026-01-03")
    assert not db.run(lambda tx: schedule.keep(tx, early, day(9)))
    assert db.run(lambda tx: schedule.keep(tx, other, day(9)))
    assert claim(db, day(9), key="2026-01-01") is None
    assert claim(db, day(9), key="2026-01-02") is None
    (run,) = [run for run in runs(db) if (run.job, run.fire_key) == ("a", "2026-01-02")]
    assert (run.failed, run.outcome) == (True, "overtaken by 2026-01-03")


def test_how_each_job_has_fared(db: Database) -> None:
    held = claimed(db, day(2), key="2026-01-02")
    db.run(lambda tx: schedule.finish(tx, held, day(2), "done"))
    failed = claimed(db, day(3), key="2026-01-03")
    db.run(lambda tx: schedule.give_back(tx, failed, day(4), "no room"))
    claimed(db, day(2), job="b")
    with db.read() as tx:
        assert schedule.latest(tx) == [
            Latest(job="a", succeeded_at=day(2), failed=True),
            Latest(job="b", succeeded_at=None, failed=False),
        ]
