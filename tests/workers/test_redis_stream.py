"""Events come in by a Redis stream: each is stored once, or is kept with the reason why not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from lifecycle.bootstrap import Engine
from lifecycle.errors import Overloaded, Unavailable
from lifecycle.intake.draft import Draft
from lifecycle.metrics import Metrics
from tests.conftest import ROOT
from tests.intake.bad_input import event
from tests.support import metrics
from tests.support.redis import WheelServer, fresh_prefix
from tests.web.conftest import running
from tests.workers.consumers import SOON, redis_stream
from tests.workers.queues import (
    Post,
    Watched,
    consuming,
    ids,
    in_disorder,
    posts,
    stored,
    until,
)
from workers import intake
from workers.intake.redis_stream import _TIDY, DEADLY, GROUP, SUSPECT

pytestmark = pytest.mark.redis


@dataclass
class Stream:
    """The stream of one test, from outside."""

    url: str
    prefix: str
    redis: Any
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        return f"{self.prefix}:events"

    def add(self, *some: Post) -> None:
        for one in some:
            self.add_text(json.dumps(one))

    def add_text(self, text: str, field: str = "event") -> str:
        found: bytes = self.redis.xadd(self.name, {field: text})
        return found.decode()

    def rejected(self) -> list[dict[str, str]]:
        entries = self.redis.xrange(f"{self.prefix}:rejected")
        return [{k.decode(): v.decode() for k, v in fields.items()} for _, fields in entries]

    def group(self, name: str = GROUP) -> dict[str, Any]:
        groups = self.redis.xinfo_groups(self.name) if self.redis.exists(self.name) else []
        return next((g for g in groups if g["name"].decode() == name), {})

    def is_done(self) -> bool:
        """Everything was delivered, and is acknowledged."""
        group = self.group()
        return bool(group) and (group["pending"], group["lag"]) == (0, 0)

    def length(self) -> int:
        return int(self.redis.xlen(self.name))

    def consumer(self, engine: Any, **more: Any) -> Any:
        return redis_stream(engine, self.url, self.prefix, self.stop, **more)

    def consumed(self, engine: Any, **more: Any) -> AbstractContextManager[None]:
        return consuming(self.stop, self.consumer(engine, **more).run)

    def run_dry(self, engine: Any, **more: Any) -> None:
        """Take in everything that is there, and stop."""
        self.stop.clear()
        with self.consumed(engine, **more):
            until(self.is_done, "everything is acknowledged")

    def deliver(self, deliveries: int = 1, who: str = "dead") -> None:
        """The next entry goes to somebody who will never acknowledge it, for the n-th time."""
        if not self.group():
            self.redis.xgroup_create(self.name, GROUP, id="0", mkstream=True)
        [[_, [[entry, _]]]] = self.redis.xreadgroup(GROUP, who, {self.name: ">"}, count=1)
        self.redis.xclaim(self.name, GROUP, who, 0, [entry], idle=60_000, retrycount=deliveries)


@pytest.fixture
def stream(redis_url: str) -> Iterator[Stream]:
    with (
        redis.Redis.from_url(redis_url, protocol=2) as client,
        fresh_prefix(redis_url) as prefix,
    ):
        yield Stream(redis_url, prefix, client)


# -- what is taken -----------------------------------------------------------------------------


def test_every_event_is_stored_once_in_whatever_order_and_however_often_it_comes(
    engine: Engine, stream: Stream
) -> None:
    """A fifth comes twice, alone or in an array; two consumers share the work."""
    some = posts(300)
    told = in_disorder(some)
    stream.add(*told[:200])
    stream.add_text(json.dumps(told[200:]), "events")
    with consuming(stream.stop, stream.consumer(engine).run, stream.consumer(engine).run):
        until(stream.is_done, "everything is acknowledged")
    assert stored(engine) == ids(some)
    assert stream.rejected() == []


def test_what_is_acknowledged_is_trimmed_and_a_consumer_leaves_no_trace(
    small: Engine, stream: Stream
) -> None:
    """The last entry stays: Redis keeps the one that its `MINID` names."""
    stream.add(*posts(20))
    with stream.consumed(small):
        until(lambda: stream.length() == 1, "the stream is trimmed")
        assert stream.is_done()
    assert stream.redis.xinfo_consumers(stream.name, GROUP) == []


def test_an_event_of_the_stream_is_a_duplicate_of_the_same_one_by_another_way(
    small: Engine, stream: Stream
) -> None:
    seen: list[str] = []
    watched = Watched(small, lambda draft: seen.append(draft.event.id))
    stream.add(event())
    stream.run_dry(watched)
    stream.add(event())
    stream.run_dry(watched)
    assert (seen, stored(small), stream.rejected()) == (["e1", "e1"], ["e1"], [])


def test_events_come_in_by_the_url_of_the_broker_under_the_names_of_the_documents(
    small: Engine, own_redis: WheelServer
) -> None:
    stop = threading.Event()
    with (
        consuming(stop, partial(intake.run, small, own_redis.url, stop)),
        redis.Redis.from_url(own_redis.url) as client,
    ):
        client.xadd("lifecycle:events", {"event": json.dumps(event())})
        client.xadd("lifecycle:events", {"event": "{"})
        until(lambda: client.xlen("lifecycle:rejected"), "the bad one is refused")
    assert stored(small) == ["e1"]


# -- what is refused ---------------------------------------------------------------------------


def test_poison_among_healthy_entries_is_kept_with_its_reasons_and_harms_nobody(
    engine: Engine, stream: Stream
) -> None:
    some = posts(50)
    stream.add(*some[:25])
    entry = stream.add_text(json.dumps(event(id="p1", type="purchse")))
    stream.add_text("{'id': 1}")
    mixed = [
        event(id="p2", properties={"amount": "12,50"}),
        some[25],
        event(id="p3", id2=1, type="x"),
    ]
    stream.add_text(json.dumps(mixed), "events")
    stream.redis.xadd(stream.name, {"evnt": "{}", "code": "mine"})
    stream.add(*some[26:])
    stream.run_dry(engine)
    assert stored(engine) == ids(some)
    unknown, syntax, several, fields = stream.rejected()
    assert (unknown["code"], unknown["pointer"]) == ("unknown_event_type", "/event/type")
    assert unknown["entry"] == entry
    assert json.loads(unknown["problems"])[0]["hint"] == 'did you mean "purchase"?'
    assert (syntax["code"], syntax["event"]) == ("json_syntax", "{'id': 1}")
    assert (several["refused"], json.loads(several["events"])) == ("2", mixed)
    amount, field = json.loads(several["problems"])
    assert (amount["pointer"], field["pointer"]) == ("/events/0/properties/amount", "/events/2/id2")
    assert [also["pointer"] for also in field["also"]] == ["/events/2/type"]
    assert (fields["code"], json.loads(fields["fields"])) == (
        "unknown_field",
        [["evnt", "{}"], ["code", "mine"]],
    )


def test_a_rejected_entry_that_was_mended_can_be_added_again(small: Engine, stream: Stream) -> None:
    """What was taken of it before is a duplicate."""
    posted = [event(id="1"), event(id="2", type="purchse")]
    stream.add_text(json.dumps(posted), "events")
    stream.run_dry(small)
    (rejected,) = stream.rejected()
    stream.add_text(rejected["events"].replace("purchse", "purchase"), "events")
    stream.run_dry(small)
    assert stored(small) == ["1", "2"]
    assert len(stream.rejected()) == 1


def test_an_id_used_for_something_else_is_a_conflict_and_is_kept(
    engine: Engine, stream: Stream
) -> None:
    stream.add(event(), event(customer_id="c2"))
    stream.run_dry(engine)
    (conflict,) = stream.rejected()
    assert (conflict["code"], conflict["pointer"]) == ("event_id_conflict", "/event/id")
    assert json.loads(conflict["problems"])[0]["hint"] == "these differ: customer_id"
    assert stored(engine) == ["e1"]


def test_an_event_that_storing_fails_on_is_refused_alone(small: Engine, stream: Stream) -> None:
    """A defect of ours: its neighbours are stored, it is kept, and the log has the traceback."""

    def fail_on_e5(draft: Draft) -> None:
        if draft.event.id == "e5":
            raise ValueError("nobody foresaw this")

    some = posts(10)
    stream.add(*some)
    watched = Watched(small, fail_on_e5)
    stream.run_dry(watched)
    (rejected,) = stream.rejected()
    assert (rejected["code"], json.loads(rejected["event"])["id"]) == ("internal_error", "e5")
    assert stored(small) == [name for name in ids(some) if name != "e5"]
    assert watched.complaints.total == 1


# -- who dies ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "first"), [("before_commit", []), ("before_acknowledgement", ["e0", "e1", "e2"])]
)
def test_a_consumer_killed_around_its_commit_is_followed_by_another_and_nothing_happens_twice(
    database_url: str, tmp_path: Path, stream: Stream, point: str, first: list[str]
) -> None:
    with running(database_url, tmp_path):
        pass
    stream.add(*posts(3))
    arguments = (database_url, stream.url, stream.prefix, point)
    victim = subprocess.run(
        [sys.executable, "-m", "tests.workers.mortal_consumer", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert victim.returncode == -signal.SIGKILL, victim.stderr
    assert stream.group()["pending"] == 3
    with running(database_url, tmp_path) as engine:
        assert stored(engine) == first
        stream.run_dry(engine, abandoned_after=SOON)
        assert stored(engine) == ["e0", "e1", "e2"]
        assert engine.apply_pending().steps == 3  # each customer made one
    assert stream.rejected() == []


def test_what_a_slow_consumer_has_in_hand_is_not_taken_from_it(
    small: Engine, stream: Stream
) -> None:
    stream.add(*posts(2))
    stream.deliver()
    with stream.consumed(small):
        until(lambda: stored(small) == ["e1"], "the new entry is taken")
        assert stream.group()["pending"] == 1
    stream.run_dry(small, abandoned_after=SOON)
    assert stored(small) == ["e0", "e1"]


def test_an_entry_that_another_took_over_first_is_left_to_it(small: Engine, stream: Stream) -> None:
    """Between our look and our claim: it is fresh in somebody's hand by then."""
    stream.add(*posts(1))
    stream.deliver()
    consumer = stream.consumer(small, abandoned_after=SOON)
    found = consumer._abandoned()
    assert len(found) == 1
    stream.redis.xclaim(stream.name, GROUP, "quicker", 0, [found[0].id], idle=0)
    slow = stream.consumer(small)  # for it, nobody is dead yet
    slow._take_over_these(found)
    assert stored(small) == []
    (pending,) = stream.redis.xpending_range(stream.name, GROUP, "-", "+", 10)
    assert pending["consumer"] == b"quicker"


