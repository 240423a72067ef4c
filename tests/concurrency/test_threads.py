"""Threads of one process post, apply, fire and read at once, and rings may come at any moment."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from lifecycle.bootstrap import Complaints
from lifecycle.domain.event import Event
from lifecycle.engine import reading
from lifecycle.engine.accept import Accepted, Duplicate, Result
from lifecycle.engine.apply import apply_pending, fire_due
from lifecycle.engine.digest import Digest, digest
from lifecycle.engine.installation import Installation
from lifecycle.engine.verify import verify
from lifecycle.engine.work import Applied
from lifecycle.errors import NotFound
from tests.engine.histories import RICH_POLICY, arrivals
from tests.scenarios.driver import day, order
from tests.support.engine import installation, opened, pending, post, set_clock, state, work
from workers.inprocess import InProcessWorkers

PATIENCE = 60  # seconds: how long a test waits for a signal before it fails
POSTERS = 4
CUSTOMERS = 30
END = 600.0


def quiet(directory: Path, events: list[Event]) -> Digest:
    """The digest where one thread did everything, one thing after the other."""
    with installation(f"sqlite:///{directory / 'quiet.db'}", RICH_POLICY) as inst:
        set_clock(inst, day(END))
        post(inst, *events)
        work(inst)
        return digest(inst, day(END))


def test_threads_that_post_apply_fire_and_read_at_once_need_not_know_of_each_other(
    database_url: str, tmp_path: Path
) -> None:
    """Four post what overlaps, two apply, two fire, two read: nobody is told that anything is
    locked, every event is accepted by one poster and a duplicate to the others, and the truth is
    that of a quiet run."""
    history = arrivals(seed=11, customers=CUSTOMERS, events=600, batch=20)
    with installation(database_url, RICH_POLICY) as inst, opened(database_url) as beside:
        set_clock(inst, day(END))
        begin = threading.Barrier(POSTERS + 6)
        posted = threading.Event()

        def poster(number: int) -> list[Result]:
            begin.wait(PATIENCE)
            mine = [one for n, one in enumerate(history) if n % POSTERS != number]
            return [result for one in mine for result in post(inst, *one.events)]

        def worker(batch: Callable[[Installation], Applied]) -> int:
            begin.wait(PATIENCE)
            return _until(posted, lambda: batch(inst))

        def reader(where: Installation) -> int:
            begin.wait(PATIENCE)
            return _reading_until(posted, where)

        with ThreadPoolExecutor(POSTERS + 6) as pool:
            posters = [pool.submit(poster, number) for number in range(POSTERS)]
            others = [
                *(pool.submit(worker, batch) for batch in (_few, _few, fire_due, fire_due)),
                *(pool.submit(reader, where) for where in (inst, beside)),
            ]
            try:
                answers = [answer for one in posters for answer in one.result(PATIENCE)]
            finally:
                posted.set()
            assert all(one.result(PATIENCE) > 0 for one in others)
        work(inst)
        events = {event.id: event for one in history for event in one.events}
        accepted = [answer.id for answer in answers if isinstance(answer, Accepted)]
        assert sorted(accepted) == sorted(events)
        assert {type(answer) for answer in answers} == {Accepted, Duplicate}
        assert pending(inst) == []
        assert verify(inst) == []
        assert digest(inst, day(END)) == quiet(tmp_path, list(events.values()))


def _few(inst: Installation) -> Applied:
    return apply_pending(inst, max_events=20)


def _until(posted: threading.Event, batch: Callable[[], Applied]) -> int:
    """How many rounds there were, until everything was posted and one found nothing."""
    for rounds in itertools.count(1):
        everything = posted.is_set()
        if not batch().more and everything:
            return rounds
    raise AssertionError


def _reading_until(posted: threading.Event, inst: Installation) -> int:
    """How many customers were read, until everything was posted and each was read once more."""
    names = [f"c{number:03}" for number in range(CUSTOMERS)]
    read = 0
    while not posted.is_set():
        reading.health(inst)
        with suppress(NotFound):  # she has not come yet
            read += reading.customer(inst, names[read % CUSTOMERS]).key == names[read % CUSTOMERS]
    return read + sum(reading.customer(inst, name).key == name for name in names)


def test_a_ring_that_comes_after_a_batch_has_looked_brings_another_batch(database_url: str) -> None:
    """Trap: a coalesced ring is cleared when the batch is done; then nobody comes for what was
    accepted after it had looked, until the next sweep."""
    with installation(database_url) as inst:
        workers = InProcessWorkers(Complaints())
        looked = itertools.count(1)
        applied = threading.Event()

        def batch() -> bool:
            done = apply_pending(inst)
            if next(looked) == 1:
                post(inst, order(0))
                workers.ring("apply")
            elif done.events:
                applied.set()
            return done.more

        workers.start({"apply": batch})
        try:
            assert applied.wait(PATIENCE)
        finally:
            workers.stop()
        assert state(inst) == "deal"
