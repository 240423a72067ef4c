"""Consumers of either queue under names of a test's own."""

from __future__ import annotations

import threading
from datetime import timedelta

from workers.intake.amqp_queue import AmqpQueue
from workers.intake.redis_stream import RedisStream
from workers.intake.taking import Engine

SOON = timedelta(milliseconds=50)  # after which a test takes a consumer for dead


def redis_stream(
    engine: Engine,
    url: str,
    prefix: str,
    stop: threading.Event,
    abandoned_after: timedelta = timedelta(hours=1),
) -> RedisStream:
    """By default nobody is taken for dead, however slow the machine is."""
    return RedisStream(
        engine,
        url,
        stop,
        prefix=prefix,
        abandoned_after=abandoned_after,
        look_every=SOON,
        wait=SOON,
    )


def consumer_of(
    engine: Engine, url: str, prefix: str, stop: threading.Event
) -> RedisStream | AmqpQueue:
    if url.startswith("amqp"):
        return AmqpQueue(engine, url, stop, prefix=prefix)
    return redis_stream(engine, url, prefix, stop)