def test_an_entry_that_consumers_die_of_is_put_aside_and_its_neighbours_are_taken(
    small: Engine, stream: Stream
) -> None:
    """Each delivery is counted by Redis before the entry is looked at, so every death counts."""
    stream.add(*posts(4))
    for deliveries in (1, DEADLY, DEADLY - 1, 1):
        stream.deliver(deliveries)
    stream.run_dry(small, abandoned_after=SOON)
    (rejected,) = stream.rejected()
    assert (rejected["code"], json.loads(rejected["event"])["id"]) == ("consumer_ended", "e1")
    assert stored(small) == ["e0", "e2", "e3"]


def test_a_suspect_is_taken_alone(small: Engine, stream: Stream) -> None:
    """So that no healthy entry is counted along with the one that its consumers die of."""
    batches: list[int] = []
    stream.add(*posts(4))
    for deliveries in (1, SUSPECT, 1, SUSPECT):
        stream.deliver(deliveries)

    class Counted(Watched):
        def accept(self, drafts: Any) -> Any:
            batches.append(len(drafts))
            return super().accept(drafts)

    stream.run_dry(Counted(small, lambda _: None), abandoned_after=SOON)
    assert batches == [2, 1, 1]


# -- what is away ------------------------------------------------------------------------------


def test_nothing_abandoned_is_taken_over_while_too_much_waits(
    small: Engine, stream: Stream
) -> None:
    """Each who took an entry and could not store it would count as one that the entry has ended, and
    a healthy entry would be put aside for the backlog's fault."""
    full = iter([True, True, True])
    asked: list[str] = []
    stream.add(*posts(1))
    stream.deliver(1)

    class Full(Watched):
        def refuse_if_behind(self) -> None:
            asked.append("room")
            if next(full, False):
                raise Overloaded("backlog", "too many events wait", retry_after=1)

        def accept(self, drafts: Any) -> Any:
            asked.append("stored")
            return super().accept(drafts)

    stream.run_dry(Full(small, lambda _: None), abandoned_after=SOON)
    assert asked[:5] == ["room", "room", "room", "room", "stored"]


