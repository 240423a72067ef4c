"""Processes of a large installation on a real PostgreSQL, Redis and RabbitMQ: rung, killed, cut off, stopped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pika
import psycopg
import pytest
import redis

from tests.support import rabbitmq
from tests.support.proxy import Proxy
from tests.support.redis import WheelServer, fresh_prefix
from tests.workers.conftest import Many, names, order, post, until
from workers.clockwork import SWEEP_EVERY
from workers.processes import POLL_EVERY

pytestmark = pytest.mark.postgres

SCHEDULER = str(Path(__file__).resolve().parents[2] / "scheduler.py")
STOP_SECONDS = 30
# What one sweep has found, the next sweep, and no earlier one, follows with the next: so of several
# in turn most are found sooner than half of its pause only by a ring, or by a poll.
SOON = SWEEP_EVERY.total_seconds() / 2
QUEUES = (".bell.apply", ".bell.due", ".events", ".rejected")
DAY_EVERY_10_MS = "2026-01-01T00:00:00Z*8640000"


@pytest.fixture(
    params=[
        pytest.param("redis", marks=pytest.mark.redis),
        pytest.param("rabbitmq", marks=pytest.mark.rabbitmq),
    ]
)
def broker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A broker for the processes of the test, under names of their own."""
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
        named = fresh_prefix(url)
    else:
        url = request.getfixturevalue("amqp_url")
        named = rabbitmq.fresh_prefix(url, *QUEUES)
    with named as prefix:
        monkeypatch.setenv("LIFECYCLE_BROKER_URL", url)
        monkeypatch.setenv("LIFECYCLE_BROKER_PREFIX", prefix)
        yield url


@pytest.fixture
def own(own_redis: WheelServer, monkeypatch: pytest.MonkeyPatch) -> WheelServer:
    """A Redis of the test's own as the broker."""
    monkeypatch.setenv("LIFECYCLE_BROKER_URL", own_redis.url)
    return own_redis


def seconds_until_applied(many: Many, address: str, customer: str) -> float:
    before = many.count("step")
    begun = time.monotonic()
    post(address, customer)
    until(lambda: many.count("step") > before)
    return time.monotonic() - begun


def test_what_is_posted_is_applied_at_once(broker: str, many: Many) -> None:
    """No scheduler runs, and the workers' own sweep would take seconds: it was the ring."""
    address = many.serve()
    many.work()
    took = sorted(seconds_until_applied(many, address, customer) for customer in names(5))
    assert took[2] < SOON
    assert many.violations() == []


def test_what_systems_post_to_the_broker_is_taken_in_and_applied(broker: str, many: Many) -> None:
    """Nobody serves HTTP. Two workers share what comes, and are told to stop while it still does."""
    workers = [many.work(), many.work()]
    prefix = os.environ["LIFECYCLE_BROKER_PREFIX"]
    until(lambda: is_there(broker, prefix))
    for customer in names(20):
        put(broker, prefix, order(customer))
    until(lambda: many.count("step") == 20)
    for worker in workers:
        assert worker.end(signal.SIGTERM)[0] == 0
    assert many.violations() == []


def is_there(broker: str, prefix: str) -> bool:
    """Whether the first worker has set up the queue to which systems post; a stream needs none."""
    if broker.startswith("redis"):
        return True
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(broker))) as connection:
        try:
            connection.channel().queue_declare(f"{prefix}.events", passive=True)
        except pika.exceptions.ChannelClosedByBroker:
            return False
    return True


def put(broker: str, prefix: str, event: dict[str, Any]) -> None:
    if broker.startswith("redis"):
        with redis.Redis.from_url(broker) as client:
            client.xadd(f"{prefix}:events", {"event": json.dumps(event)})
        return
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(broker))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("", f"{prefix}.events", json.dumps(event).encode(), mandatory=True)


def test_dramatiqs_own_command_does_the_same(broker: str, many: Many) -> None:
    address = many.serve()
    workers = many.python("-m", "dramatiq", "workers", "--processes", "2", "--threads", "2")
    workers.logged("Worker process is ready for action")
    took = sorted(seconds_until_applied(many, address, customer) for customer in names(5))
    assert took[2] < SOON
    assert workers.end(signal.SIGTERM)[0] == 0


