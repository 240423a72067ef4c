"""Many processes on PostgreSQL, with Redis between them: how fast, how soon visible, and at what cost?

Two workers that hindered one another would show in what they use of the processors together: a backlog
is drained by one, then the same backlog by two, which stand still until all of it is stored.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
import psycopg
import redis

from benchmarks import databases
from benchmarks.intake import WARMING, live, nothing_pending, result_of
from benchmarks.material import bodies, drafts
from benchmarks.measure import Result, cpu_of, percentile
from benchmarks.served import await_done, begun, post_all, running
from lifecycle.bootstrap import Engine
from lifecycle.domain.event import Event
from tests.support import redis as redis_server
from workers.bells import APPLY, queue_of

WORKERS = 2
APPLIED_FLOOR, APPLIED_GOAL = 5_000, 10_000  # ev/s
VISIBLE_FLOOR, VISIBLE_GOAL = 250.0, 50.0  # ms
DEARER = 1.15  # times the CPU of one worker, for two, at the most
FASTER, CORES = 1.6, 4  # times the work of one, at the least, on so many cores
COLD = 6_000  # events with which the workers begin: some batches for each
AT_ONCE = 1_000  # events stored in one transaction
LIGHTLY = 0.1  # seconds between two posts, about

_COMMAND = (sys.executable, "-m", "lifecycle")
_SEEN = "SELECT 1 FROM step AS s JOIN customer AS c ON c.id = s.customer_id WHERE c.key = %s"


def run(scale: float) -> list[Result]:
    events = live(int(60_000 * scale))
    return [
        _applied(events),
        *_visible(max(int(200 * scale), 20)),
        *_drained(events),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Installation:
    environment: dict[str, str]  # what its processes find there
    workers: list[int]  # process ids; each is ready and has nothing to do

    @property
    def url(self) -> str:
        return self.environment["LIFECYCLE_DATABASE_URL"]

    def nothing_pending(self) -> bool:
        return nothing_pending(self.url)

    def ring(self) -> None:
        """As whoever accepts events does."""
        name = queue_of(self.environment["LIFECYCLE_BROKER_PREFIX"], APPLY)
        with redis.Redis.from_url(self.environment["LIFECYCLE_BROKER_URL"]) as client:
            client.lpush(name, "")


@contextlib.contextmanager
def _installation(workers: int) -> Iterator[_Installation]:
    with ExitStack() as stack:
        broker = stack.enter_context(redis_server.server())
        prefix = stack.enter_context(redis_server.fresh_prefix(broker))
        environment = {
            "LIFECYCLE_DATABASE_URL": stack.enter_context(databases.empty("postgresql")),
            "LIFECYCLE_BROKER_URL": broker,
            "LIFECYCLE_BROKER_PREFIX": prefix,
        }
        started = [
            stack.enter_context(begun([*_COMMAND, "work"], environment)) for _ in range(workers)
        ]
        await_done(lambda: _listening(broker, prefix) >= workers)
        yield _Installation(environment=environment, workers=[each.pid for each in started])


def _listening(broker: str, prefix: str) -> int:
    """How many workers are ready: each takes events from the stream as well, and is known there."""
    with redis.Redis.from_url(broker) as client:
        try:
            return len(client.xinfo_consumers(f"{prefix}:events", "lifecycle"))
        except redis.ResponseError:  # the first of them has yet to make the stream
            return 0


# -- as fast as it goes ------------------------------------------------------------------------


def _applied(events: list[Event]) -> Result:
    warm, measured = bodies(events[:WARMING], "warm"), bodies(events[WARMING:], "run")
    with (
        _installation(WORKERS) as found,
        running([*_COMMAND, "serve"], found.environment) as (server, port),
    ):
        pids = [server, *found.workers]
        post_all(pids, port, warm, found.nothing_pending)
        load = post_all(pids, port, measured, found.nothing_pending)
    name = f"HTTP → applied, postgresql + redis, {WORKERS} workers"
    result = result_of(name, load, len(events) - WARMING)
    result.floor, result.goal = APPLIED_FLOOR, APPLIED_GOAL
    result.beside = "HTTP → applied, postgresql"
    return result


# -- lightly loaded ----------------------------------------------------------------------------


def _visible(count: int) -> list[Result]:
    """From before a post of one event until another connection sees the transition that it made."""
    begun_at = time.perf_counter()
    with (
        _installation(WORKERS) as found,
        running([*_COMMAND, "serve"], found.environment) as (_, port),
        contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as server,
        psycopg.connect(found.url, autocommit=True) as looking,
    ):
        chance = random.Random(7)
        waited = []
        for number in range(-20, count):
            time.sleep(chance.uniform(0, 2 * LIGHTLY))
            seconds = _until_visible(server, looking, f"customer-{number}")
            if number >= 0:  # the first ones find nothing warm
                waited.append(seconds * 1000)
    seconds = time.perf_counter() - begun_at
    return [
        Result(
            name=f"event → transition visible, lightly loaded, p{rank}",
            what="ms",
            rate=percentile(waited, rank / 100),
            count=count,
            seconds=seconds,
            floor=VISIBLE_FLOOR if rank == 99 else None,
            goal=VISIBLE_GOAL if rank == 99 else None,
            latency=True,
        )
        for rank in (50, 99)
    ]


def _until_visible(
    server: http.client.HTTPConnection, looking: psycopg.Connection, customer: str
) -> float:
    event = {
        "id": customer,
        "customer_id": customer,
        "type": "order_paid",
        "occurred_at": datetime.now(UTC).isoformat(),
        "properties": {"amount": "10.00", "currency": "CNY"},
    }
    posted = time.perf_counter()
    server.request(
        "POST",
        "/v1/events",
        orjson.dumps({"events": [event]}),
        {"Content-Type": "application/json"},
    )
    answer = server.getresponse()
    if answer.status != http.HTTPStatus.OK:
        raise RuntimeError(f"{answer.status} {answer.read()[:300]!r}")
    answer.read()
    while looking.execute(_SEEN, (customer,)).fetchone() is None:
        time.sleep(0.001)
    return time.perf_counter() - posted


# -- a backlog ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drained:
    seconds: float
    cpu_seconds: float  # of the workers together
    events: int

    @property
    def rate(self) -> float:
        return self.events / self.seconds

    @property
    def cost(self) -> float:
        """CPU seconds for a thousand events."""
        return self.cpu_seconds / self.events * 1000


def _drained(events: list[Event]) -> list[Result]:
    alone, together = _drain(events, 1), _drain(events, WORKERS)
    results = [
        Result(
            name=f"backlog drained, {name}",
            what="ev/s",
            rate=found.rate,
            count=found.events,
            seconds=found.seconds,
            cpu_seconds=found.cpu_seconds,
            notes=[f"{found.cost:.3f} s CPU of the workers for 1,000 events"],
        )
        for name, found in (("1 worker", alone), (f"{WORKERS} workers", together))
    ]
    results[1].beside = results[0].name
    cores = os.cpu_count() or 1
    if cores >= CORES:
        results[1].floor = FASTER * alone.rate
    results.append(
        Result(
            name=f"CPU an event, {WORKERS} workers, beside 1",
            what="×",
            rate=together.cost / alone.cost,
            count=together.events,
            seconds=together.seconds,
            floor=DEARER,
            latency=True,
        )
    )
    return results


def _drain(events: list[Event], workers: int) -> _Drained:
    """The workers have begun and done something, so that what is measured is no beginning."""
    with _installation(workers) as found, databases.engine(found.url) as engine:
        _backlog(found, engine, events[:COLD])
        return _backlog(found, engine, events[COLD:])


def _backlog(found: _Installation, engine: Engine, events: list[Event]) -> _Drained:
    """Everybody stands still until everything is stored."""
    for pid in found.workers:
        os.kill(pid, signal.SIGSTOP)
    for first in range(0, len(events), AT_ONCE):
        engine.accept(drafts(events[first : first + AT_ONCE]))
    before, started = cpu_of(*found.workers), time.perf_counter()
    for pid in found.workers:
        os.kill(pid, signal.SIGCONT)
    found.ring()
    await_done(found.nothing_pending)
    return _Drained(
        seconds=time.perf_counter() - started,
        cpu_seconds=cpu_of(*found.workers) - before,
        events=len(events),
    )
