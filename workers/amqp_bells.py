"""How do bells ring over RabbitMQ? A quorum queue that holds one ring at most, confirmed when it is rung.

RabbitMQ hands a ring on as soon as the connection of who took it ends, so unlike Redis it may keep
what was taken. Nothing is dead-lettered: a ring that nobody answered is worth nothing.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pika
from dramatiq import Consumer, MessageProxy
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.middleware import Middleware

from workers.amqp import FAILURES, parameters_of
from workers.line import Line
from workers.troubles import Unfit

CONNECT_SECONDS = 2
HEARTBEAT_SECONDS = 15  # two of them unanswered, and the ring of a machine that vanished is free
BLOCKED_SECONDS = 5  # how long a server that is short of memory may keep a ring waiting
AGAIN_SECONDS = 1.0  # after a failure


class AmqpBells(RabbitmqBroker):
    """dramatiq's broker for RabbitMQ, with queues for rings and none for delayed or dead messages."""

    def __init__(self, url: str, line: Line, middleware: list[Middleware]) -> None:
        super().__init__(confirm_delivery=True, middleware=middleware)
        self.line = line
        self.parameters = _impatient(url)

    def unfit(self) -> Unfit | None:
        """Asks the server, which may take some seconds."""
        try:
            pika.BlockingConnection(self.parameters).close()
        except FAILURES as error:
            return self.line.diagnose(error)
        return None

    def declare_queue(self, queue_name: str, *, ensure: bool = False) -> None:
        """No queue for delayed messages goes with it: what is due lies in the database."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.queues_pending.add(queue_name)
            self.emit_after("declare_queue", queue_name)
        if ensure:
            self._ensure_queue(queue_name)  # type: ignore[no-untyped-call]

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        return _Listener(self, queue_name, prefetch, timeout)

    def connected(self, queue_name: str, prefetch: int, timeout: int) -> Consumer:
        """dramatiq's consumer, on a connection of its own; raises while the server is away."""
        return super().consume(queue_name, prefetch, timeout)

    def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
        return {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "drop-head"}

    def _declare_dq_queue(self, queue_name: str) -> None:
        """Rings are not delayed."""

    def _declare_xq_queue(self, queue_name: str) -> None:
        """Rings do not die."""


def _impatient(url: str) -> pika.URLParameters:
    """The URL's, but no try takes long: whoever needs more of them tries again, and nobody waits."""
    parameters = parameters_of(url)
    parameters.socket_timeout = CONNECT_SECONDS
    parameters.stack_timeout = CONNECT_SECONDS
    parameters.connection_attempts = 1
    parameters.heartbeat = HEARTBEAT_SECONDS
    parameters.blocked_connection_timeout = BLOCKED_SECONDS
    return parameters


class _Listener(Consumer):
    """Waits at one queue. It outlives the broker: it connects anew, yields nothing meanwhile, never raises."""

    def __init__(self, broker: AmqpBells, queue: str, prefetch: int, timeout: int) -> None:
        self._broker = broker
        self._line = broker.line
        self._queue = queue
        self._waiting = (prefetch, timeout)
        self._inner: Consumer | None = None

    def __next__(self) -> MessageProxy | None:
        try:
            if self._inner is None:
                self._inner = self._broker.connected(self._queue, *self._waiting)
            message = next(self._inner)
        except Exception as error:  # noqa: BLE001 - pika raises what it likes when a server goes away
            self._line.lost(self._queue, error)
            self.close()
            time.sleep(AGAIN_SECONDS)
            return None
        self._line.found(self._queue)
        return message

    def ack(self, message: MessageProxy) -> None:
        """A ring that cannot be acknowledged comes again, which is harmless.

        dramatiq would try until the server is back, and keep a thread of the workers busy with it.
        """
        inner = self._inner
        if inner is not None:
            with contextlib.suppress(Exception):
                inner.ack(message)

    nack = ack

    def close(self) -> None:
        inner, self._inner = self._inner, None
        if inner is not None:
            with contextlib.suppress(Exception):
                inner.close()
