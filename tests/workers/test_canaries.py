"""What somebody posts is in the database, and in answers to whoever may read it: nowhere else.

Every way in is fed with values that are nobody else's, sound ones and broken ones, and the store is
made to fail with them in its words. Then all logs, metrics, answers and all of Redis are searched.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
import redis

from lifecycle.domain.scope import Scope
from lifecycle.engine import keys
from lifecycle.settings import LogForm
from lifecycle.store.database import Database
from tests.support.process import PATIENCE
from tests.support.redis import fresh_prefix
from tests.workers.conftest import Many, until

pytestmark = [pytest.mark.postgres, pytest.mark.redis]

CANARY = re.compile(r"canary[-.\w]*|\+86139000471\d\d")
SAID = {LogForm.TEXT: r"metrics at (\S+)", LogForm.JSON: r'"at":\s*"([^"]+)"'}
NO_KEY = "lk_canary0000_canary-wrong-key"


def found_in(text: str) -> set[str]:
    """Every canary that is in it, also where it was escaped for a URL."""
    return {*CANARY.findall(text), *CANARY.findall(text.replace("%2B", "+").replace("%40", "@"))}


def paid(name: str, **changes: Any) -> dict[str, Any]:
    """An order in which everything that can be free text is a canary."""
    event = {
        "id": f"canary-{name}-id",
        "source": f"canary-{name}-source",
        "customer_id": f"canary-{name}@example.com",
        "type": "order_paid",
        "properties": {
            "amount": "10.00",
            "currency": "CNY",
            "product": f"canary-{name}-product",
            "order_id": f"canary-{name}-order",
        },
    }
    return event | changes


PROFILE = paid(
    "profile",
    type="profile_changed",
    properties={
        "attributes": {
            "name": "canary-name",
            "email": "canary-mail@example.com",
            "phone": "+8613900047110",
        }
    },
)
BROKEN = [
    b'{"events": [{"customer_id": "canary-broken", }]}',
    b'{"events": [{"customer_id": "canary-broken\xff"}]}',
    b'{"canary-broken": 1, "canary-broken": 2}',
    b'"canary-broken"',
    json.dumps({"events": [paid("unknown", type="canary-type")]}).encode(),
    json.dumps({"events": [paid("when", occurred_at="canary-when")]}).encode(),
    json.dumps({"events": [paid("zone", occurred_at="2026-01-01T00:00:00")]}).encode(),
    json.dumps({"events": [paid("more", **{"canary-field": 1})]}).encode(),
    json.dumps({"events": [paid("money", properties={"amount": "canary-money"})]}).encode(),
    json.dumps(
        {"events": [paid("text", properties={"amount": 1, "product": {"canary": 1}})]}
    ).encode(),
    json.dumps({"events": [paid("reserved", type="lifecycle.canary-type")]}).encode(),
]
PATHS = [
    "/v1/customers/canary-nobody@example.com",
    "/v1/customers/canary-nobody@example.com/timeline",
    "/v1/transitions?cursor=canary-cursor",
    "/v1/transitions?state=canary-state",
    "/v1/transitions?customer=canary-nobody%40example.com",
    "/v1/transitions?limit=canary-limit",
    "/v1/transitions?canary-filter=1",
    "/canary-path?canary-query=+8613900047111",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Whoever posts and asks with a key of his own, and finds nothing in an answer that he did not send."""

    address: str
    key: str

    def ask(
        self,
        method: str,
        path: str,
        content: bytes = b"",
        *,
        key: str | None = None,
        kind: str = "application/json",
    ) -> httpx.Response:
        answer = httpx.request(
            method,
            f"{self.address}{path}",
            content=content,
            headers={
                "Authorization": f"Bearer {key or self.key}",
                "Content-Type": kind,
                "User-Agent": "canary-agent",
                "X-Request-ID": "canary id of a request",
                "Cookie": "canary=canary-cookie",
            },
            timeout=PATIENCE,
        )
        told = f"{answer.headers}{answer.text}"
        sent = f"{path} {kind} {content.decode('utf-8', 'replace')}"
        assert self.key not in told
        if answer.is_error:
            assert all(one in sent for one in found_in(told)), told
        return answer

    def post(self, *events: dict[str, Any]) -> httpx.Response:
        return self.ask("POST", "/v1/events", json.dumps({"events": events}).encode())


