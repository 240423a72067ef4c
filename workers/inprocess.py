"""dramatiq inside one process: its in-memory broker with real worker threads, no server to install.

A message is a ring without payload, and one batch of work; whatever is lost with the memory (a crash,
a stop) is found again in the database by the next sweep. What the work is, is the caller's business.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import dramatiq
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Interrupt, TimeLimit
from dramatiq.worker import Worker

from lifecycle.bootstrap import Complaints
from workers.doorbell import Doorbell
from workers.rounds import Batch

THREADS = 3  # while one waits for the database, the others may work
QUEUE = "lifecycle"
BATCH_LIMIT = (
    120_000  # ms: far beyond any batch; what takes longer is cut off and counts as an attempt
)
STOP_WITHIN = 30_000  # ms: for the batches that are running
_IDLE_WAKE = 250  # ms: how long a stop may wait for an idle thread


class InProcessWorkers:
    """Runs the named batches whenever their bell is rung, until nothing is left to do.

    A batch that raises, or is cut off after `batch_limit` ms, is logged and tried again at the next
    ring: the clockwork sweeps every few seconds, and it is the engine that counts attempts and puts a
    culprit aside.
    """

    def __init__(
        self, complaints: Complaints, *, threads: int = THREADS, batch_limit: int = BATCH_LIMIT
    ) -> None:
        # No middleware that repeats or delays: the database is the queue, the sweep is the retry.
        self._broker = StubBroker(middleware=[TimeLimit(time_limit=batch_limit)])
        self._complaints = complaints
        self._threads = threads
        self._worker: Worker | None = None
        self._batches: Mapping[str, Batch] = {}
        self._bells: dict[str, Doorbell] = {}
        self._stopping = threading.Event()

    def start(self, batches: Mapping[str, Batch]) -> None:
        """Begins with one look at everything, for what an earlier process left behind."""
        self._batches = batches
        self._bells = {name: Doorbell(self._sender(name)) for name in batches}
        self._listen()
        for name in batches:
            self.ring(name)

    def ring(self, name: str) -> None:
        """Before the start and after the stop nobody listens, and nothing is lost by it."""
        if name in self._bells and not self._stopping.is_set():
            self._bells[name].ring()

    def answer(self, name: str) -> None:
        """What its threads do at every ring: one batch of work."""
        self._bells[name].answer()
        if self._stopping.is_set():
            return
        try:
            more = self._batches[name]()
        except (Exception, Interrupt) as error:  # noqa: BLE001 - the thread must live
            self._complaints.about("work_failed", f"work {name!r}", error)
            return
        if more:
            self.ring(name)

    def stop(self) -> None:
        """Lets the batches that are running finish, and begins no other."""
        self._stopping.set()
        if self._worker is not None:
            self._worker.stop(timeout=STOP_WITHIN)
            self._worker = None
        self._broker.close()

    def _listen(self) -> None:
        self._broker.emit_after("process_boot")  # starts the time limit's watch
        self._worker = Worker(self._broker, worker_threads=self._threads, worker_timeout=_IDLE_WAKE)
        self._worker.start()

    def _sender(self, name: str) -> Callable[[], object]:
        """Sends one ring to whichever thread is free."""

        def work() -> None:
            self.answer(name)

        return dramatiq.actor(actor_name=name, queue_name=QUEUE, broker=self._broker)(work).send
