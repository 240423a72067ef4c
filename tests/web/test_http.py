"""Row 30: what is no clean request never reaches the engine; what does is answered within bounds."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lifecycle.bootstrap import Engine
from lifecycle.store import reading
from lifecycle.web import problems
from tests.conftest import ROOT
from tests.intake.bad_input import posted

Empty = tuple[Engine, httpx.Client]

POST = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
BODY = posted()
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)

SMUGGLED = {
    "two lengths": POST + LENGTH + b"Content-Length: 3\r\n\r\n" + BODY,
    "the same length twice": POST + LENGTH + LENGTH + b"\r\n" + BODY,
    "a list of lengths": POST + LENGTH[:-2] + b", %d\r\n\r\n" % len(BODY) + BODY,
    "a length and chunks": POST + LENGTH + CHUNKED + b"\r\n" + CHUNKS,
    "chunks and a length": POST + CHUNKED + LENGTH + b"\r\n" + CHUNKS,
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS,
    "chunked, then something": POST + b"Transfer-Encoding: chunked, x\r\n\r\n" + CHUNKS,
    "a length with a sign": POST + b"Content-Length: +%d\r\n\r\n" % len(BODY) + BODY,
    "a negative length": POST + b"Content-Length: -1\r\n\r\n" + BODY,
    "a space before the colon": POST + b"Content-Length : %d\r\n\r\n" % len(BODY) + BODY,
    "a folded header": POST + b"X: a\r\n b\r\n" + LENGTH + b"\r\n" + BODY,
    "bare line feeds": (POST + LENGTH + b"\r\n").replace(b"\r\n", b"\n") + BODY,
    "garbage after the body": POST + LENGTH + b"\r\n" + BODY + b"GARBAGE\r\n\r\n",
    "no chunk size": POST + CHUNKED + b"\r\nzz\r\n" + BODY + b"\r\n0\r\n\r\n",
    "no host": POST.replace(b"Host: localhost\r\n", b"") + LENGTH + b"\r\n" + BODY,
    "two hosts": POST + b"Host: localhost\r\n" + LENGTH + b"\r\n" + BODY,
    "a header with NUL": POST + b"X: a\0b\r\n" + LENGTH + b"\r\n" + BODY,
    "a head without end": POST + b"X: " + b"x" * 1_000_000,
    "a long head": POST + b"X: " + b"x" * 70_000 + b"\r\n" + LENGTH + b"\r\n" + BODY,
    "an unknown protocol": b"GET / HTTP/3.7\r\nHost: localhost\r\n\r\n",
    "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "bytes in the path": b"GET /v1/customers/\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("request_", SMUGGLED.values(), ids=SMUGGLED.keys())
def test_what_two_servers_could_read_in_two_ways_is_refused(empty: Empty, request_: bytes) -> None:
    """And closed, whatever comes after; nothing of it is stored."""
    engine, client = empty
    head, body = _exchange(client, request_)
    assert head.startswith("HTTP/1.1 400 "), head
    assert "content-type: application/problem+json" in head
    assert json.loads(body)["code"] == "http_invalid"
    assert _stored(engine) == 0


def test_a_sound_request_of_the_same_shape_is_taken(engine: Engine, client: httpx.Client) -> None:
    """So that the refusals above are for their faults."""
    for number, sent in enumerate((LENGTH + b"\r\n" + BODY, CHUNKED + b"\r\n" + CHUNKS)):
        head, body = _exchange(client, POST + b"Connection: close\r\n" + sent)
        assert head.startswith("HTTP/1.1 200 "), body
        assert json.loads(body)["duplicate"] == number
    assert _stored(engine) == 1


def test_an_answer_under_way_is_given_though_garbage_follows(
    engine: Engine, client: httpx.Client
) -> None:
    """Two requests at once, then garbage: no refusal can be taken for the answer to either."""
    get = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head, _ = _exchange(client, get + b"GARBAGE\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nope", 404, None),
        ("POST", "/", 405, "GET"),
        ("TRACE", "/nope", 404, None),
        ("GET", "/healthz/", 404, None),
        ("GET", "/v1/events", 405, "POST"),
        ("TRACE", "/v1/events", 405, "POST"),
        ("OPTIONS", "/v1/events", 405, "POST"),
        ("TRACE", "/healthz", 405, "GET"),
        ("POST", "/v1/transitions", 405, "GET"),
        ("DELETE", "/v1/customers/c1", 405, "GET"),
        ("GET", "/../../etc/passwd", 404, None),
    ],
)
def test_an_unknown_path_or_method_says_so(
    empty: Empty, method: str, path: str, status: int, allow: str | None
) -> None:
    answer = empty[1].request(method, path)
    problem = answer.json()
    assert (answer.status_code, answer.headers.get("allow")) == (status, allow)
    assert problem["code"] == {404: "not_found", 405: "method_not_allowed"}[status]
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/docs", "/docs/style.css", "/openapi.json", "/v1/events"]
)
def test_every_answer_forbids_browsers_to_be_clever(empty: Empty, path: str) -> None:
    answer = empty[1].get(path)
    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert len(answer.headers["x-request-id"]) == 16
    assert "server" not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.1", "[::2]:80"])
def test_only_this_machine_is_answered(empty: Empty, host: str) -> None:
    """A web page that makes its own name point here must not read or post anything."""
    answer = empty[1].get("/healthz", headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (421, "host_not_allowed")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "[::1]:8000"])
def test_every_name_of_this_machine_is_answered(empty: Empty, host: str) -> None:
    assert empty[1].get("/healthz", headers={"Host": host}).status_code == 200


def test_head_is_get_without_a_body(empty: Empty) -> None:
    answer = empty[1].head("/healthz")
    assert (answer.status_code, answer.content) == (200, b"")


def test_the_reference_needs_nothing_from_elsewhere(empty: Empty) -> None:
    """It names every route and every code, and loads nothing but our own style."""
    client = empty[1]
    page = client.get("/docs").text
    loaded = re.findall(r'(?:src|href)="(?!#)([^"]+)"', page)
    assert set(loaded) == {"/docs/style.css", "/openapi.json"}
    assert "<script" not in page
    for path in client.get("/openapi.json").json()["paths"]:
        assert path in page
    for code in problems.TITLES:
        assert f'id="problem-{code}"' in page


def test_the_bare_address_leads_to_the_reference(empty: Empty) -> None:
    """For now: 307, so that no browser remembers it when something else stands there."""
    client = empty[1]
    answer = client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")
    assert client.get("/", follow_redirects=True).text == client.get("/docs").text
    assert "/" not in client.get("/openapi.json").json()["paths"]


def test_every_operation_tells_how_it_refuses(empty: Empty) -> None:
    document = empty[1].get("/openapi.json").json()
    for methods in document["paths"].values():
        for operation in methods.values():
            refusals = [r for s, r in operation["responses"].items() if not s.startswith("2")]
            assert refusals
            assert all("application/problem+json" in each["content"] for each in refusals)


def test_a_failure_is_logged_by_its_request_and_route_alone(
    engine: Engine,
    client: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Who was asked about is nobody's business who reads the log."""
    monkeypatch.setattr(engine, "installation", None)
    answer = client.get("/v1/customers/anna@example.org")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    (record,) = [each for each in caplog.records if each.name == "lifecycle.web"]
    assert record.getMessage() == "GET /v1/customers/{customer_id:path} failed"