def test_a_database_that_is_away_is_waited_for(small: Engine, stream: Stream) -> None:
    """Nothing is refused for it, and nothing acknowledged."""
    pending: list[int] = []

    def away_twice(_: Draft) -> None:
        pending.append(stream.group()["pending"])
        if len(pending) <= 2:
            raise Unavailable("the database does not answer")

    stream.add(*posts(1))
    stream.run_dry(Watched(small, away_twice))
    assert pending == [1, 1, 1]
    assert (stored(small), stream.rejected()) == (["e0"], [])


def test_a_stop_while_the_database_is_away_leaves_everything_to_the_next(
    small: Engine, stream: Stream
) -> None:
    asked = threading.Event()

    def away(_: Draft) -> None:
        asked.set()
        raise Unavailable("the database does not answer")

    stream.add(*posts(3))
    with stream.consumed(Watched(small, away)):
        asked.wait()
    assert stream.group()["pending"] == 3
    stream.run_dry(small, abandoned_after=SOON)
    assert stored(small) == ["e0", "e1", "e2"]


def test_a_stream_that_is_lost_and_a_group_that_is_lost_are_made_again(
    small: Engine, own_redis: WheelServer
) -> None:
    """The consumer is at work all the while: flushed, its group destroyed, its server gone."""
    with redis.Redis.from_url(own_redis.url, protocol=2) as client:
        stream = Stream(own_redis.url, "lost", client)
        with stream.consumed(small):
            losses: dict[str, Callable[[], object]] = {
                "a": client.flushall,
                "b": lambda: client.xgroup_destroy(stream.name, GROUP),
                "c": lambda: restart(own_redis),
                "d": lambda: None,
            }
            for name, lose in losses.items():
                stream.add(event(id=name))
                until(lambda name=name: name in stored(small), f"{name} is stored")  # type: ignore[misc]
                until(stream.is_done, f"{name} is acknowledged")
                lose()
    assert stored(small) == ["a", "b", "c", "d"]


