"""Who posts a report slowly, or many at once, holds no more memory than a share, and that not for long."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message

from lifecycle.bootstrap import Engine
from lifecycle.errors import Problem
from lifecycle.intake.strict_json import KIB
from lifecycle.outreach.hooks import SignedHook
from lifecycle.web.allowance import OVERHEAD
from lifecycle.web.feedback import forms, reports
from lifecycle.web.feedback.forms import read_body
from tests.outreach import test_hooks
from tests.web.conftest import serving

ROOM = 8 * OVERHEAD


@pytest.fixture
def client(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """Of a server with room for three short bodies of one channel."""
    monkeypatch.setattr(reports, "HOOK_BODIES", ROOM)
    hooks = {name: SignedHook(secrets=(test_hooks.SECRET,)) for name in ("one", "other")}
    engine.feedback = replace(engine.feedback, hooks=hooks)
    with serving(engine) as client:
        yield client


def post(client: httpx.Client, channel: str = "one", size: int = 10) -> httpx.Response:
    return client.post(f"/v1/hooks/{channel}", content=b"x" * size)


@contextmanager
def half_posted(client: httpx.Client, path: str = "/v1/hooks/one") -> Iterator[socket.socket]:
    """A post that says it has ten bytes, and has sent one; the server has read its head."""
    address = (client.base_url.host, client.base_url.port or 0)
    with closing(socket.create_connection(address, timeout=30)) as open_:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n"
        open_.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert open_.recv(1000).startswith(b"HTTP/1.1 100")  # somebody waits for the body
        open_.sendall(b"x")
        yield open_


def until_there_is_room(client: httpx.Client) -> int:
    """The server hears of those who went away a moment later."""
    statuses = (post(client).status_code for _ in range(1000))
    return next(status for status in statuses if status != 503)


def test_posts_that_never_end_hold_a_share_and_no_more(client: httpx.Client) -> None:
    """Another channel is taken as ever; and this one again, once they are gone."""
    with ExitStack() as slow:
        for _ in range(3):
            slow.enter_context(half_posted(client))
        answer = post(client)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert (answer.json()["code"], answer.json()["limit"]) == ("overloaded", "bodies")
        assert post(client, "other").status_code == 401
    assert until_there_is_room(client) == 401


def test_what_is_in_a_body_counts_and_is_given_back(client: httpx.Client) -> None:
    too_long = post(client, size=4 * OVERHEAD)
    assert (too_long.status_code, too_long.json()["code"]) == (503, "overloaded")
    assert [post(client, size=2 * OVERHEAD).status_code for _ in range(9)] == [401] * 9


def test_a_body_that_does_not_come_is_waited_for_so_long(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its connection is closed: nobody reads what would still come."""
    monkeypatch.setattr(forms, "BODY_SECONDS", 0.05)
    for path in ("/v1/hooks/one", "/u"):
        with half_posted(client, path) as open_:
            answer = b"".join(iter(lambda: open_.recv(10_000), b""))
            assert answer.startswith(b"HTTP/1.1 503")
            assert b"body_too_slow" in answer
            assert b"the whole body within 0.05 seconds" in answer
    assert post(client).status_code == 401


def test_a_body_that_drips_has_no_more_time_than_one_that_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forms, "BODY_SECONDS", 0.05)

    async def receive() -> Message:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"", "more_body": True}

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    with pytest.raises(Problem) as caught:
        asyncio.run(read_body(request, 64 * KIB))
    assert (caught.value.status, caught.value.code) == (503, "body_too_slow")
