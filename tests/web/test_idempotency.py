"""Row 28: a request that is sent again under its Idempotency-Key gets the same answer, to the byte."""

from __future__ import annotations

import asyncio
import gzip
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest

from lifecycle.bootstrap import Engine
from lifecycle.domain.scope import Scope
from lifecycle.engine import keys
from lifecycle.engine.backlog import LOOK_EVERY, Backlog
from lifecycle.errors import Overloaded
from lifecycle.logs.lines import Said
from lifecycle.metrics import Metrics
from lifecycle.store.sql import both
from lifecycle.web import problems
from lifecycle.web.allowance import Allowance
from lifecycle.web.idempotency import LONGEST
from tests.engine.test_group_commit import Time
from tests.intake.bad_input import body, event, posted
from tests.support.metrics import of, read
from tests.web.conftest import running, serving
from tests.web.test_door import bearer, count, key, refused

REPLAYED = "idempotent-replayed"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with running(f"sqlite:///{tmp_path / 'test.db'}", tmp_path, observer=Metrics()) as engine:
        yield engine


def post(
    client: httpx.Client, content: bytes, under: str | bytes | None = "k", **headers: str
) -> httpx.Response:
    sent: dict[str, Any] = {"Content-Type": "application/json", **headers}
    if under is not None:
        sent["Idempotency-Key"] = under
    return client.post("/v1/events", content=content, headers=sent)


def kept(engine: Engine) -> int:
    with engine.db.read() as tx:
        found: int = tx.value(both("SELECT count(*) FROM idempotency"))
        return found


def test_the_same_request_gets_the_same_answer_to_the_byte(
    engine: Engine, client: httpx.Client
) -> None:
    """The whole of it, `accepted` and the first one's request id; that it is no news, a header says."""
    content = body(event(), event(id="bad", type="purchse"), event(id="e2", properties={"a": "b"}))
    first, second, third = post(client, content), post(client, content), post(client, content, None)
    assert first.json()["accepted"] == 2
    assert second.status_code == first.status_code == 200
    assert second.content == first.content
    assert second.headers["content-type"] == first.headers["content-type"]
    assert (first.headers.get(REPLAYED), second.headers[REPLAYED]) == (None, "true")
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert (third.json()["duplicate"], third.headers.get(REPLAYED)) == (2, None)
    assert count(engine) == 2


def test_it_is_the_content_that_is_compared_not_how_it_was_packed(
    engine: Engine, client: httpx.Client
) -> None:
    first = post(client, posted())
    second = post(client, gzip.compress(posted()), **{"Content-Encoding": "gzip"})
    assert second.content == first.content


def test_another_body_under_the_key_is_refused(engine: Engine, client: httpx.Client) -> None:
    """Also one that could not be read, and by a single byte; the answer stays what it was."""
    first = post(client, posted())
    for other in (posted(id="e2"), posted() + b" ", b"{"):
        problem = refused(post(client, other))
        assert (problem["status"], problem["code"]) == (422, "idempotency_mismatch")
        assert problem["pointer"] == "Idempotency-Key"
        assert problem["detail"].endswith("; nothing was changed")
    assert post(client, posted()).content == first.content
    assert count(engine) == 1