def test_a_redis_that_is_full_is_waited_for_with_everything_stored(
    small: Engine, own_redis: WheelServer
) -> None:
    """There is no room for what is refused, so nothing is acknowledged, and nothing taken again."""
    with redis.Redis.from_url(own_redis.url, protocol=2) as client:
        stream = Stream(own_redis.url, "full", client)
        stream.redis.xgroup_create(stream.name, GROUP, id="0", mkstream=True)
        stream.add(event(id="a"), event(id="x", type="purchse"), event(id="b"))
        client.config_set("maxmemory", "1")
        watched = Watched(small, lambda _: None)
        with stream.consumed(watched, abandoned_after=SOON):
            until(lambda: watched.complaints.total >= 2, "it is tried again")
            assert stored(small) == ["a", "b"]
            pending = client.xpending_range(stream.name, GROUP, "-", "+", 10)
            assert [one["times_delivered"] for one in pending] == [1, 1, 1]
            client.config_set("maxmemory", "0")
            until(stream.is_done, "everything is acknowledged")
        assert [one["code"] for one in stream.rejected()] == ["unknown_event_type"]


def restart(server: WheelServer) -> None:
    server.stop()
    server.start()


# -- what is kept ------------------------------------------------------------------------------


def test_nothing_is_trimmed_that_somebody_has_not_acknowledged(
    small: Engine, stream: Stream
) -> None:
    """Neither what a consumer of ours has in hand nor what another group has not read yet."""
    stream.add(*posts(6))
    stream.deliver()  # e0, in a dead hand
    with stream.consumed(small):
        until(lambda: len(stored(small)) == 5, "the others are taken")
        until(lambda: stream.group()["pending"] == 1, "and acknowledged")
        tidied = tidy(stream)
    assert (tidied, stream.length()) == (0, 6)
    stream.redis.xgroup_create(stream.name, "analysts", id="0")
    stream.redis.xreadgroup("analysts", "ann", {stream.name: ">"}, count=3)
    stream.run_dry(small, abandoned_after=SOON)
    assert (tidy(stream), stream.length()) == (0, 6)
    entries = [entry for entry, _ in stream.redis.xrange(stream.name)]
    stream.redis.xack(stream.name, "analysts", *entries[:2])
    assert (tidy(stream), stream.length()) == (2, 4)
    stream.redis.xack(stream.name, "analysts", *entries)
    stream.redis.xreadgroup("analysts", "ann", {stream.name: ">"}, noack=True)
    stream.redis.xgroup_create(stream.name, "zoe", id="0")  # after ours in the order of names
    assert (tidy(stream), stream.length()) == (0, 4)
    stream.redis.xgroup_destroy(stream.name, "zoe")
    assert (tidy(stream), stream.length()) == (3, 1)


