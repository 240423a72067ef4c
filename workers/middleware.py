"""What happens around every ring and every worker? One small class for each behaviour."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from dramatiq import Broker, MessageProxy, Worker
from dramatiq.middleware import Middleware

from lifecycle.logs import context


class OneRingOfEachBell(Middleware):
    """A process takes one ring of a bell at a time.

    Without it, dramatiq takes two a thread in advance: a busy process would sit on rings that an
    idle one could answer.
    """

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        worker.queue_prefetch = 1


class AboutTheRing(Middleware):
    """While a ring is answered, every line of the log says which one: `bell` and `ring`.

    Its thread is called after it, for who reads the log as text.
    """

    def __init__(self) -> None:
        self._before = threading.local()

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        thread, ring = threading.current_thread(), message.message_id[:8]
        self._before.name = thread.name
        self._before.context = context.begin(bell=message.actor_name, ring=ring)
        thread.name = f"{message.actor_name}-{ring}"

    def after_process_message(self, broker: Broker, message: MessageProxy, **_: Any) -> None:
        threading.current_thread().name = self._before.name
        context.end(self._before.context)


class Beside(Middleware):
    """Starts something when the workers run, and stops it before they stop; at last, closes what all used."""

    def __init__(
        self,
        *,
        start: Callable[[], object],
        stop: Callable[[], object],
        close: Callable[[], object],
    ) -> None:
        self._start, self._stop, self._close = start, stop, close

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        self._start()

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        self._stop()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        self._close()
