"""The server listens where it may, streams what happens, and stops without cutting anybody off."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import httpx
import pytest

from lifecycle.bootstrap import Engine
from lifecycle.clock import Origin
from lifecycle.errors import LifecycleError, Unavailable, Unusable
from lifecycle.store import clock
from lifecycle.web.server import Server, listen
from tests.intake.bad_input import NOW, event
from tests.support.logs import heard
from tests.support.proxy import Proxy
from tests.web.conftest import running, serving

Told = dict[str, Any]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_it_refuses_to_listen_for_other_machines(host: str) -> None:
    with pytest.raises(Unusable, match=r"no API keys.*lifecycle key create NAME") as raised:
        listen(host, 0)
    assert "\n" not in str(raised.value)


def test_with_a_key_it_listens_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own network is closed, so the address is looked at before it is opened."""
    opened: list[object] = []
    monkeypatch.setattr(socket, "create_server", lambda address, **_: opened.append(address))
    listen("0.0.0.0", 8000, is_any_key=lambda: True)
    assert opened == [("0.0.0.0", 8000)]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_on_its_own_machine_nobody_asks_for_keys(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the database need not be there yet."""
    opened: list[object] = []
    monkeypatch.setattr(socket, "create_server", lambda address, **_: opened.append(address))

    def asked() -> bool:
        raise AssertionError("the database was asked")

    listen(host, 8000, is_any_key=asked)
    assert opened == [(host, 8000)]


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Unusable, match=f"port {port} of 127.0.0.1 cannot be opened"):
            listen("127.0.0.1", port)


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(Unusable, match="port 70000"):
        listen("127.0.0.1", 70000)


@pytest.mark.postgres
def test_on_postgresql_too_what_is_posted_is_streamed(
    postgres_database_url: str, tmp_path: Path
) -> None:
    with (
        running(postgres_database_url, tmp_path) as engine,
        serving(engine) as client,
        following(client) as lines,
    ):
        _purchase(engine, client, "e1")
        told = next(lines)
        assert (told["event"], told["data"]["cause"]) == ("made", "event:shop|e1")


def test_a_stream_tells_what_happens_from_now_on(engine: Engine, client: httpx.Client) -> None:
    _purchase(engine, client, "before", customer_id="c0")
    with following(client) as lines:
        _purchase(engine, client, "e1")
        told = next(lines)
        assert (told["event"], told["data"]["customer_id"]) == ("made", "c1")
        _purchase(engine, client, "e0", occurred_at="2026-01-01T00:00:00Z")
        assert [next(lines)["event"], next(lines)["event"]] == ["revoked", "made"]


def test_a_stream_goes_on_where_it_was_cut_off(engine: Engine, client: httpx.Client) -> None:
    """Nothing that happened meanwhile is missed, and nothing comes again."""
    with following(client) as lines:
        _purchase(engine, client, "e1")
        last = next(lines)["id"]
    _purchase(engine, client, "e2", customer_id="c2")
    with following(client, headers={"Last-Event-ID": last}) as lines:
        assert next(lines)["data"]["customer_id"] == "c2"
    with following(client, params={"cursor": last, "rule": "first"}, status=422):
        pass  # of another question


def test_a_stream_tells_only_what_was_asked_for(engine: Engine, client: httpx.Client) -> None:
    _purchase(engine, client, "e0", customer_id="c2")
    with following(client, params={"customer": "c2"}) as lines:
        _purchase(engine, client, "e1")
        refund = event(id="e2", customer_id="c2", type="order_refunded", properties={"amount": "1"})
        _happens(engine, client, refund)
        assert next(lines)["data"]["rule"] == "undo"


def test_many_streams_share_one_watcher(engine: Engine, client: httpx.Client) -> None:
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(following(client)) for _ in range(20)]
        _purchase(engine, client, "e1")
        assert {next(lines)["data"]["cause"] for lines in streams} == {"event:shop|e1"}
        watchers = [each.name for each in threading.enumerate() if "log-watch" in each.name]
    assert len(watchers) == 1


def test_stopping_ends_streams_and_answers_what_is_under_way(engine: Engine) -> None:
    """A post whose commit is running when the server is told to stop gets its answer."""
    begun, may_end = threading.Event(), threading.Event()
    accept = engine.accept

    def slow(drafts: Any) -> Any:
        begun.set()
        assert may_end.wait(30)
        return accept(drafts)

    engine.accept = slow  # type: ignore[method-assign]
    opened: list[str] = []
    ready = threading.Event()

    def started(address: str) -> None:
        opened.append(address)
        ready.set()

    server = Server(engine, listen("127.0.0.1", 0), started=started)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert ready.wait(30)
    answers: list[httpx.Response] = []
    with httpx.Client(base_url=opened[0], timeout=30) as client, following(client) as lines:
        post = threading.Thread(
            target=lambda: answers.append(client.post("/v1/events", json={"events": [event()]}))
        )
        post.start()
        assert begun.wait(30)
        server.stop()
        assert list(lines) == [], "the stream ends by itself"
        may_end.set()
        post.join(30)
    thread.join(30)
    assert not thread.is_alive()
    assert answers[0].json()["accepted"] == 1


def test_health_is_lost_when_events_wait_for_more_than_a_minute(
    engine: Engine, client: httpx.Client
) -> None:
    """With the number; here the clock has moved on by hand while nobody applied anything."""
    client.post("/v1/events", json={"events": [event()]})
    assert client.get("/healthz").json()["pending"] == 1

    def move(tx: clock.Tx) -> None:
        found = clock.read(tx)
        assert found is not None
        now = NOW + timedelta(seconds=61)
        clock.write(tx, Origin(spec=found.spec, real_origin=now, virtual_origin=now, seen=now))

    engine.db.run(move)
    answer = client.get("/healthz")
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (503, "overdue")
    assert (problem["pending"], problem["oldest_pending_seconds"]) == (1, 61.0)
    engine.apply_pending()
    assert client.get("/healthz").status_code == 200


def test_a_database_that_is_away_is_told_without_a_promise(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 and when to come again: nobody loses an event by it."""

    def away(drafts: object) -> None:
        raise Unavailable("the database does not answer")

    monkeypatch.setattr(engine, "accept", away)
    with serving(engine) as client:
        answer = client.post("/v1/events", json={"events": [event()]})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "1"
    assert "nothing was changed" not in answer.text


@pytest.mark.parametrize(("error", "status"), [(Unavailable, 503), (Unusable, 500)])
def test_where_the_database_is_and_who_we_are_to_it_is_for_the_log_alone(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, error: type[LifecycleError], status: int
) -> None:
    """Why requests fail is logged once a minute, not once a request."""

    def fails(*_: object) -> NoReturn:
        raise error("postgresql://ops@db.example.com/crm: PostgreSQL fails (no such role ops)")

    with heard(logging.WARNING) as log, serving(engine) as client:
        assert client.get("/healthz").status_code == 200
        monkeypatch.setattr(engine, "accept", fails)
        monkeypatch.setattr(engine.db, "read", fails)
        answers = [
            client.post("/v1/events", json={"events": [event()]}),
            client.post("/v1/events", json={"events": [event()]}),
            client.get("/v1/customers/c1"),
            client.get("/v1/customers/c1"),
            client.get("/healthz"),
        ]
    assert {answer.status_code for answer in answers} == {status}
    told = "".join(f"{answer.headers}{answer.text}" for answer in answers)
    assert not re.search("ops|example|crm|role|postgresql", told)
    logged = log.of("request_unanswered")
    assert 0 < len(logged) < len(answers)
    assert all("db.example.com" in str(line["why"]) for line in logged)


@pytest.mark.postgres
def test_a_server_that_is_gone_is_told_without_its_address(
    postgres_database_url: str, tmp_path: Path
) -> None:
    """The real thing, in the words of PostgreSQL's own library."""
    with Proxy(postgres_database_url) as line:
        url = line.instead_of(postgres_database_url)
        user, name = urlsplit(url).username, urlsplit(url).path[1:]
        with (
            running(url, tmp_path) as engine,
            heard(logging.WARNING) as log,
            serving(engine) as client,
        ):
            line.cut()
            answers = [client.get("/healthz"), client.get("/v1/transitions"), client.get("/readyz")]
            line.mend()
    assert [answer.status_code for answer in answers] == [503, 503, 503]
    told = "".join(answer.text for answer in answers)
    assert answers[0].json()["detail"] == "the database does not answer; try again later"
    assert not any(part in told for part in (str(user), name, "127.0.0.1", str(line.port)))
    assert str(line.port) in str(log.of("request_unanswered", "keys_unread"))


@contextlib.contextmanager
def following(client: httpx.Client, status: int = 200, **request: Any) -> Iterator[Iterator[Told]]:
    """A stream that has begun: what happens from now on will be in it."""
    with client.stream("GET", "/v1/transitions/stream", **request) as answer:
        assert answer.status_code == status
        if status != 200:
            yield iter(())
            return
        assert answer.headers["content-type"].startswith("text/event-stream")
        blocks = _blocks(answer.iter_lines())
        assert "retry" in next(blocks)
        yield (block for block in blocks if "data" in block)


def _blocks(lines: Iterator[str]) -> Iterator[Told]:
    block: Told = {}
    for line in lines:
        if not line:
            yield block
            block = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            block[name] = json.loads(value) if name == "data" else value


def _purchase(engine: Engine, client: httpx.Client, name: str, **changes: Any) -> None:
    _happens(engine, client, event(id=name, **changes))


def _happens(engine: Engine, client: httpx.Client, posted: Any) -> None:
    answer = client.post("/v1/events", json={"events": [posted]})
    assert answer.status_code == 200, answer.text
    engine.apply_pending()
