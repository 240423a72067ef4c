"""Which queue do events come from? A Redis stream or an AMQP queue, as the broker's URL says.

    queue ─► read ─► accept ──tx──► durable ─► acknowledged

Nothing is acknowledged before it is committed, so what a dying consumer had in hand is delivered
again, and is a duplicate if it was stored. Any number of processes may run this side by side.
"""

from __future__ import annotations

import threading

from lifecycle.errors import Unusable
from workers.intake.taking import Engine

REDIS, AMQP = ("redis", "rediss", "unix"), ("amqp", "amqps")


def run(engine: Engine, url: str, stop: threading.Event, prefix: str = "lifecycle") -> None:
    """Takes events in until `stop` is set, and returns when what was in hand is done.

    `prefix` begins every name on the server: events come by `lifecycle:events` of Redis, or
    `lifecycle.events` of RabbitMQ. A server that is away is looked for again, and one that has lost
    everything is set up anew.
    Raises Unusable for a URL of anything else.
    """
    scheme = url.partition(":")[0]
    if scheme in REDIS:
        from workers.intake.redis_stream import RedisStream

        RedisStream(engine, url, stop, prefix=prefix).run()
    elif scheme in AMQP:
        from workers.intake.amqp_queue import AmqpQueue

        AmqpQueue(engine, url, stop, prefix=prefix).run()
    else:
        allowed = ", ".join(REDIS + AMQP)
        raise Unusable(f"{scheme!r} is no queue that events can come from; use one of {allowed}")