@pytest.fixture
def prefix(redis_url: str, many: Many, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with fresh_prefix(redis_url) as named:
        monkeypatch.setenv("LIFECYCLE_BROKER_URL", redis_url)
        monkeypatch.setenv("LIFECYCLE_BROKER_PREFIX", named)
        yield named


@pytest.mark.parametrize("form", LogForm)
def test_what_was_posted_is_told_to_nobody(
    form: LogForm, prefix: str, many: Many, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_LOG", form)
    monkeypatch.setenv("LIFECYCLE_LOG_LEVEL", "debug")
    server = many.start("serve", "--port", "0")
    door = Door(
        address=server.logged(r"http://127\.0\.0\.1:\d+")[0],
        key=new_key(many.url),
    )
    until(lambda: httpx.get(f"{door.address}/v1/transitions").status_code == 401)

    fail_on(many.url, "event", "event_id", "%-stored-id")
    fail_on(many.url, "step", "cause", "%-folded-id")
    come_by_http(door)
    come_by_queue(prefix)
    spoil(many.url, "canary-spoiled-id")

    monkeypatch.setenv("LIFECYCLE_METRICS_PORT", "0")
    worker, ticking = many.start("work"), many.start("schedule")
    pages = [httpx.get(each.logged(SAID[form])[1]).text for each in (worker, ticking)]
    until(lambda: many.count("pending") == 0 and many.count("attempt") == 0)
    until(lambda: len(rejected(prefix)) == 3)
    pages += [door.ask("GET", path).text for path in ("/metrics", "/readyz", "/healthz")]
    for each in (ticking, worker, server):
        assert each.end(signal.SIGTERM)[0] == 0

    # what was to be kept is kept, and the store's words, which quote it, are where only operators look
    assert many.count("event") == 6
    assert {"canary-spoiled-id", "canary-folded-id"} <= found_in(details(many.url))

    log = "".join(line for each in (server, worker, ticking) for line in each.read)
    for event in ("request_failed", "message_failed", "messages_refused", "event_quarantined"):
        assert told(log, form, event), event
    assert told(log, form, "transition")
    assert told(log, form, "request_unreadable")
    assert found_in(log) == set()
    assert door.key not in log
    assert found_in("".join(pages)) == set()
    everything = {name: found_in(kept) for name, kept in dump(prefix).items()}
    # Redis keeps what a sender himself put there: his stream, and what of it was refused.
    by_queue = {f"{prefix}:events", f"{prefix}:rejected"}
    assert {name for name, canaries in everything.items() if canaries} == by_queue
    assert all("queue" in one for name in by_queue for one in everything[name])


def test_what_a_store_says_is_told_to_nobody_who_asks(
    many: Many, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer of 500 names nothing, not even what was in the request."""
    server = many.start("serve", "--port", "0")
    door = Door(address=server.logged(r"http://127\.0\.0\.1:\d+")[0], key="no-key-is-needed")
    fail_on(many.url, "event", "event_id", "%-stored-id")
    answer = door.post(paid("stored"))
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert found_in(answer.text) == set()


# -- the ways in


def come_by_http(door: Door) -> None:
    assert (
        door.post(PROFILE, paid("sound"), paid("spoiled"), paid("folded")).json()["accepted"] == 4
    )
    other = paid("other") | {"source": "canary-sound-source", "id": "canary-sound-id"}
    assert door.post(other).status_code == 409
    assert door.post(paid("stored")).status_code == 500
    assert {door.ask("POST", "/v1/events", body).status_code for body in BROKEN} == {400, 422}
    assert (
        door.ask("POST", "/v1/events", b"canary-text", kind="text/canary-kind").status_code == 415
    )
    assert door.ask("GET", "/v1/customers/canary-sound@example.com").status_code == 200
    assert all(door.ask("GET", path).is_client_error for path in PATHS)
    refused = door.ask("GET", PATHS[0], key=NO_KEY)
    assert (refused.status_code, found_in(refused.text)) == (401, set())
    raw(door.address, b"canary-no-http\r\n\r\n")
    raw(
        door.address,
        b"GET /canary-path HTTP/1.1\r\nHost: canary-host\r\nX-Canary: canary-head\r\n\r\n",
    )


def raw(address: str, sent: bytes) -> None:
    parts = urlsplit(address)
    assert parts.hostname is not None
    with socket.create_connection((parts.hostname, parts.port or 0), timeout=PATIENCE) as line:
        line.sendall(sent)
        assert found_in(line.recv(65536).decode()) == set()


def come_by_queue(prefix: str) -> None:
    with redis.Redis.from_url(os.environ["LIFECYCLE_BROKER_URL"]) as client:
        for entry in (
            json.dumps(paid("queue-sound")),
            '{"customer_id": "canary-queue-broken", }',
            json.dumps(paid("queue-unknown", type="canary-queue-type")),
            json.dumps(paid("queue-stored")),
            json.dumps(paid("queue-again")),
        ):
            client.xadd(f"{prefix}:events", {"event": entry})


# -- what goes wrong


def new_key(url: str) -> str:
    db = Database.open(url)
    try:
        return keys.create(db, "shop", Scope, by="test").text
    finally:
        db.close()


def fail_on(url: str, table: str, column: str, like: str) -> None:
    """The store refuses such rows from now on, and quotes all of them in its words."""
    with psycopg.connect(url) as connection:
        connection.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT refused CHECK ({column} NOT LIKE '{like}')".encode()
        )


def spoil(url: str, id: str) -> None:
    """What was accepted cannot be folded any more, and the fold's words quote it."""
    with psycopg.connect(url) as connection:
        broken = (
            """UPDATE event SET properties = '{"amount": "canary-amount"}' WHERE event_id = %s"""
        )
        assert connection.execute(broken, (id,)).rowcount == 1


# -- where it might be


def told(log: str, form: LogForm, event: str) -> bool:
    words = {
        "request_failed": "POST /v1/events failed",
        "message_failed": "taking a message of a queue failed",
        "messages_refused": "refused",
        "event_quarantined": "is quarantined",
        "transition": "goes from potential to",
        "request_unreadable": "HTTP",
    }
    return (f'"event":"{event}"' if form is LogForm.JSON else words[event]) in log


def details(url: str) -> str:
    with psycopg.connect(url) as connection:
        return str(connection.execute("SELECT detail FROM dead").fetchall())


def rejected(prefix: str) -> list[Any]:
    with redis.Redis.from_url(os.environ["LIFECYCLE_BROKER_URL"]) as client:
        found: list[Any] = client.xrange(f"{prefix}:rejected")
        return found


def dump(prefix: str) -> dict[str, str]:
    """Everything on the broker that is ours, by key; the names of consumers too."""
    kept = {}
    with redis.Redis.from_url(os.environ["LIFECYCLE_BROKER_URL"]) as client:
        for key in client.scan_iter(f"{prefix}*", count=1000):
            name, kind = key.decode(), client.type(key).decode()
            if kind == "stream":
                groups = client.xinfo_groups(key)
                kept[name] = f"{client.xrange(key)}{groups}"
            else:
                assert kind == "list", f"{name} is a {kind}, and is not looked into"
                kept[name] = str(client.lrange(key, 0, -1))
    assert f"{prefix}:events" in kept
    return kept
