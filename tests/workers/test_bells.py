"""Bells on a real Redis and a real RabbitMQ: one ring waits at most, and a listener outlives the server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import dramatiq
import pika
import pytest
import redis
from dramatiq import Broker, Worker

from lifecycle.settings import Settings
from tests.support import rabbitmq
from tests.support.redis import WheelServer, fresh_prefix
from tests.workers.conftest import until
from workers.bells import queue_of, ring
from workers.broker import broker_for
from workers.middleware import OneRingOfEachBell

PATIENCE = 30


@pytest.fixture(
    params=[
        pytest.param("redis", marks=pytest.mark.redis),
        pytest.param("rabbitmq", marks=pytest.mark.rabbitmq),
    ]
)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
        named = fresh_prefix(url)
    else:
        url = request.getfixturevalue("amqp_url")
        named = rabbitmq.fresh_prefix(url, ".bell.apply")
    with named as prefix:
        yield Settings(database_url="", config_dir=tmp_path, broker_url=url, broker_prefix=prefix)


class Answers:
    """Workers that answer one bell, each ring as soon as the test lets them."""

    def __init__(self, settings: Settings, threads: int = 3) -> None:
        self.broker, self.line = broker_for(settings, [OneRingOfEachBell()])
        self.came = threading.Semaphore(0)
        self.may_go_on = threading.Semaphore(0)
        self._worker = Worker(self.broker, worker_threads=threads, worker_timeout=200)

        @dramatiq.actor(
            broker=self.broker,
            actor_name="apply",
            queue_name=queue_of(settings.broker_prefix, "apply"),
        )
        def apply() -> None:
            self.came.release()
            assert self.may_go_on.acquire(timeout=PATIENCE)

    def __enter__(self) -> Self:
        self._worker.start()
        until(lambda: not self.line.away)
        return self

    def __exit__(self, *_: object) -> None:
        self.may_go_on.release(1000)
        self._worker.stop(timeout=PATIENCE * 1000)
        self.broker.close()


@pytest.fixture
def answers(settings: Settings) -> Iterator[Answers]:
    with Answers(settings) as answers:
        yield answers


@pytest.fixture
def knock(settings: Settings) -> Iterator[Callable[[], None]]:
    """Rings as another process does."""
    broker, _ = broker_for(settings)
    yield lambda: ring(broker, settings.broker_prefix, "apply")
    broker.close()


def test_while_one_ring_waits_every_further_one_is_dropped(
    answers: Answers, knock: Callable[[], None]
) -> None:
    """Ten rings at a process that is busy with the first: it answers one more time."""
    knock()
    assert answers.came.acquire(timeout=PATIENCE)
    for _ in range(10):
        knock()
    answers.may_go_on.release(2)
    assert answers.came.acquire(timeout=PATIENCE)
    knock()  # the waiting one is taken, so this one is not dropped
    answers.may_go_on.release(1)
    assert answers.came.acquire(timeout=PATIENCE)
    answers.may_go_on.release(100)
    assert not answers.came.acquire(timeout=0.5)


def test_a_ring_that_a_busy_process_leaves_is_answered_by_another(
    settings: Settings, answers: Answers, knock: Callable[[], None]
) -> None:
    """However many threads the first has, it takes one ring at a time."""
    knock()
    assert answers.came.acquire(timeout=PATIENCE)
    knock()
    assert not answers.came.acquire(timeout=0.5)
    with Answers(settings) as other:
        assert other.came.acquire(timeout=PATIENCE)


def test_a_ring_waits_for_workers_that_are_still_to_come(
    settings: Settings, knock: Callable[[], None]
) -> None:
    knock()
    with Answers(settings) as answers:
        assert answers.came.acquire(timeout=PATIENCE)


@pytest.mark.redis
def test_whatever_lies_in_the_list_is_a_ring_and_holds_up_no_other(
    own_redis: WheelServer, tmp_path: Path
) -> None:
    """dramatiq's own broker cannot read this, and keeps twelve healthy messages back with it."""
    settings = Settings(
        database_url="", config_dir=tmp_path, broker_url=own_redis.url, broker_prefix="p"
    )
    with redis.Redis.from_url(own_redis.url) as client, Answers(settings) as answers:
        answers.may_go_on.release(100)
        client.rpush(queue_of("p", "apply"), b"\xff{not json", "", "{}")
        for _ in range(3):
            assert answers.came.acquire(timeout=PATIENCE)


@pytest.mark.redis
def test_a_listener_outlives_a_server_that_goes_away_and_a_key_of_another_kind(
    own_redis: WheelServer, tmp_path: Path
) -> None:
    settings = Settings(
        database_url="", config_dir=tmp_path, broker_url=own_redis.url, broker_prefix="p"
    )
    ringing, _ = broker_for(settings)
    with Answers(settings) as answers:
        answers.may_go_on.release(100)
        own_redis.stop()
        until(lambda: answers.line.away)
        own_redis.start()
        until(lambda: not answers.line.away)
        _rings(ringing, answers)
        with redis.Redis.from_url(own_redis.url) as client:
            client.set(queue_of("p", "apply"), "somebody else's")
            until(lambda: answers.line.away)
            client.delete(queue_of("p", "apply"))
        until(lambda: not answers.line.away)
        _rings(ringing, answers)
    ringing.close()


def _rings(broker: Broker, answers: Answers) -> None:
    ring(broker, "p", "apply")
    assert answers.came.acquire(timeout=PATIENCE)


def test_a_listener_outlives_a_rabbitmq_that_is_not_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It finds nobody, says so once, and stops when it is told to."""
    nowhere = Settings(
        database_url="", config_dir=tmp_path, broker_url="amqp://127.0.0.1:1/%2F", broker_prefix="p"
    )
    broker, line = broker_for(nowhere)
    broker.declare_queue(queue_of("p", "apply"))
    worker = Worker(broker, worker_timeout=100)
    worker.start()
    until(lambda: "does not answer" in caplog.text)
    assert line.away
    worker.stop(timeout=PATIENCE * 1000)
    broker.close()


@pytest.mark.rabbitmq
def test_on_rabbitmq_a_bell_is_a_quorum_queue_and_nothing_beside_it(
    amqp_url: str, tmp_path: Path
) -> None:
    with rabbitmq.fresh_prefix(amqp_url, ".bell.apply") as prefix:
        settings = Settings(
            database_url="", config_dir=tmp_path, broker_url=amqp_url, broker_prefix=prefix
        )
        broker, _ = broker_for(settings)
        queue = queue_of(prefix, "apply")
        ring(broker, prefix, "apply")
        connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
        ordinary = {"x-max-length": 1, "x-overflow": "drop-head"}
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match=r"x-queue-type.*quorum"):
            connection.channel().queue_declare(queue, durable=True, arguments=ordinary)
        for beside in (f"{queue}.DQ", f"{queue}.XQ"):
            with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="NOT_FOUND"):
                connection.channel().queue_declare(beside, passive=True)
        connection.close()
        broker.close()
