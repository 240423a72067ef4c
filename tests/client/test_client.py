"""The client delivers what it took, once, through whatever happens in between, or says what it did not."""

from __future__ import annotations

import json
import queue
import random
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from lifecycle import client as module
from lifecycle.bootstrap import Engine
from lifecycle.client import (
    BufferFull,
    Client,
    Closed,
    EventsRefused,
    NotDelivered,
    Refused,
)
from lifecycle.domain.scope import Scope
from lifecycle.engine import keys
from lifecycle.store import events as rows
from lifecycle.store import reading
from tests.intake.bad_input import NOW
from tests.web.conftest import client, engine, serving  # noqa: F401 - the fixtures
from tests.workers.queues import stored, until

AMOUNT = {"amount": "12.50"}

Reply = tuple[int, dict[str, str], bytes] | None
"""A status, headers and a body; None cuts the connection."""


class Desk:
    """Stands between a client and the engine, and answers each request as it is told."""

    def __init__(self, address: str, onward: httpx.Client) -> None:
        self.address = address
        self.asked: list[dict[str, Any]] = []  # the bodies that came
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.script: deque[Callable[[bytes], Reply]] = deque()  # then everything goes to the engine
        self._onward = onward

    def answer(self, body: bytes, headers: dict[str, str]) -> Reply:
        self.asked.append(json.loads(body))
        self.headers.append(headers)
        self.times.append(time.monotonic())
        return self.script.popleft()(body) if self.script else self.forward(body)

    def forward(self, body: bytes) -> Reply:
        sent = self._onward.post(
            "/v1/events", content=body, headers={"Content-Type": "application/json"}
        )
        return sent.status_code, {"Content-Type": sent.headers["Content-Type"]}, sent.content

    def forward_and_cut(self, body: bytes) -> Reply:
        """It is stored, and nobody hears of it."""
        self.forward(body)
        return None

    def ids(self) -> list[list[str]]:
        return [[event["id"] for event in body["events"]] for body in self.asked]


def says(status: int, body: bytes = b"", **headers: str) -> Callable[[bytes], Reply]:
    return lambda _: (
        status,
        {name.replace("_", "-"): said for name, said in headers.items()},
        body,
    )


def cut(_: bytes) -> Reply:
    return None


@contextmanager
def standing(onward: httpx.Client) -> Iterator[Desk]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            reply = stand.answer(body, dict(self.headers))
            if reply is None:
                self.close_connection = True
                return
            status, headers, content = reply
            self.send_response(status)
            for name, said in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, said)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stand = Desk(f"http://127.0.0.1:{server.server_address[1]}", onward)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stand
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def desk(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:  # noqa: F811
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.02)
    with standing(client) as desk:
        yield desk


def posting(desk: Desk, **more: Any) -> Client:
    return Client(desk.address, source="shop", **{"linger": 0.01, **more})


def post(events: Client, name: str, **more: Any) -> str:
    return events.post("purchase", "c1", AMOUNT, id=name, occurred_at=NOW, **more)


def count(engine: Engine) -> int:  # noqa: F811
    with engine.db.read() as tx:
        return reading.count_events(tx)


# -- delivering --------------------------------------------------------------------------------


def test_what_is_posted_is_stored_when_the_block_ends(engine: Engine, desk: Desk) -> None:  # noqa: F811
    with posting(desk) as events:
        for n in range(10):
            post(events, f"e{n}")
    assert stored(engine) == [f"e{n}" for n in range(10)]


