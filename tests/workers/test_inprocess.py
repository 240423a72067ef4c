"""The workers inside one process: real threads, and signals instead of sleeps."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping

import pytest

from lifecycle.bootstrap import Complaints
from workers.inprocess import InProcessWorkers

PATIENCE = 30  # seconds: how long a test waits for a signal before it fails

Start = Callable[[Mapping[str, Callable[[], bool]]], InProcessWorkers]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts workers on the given batches; stops them at the end of the test."""
    started: list[InProcessWorkers] = []

    def begin(batches: Mapping[str, Callable[[], bool]]) -> InProcessWorkers:
        workers = InProcessWorkers(Complaints())
        started.append(workers)
        workers.start(batches)
        return workers

    yield begin
    for workers in started:
        workers.stop()


class Queue:
    """Work in a table, as a batch sees it: it takes up to three at a time."""

    def __init__(self) -> None:
        self.waiting = 0
        self.done = 0
        self.lock = threading.Lock()
        self.empty = threading.Condition(self.lock)

    def put(self, count: int) -> None:
        with self.lock:
            self.waiting += count

    def batch(self) -> bool:
        with self.lock:
            taken = min(3, self.waiting)
            self.waiting -= taken
            self.done += taken
            self.empty.notify_all()
            return self.waiting > 0

    def wait_until_done(self, count: int) -> bool:
        with self.lock:
            return self.empty.wait_for(lambda: self.done >= count, timeout=PATIENCE)


def test_one_ring_is_enough_for_everything_that_waits(start: Start) -> None:
    """A batch that says there is more is followed by the next until nothing is left."""
    queue = Queue()
    workers = start({"work": queue.batch})
    queue.put(100)
    workers.ring("work")
    assert queue.wait_until_done(100)


def test_at_the_start_everything_is_looked_at_once_without_a_ring(start: Start) -> None:
    """What an earlier process accepted and did not get to is not forgotten."""
    queue = Queue()
    queue.put(10)
    start({"work": queue.batch})
    assert queue.wait_until_done(10)


def test_nothing_is_lost_when_many_ring_at_once(start: Start) -> None:
    """Each of eight threads puts work down and rings; most rings are dropped, no work is."""
    queue = Queue()
    workers = start({"work": queue.batch})

    def put_and_ring() -> None:
        for _ in range(200):
            queue.put(1)
            workers.ring("work")

    threads = [threading.Thread(target=put_and_ring) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert queue.wait_until_done(1600)


def test_a_ring_for_work_that_the_running_batch_came_too_late_to_see_is_kept() -> None:
    """The bell is answered before the batch looks: after it looked, a ring means another batch."""
    calls: list[int] = []
    again = threading.Event()

    def batch() -> bool:
        calls.append(1)
        if len(calls) == 1:
            workers.ring("work")  # somebody puts work down now, and rings
            return False  # of which this batch saw nothing
        again.set()
        return False

    workers = InProcessWorkers(Complaints())
    workers.start({"work": batch})
    assert again.wait(PATIENCE)
    workers.stop()


def test_a_batch_that_raises_is_logged_once_and_tried_again_at_the_next_ring(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[int] = []
    tried = threading.Semaphore(0)

    def batch() -> bool:
        tries.append(1)
        tried.release()
        raise RuntimeError("the fold is broken")

    with caplog.at_level(logging.ERROR):
        workers = start({"work": batch})
        assert tried.acquire(timeout=PATIENCE)
        workers.ring("work")
        assert tried.acquire(timeout=PATIENCE)
        workers.stop()
    told = [record for record in caplog.records if record.name == "lifecycle"]
    assert len(tries) == 2
    assert len(told) == 1
    assert told[0].getMessage() == "work 'work' failed: RuntimeError"
    assert told[0].exc_info is not None


def test_a_batch_that_never_ends_is_cut_off_and_the_next_ring_is_answered() -> None:
    """However long the batch would run: what it did not commit is undone, and it counts as a try."""
    calls: list[int] = []
    again = threading.Event()
    never = threading.Event()

    def batch() -> bool:
        calls.append(1)
        if len(calls) == 1:
            while not never.wait(0.01):  # Python runs in between, where it can be cut off
                pass
        again.set()
        return False

    complaints = Complaints()
    workers = InProcessWorkers(complaints, threads=1, batch_limit=10)
    workers.start({"work": batch})
    while not again.is_set():
        workers.ring("work")
        again.wait(0.1)
    workers.stop()
    assert complaints.total == 1


def test_one_kind_of_work_that_raises_does_not_stop_another(start: Start) -> None:
    queue = Queue()
    queue.put(5)

    def broken() -> bool:
        raise RuntimeError("always")

    start({"broken": broken, "work": queue.batch})
    assert queue.wait_until_done(5)


def test_a_stop_lets_the_running_batch_finish_and_begins_no_other() -> None:
    begun, go_on, finished = threading.Event(), threading.Event(), threading.Event()
    batches: list[int] = []

    def batch() -> bool:
        batches.append(1)
        begun.set()
        go_on.wait(PATIENCE)
        finished.set()
        return True  # there is more, but not for us

    workers = InProcessWorkers(Complaints())
    workers.start({"work": batch})
    assert begun.wait(PATIENCE)
    stopper = threading.Thread(target=workers.stop)
    stopper.start()
    go_on.set()
    stopper.join(PATIENCE)
    assert not stopper.is_alive()
    assert finished.is_set()
    assert len(batches) == 1


def test_a_ring_after_the_stop_or_for_unknown_work_is_harmless(start: Start) -> None:
    queue = Queue()
    workers = start({"work": queue.batch})
    workers.stop()
    queue.put(1)
    workers.ring("work")
    workers.ring("deliver")
    assert queue.done == 0