def test_a_consumer_that_has_long_been_gone_is_forgotten_unless_something_is_pending(
    small: Engine, stream: Stream
) -> None:
    stream.add(*posts(1))
    stream.deliver(who="with-something")
    stream.redis.xgroup_createconsumer(stream.name, GROUP, "with-nothing")
    until(lambda: tidy(stream, forget_after=0) == 0 and "with-nothing" not in names(stream), "gone")
    assert names(stream) == ["with-something"]


def tidy(stream: Stream, forget_after: int = 3_600_000) -> int:
    return int(stream.redis.eval(_TIDY, 1, stream.name, GROUP, forget_after))


def names(stream: Stream) -> list[str]:
    return [one["name"].decode() for one in stream.redis.xinfo_consumers(stream.name, GROUP)]


def test_what_became_of_events_of_the_stream_is_counted(tmp_path: Path, stream: Stream) -> None:
    """An entry that cannot be read at all counts as one that is refused."""
    stream.add(event(id="e1"), event(id="e2"), event(id="e1"), event(id="e1", customer_id="c2"))
    stream.add(event(id="e3", type="no such"))
    stream.add_text("no JSON")
    with running(f"sqlite:///{tmp_path}/test.db", tmp_path, observer=Metrics()) as engine:
        stream.run_dry(engine)
        page = engine.observer.page(engine.installation, engine.broker())
    assert page is not None
    series = metrics.read(page.content.decode())
    counts = {
        outcome: metrics.of(series, "events_received_total", {"way": "redis", "outcome": outcome})
        for outcome in ("accepted", "duplicate", "conflict", "refused")
    }
    assert counts == {"accepted": 2, "duplicate": 1, "conflict": 1, "refused": 2}