def test_what_was_answered_before_is_told_whatever_would_be_right_today(
    engine: Engine, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A policy that no longer knows the event, and a backlog that takes nothing new, change nothing."""
    first = post(client, posted())
    time = Time()
    engine._backlog = Backlog(engine.installation, 0, monotonic=time)
    time.now += LOOK_EVERY
    monkeypatch.setattr(engine, "policy", None)
    assert post(client, posted()).content == first.content
    assert post(client, posted(), "another").status_code == 503


@pytest.mark.parametrize(
    ("key", "got"),
    [
        ("", "0 characters"),
        ("k" * (LONGEST + 1), "256 characters"),
        ("k\tk", "a character that is not visible ASCII"),
        ("schlüssel".encode(), "a character that is not visible ASCII"),
        ("schlüssel".encode("latin-1"), "a character that is not visible ASCII"),
    ],
)
def test_what_cannot_be_a_key_is_refused_before_the_body_is_read(
    engine: Engine, client: httpx.Client, key: str | bytes, got: str
) -> None:
    problem = refused(post(client, b"{", key))
    assert (problem["status"], problem["code"]) == (422, "idempotency_key_format")
    assert problem["pointer"] == "Idempotency-Key"
    assert got in problem["got"]
    assert "1 to 255" in problem["expected"]


def test_two_keys_are_none(engine: Engine, client: httpx.Client) -> None:
    headers = [
        ("Content-Type", "application/json"),
        ("Idempotency-Key", "a"),
        ("Idempotency-Key", "b"),
    ]
    answer = client.post("/v1/events", content=posted(), headers=headers)
    assert refused(answer)["code"] == "idempotency_key_format"
    assert count(engine) == 0


@pytest.mark.parametrize(
    "key", ["k", "k" * LONGEST, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "~ !"]
)
def test_any_visible_ascii_is_a_key(engine: Engine, client: httpx.Client, key: str) -> None:
    assert post(client, posted(), key).content == post(client, posted(), key).content
    assert post(client, posted(), "other").json()["duplicate"] == 1


def test_each_key_of_the_server_has_keys_of_its_own(engine: Engine) -> None:
    """Nobody gets the answer of another, nor is kept from a key by another's use of it."""
    shop, crm = key(engine, Scope.EVENTS_WRITE), key(engine, Scope.EVENTS_WRITE, name="crm")
    with serving(engine) as client:
        first = post(client, posted(), **bearer(shop))
        other = post(client, posted(id="e2"), **bearer(crm))
        assert [answer.json()["accepted"] for answer in (first, other)] == [1, 1]
        assert post(client, posted(), **bearer(shop)).content == first.content
        assert refused(post(client, posted(), **bearer(crm)))["code"] == "idempotency_mismatch"


def test_a_revoked_key_gets_no_answer_of_before(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lifecycle.engine.keyring.FRESH_SECONDS", 0)
    shop = key(engine, Scope.EVENTS_WRITE)
    with serving(engine) as client:
        post(client, posted(), **bearer(shop))
        keys.revoke(engine.db, shop, by="olga")
        assert post(client, posted(), **bearer(shop)).status_code == 401


# -- what is not kept


@pytest.mark.parametrize("wrong", [b"{", posted(type="purchse"), body(), b"\xff"])
def test_what_was_refused_may_be_mended_under_its_key(
    engine: Engine, client: httpx.Client, wrong: bytes
) -> None:
    for _ in range(2):
        assert 400 <= post(client, wrong).status_code < 500
    assert kept(engine) == 0
    assert post(client, posted()).json()["accepted"] == 1


def test_a_conflict_is_not_kept(engine: Engine, client: httpx.Client) -> None:
    post(client, posted(), None)
    assert post(client, posted(customer_id="c2")).status_code == 409
    assert kept(engine) == 0
    assert post(client, posted()).json()["duplicate"] == 1


def test_whoever_is_told_to_wait_is_taken_later_under_the_same_key(engine: Engine) -> None:
    """503 as well as 429; and the first request does not stand in the way of the second."""
    time = Time()
    with serving(engine) as client:
        engine._backlog = Backlog(engine.installation, 1, monotonic=time)
        post(client, body(event(id="a"), event(id="b")), None)
        time.now += LOOK_EVERY
        assert post(client, posted()).status_code == 503
        engine.apply_pending()
        time.now += LOOK_EVERY
        assert post(client, posted()).json()["accepted"] == 1


def test_a_refusal_that_is_held_back_keeps_no_key_in_use(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is as good as answered: who comes by another connection meanwhile is no twin of it."""
    held, may_be_told = threading.Event(), threading.Event()

    async def hold_back(_: Allowance) -> None:
        held.set()
        await asyncio.to_thread(may_be_told.wait, 60)

    def refuses() -> NoReturn:
        raise Overloaded("backlog", "too many wait", retry_after=1)

    monkeypatch.setattr(Allowance, "hold_back", hold_back)
    with serving(engine) as client, ThreadPoolExecutor(1) as pool:
        with monkeypatch.context() as full:
            full.setattr(engine, "refuse_if_behind", refuses)
            first = pool.submit(post, client, posted())
            assert held.wait(60)
        assert post(client, posted()).json()["accepted"] == 1
        may_be_told.set()
        assert first.result(60).status_code == 503


def test_a_failure_of_our_own_keeps_nothing(
    engine: Engine, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("lifecycle.web.events.content", None)
        assert post(client, posted()).status_code == 500
        assert count(engine) == 0, "nothing is stored that cannot be answered for"
    assert post(client, posted()).json()["accepted"] == 1


# -- two at once


class Slow:
    """Commits of posts with a key, each of which ends when the test lets it."""

    def __init__(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.may_end = threading.Semaphore(0), threading.Semaphore(0)
        self._accept = engine.accept_posts
        monkeypatch.setattr(engine, "accept_posts", self.accept)

    def accept(self, posts: Any) -> Any:
        self.begun.release()
        assert self.may_end.acquire(timeout=60)
        return self._accept(posts)


def test_a_twin_in_progress_is_told_to_come_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """409 and Retry-After, whatever it holds; another key is not concerned."""
    slow = Slow(engine, monkeypatch)
    with serving(engine) as client, ThreadPoolExecutor(2) as pool:
        first = pool.submit(post, client, posted())
        assert slow.begun.acquire(timeout=60)
        twins = [post(client, posted()), post(client, posted(id="other"))]
        other = pool.submit(post, client, posted(id="e2"), "another")
        slow.may_end.release(2)
        assert first.result(60).json()["accepted"] == other.result(60).json()["accepted"] == 1
        assert post(client, posted()).content == first.result().content
    for twin in twins:
        problem = refused(twin)
        assert (problem["status"], problem["code"]) == (409, "in_progress")
        assert twin.headers["retry-after"] == "1"
    assert count(engine) == 2


def test_a_key_is_free_again_however_its_request_ends(
    engine: Engine, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a refusal, a failure of ours, and a sender that goes away in the middle of a body."""

    def half() -> Iterator[bytes]:
        yield posted()[:20]
        raise RuntimeError("gone")

    with pytest.raises(RuntimeError, match="gone"):
        client.post("/v1/events", content=half(), headers={"Idempotency-Key": "k"})
    post(client, b"{")
    with monkeypatch.context() as broken:
        broken.setattr(engine, "policy", None)
        assert post(client, posted()).status_code == 500
    assert post(client, posted()).json()["accepted"] == 1


def test_whoever_sends_a_body_for_ever_keeps_no_key_in_use(
    engine: Engine, client: httpx.Client
) -> None:
    """A connection that has died unnoticed is open still; its sender comes again by another."""
    begun, may_end = threading.Event(), threading.Event()

    def slowly() -> Iterator[bytes]:
        yield posted()[:20]
        begun.set()
        assert may_end.wait(60)
        yield posted()[20:]

    with ThreadPoolExecutor(1) as pool, httpx.Client(base_url=client.base_url, timeout=60) as mine:
        headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}
        first = pool.submit(mine.post, "/v1/events", content=slowly(), headers=headers)
        assert begun.wait(60)
        second = post(client, posted())
        assert second.json()["accepted"] == 1
        may_end.set()
        assert first.result(60).content == second.content


# -- what is told


def test_a_repeat_is_counted_and_logged_as_what_it_is(
    engine: Engine, client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    """No event came in by it."""
    caplog.set_level(logging.INFO)
    post(client, posted())
    post(client, posted())
    page = read(client.get("/metrics").text)
    assert of(page, "events_received_total", {"way": "http", "outcome": "accepted"}) == 1
    said = [record.msg for record in caplog.records if isinstance(record.msg, Said)]
    lines = [line.fields for each in said for line in each.lines if line.event == "request"]
    assert [(line.get("accepted"), line.get("replayed")) for line in lines] == [
        (1, None),
        (None, True),
    ]


def test_every_code_about_keys_has_a_title_and_is_published(
    engine: Engine, client: httpx.Client
) -> None:
    for code in ("idempotency_key_format", "idempotency_mismatch", "in_progress"):
        assert code in problems.TITLES
    operation = client.get("/openapi.json").json()["paths"]["/v1/events"]["post"]
    (parameter,) = operation["parameters"]
    assert (parameter["name"], parameter["in"]) == ("Idempotency-Key", "header")
    assert parameter["schema"]["maxLength"] == LONGEST
    assert "in_progress" in operation["responses"]["409"]["description"]
    assert "another body" in operation["responses"]["422"]["description"]
    assert "Idempotency-Key" in client.get("/docs").text
