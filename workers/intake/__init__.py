"""Which queue do events come from? A Redis stream or an AMQP queue, as the broker's URL says.

    queue ─► read ─► accept ──tx──► durable ─► acknowledged

Nothing is acknowledged before it is committed, so what a dying consumer had in hand is delivered
again, and is a duplicate if it was stored. Any number of processes may run this side by side.
"""

from __future__ import annotations

import threading
from typing import Protocol

from lifecycle.errors import Unusable
from lifecycle.settings import Settings
from workers.intake.taking import Engine
from workers.line import Line

REDIS, AMQP = ("redis", "rediss", "unix"), ("amqp", "amqps")
AGAIN_AFTER = 5.0  # seconds, where a consumer ended by a defect of ours
STOP_WITHIN = 5.0  # seconds: for the batch that is in hand; what is left of it comes again


class Consumer(Protocol):
    def run(self) -> None:
        """Takes events in until told to stop, and returns when what was in hand is done."""
        ...


def consumer_of(
    engine: Engine, url: str, stop: threading.Event, prefix: str, line: Line | None = None
) -> Consumer:
    """`line` is the one of the process, where others of it tell of the broker as well.

    Raises Unusable for a URL of anything else.
    """
    scheme = url.partition(":")[0]
    if scheme in REDIS:
        from workers.intake.redis_stream import RedisStream

        return RedisStream(engine, url, stop, prefix=prefix, line=line)
    if scheme in AMQP:
        from workers.intake.amqp_queue import AmqpQueue

        return AmqpQueue(engine, url, stop, prefix=prefix, line=line)
    allowed = ", ".join(REDIS + AMQP)
    raise Unusable(f"{scheme!r} is no queue that events can come from; use one of {allowed}")


def run(
    engine: Engine,
    url: str,
    stop: threading.Event,
    prefix: str = "lifecycle",
    line: Line | None = None,
) -> None:
    """Takes events in until `stop` is set, and returns when what was in hand is done.

    `prefix` begins every name on the server: events come by `lifecycle:events` of Redis, or
    `lifecycle.events` of RabbitMQ. A server that is away is looked for again, and one that has lost
    everything is set up anew. A defect of ours is logged, and the consumer begins anew.
    Raises Unusable for a URL of anything else.
    """
    while not stop.is_set():
        consumer = consumer_of(engine, url, stop, prefix, line)
        try:
            consumer.run()
        except Exception as error:  # noqa: BLE001 - the queue must not stand still for it
            engine.complaints.about("intake_failed", "taking events from a queue", error)
            stop.wait(AGAIN_AFTER)


def intake_of(engine: Engine, settings: Settings, line: Line) -> Intake | NoIntake:
    """What a process takes in from the broker that is named, if one is."""
    if settings.broker_url is None:
        return NoIntake()
    return Intake(engine, settings.broker_url, settings.broker_prefix, line)


class NoIntake:
    """Without a broker events come in by HTTP alone."""

    def start(self) -> None:
        """Nothing begins."""

    def stop(self) -> None:
        """Nothing ends."""


class Intake:
    """The same on a thread of its own, beside whatever else a process does."""

    def __init__(
        self, engine: Engine, url: str, prefix: str = "lifecycle", line: Line | None = None
    ) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=run, args=(engine, url, self._stop, prefix, line), name="intake", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when what was in hand is committed and acknowledged, or after a few seconds."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(STOP_WITHIN)
