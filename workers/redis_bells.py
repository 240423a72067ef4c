"""How do bells ring over Redis? A list that holds one ring at most, and workers that wait for it.

dramatiq's own broker for Redis keeps what was fetched until it is acknowledged, and hands it on when
its worker is believed dead. A bell must not: what was fetched may be lost, as the database knows it.
Measured with that broker: one payload that it could not read held up 12 healthy messages with it for
as long as its worker lived; after a `kill -9` a message came back within 84 to 813 s, as each poll
has a chance in a thousand to look for the dead; a clock two minutes ahead ran everybody's work twice.
Here nothing is read from a ring, nothing is kept, and no clock is asked; a sweep, every few seconds,
finds whatever a lost ring was for.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import redis
from dramatiq import Broker, Consumer, Message, MessageProxy
from dramatiq.middleware import Middleware
from redis.backoff import NoBackoff
from redis.retry import Retry

from workers.bells import ring_for
from workers.line import Line
from workers.troubles import NO_DATABASE, Trouble, Unfit

CONNECT_SECONDS = 2
ANSWER_SECONDS = 5  # longer than a worker waits for a ring, so that silence means a lost connection
AGAIN_SECONDS = 1.0  # after a failure
KEEPS_EVERYTHING = "noeviction"
OLDEST = (6, 2)  # before it, what a dead consumer had in hand cannot be asked for (XPENDING … IDLE)


class RedisBells(Broker):
    """A broker whose queues hold one message at most: who rings while a ring waits changes nothing."""

    def __init__(self, url: str, line: Line, middleware: list[Middleware]) -> None:
        super().__init__(middleware=middleware)
        self.line = line
        self.client = redis.Redis.from_url(
            url,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            # Once more for a connection that went stale; whoever needs more asks again.
            retry=Retry(NoBackoff(), 1),
        )
        self.client.connection_pool.make_connection()  # reaches nobody: are the options known?

    def unfit(self) -> Unfit | None:
        """Asks the server; one that must not be asked is taken as it is."""
        try:
            info = self.client.info()
        except redis.exceptions.NoPermissionError:
            return None
        except redis.RedisError as error:
            return self._numbered(self.line.diagnose(error))
        return _forgets(info) or _is_old(info)

    def _numbered(self, found: Unfit) -> Unfit:
        """With the databases that it has, where it lacks the one that is named."""
        if NO_DATABASE not in found.why:
            return found
        pool = self.client.connection_pool
        first = redis.ConnectionPool(pool.connection_class, **pool.connection_kwargs | {"db": 0})
        with contextlib.closing(redis.Redis(connection_pool=first)) as asking:
            try:
                count = asking.config_get("databases").get("databases")
            except redis.RedisError:  # one that must not be asked
                count = None
        return replace(found, why=f"{found.why}; it has 0 to {int(count) - 1}") if count else found

    def declare_queue(self, queue_name: str) -> None:
        """No queue for delayed messages goes with it: what is due lies in the database.

        Such a queue is polled like any other, and one message far in the future holds up the next.
        """
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues[queue_name] = None
            self.emit_after("declare_queue", queue_name)

    def enqueue(self, message: Message[None], *, delay: int | None = None) -> Message[None]:
        assert delay is None, "rings are not delayed"
        with self.client.pipeline(transaction=True) as together:
            together.lpush(message.queue_name, "")
            together.ltrim(message.queue_name, 0, 0)  # a ring that waits already is replaced
            together.execute()
        return message

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        return _Listener(self.client, self.line, queue_name, prefetch, timeout / 1000)

    def close(self) -> None:
        self.client.close()


class _Listener(Consumer):
    """Waits at one list. Taking the ring clears it, before its work is looked for.

    It outlives the broker: while that is away it yields nothing, and it never raises.
    """

    def __init__(
        self, client: redis.Redis, line: Line, queue: str, prefetch: int, seconds: float
    ) -> None:
        self._client = client
        self._line = line
        self._queue = queue
        self._prefetch = prefetch
        self._seconds = seconds
        self._taken = 0  # rings whose work is not done yet
        self._done = threading.Condition()

    def __next__(self) -> MessageProxy | None:
        if not self._has_a_hand_free():
            return None  # the ring is for somebody who has
        try:
            rung = self._client.blpop([self._queue], timeout=self._seconds)
        except redis.RedisError as error:
            self._line.lost(self._queue, error)
            time.sleep(AGAIN_SECONDS)
            return None
        self._line.found(self._queue)
        if rung is None:
            return None
        with self._done:
            self._taken += 1
        return MessageProxy(ring_for(self._queue))

    def _has_a_hand_free(self) -> bool:
        with self._done:
            return self._done.wait_for(lambda: self._taken < self._prefetch, self._seconds)

    def ack(self, message: MessageProxy) -> None:
        with self._done:
            self._taken -= 1
            self._done.notify()

    nack = ack


def _forgets(info: Mapping[str, Any]) -> Unfit | None:
    policy = info.get("maxmemory_policy", KEEPS_EVERYTHING)
    if policy == KEEPS_EVERYTHING:
        return None
    return Unfit(
        trouble=Trouble.FORGETS,
        why=f"it throws keys away when its memory is full (maxmemory-policy {policy}), and what"
        f" waits in it would be lost; set `maxmemory-policy {KEEPS_EVERYTHING}`, or name another",
    )


def _is_old(info: Mapping[str, Any]) -> Unfit | None:
    version = str(info.get("redis_version", ""))
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) >= OLDEST:
        return None
    return Unfit(
        trouble=Trouble.OLD,
        why=f"it is Redis {version}, and its stream cannot be taken from before"
        f" {OLDEST[0]}.{OLDEST[1]}; install a newer one, or name another",
    )