def test_every_code_that_can_be_answered_has_a_title() -> None:
    """Codes are part of the interface: none is made up in passing."""
    assert set(_codes()) - set(problems.TITLES) == set()


def _codes() -> Iterator[str]:
    sources: list[Path] = []
    for folder in ("intake", "web"):
        sources += (ROOT / "lifecycle" / folder).glob("*.py")
    files_only = {"mapping", "mapping_file", "mapping_format", "rows", "row_reader", "local_time"}
    for source in sources:
        if source.stem in files_only:
            continue  # of imports, which are not told over HTTP
        text = source.read_text(encoding="utf-8")
        yield from re.findall(r'(?:Problem|Unlisted|unlisted)\(\s*"([a-z_0-9]+)"', text)
        for stem in re.findall(r'code="([a-z_]+)", what=', text):
            yield from (f"{stem}_required", f"{stem}_format")


def _stored(engine: Engine) -> int:
    with engine.db.read() as tx:
        return reading.count_events(tx)


def _exchange(client: httpx.Client, request: bytes) -> tuple[str, Any]:
    """What comes back for these bytes, until the server closes the connection."""
    url = httpx.URL(client.base_url)
    received = b""
    with socket.create_connection((url.host, url.port or 80), timeout=30) as connection:
        try:
            connection.sendall(request)
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionError:
            pass  # closed on us while we were sending or reading: what was said before counts
    head, _, body = received.partition(b"\r\n\r\n")
    return head.decode(), body
