"""Events come in by an AMQP queue: each is stored once, or is kept with the reason why not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pika
import pytest

from lifecycle.bootstrap import Engine
from lifecycle.errors import Unavailable
from lifecycle.intake.draft import Draft
from tests.conftest import ROOT
from tests.intake.bad_input import event
from tests.support.rabbitmq import fresh_prefix
from tests.web.conftest import running
from tests.workers.queues import Post, Watched, consuming, ids, in_disorder, posts, stored, until
from workers.intake.amqp_queue import DEADLY, AmqpQueue

pytestmark = pytest.mark.rabbitmq


@dataclass
class Queue:
    """The queue of one test, from outside."""

    url: str
    prefix: str
    connection: Any
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()

    @property
    def name(self) -> str:
        return f"{self.prefix}.events"

    def exists(self, name: str = "events") -> bool:
        channel = self.connection.channel()
        try:
            channel.queue_declare(f"{self.prefix}.{name}", passive=True)
        except pika.exceptions.ChannelClosedByBroker:
            return False
        channel.close()
        return True

    def send(self, *some: Post, **properties: Any) -> None:
        for one in some:
            self.send_bytes(json.dumps(one).encode(), **properties)

    def send_bytes(self, body: bytes, **properties: Any) -> None:
        """Confirmed by RabbitMQ, and routed, or it raises."""
        given = pika.BasicProperties(delivery_mode=2, **properties)
        self.channel.basic_publish("", self.name, body, given, mandatory=True)

    def sends(self, one: Post) -> bool:
        """Whether RabbitMQ took it: a queue that is going or has just come may not."""
        try:
            self.send(one)
        except (pika.exceptions.NackError, pika.exceptions.UnroutableError):
            return False
        return True

    def waiting(self, name: str = "events") -> int:
        """Messages that nobody has in hand."""
        declared = self.channel.queue_declare(f"{self.prefix}.{name}", passive=True)
        return int(declared.method.message_count)

    def rejected(self) -> list[tuple[bytes, Any]]:
        found = []
        while (got := self.channel.basic_get(f"{self.prefix}.rejected", auto_ack=True))[0]:
            found.append((got[2], got[1]))
        return found

    def consumed(self, engine: Any) -> AbstractContextManager[None]:
        self.stop.clear()
        consumer = AmqpQueue(engine, self.url, self.stop, prefix=self.prefix)
        return consuming(self.stop, consumer.run)

    def made(self, engine: Any) -> None:
        """As the first consumer that ever came has left it."""
        with self.consumed(engine):
            until(self.exists, "the queue is there")


@pytest.fixture
def queue(amqp_url: str) -> Iterator[Queue]:
    with fresh_prefix(amqp_url, ".events", ".rejected") as prefix:
        connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
        yield Queue(amqp_url, prefix, connection)
        connection.close()


def test_every_event_is_stored_once_in_whatever_order_and_however_often_it_comes(
    engine: Engine, queue: Queue
) -> None:
    """A fifth comes twice, alone, in arrays or as HTTP would have it; nothing is left behind."""
    some = posts(300)
    told = in_disorder(some)
    queue.made(engine)
    queue.send(*told[:100])
    queue.send_bytes(json.dumps(told[100:200]).encode())
    queue.send_bytes(json.dumps({"events": told[200:]}).encode())
    with queue.consumed(engine):
        until(lambda: stored(engine) == ids(some), "everything is stored")
    assert (queue.waiting(), queue.rejected()) == (0, [])


def test_the_message_id_names_an_event_that_has_no_id(small: Engine, queue: Queue) -> None:
    queue.made(small)
    for _ in range(2):
        queue.send(event(id=...), message_id="m-1")
    with queue.consumed(small):
        until(lambda: stored(small) == ["m-1"], "it is stored")
    assert (queue.waiting(), queue.rejected()) == (0, [])


def test_poison_among_healthy_messages_is_kept_with_its_reasons_and_harms_nobody(
    engine: Engine, queue: Queue
) -> None:
    some = posts(50)
    queue.made(engine)
    queue.send(*some[:25])
    queue.send_bytes(b"{'id': 1}", message_id="m-7", headers={"trace": "t1"}, expiration="60000")
    mixed = [event(id="p1", properties={"amount": "12,50"}), some[25], event(id="p2", more=1)]
    queue.send_bytes(json.dumps(mixed).encode())
    queue.send({**some[0], "customer_id": "other"})
    queue.send(*some[26:])
    with queue.consumed(engine):
        until(lambda: queue.waiting("rejected") == 3, "three are refused")
        until(lambda: stored(engine) == ids(some), "the others are stored")
    (syntax, about), (several, of_several), (_, conflict) = queue.rejected()
    assert (syntax, about.message_id, about.expiration) == (b"{'id': 1}", "m-7", None)
    assert about.headers["trace"] == "t1"
    assert about.headers["x-lifecycle-code"] == "json_syntax"
    assert about.headers["x-lifecycle-pointer"] == "1:2"
    assert json.loads(several) == mixed
    assert of_several.headers["x-lifecycle-refused"] == 2
    problems = json.loads(of_several.headers["x-lifecycle-problems"])
    assert [one["pointer"] for one in problems] == ["/0/properties/amount", "/2/more"]
    assert conflict.headers["x-lifecycle-code"] == "event_id_conflict"
    assert queue.waiting() == 0


@pytest.mark.parametrize(
    ("point", "first"), [("before_commit", []), ("before_acknowledgement", ["e0", "e1", "e2"])]
)
def test_a_consumer_killed_around_its_commit_is_followed_by_another_and_nothing_happens_twice(
    database_url: str, tmp_path: Path, queue: Queue, point: str, first: list[str]
) -> None:
    with running(database_url, tmp_path) as engine:
        queue.made(engine)
    queue.send_bytes(json.dumps(posts(3)).encode())
    arguments = (database_url, queue.url, queue.prefix, point)
    victim = subprocess.run(
        [sys.executable, "-m", "tests.workers.mortal_consumer", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert victim.returncode == -signal.SIGKILL, victim.stderr
    until(lambda: queue.waiting() == 1, "RabbitMQ takes it back")
    with running(database_url, tmp_path) as engine:
        assert stored(engine) == first
        queue.send(event(id="last", customer_id="c3"))
        with queue.consumed(engine):
            until(lambda: "last" in stored(engine), "what comes after it is stored")
        assert stored(engine) == ["e0", "e1", "e2", "last"]
        assert engine.apply_pending().steps == 4  # each customer made one
    assert (queue.waiting(), queue.rejected()) == (0, [])


def test_what_consumers_die_of_is_put_aside_by_rabbitmq(small: Engine, queue: Queue) -> None:
    """Each connection that ends with a message in hand counts as one death."""
    queue.made(small)
    queue.send(event())
    for _ in range(DEADLY + 1):
        connection = pika.BlockingConnection(pika.URLParameters(queue.url))
        channel = connection.channel()
        until(lambda channel=channel: channel.basic_get(queue.name)[0], "it is delivered")  # type: ignore[misc]
        connection.close()
    until(lambda: queue.waiting("rejected") == 1, "it is put aside")
    ((body, properties),) = queue.rejected()
    assert json.loads(body) == event()
    assert properties.headers["x-death"][0]["reason"] == "delivery_limit"
    assert stored(small) == []


def test_a_database_that_is_away_is_waited_for(small: Engine, queue: Queue) -> None:
    """Nothing is refused for it, and nothing acknowledged."""
    tries: list[str] = []

    def away_twice(draft: Draft) -> None:
        tries.append(draft.event.id)
        if len(tries) <= 2:
            raise Unavailable("the database does not answer")

    queue.made(small)
    queue.send(event())
    with queue.consumed(Watched(small, away_twice)):
        until(lambda: stored(small) == ["e1"], "it is stored")
    assert tries == ["e1"] * 3
    assert (queue.waiting(), queue.rejected()) == (0, [])


def test_a_stop_while_the_database_is_away_leaves_everything_to_the_next(
    small: Engine, queue: Queue
) -> None:
    asked = threading.Event()

    def away(_: Draft) -> None:
        asked.set()
        raise Unavailable("the database does not answer")

    queue.made(small)
    queue.send(event())
    with queue.consumed(Watched(small, away)):
        asked.wait()
    until(lambda: queue.waiting() == 1, "it is back in the queue")
    with queue.consumed(small):
        until(lambda: stored(small) == ["e1"], "it is stored")


def test_a_queue_that_is_deleted_is_made_again(small: Engine, queue: Queue) -> None:
    """The consumer is at work all the while."""
    with queue.consumed(small):
        for name in ("a", "b"):
            until(partial(queue.sends, event(id=name)), f"RabbitMQ takes {name}")
            until(lambda name=name: name in stored(small), f"{name} is stored")  # type: ignore[misc]
            queue.channel.queue_delete(queue.name)
        until(queue.exists, "the queue is there")


def test_where_nothing_can_be_rejected_what_is_stored_is_acknowledged_all_the_same(
    small: Engine, queue: Queue
) -> None:
    """The queue of the rejected ones is deleted under the consumer; then only poison comes again."""
    batches: list[str] = []
    watched = Watched(small, lambda draft: batches.append(draft.event.id))
    queue.made(small)
    queue.send(event(id="a"))
    queue.send_bytes(b"{")
    queue.send(event(id="b"))
    with queue.consumed(watched):
        until(lambda: queue.exists("rejected") and queue.waiting("rejected"), "it is rejected")
        queue.channel.queue_delete(f"{queue.prefix}.rejected")
        queue.send_bytes(b"[")
        queue.send(event(id="c"))
        until(
            lambda: queue.exists("rejected") and queue.waiting("rejected"), "the next one is, too"
        )
    assert stored(small) == sorted(batches) == ["a", "b", "c"]
    assert (queue.waiting(), [body for body, _ in queue.rejected()]) == (0, [b"["])


def test_a_queue_of_somebody_else_is_used_as_it_is(small: Engine, queue: Queue) -> None:
    """A classic queue, made with arguments of its owner's: no reason not to read it."""
    queue.channel.queue_declare(queue.name, arguments={"x-max-length": 10}, auto_delete=False)
    queue.send(event())
    with queue.consumed(small):
        until(lambda: stored(small) == ["e1"], "it is stored")
