"""Who is let in: everybody of this machine until a first key is made, then whoever shows one."""

from __future__ import annotations

import asyncio
import base64
import logging
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts

from lifecycle.bootstrap import Engine
from lifecycle.domain.scope import Scope
from lifecycle.engine import keys
from lifecycle.engine.keyring import FRESH_SECONDS, Keyring
from lifecycle.errors import Unavailable
from lifecycle.metrics import Metrics
from lifecycle.store import reading
from lifecycle.web.access import SCHEMES, Open, declared, needs
from lifecycle.web.app import create_app
from lifecycle.web.door import Keys
from tests.intake.bad_input import event
from tests.support.metrics import read
from tests.web.conftest import running, serving
from tests.web.test_server import following

TEXT = "no valid API key was shown"

ROUTES = {  # what is asked of whom, told once more: a route that is not here fails a test
    ("POST", "/v1/events"): Scope.EVENTS_WRITE,
    ("GET", "/v1/customers/{customer_id:path}/timeline"): Scope.CUSTOMERS_READ,
    ("GET", "/v1/customers/{customer_id:path}"): Scope.CUSTOMERS_READ,
    ("GET", "/v1/transitions"): Scope.TRANSITIONS_READ,
    ("GET", "/v1/transitions/stream"): Scope.TRANSITIONS_READ,
    ("GET", "/healthz"): Open.TO_ALL,
    ("GET", "/readyz"): Open.TO_ALL,
    ("GET", "/metrics"): Scope.OPERATIONS_READ,
    ("POST", "/v1/consents"): Scope.CONSENTS_WRITE,
    ("POST", "/v1/feedback/mail"): Scope.FEEDBACK_WRITE,
    ("POST", "/v1/hooks/{provider}"): Open.TO_SIGNED,
    ("GET", "/u"): Open.TO_SIGNED,
    ("POST", "/u"): Open.TO_SIGNED,
    ("GET", "/u/{token}"): Open.TO_SIGNED,
    ("GET", "/r/{token}"): Open.TO_SIGNED,
    ("GET", "/o/{token}"): Open.TO_SIGNED,
    ("POST", "/u/{token}"): Open.TO_SIGNED,
    ("GET", "/u/{token}/preferences"): Open.TO_SIGNED,
    ("POST", "/u/{token}/preferences"): Open.TO_SIGNED,
    ("GET", "/s/{token}"): Open.TO_SIGNED,
    ("POST", "/s/{token}"): Open.TO_SIGNED,
    ("GET", "/c/{token}"): Open.TO_SIGNED,
    ("POST", "/c/{token}"): Open.TO_SIGNED,
    ("GET", "/"): Open.TO_EVERY_KEY,
    ("GET", "/openapi.json"): Open.TO_EVERY_KEY,
    ("GET", "/docs"): Open.TO_EVERY_KEY,
    ("GET", "/docs/style.css"): Open.TO_EVERY_KEY,
}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with running(f"sqlite:///{tmp_path / 'test.db'}", tmp_path, observer=Metrics()) as engine:
        yield engine


def key(engine: Engine, *scopes: Scope, name: str = "shop", **more: Any) -> str:
    return keys.create(engine.db, name, scopes, by="olga", **more).text


