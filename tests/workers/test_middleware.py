"""What happens around a ring: the log can show what a line is about."""

from __future__ import annotations

import threading

import dramatiq
from dramatiq import Worker
from dramatiq.brokers.stub import StubBroker

from workers.bells import queue_of, ring
from workers.middleware import AboutTheRing


def test_a_thread_is_called_after_the_ring_while_it_answers_it() -> None:
    broker = StubBroker(middleware=[AboutTheRing()])
    names: list[str] = []

    @dramatiq.actor(broker=broker, actor_name="apply", queue_name=queue_of("p", "apply"))
    def apply() -> None:
        names.append(threading.current_thread().name)

    worker = Worker(broker, worker_threads=1, worker_timeout=50)
    worker.start()
    before = worker.workers[0].name
    for _ in range(2):
        ring(broker, "p", "apply")
    broker.join(queue_of("p", "apply"))
    worker.join()
    assert [name.rpartition("-")[0] for name in names] == ["apply", "apply"]
    assert len(set(names)) == 2
    assert worker.workers[0].name == before
    worker.stop()
    broker.close()
