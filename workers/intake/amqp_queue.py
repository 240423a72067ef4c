"""How do events come from an AMQP queue? Delivered ahead, committed together, then acknowledged.

Both queues are quorum queues: what RabbitMQ has confirmed to a sender survives the loss of a node.
A message that is not acknowledged when its consumer's connection ends is delivered again, and is a
duplicate if it was stored. RabbitMQ counts deliveries, and puts aside what consumers die of.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pika
import pika.exceptions

from lifecycle.errors import Unavailable
from lifecycle.intake.queued import read_message
from lifecycle.logs.lines import Teller
from workers.amqp import FAILURES, parameters_of
from workers.broker import line_to
from workers.intake.taking import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    Engine,
    Refusal,
    Stopped,
    Taker,
    told,
)
from workers.line import Line
from workers.troubles import why

tell = Teller("lifecycle")

PREFETCH = 500  # messages on their way to us at the most
AT_ONCE = 250  # messages a batch: while one is committed, the next is on its way
WAIT = timedelta(milliseconds=250)  # for messages: how long a stop may have to wait
BLOCKED = timedelta(seconds=10)  # by RabbitMQ, after which we begin anew
DEADLY = 20  # deliveries after which RabbitMQ puts a message aside by itself

HEADER = "x-lifecycle-"  # of what a rejected message tells about itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    tag: int
    properties: Any
    body: bytes


class AmqpQueue:
    """One consumer of the queue, for one thread."""

    def __init__(
        self,
        engine: Engine,
        url: str,
        stop: threading.Event,
        *,
        prefix: str = "lifecycle",
        line: Line | None = None,
    ) -> None:
        self._engine = engine
        self._line = line or line_to(url)
        self._parameters = parameters_of(url)
        # A RabbitMQ short of memory blocks whoever publishes; a stop must not wait for that.
        self._parameters.blocked_connection_timeout = BLOCKED.total_seconds()
        self._stop = stop
        self._queue = f"{prefix}.events"
        self._rejected = f"{prefix}.rejected"
        self._takes = False

    def run(self) -> None:
        """Until told to stop; a RabbitMQ that is away is no reason to end."""
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self._connected()
            except Stopped:
                return  # what was in hand is delivered to another
            except FAILURES as error:
                self._complain(error)
                if time.monotonic() - began > LONGEST_PAUSE:
                    pause = FIRST_PAUSE
                self._stop.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _complain(self, error: Exception) -> None:
        """In one line: it is the world that failed, so nobody needs the traceback."""
        if not isinstance(error, pika.exceptions.AMQPChannelError):
            self._line.lost(self._queue, error)
            return
        told = Unavailable(f"{self._queue}: RabbitMQ failed ({why(error)}); trying again")
        told.__traceback__ = error.__traceback__  # by which complaints are told apart
        self._engine.complaints.about("intake_failed", "taking events from an AMQP queue", told)

    def _connected(self) -> None:
        """For as long as the connection lasts."""
        connection = pika.BlockingConnection(self._parameters)
        try:
            _declare(connection, self._rejected, _KEPT)
            _declare(connection, self._queue, {**_KEPT, **_dead_letters_to(self._rejected)})
            self._line.found(self._queue)
            self._tell_started()
            self._consume(connection)
        finally:
            _close(connection)

    def _tell_started(self) -> None:
        """Once, however often it connects anew."""
        if not self._takes:
            self._takes = True
            tell.info(
                "intake_started", "taking events from the AMQP queue {queue}", queue=self._queue
            )

    def _consume(self, connection: Any) -> None:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=PREFETCH)
        channel.confirm_delivery()  # or a rejected message might not be there when it is acknowledged
        taker = Taker(
            self._engine,
            partial(self._pause, connection),
            way="amqp",
            named=f"AMQP queue {self._queue}",
        )
        deliveries = channel.consume(self._queue, inactivity_timeout=WAIT.total_seconds())
        while not self._stop.is_set():
            if messages := self._delivered(connection, channel, deliveries):
                self._take(channel, taker, messages)

    def _delivered(
        self, connection: Any, channel: Any, deliveries: Generator[Any, None, None]
    ) -> list[Message]:
        """What has arrived, after a while at the latest; nothing when nothing has."""
        messages = _next(deliveries)
        if messages:
            connection.process_data_events(time_limit=0)  # what has come meanwhile
        while messages and len(messages) < AT_ONCE and channel.get_waiting_message_count():
            messages += _next(deliveries)
        return messages

    def _take(self, channel: Any, taker: Taker, messages: Sequence[Message]) -> None:
        taken = taker.take(
            [partial(read_message, one.body, one.properties.message_id) for one in messages]
        )
        # Those that are stored first: a RabbitMQ that takes no rejected ones delivers only these again.
        refused = [
            (each, one.refused) for each, one in zip(messages, taken, strict=True) if one.refused
        ]
        if not refused:
            channel.basic_ack(messages[-1].tag, multiple=True)
        else:
            for each in {one.tag for one in messages} - {one.tag for one, _ in refused}:
                channel.basic_ack(each)
        for message, problems in refused:
            self._reject(channel, message, problems)
            channel.basic_ack(message.tag)

    def _reject(self, channel: Any, message: Message, refused: Sequence[Refusal]) -> None:
        """Published by us, as RabbitMQ's own dead-lettering could not say why; confirmed on return."""
        properties = message.properties
        properties.headers = {**(properties.headers or {}), **_headers(refused)}
        properties.delivery_mode = 2
        properties.expiration = None  # it is to be found, however late
        properties.user_id = None  # which RabbitMQ would compare with ours
        channel.basic_publish("", self._rejected, message.body, properties, mandatory=True)

    def _pause(self, connection: Any, seconds: float) -> None:
        """Heartbeats go on meanwhile."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._stop.is_set():
                raise Stopped
            connection.sleep(min(left, WAIT.total_seconds()))


_KEPT: dict[str, object] = {"x-queue-type": "quorum"}


def _dead_letters_to(queue: str) -> dict[str, object]:
    """What consumers die of goes there, and is not deleted here before it is safe there."""
    return {
        "x-delivery-limit": DEADLY,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": queue,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def _declare(connection: Any, queue: str, arguments: dict[str, object]) -> None:
    """Only if it is not there: who has made it otherwise, with a policy of his own, had a reason."""
    channel = connection.channel()
    try:
        channel.queue_declare(queue, passive=True)
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code != 404:
            raise
        channel = connection.channel()
        channel.queue_declare(queue, durable=True, arguments=arguments)
        tell.warning("queue_made", "AMQP: made the queue {queue}", queue=queue)
    channel.close()


def _next(deliveries: Generator[Any, None, None]) -> list[Message]:
    """At most one; raises ConsumerCancelled when the queue was deleted under us."""
    try:
        method, properties, body = next(deliveries)
    except StopIteration:
        raise pika.exceptions.ConsumerCancelled("the queue went away") from None
    if method is None:
        return []
    return [Message(tag=method.delivery_tag, properties=properties, body=body)]


def _headers(refused: Sequence[Refusal]) -> dict[str, object]:
    first = refused[0].problem
    return {
        f"{HEADER}code": first.code,
        f"{HEADER}pointer": first.pointer,
        f"{HEADER}message": first.detail,
        f"{HEADER}refused": len(refused),
        f"{HEADER}problems": json.dumps(told(refused), ensure_ascii=False),
    }


def _close(connection: Any) -> None:
    """Whatever state it is in; unacknowledged messages go back to the queue."""
    try:
        connection.close()
    except pika.exceptions.AMQPError:
        tell.debug("connection_gone", "the AMQP connection was closed already")