def test_the_scheduler_rings_for_what_came_due(
    broker: str, many: Many, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty days without a sign, then a hundred and twenty more: on a clock of ten milliseconds a day."""
    monkeypatch.setenv("LIFECYCLE_CLOCK", DAY_EVERY_10_MS)
    address = many.serve()
    many.work()
    ticking = many.start("schedule")
    ticking.logged("ticking;")
    post(address, "anna")
    until(lambda: many.count("step") == 3)
    assert ticking.end(signal.SIGTERM)[0] == 0


@pytest.mark.redis
def test_five_schedulers_do_the_work_of_one(
    own: WheelServer, many: Many, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each customer becomes a buyer, dormant and lost, and each of it once, whoever rings how often."""
    monkeypatch.setenv("LIFECYCLE_CLOCK", DAY_EVERY_10_MS)
    address = many.serve()
    many.work()
    many.work()
    with_flag = [many.start("schedule") for _ in range(4)]
    plain = many.python(SCHEDULER)
    for scheduler in (*with_flag, plain):
        scheduler.logged("ticking;")
    post(address, *names(40))
    until(lambda: many.count("step") >= 120)
    for scheduler in (*with_flag, plain):
        assert scheduler.end(signal.SIGTERM)[0] == 0
    assert many.count("step") == 120
    assert many.violations() == []


@pytest.mark.redis
def test_killed_and_flushed_nothing_is_lost_and_nothing_is_done_twice(
    own: WheelServer, many: Many
) -> None:
    """One of two workers dies amid its batch while Redis forgets everything ten times a second."""
    address = many.serve()
    unlucky, _ = many.work(), many.work()
    busy = f"attempt WHERE token LIKE '{unlucky.process.pid}-%'"
    posted = 0
    with _forgetting(own.url):
        with psycopg.connect(many.url) as holding:
            holding.execute("LOCK TABLE step IN EXCLUSIVE MODE")  # whoever begins cannot end
            while not many.count(busy):
                post(address, *names(20, of=f"batch-{posted}"))
                posted += 1
            unlucky.process.kill()
        post(address, *names(20, of=f"batch-{posted}"))
        until(lambda: many.count("step") == 20 * (posted + 1))
    until(lambda: many.count("attempt") == 0)
    assert many.count("pending") == 0
    assert many.violations() == []


@contextlib.contextmanager
def _forgetting(url: str) -> Iterator[None]:
    """Everything in Redis is wiped every 100 ms while the block runs."""
    done = threading.Event()

    def flush() -> None:
        with redis.Redis.from_url(url) as client:
            while not done.wait(0.1):
                client.flushall()

    flushing = threading.Thread(target=flush)
    flushing.start()
    try:
        yield
    finally:
        done.set()
        flushing.join()


@pytest.mark.redis
def test_with_redis_away_everything_goes_on_and_it_heals_by_itself(
    own: WheelServer, many: Many
) -> None:
    """Intake answers, the workers poll, the clockwork ticks; each says so in one line, and in one
    when it is over."""
    server, ticking = many.start("serve", "--port", "0"), many.start("schedule")
    address = server.logged(r"http://127\.0\.0\.1:\d+")[0]
    ticking.logged("ticking;")
    own.stop()
    worker = many.start("work")
    worker.logged("WARNING .* does not answer .*; looking into the database instead, every second")
    polled = sorted(seconds_until_applied(many, address, customer) for customer in names(5))
    assert POLL_EVERY.total_seconds() < SOON
    assert polled[2] < SOON
    server.logged("WARNING .* does not answer .*; workers find what is accepted by themselves")
    ticking.logged("WARNING .* does not answer .*; ticking without it, and workers look")
    own.start()
    worker.logged("WARNING .* the broker at .* answers again")
    took = sorted(seconds_until_applied(many, address, customer) for customer in names(5, "later"))
    assert took[2] < SOON
    for process in (server, ticking):
        process.logged("WARNING .* the broker at .* answers again")
    for process in (server, ticking, worker):
        _, _, log = process.end(signal.SIGTERM)
        assert "the broker" not in log
        assert "failed" not in log
    assert many.violations() == []


@pytest.mark.rabbitmq
def test_with_rabbitmq_away_everything_goes_on_and_it_heals_by_itself(
    amqp_url: str, many: Many, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off amid their work, serve and worker say so once each; both find the way back by themselves."""
    with rabbitmq.fresh_prefix(amqp_url, *QUEUES) as prefix, Proxy(amqp_url) as line:
        monkeypatch.setenv("LIFECYCLE_BROKER_URL", line.instead_of(amqp_url))
        monkeypatch.setenv("LIFECYCLE_BROKER_PREFIX", prefix)
        server = many.start("serve", "--port", "0")
        address = server.logged(r"http://127\.0\.0\.1:\d+")[0]
        worker = many.work()
        rung = sorted(seconds_until_applied(many, address, customer) for customer in names(5))
        assert rung[2] < SOON
        line.cut()
        worker.logged("WARNING .* the broker at .* does not answer")
        polled = sorted(
            seconds_until_applied(many, address, customer) for customer in names(5, "meanwhile")
        )
        assert polled[2] < SOON
        line.mend()
        worker.logged("WARNING .* the broker at .* answers again")
        until(lambda: is_there(amqp_url, prefix))
        took = sorted(
            seconds_until_applied(many, address, customer) for customer in names(5, "later")
        )
        assert took[2] < SOON
        put(amqp_url, prefix, order("by-queue"))
        until(lambda: many.count("step") == 16)
        _, _, log = server.end(signal.SIGTERM)
        assert log.count("; workers find what is accepted by themselves") == 1
        assert log.count("the broker at") == 2
        _, _, log = worker.end(signal.SIGTERM)
        assert "the broker" not in log
    assert many.violations() == []


def test_without_a_broker_the_workers_look_every_second(many: Many) -> None:
    address = many.serve()
    many.work()
    assert seconds_until_applied(many, address, "anna") < 5
    assert many.violations() == []


def test_without_a_broker_the_scheduler_does_the_work_itself(
    many: Many, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_CLOCK", DAY_EVERY_10_MS)
    address = many.serve()
    many.start("schedule")
    post(address, "anna")
    until(lambda: many.count("step") == 3)


@pytest.mark.redis
def test_told_to_stop_all_stop_soon_and_leave_no_batch_half_done(
    own: WheelServer, many: Many
) -> None:
    """In the middle of a backlog: what is not begun is left for the next, and nothing looks like a crash."""
    server = many.start("serve", "--port", "0")
    address = server.logged(r"http://127\.0\.0\.1:\d+")[0]
    for batch in range(20):
        post(address, *names(500, of=f"batch-{batch}"))
    ticking = many.start("schedule")
    ticking.logged("ticking;")
    worker = many.start("work")
    until(lambda: many.count("step") > 0)
    begun = time.monotonic()
    ended = ((worker, signal.SIGTERM), (ticking, signal.SIGINT), (server, signal.SIGINT))
    for process, how in ended:
        process.process.send_signal(how)
    assert [process.ended()[0] for process, _ in ended] == [0, 0, 0]
    assert time.monotonic() - begun < STOP_SECONDS
    assert many.count("attempt") == 0
    assert many.count("pending") > 0
    many.work()
    until(lambda: many.count("step") == 10_000)


@pytest.mark.redis
def test_serve_tells_of_a_broker_that_is_away_and_stays_ready(many: Many, own: WheelServer) -> None:
    """Nobody posts meanwhile: it is the question itself that finds out that the broker is back."""
    address = many.serve()

    def told() -> tuple[int, str]:
        answer = httpx.get(f"{address}/readyz", timeout=30)
        return answer.status_code, answer.json()["checks"]["broker"]["status"]

    assert told() == (200, "ok")
    own.stop()
    post(address, "c1")
    until(lambda: told() == (200, "degraded"))
    own.start()
    until(lambda: told() == (200, "ok"))