def test_events_go_out_in_batches_of_many_threads(engine: Engine, desk: Desk) -> None:  # noqa: F811
    with posting(desk, batch=50, linger=0.2) as events:

        def post_some(thread: int) -> None:
            for n in range(50):
                post(events, f"e{thread}-{n}")

        threads = [threading.Thread(target=post_some, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert count(engine) == 200
    assert len(desk.asked) < 20
    assert max(len(body["events"]) for body in desk.asked) == 50


def test_a_flush_returns_when_the_engine_has_answered(engine: Engine, desk: Desk) -> None:  # noqa: F811
    with posting(desk, linger=60) as events:
        post(events, "e1")
        events.flush()
        assert stored(engine) == ["e1"]


def test_a_program_that_forgets_to_close_delivers_all_the_same(
    engine: Engine,  # noqa: F811
    desk: Desk,
) -> None:
    program = (
        "import sys; from lifecycle.client import Client\n"
        "events = Client(sys.argv[1], linger=60)\n"
        "events.post('purchase', 'c1', {'amount': '1'}, id='last')\n"
    )
    subprocess.run([sys.executable, "-c", program, desk.address], check=True, timeout=60)
    assert stored(engine) == ["last"]


def test_values_are_sent_as_the_engine_reads_them(desk: Desk) -> None:
    with posting(desk) as events:
        events.post(
            "purchase",
            "c1",
            {
                "amount": Decimal("1E+2"),
                "currency": "CNY",
                "shipped_at": datetime(2026, 1, 1, tzinfo=UTC),
                "day": date(2026, 1, 2),
            },
            id="e1",
        )
    (event,) = desk.asked[0]["events"]
    assert event["properties"] == {
        "amount": "100",
        "currency": "CNY",
        "shipped_at": "2026-01-01T00:00:00+00:00",
        "day": "2026-01-02",
    }


def test_what_json_cannot_hold_is_refused_at_once(desk: Desk) -> None:
    with posting(desk) as events:
        for bad in (datetime(2026, 1, 1), float("nan"), "\ud800"):  # noqa: DTZ001
            with pytest.raises(ValueError, match=r".+"):
                events.post("purchase", "c1", {"amount": bad})
        with pytest.raises(TypeError):
            events.post("purchase", "c1", {"amount": object()})
    assert desk.asked == []


def test_an_event_gets_an_id_and_a_time_unless_it_has_them(desk: Desk) -> None:
    """One with an id of its own and no time may be posted again without contradicting itself. (The
    engine's clock stands still in another year, so it refuses what happens now.)"""
    with posting(desk, headers={"X-Shop": "7"}, on_refused=print) as events:
        name = events.post("purchase", "c1", AMOUNT)
        events.post("purchase", "c1", AMOUNT, id="mine", source="till")
    first, second = desk.asked[0]["events"]
    assert (first["id"], first["source"]) == (name, "shop")
    assert "occurred_at" in first
    assert (second["id"], second["source"]) == ("mine", "till")
    assert "occurred_at" not in second
    assert desk.headers[0]["X-Shop"] == "7"


# -- trying again ------------------------------------------------------------------------------


def test_whatever_happens_on_the_way_every_event_is_stored_once(
    engine: Engine,  # noqa: F811
    desk: Desk,
) -> None:
    """The ids stay, so what was stored before its answer was lost is a duplicate."""
    desk.script += [
        cut,
        says(500),
        desk.forward_and_cut,
        says(429, Retry_After="0"),
        says(200, b"<html>Please sign in to the network</html>", Content_Type="text/html"),
        says(200, b'{"status": "ok"}', Content_Type="application/json"),
        says(404, b"no such page"),
        says(301, Location="http://example.org/"),
        desk.forward_and_cut,
    ]
    with posting(desk) as events:
        names = [post(events, f"e{n}") for n in range(3)]
    assert stored(engine) == names
    assert {tuple(sent) for sent in desk.ids()} == {tuple(names)}
    assert len(desk.asked) >= 9


def test_the_engine_says_when_to_come_again(desk: Desk) -> None:
    """By seconds or by a date; our own pauses grow, and this one is longer than them."""

    def in_two_seconds(_: bytes) -> Reply:
        moment = datetime.fromtimestamp(time.time() + 2, UTC)
        return 429, {"Retry-After": format_datetime(moment, usegmt=True)}, b""

    desk.script += [says(503, Retry_After="1"), in_two_seconds]
    with posting(desk) as events:
        post(events, "e1")
    first, second, third = desk.times
    assert second - first >= 1
    assert third - second >= 0.9  # a date has whole seconds


def test_pauses_are_spread_in_a_program_that_seeds_its_own_chance(desk: Desk) -> None:
    """Each of its processes would come back at the same moment; and what it draws next is its own."""
    random.seed(7)
    mine = random.getstate()
    desk.script += [says(503)]
    with posting(desk) as events:
        post(events, "e1")
    assert len(desk.asked) == 2
    assert random.getstate() == mine


def test_a_key_is_shown_with_every_request(engine: Engine, desk: Desk) -> None:  # noqa: F811
    with posting(desk, key="lk_key", headers={"X-Ours": "1"}) as events:
        post(events, "e1")
        events.flush()
        post(events, "e2")
    shown = [(each["Authorization"], each["X-Ours"]) for each in desk.headers]
    assert shown == [("Bearer lk_key", "1")] * 2
    with posting(desk) as events:
        post(events, "e3")
    assert "Authorization" not in desk.headers[-1]


def test_what_is_beyond_a_budget_is_delivered_when_the_engine_says(
    engine: Engine,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the real engine, which refuses it at first."""
    monkeypatch.setattr("lifecycle.web.allowance.HELD_SECONDS", 0)
    made = keys.create(
        engine.db, "till", [Scope.EVENTS_WRITE], by="olga", events_per_second=4.0, burst=1
    )
    answers: list[int] = []
    with serving(engine) as onward:
        exchange = module._Sender._exchange

        def noted(sender: Any, body: bytes) -> Any:
            response, content = exchange(sender, body)
            answers.append(response.status)
            return response, content

        monkeypatch.setattr(module._Sender, "_exchange", noted)
        with Client(str(onward.base_url), key=made.text, batch=3, linger=0) as events:
            for name in ("e1", "e2", "e3", "e4"):
                post(events, name)
            events.flush()
    assert 429 in answers
    assert answers[-1] == 200
    with engine.db.read() as tx:
        for name in ("e1", "e2", "e3", "e4"):
            assert rows.get(tx, "till", name) is not None, "the key's name is the source"


def test_events_wait_until_somebody_has_put_the_key_right(engine: Engine) -> None:  # noqa: F811
    """A wrong one is no reason to lose them; why they wait is told."""
    keys.create(engine.db, "till", [Scope.EVENTS_WRITE], by="olga")
    with serving(engine) as onward:
        events = Client(str(onward.base_url), key="lk_wrong")
        post(events, "e1")
        until(lambda: "401" in events._trouble, "the engine has answered")
        with pytest.raises(NotDelivered, match=r"HTTP 401 Unauthorized \(key_unknown\)") as raised:
            events.close(timeout=0.05)
        assert [event["id"] for event in raised.value.events] == ["e1"]
    assert count(engine) == 0


def test_a_request_that_is_too_long_is_halved(engine: Engine, desk: Desk) -> None:  # noqa: F811
    desk.script += [says(413, b'{"code": "limit_exceeded"}')]
    with posting(desk, linger=0.2) as events:
        names = [post(events, f"e{n}") for n in range(5)]
    assert desk.ids() == [names, names[:2], names[2:]]
    assert stored(engine) == names


def test_of_a_halved_request_only_the_unanswered_half_is_handed_back(
    engine: Engine,  # noqa: F811
    desk: Desk,
) -> None:
    cut_for_ever = [cut] * 1000
    desk.script += [says(413, b'{"code": "limit_exceeded"}'), desk.forward, *cut_for_ever]
    events = posting(desk, linger=0.2)
    names = [post(events, f"e{n}") for n in range(4)]
    until(lambda: stored(engine) == names[:2], "the first half is stored")
    with pytest.raises(NotDelivered) as raised:
        events.close(timeout=0.2)
    assert [event["id"] for event in raised.value.events] == names[2:]


def test_an_engine_that_is_started_later_gets_everything(
    client: httpx.Client,  # noqa: F811
    engine: Engine,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.02)
    with standing(client) as gone:
        pass
    events = Client(gone.address, linger=0)
    post(events, "e1")
    with pytest.raises(NotDelivered, match="Connection refused") as raised:
        events.flush(timeout=0.2)
    assert [event["id"] for event in raised.value.events] == ["e1"]
    port = int(gone.address.rpartition(":")[2])
    with serving_at(port, client):
        events.close()
    assert stored(engine) == ["e1"]


@contextmanager
def serving_at(port: int, onward: httpx.Client) -> Iterator[None]:
    with standing(onward) as desk:

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                reply = desk.forward(body)
                assert reply is not None
                self.send_response(reply[0])
                self.end_headers()
                self.wfile.write(reply[2])

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


# -- being told --------------------------------------------------------------------------------


def test_what_is_refused_is_told_and_its_neighbours_are_stored(
    engine: Engine,  # noqa: F811
    desk: Desk,
) -> None:
    told: list[Refused] = []
    with posting(desk, on_refused=told.append, linger=0.2) as events:
        post(events, "e1")
        events.post("purchse", " c1", AMOUNT, id="bad")
        events.flush()
        events.post("purchase", "c2", AMOUNT, id="e1", occurred_at=NOW)  # another customer
    bad, conflict = told
    assert (bad.event["id"], bad.status, bad.code) == ("bad", "refused", "unknown_event_type")
    assert bad.hint == 'did you mean "purchase"?'
    assert [also["code"] for also in bad.also] == ["customer_key_format"]
    assert (conflict.event["customer_id"], conflict.status) == ("c2", "conflict")
    assert conflict.code == "event_id_conflict"
    assert stored(engine) == ["e1"]


def test_refusals_that_nobody_asked_for_are_raised(desk: Desk) -> None:
    with posting(desk, linger=0.2) as events:
        for n in range(3):
            events.post("purchse", f"c{n}", id=f"bad{n}")
        with pytest.raises(
            EventsRefused, match=r"3 events were refused; the first: event bad0"
        ) as e:
            events.flush()
        assert [one.event["id"] for one in e.value.refused] == ["bad0", "bad1", "bad2"]
        events.flush()  # they are told once


def test_an_error_of_the_callback_stops_nothing(engine: Engine, desk: Desk) -> None:  # noqa: F811
    def fail(_: Refused) -> None:
        raise ValueError("the callback is broken")

    with posting(desk, on_refused=fail) as events:
        events.post("purchse", "c1", id="bad")
        events.flush()
        post(events, "e1")
    assert stored(engine) == ["e1"]


def test_a_full_buffer_makes_posts_wait_and_then_says_so(desk: Desk) -> None:
    free = threading.Event()

    def answer_late(body: bytes) -> Reply:
        free.wait()
        return desk.forward(body)

    desk.script += [answer_late]
    events = posting(desk, buffer=2, wait=0.05)
    post(events, "e1")
    post(events, "e2")
    with pytest.raises(BufferFull, match="2 events wait"):
        post(events, "e3")
    free.set()
    events.flush()
    post(events, "e3")
    events.close()
    assert sorted(name for sent in desk.ids() for name in sent) == ["e1", "e2", "e3"]


def test_what_is_not_delivered_in_time_is_handed_back(desk: Desk) -> None:
    """Also when a request is under way that nobody answers: `close` does not wait for it."""
    free, asked = threading.Event(), queue.Queue[bytes]()

    def never(body: bytes) -> Reply:
        asked.put(body)
        free.wait()
        return None

    desk.script += [never]
    events = posting(desk)
    post(events, "e1")
    asked.get(timeout=30)
    post(events, "e2")
    began = time.monotonic()
    with pytest.raises(NotDelivered) as raised:
        events.close(timeout=0.05)
    assert time.monotonic() - began < 10  # a request may take 30
    free.set()
    assert [event["id"] for event in raised.value.events] == ["e1", "e2"]
    with pytest.raises(Closed):
        post(events, "e3")
    events.close()  # a second time does nothing
    until(lambda: not any(t.name == "lifecycle-client" for t in threading.enumerate()), "it ends")


def test_an_error_of_the_block_is_not_hidden_by_one_of_the_client(desk: Desk) -> None:
    def fail() -> None:
        with posting(desk) as events:
            events.post("purchse", "c1", id="bad")
            raise KeyError

    with pytest.raises(KeyError):
        fail()


def test_an_address_that_is_none_is_refused() -> None:
    for url in ("127.0.0.1:8000", "ftp://127.0.0.1", "http://"):
        with pytest.raises(ValueError, match="no address of an engine"):
            Client(url)


def test_nothing_but_the_standard_library_is_loaded() -> None:
    program = (
        "import sys; before = set(sys.modules); import lifecycle.client\n"
        "names = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(names - set(sys.stdlib_module_names)))\n"
        "print(sorted(name for name in sys.modules if name.startswith('lifecycle')))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    assert said == "['lifecycle']\n['lifecycle', 'lifecycle.client']\n"