def bearer(shown: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {shown}"}


def count(engine: Engine) -> int:
    with engine.db.read() as tx:
        return reading.count_events(tx)


@contextmanager
def keyed(engine: Engine, *scopes: Scope) -> Iterator[httpx.Client]:
    """A server that asks for a key, and a client that has one."""
    shown = key(engine, *scopes)
    with serving(engine) as client:
        client.headers.update(bearer(shown))
        yield client


def refused(answer: httpx.Response) -> dict[str, Any]:
    problem: dict[str, Any] = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == answer.status_code
    return problem


# -- what each route asks for


def test_every_route_declares_what_it_asks_of_its_callers(engine: Engine) -> None:
    """Deny by default: whoever adds a route says here, too, who may use it."""
    app = create_app(engine)
    assert {
        (next(iter(route.methods - {"HEAD"})), route.path): route.need for route in declared(app)
    } == ROUTES
    assert {route.path for route in iter_route_contexts(app.routes)} == {p for _, p in ROUTES}


def test_a_route_that_declares_nothing_cannot_be_served() -> None:
    app, routes = FastAPI(openapi_url=None, docs_url=None, redoc_url=None), APIRouter()

    @routes.get("/secret")
    def secret() -> None: ...

    app.include_router(routes)
    with pytest.raises(LookupError, match="/secret does not declare"):
        declared(app)


def test_a_plain_route_that_declares_nothing_cannot_be_served_either() -> None:
    """Such as those that a framework adds by itself."""
    app = FastAPI()
    with pytest.raises(LookupError, match=r"openapi\.json does not declare"):
        declared(app)


@pytest.mark.parametrize("need", [*Scope, *Open])
def test_what_is_declared_is_what_is_published(need: Scope | Open) -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.get("/x", openapi_extra=needs(need))(lambda: None)
    (route,) = declared(app)
    assert route.need is need
    published = app.openapi()["paths"]["/x"]["get"]["security"]
    scopes = [need.value] if isinstance(need, Scope) else []
    by_key: list[dict[str, list[str]]] = [{name: scopes} for name in SCHEMES]
    wanted = [] if need is Open.TO_ALL else [{}] if need is Open.TO_SIGNED else by_key
    assert published == wanted


def test_the_document_tells_how_a_key_is_shown(engine: Engine) -> None:
    with serving(engine) as client:
        document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"] == SCHEMES
    for methods in document["paths"].values():
        for operation in methods.values():
            assert all(each.keys() <= SCHEMES.keys() for each in operation["security"])


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_each_route_opens_to_the_keys_that_it_should(
    engine: Engine, method: str, path: str
) -> None:
    """To every one that has its scope, and to no other; and without a key only what is open to all."""
    need = ROUTES[method, path]
    holders = {scope: key(engine, scope, name=scope.value) for scope in Scope}
    concrete = path.replace("{customer_id:path}", "nobody")
    with serving(engine) as client:
        without = status(client, method, concrete, {})
        opened = {s: status(client, method, concrete, bearer(k)) for s, k in holders.items()}
    assert without == (None if need in {Open.TO_ALL, Open.TO_SIGNED} else 401)
    assert opened == {
        scope: None if isinstance(need, Open) or scope is need else 403 for scope in Scope
    }


def status(client: httpx.Client, method: str, path: str, headers: dict[str, str]) -> int | None:
    """Of a refusal at the door; None for whatever is answered behind it."""
    with client.stream(method, path, headers=headers) as answer:
        return answer.status_code if answer.status_code in {401, 403, 421} else None


def test_a_missing_scope_is_named(engine: Engine) -> None:
    with keyed(engine, Scope.CUSTOMERS_READ) as client:
        problem = refused(client.post("/v1/events", json={"events": [event()]}))
    assert (problem["status"], problem["code"]) == (403, "scope_missing")
    assert "events:write" in problem["detail"]
    assert problem["detail"].endswith("; nothing was changed")
    assert (problem["expected"], problem["got"]) == ("events:write", "customers:read")
    assert count(engine) == 0


# -- without a key, and with a wrong one


def test_a_key_may_be_shown_where_none_is_asked_for(engine: Engine) -> None:
    """So that a system can be given its key before the first one closes the server."""
    with serving(engine) as client:
        assert client.get("/v1/transitions", headers=bearer("whatever")).status_code == 200


def test_the_first_key_closes_the_server_to_whoever_has_none(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a second, and also once that key is revoked."""
    monkeypatch.setattr("lifecycle.engine.keyring.FRESH_SECONDS", 0)
    with serving(engine) as client:
        assert client.get("/v1/transitions").status_code == 200
        made = key(engine, Scope.EVENTS_WRITE)
        assert client.get("/v1/transitions").status_code == 401
        keys.revoke(engine.db, made, by="olga")
        assert client.get("/v1/transitions").status_code == 401


def test_all_wrong_keys_get_the_same_answer(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 26: missing, unknown, expired, revoked: whoever tries keys learns nothing from it."""
    monkeypatch.setattr("lifecycle.engine.keyring.FRESH_SECONDS", 0)
    good = key(engine, Scope.TRANSITIONS_READ)
    revoked = key(engine, Scope.TRANSITIONS_READ)
    keys.revoke(engine.db, revoked, by="olga")
    packed = base64.b64encode(f"{good}:".encode()).decode()
    user = base64.b64encode(b"somebody:secret").decode()
    shown: dict[str, dict[str, Any]] = {
        "none": {},
        "no key": bearer("x"),
        "a blank": {"Authorization": "Bearer"},
        "unknown": bearer("lk_0123456789ab_" + "0" * 64),
        "wrong secret": bearer(good[:-4] + "0000"),
        "revoked": bearer(revoked),
        "another scheme": {"Authorization": f"Digest {good}"},
        "no scheme": {"Authorization": good},
        "user": {"Authorization": f"Basic {user}"},
        "more than base64": {"Authorization": f"Basic {packed[:20]}!{packed[20:]}"},
        "no base64": {"Authorization": b"Basic \xff="},
        "no text": {"Authorization": "Basic /w=="},
        "in the path": {"X-Api-Key": good},
    }
    with serving(engine) as client:
        answers = {why: client.get("/v1/transitions", headers=h) for why, h in shown.items()}
        assert client.get("/v1/transitions", headers=bearer(good)).status_code == 200
    told = set()
    for answer in answers.values():
        problem = refused(answer)
        del problem["request_id"]
        told.add(str(problem))
        challenges = answer.headers.get_list("www-authenticate")
        assert [each.partition(" ")[0] for each in challenges] == ["Bearer", "Basic"]
    assert len(told) == 1
    assert TEXT in told.pop()


def test_two_keys_at_once_are_none(engine: Engine) -> None:
    good = key(engine, Scope.TRANSITIONS_READ)
    twice = [("Authorization", f"Bearer {good}"), ("Authorization", "Bearer x")]
    with serving(engine) as client:
        assert client.get("/v1/transitions", headers=twice).status_code == 401


def test_a_key_may_be_the_user_name(engine: Engine) -> None:
    """As the clients send it that people have already; with a password or none."""
    good = key(engine, Scope.TRANSITIONS_READ)
    with serving(engine) as client:
        for password in ("", "x"):
            assert client.get("/v1/transitions", auth=(good, password)).status_code == 200


def test_a_post_without_a_key_is_refused_before_it_is_read(engine: Engine) -> None:
    with keyed(engine, Scope.EVENTS_WRITE) as client:
        answer = client.post("/v1/events", json={"events": [event()]}, headers=bearer("x"))
        problem = refused(answer)
        assert (problem["status"], problem["code"]) == (401, "key_unknown")
        assert problem["detail"] == f"{TEXT}; nothing was changed"
        assert count(engine) == 0
        assert client.post("/v1/events", json={"events": [event()]}).status_code == 200


def test_events_that_name_no_source_get_that_of_their_key(engine: Engine) -> None:
    """Its name, which a key that takes over has as well, so that a repeat stays a repeat."""
    with serving(engine) as client:
        assert sources(client, event(id="e1", source=...)) == ["http"]
    with keyed(engine, Scope.EVENTS_WRITE) as client:
        mixed = (event(id="e1", source=...), event(id="e2", source="till"))
        assert sources(client, *mixed) == ["shop", "till"]
        assert count(engine) == 3
    with keyed(engine, Scope.EVENTS_WRITE) as client:
        sources(client, *mixed)
        assert count(engine) == 3


def sources(client: httpx.Client, *events: object) -> list[str]:
    answer = client.post("/v1/events", json={"events": list(events)})
    return [line["source"] for line in answer.json()["results"]]


@pytest.mark.parametrize(("method", "path"), [("GET", "/nope"), ("DELETE", "/v1/events")])
def test_without_a_key_nobody_learns_what_is_where(engine: Engine, method: str, path: str) -> None:
    with keyed(engine, Scope.EVENTS_WRITE) as client:
        assert client.request(method, path, headers=bearer("x")).status_code == 401
        assert client.request(method, path).status_code in {404, 405}


def test_whoever_shows_a_key_may_call_the_server_by_any_name(engine: Engine) -> None:
    """A web page under a name of its own has none; probes of a load balancer need none."""
    foreign = {"Host": "lifecycle.example.com"}
    with serving(engine) as client:
        assert refused(client.get("/healthz", headers=foreign))["code"] == "host_not_allowed"
    with keyed(engine, Scope.TRANSITIONS_READ) as client:
        assert client.get("/v1/transitions", headers=foreign).status_code == 200
        for path in ("/healthz", "/readyz"):
            assert client.get(path, headers=foreign | bearer("x")).status_code == 200
        assert client.get("/v1/transitions", headers=foreign | bearer("x")).status_code == 401


# -- what goes on for long


def test_a_stream_ends_with_its_key(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a revoked key would go on reading for as long as it kept its connection."""
    monkeypatch.setattr("lifecycle.engine.keyring.FRESH_SECONDS", 0)
    with keyed(engine, Scope.TRANSITIONS_READ) as client, following(client) as lines:
        keys.revoke(engine.db, "shop", by="olga")
        assert list(lines) == []


def test_a_stream_of_nobody_ends_with_the_first_key(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lifecycle.engine.keyring.FRESH_SECONDS", 0)
    with serving(engine) as client, following(client) as lines:
        key(engine, Scope.EVENTS_WRITE)
        assert list(lines) == []


# -- the database


def away(*_: object) -> NoReturn:
    raise Unavailable("the database does not answer")


def test_while_the_database_is_away_nobody_reads_by_an_old_key(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been revoked since. How it is with the database is told all the same."""
    with keyed(engine, *Scope) as client:
        assert client.get("/v1/transitions").status_code == 200
        monkeypatch.setattr("lifecycle.engine.keyring.FRESH_SECONDS", 0)
        monkeypatch.setattr("lifecycle.web.door.FRESH_SECONDS", 0)
        monkeypatch.setattr("lifecycle.store.keys.all_made", away)
        problem = refused(client.get("/v1/transitions"))
        assert (problem["status"], problem["code"]) == (503, "unavailable")
        for path in ("/healthz", "/readyz", "/metrics"):
            assert client.get(path).status_code == 200
        assert client.get("/metrics", headers=bearer("x")).status_code == 401


def test_a_database_that_is_away_is_asked_for_keys_once_a_second(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not once a request: each might wait for as long as a connection takes to fail."""
    asked: queue.Queue[None] = queue.Queue()

    def count_and_fail(tx: object) -> NoReturn:
        asked.put(None)
        away(tx)

    monkeypatch.setattr("lifecycle.engine.keyring.FRESH_SECONDS", 0)
    monkeypatch.setattr("lifecycle.web.door.FRESH_SECONDS", 1e9)
    with keyed(engine, *Scope) as client:
        assert client.get("/v1/transitions").status_code == 200
        monkeypatch.setattr("lifecycle.store.keys.all_made", count_and_fail)
        assert {client.get("/v1/transitions").status_code for _ in range(5)} == {503}
    assert asked.qsize() == 1


def test_nobody_is_let_in_before_it_is_known_whether_there_are_keys(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that fails at the first look must not pass for one without keys."""
    monkeypatch.setattr("lifecycle.store.keys.all_made", away)
    with serving(engine) as client:
        for path in ("/v1/transitions", "/metrics", "/docs"):
            assert refused(client.get(path))["code"] == "unavailable"
        for path in ("/healthz", "/readyz"):
            assert client.get(path).status_code == 200


def test_before_it_is_known_whether_there_are_keys_no_page_of_the_web_is_answered(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is open to all is open to programs of this machine, if there should be no keys."""
    foreign = {"Host": "evil.example"}
    with monkeypatch.context() as failing:
        failing.setattr("lifecycle.store.keys.all_made", away)
        with serving(engine) as client:
            for path in ("/healthz", "/readyz"):
                assert refused(client.get(path, headers=foreign))["code"] == "unavailable"
                assert client.get(path).status_code == 200
    with keyed(engine, Scope.EVENTS_WRITE) as client:
        assert client.get("/healthz", headers=foreign).status_code == 200


def test_keys_are_read_once_for_all_who_wait(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lifecycle.store import keys as rows

    begun, may_end = threading.Semaphore(0), threading.Event()
    all_made = rows.all_made

    def slow(tx: Any) -> Any:
        begun.release()
        assert may_end.wait(30)
        return all_made(tx)

    shown = key(engine, Scope.TRANSITIONS_READ)
    monkeypatch.setattr("lifecycle.store.keys.all_made", slow)
    answers: list[int] = []
    with serving(engine) as client:
        address = str(client.base_url)

        def ask() -> None:
            answers.append(
                httpx.get(f"{address}/v1/transitions", headers=bearer(shown)).status_code
            )

        threads = [threading.Thread(target=ask) for _ in range(5)]
        for thread in threads:
            thread.start()
        assert begun.acquire(timeout=30)
        may_end.set()
        for thread in threads:
            thread.join()
    assert answers == [200] * 5
    assert not begun.acquire(blocking=False)


def test_a_reading_that_takes_long_is_done_once_for_all_who_waited(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However old it is when it comes: else a slow database is asked once for each of them."""
    from lifecycle.store import keys as rows

    now, all_made, arrived = [1000.0], rows.all_made, threading.Event()
    read: list[None] = []

    def slow(tx: Any) -> Any:
        read.append(None)
        assert arrived.wait(30)
        now[0] += 5 * FRESH_SECONDS
        return all_made(tx)

    monkeypatch.setattr(rows, "all_made", slow)

    async def ask() -> None:
        asks = [asyncio.ensure_future(asked.ring()) for _ in range(5)]
        await asyncio.sleep(0)  # they have all begun
        arrived.set()
        await asyncio.gather(*asks)

    ring = Keyring(engine.db, monotonic=lambda: now[0])
    asked = Keys(ring, engine.complaints.about, monotonic=lambda: now[0])
    try:
        asyncio.run(ask())
    finally:
        asked.stop()
    assert len(read) == 1


# -- what is told about keys


def test_the_use_of_a_key_is_written_down(engine: Engine) -> None:
    with keyed(engine, Scope.TRANSITIONS_READ) as client:
        client.get("/healthz")
        client.get("/v1/transitions", headers=bearer("x"))
    assert keys.list_keys(engine.db)[0].last_used_at is None
    with keyed(engine, Scope.TRANSITIONS_READ) as client:
        client.get("/v1/transitions")
    first, second = keys.list_keys(engine.db)
    assert first.last_used_at is None
    assert second.last_used_at is not None


def test_a_use_that_cannot_be_written_down_harms_nobody(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lifecycle.store.keys.note_use", away)
    with keyed(engine, Scope.TRANSITIONS_READ) as client:
        assert client.get("/v1/transitions").status_code == 200
    (record,) = [each for each in caplog.records if each.name == "lifecycle.web"]
    assert "the key shop" in record.getMessage()


def test_no_key_is_ever_logged_counted_or_answered(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong with a request that shows one, in whatever place."""
    caplog.set_level(logging.DEBUG)
    good = key(engine, *Scope)
    other = key(engine, Scope.EVENTS_WRITE, name="other")
    wrong = good[:-4] + "0000"
    told = []
    with serving(engine) as client:
        for shown in (good, other, wrong):
            for headers in (bearer(shown), {"Authorization": f"Digest {shown}"}):
                told += [
                    client.post("/v1/events", content=b"{", headers=headers),
                    client.get("/v1/transitions", headers=headers),
                    client.get("/v1/transitions?limit=x", headers=headers),
                    client.get("/nope", headers=headers),
                ]
        told.append(client.get("/metrics", headers=bearer(good)))
        monkeypatch.setattr(engine, "installation", None)
        told.append(client.get("/v1/customers/c1", headers=bearer(good)))
    assert {answer.status_code for answer in told} >= {200, 401, 403, 404, 415, 422, 500}
    everything = caplog.text + "".join(f"{answer.headers}{answer.text}" for answer in told)
    for shown in (good, other, wrong):
        assert shown not in everything
        assert shown.rpartition("_")[2] not in everything


def test_refusals_at_the_door_are_counted_at_their_route(engine: Engine) -> None:
    with keyed(engine, Scope.OPERATIONS_READ) as client:
        client.get("/v1/transitions")
        client.get("/v1/customers/mei", headers=bearer("x"))
        client.get("/nope", headers=bearer("x"))
        series = read(client.get("/metrics").text)
    name = "lifecycle_request_duration_seconds_count"
    counted = {(d["route"], d["status"]) for (n, labels), _ in series.items() if n == name
               for d in [dict(labels)]}  # fmt: skip
    assert counted == {
        ("/v1/transitions", "403"),
        ("/v1/customers/{customer_id:path}", "401"),
        ("no route", "401"),
    }
