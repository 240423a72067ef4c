"""Every request is one line of the log, under the id by which its sender finds it again."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lifecycle.bootstrap import Engine
from lifecycle.settings import LogForm, LogLevel
from tests.intake.bad_input import body, event, posted
from tests.logs.conftest import Written, objects
from tests.web.conftest import running, serving

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with running(f"sqlite:///{tmp_path / 'test.db'}", tmp_path) as engine:
        yield engine


@pytest.fixture
def asked(
    engine: Engine, log: Callable[..., None], written: Written
) -> Iterator[Callable[..., dict[str, Any]]]:
    """The one line that follows from a request."""
    with serving(engine) as client:

        def ask(method: str, path: str, **more: Any) -> dict[str, Any]:
            log(
                LogForm.JSON
            )  # anew, as standard error of a test is another than that of its fixtures
            written()
            client.request(method, path, **more)
            (line,) = objects(written())
            return line

        yield ask


def test_it_says_what_was_asked_how_it_was_answered_and_how_fast(
    asked: Callable[..., dict[str, Any]],
) -> None:
    line = asked("GET", "/v1/transitions", headers={"X-Request-ID": "console-0001"})
    assert (line["event"], line["level"], line["request_id"]) == ("request", "info", "console-0001")
    assert (line["method"], line["route"], line["status"]) == ("GET", "/v1/transitions", 200)
    assert line["ms"] > 0


def test_of_a_post_it_counts_what_became_of_the_events_and_why(
    asked: Callable[..., dict[str, Any]],
) -> None:
    """What there was none of is left out; of what is refused the codes are told."""
    content = body(event(id="e1"), event(id="e2"), event(id="e3", type="unknown"), {"id": "e4"})
    line = asked("POST", "/v1/events", content=content, headers=JSON)
    counts = {name: line.get(name) for name in ("accepted", "duplicate", "conflict", "refused")}
    assert counts == {"accepted": 2, "duplicate": None, "conflict": None, "refused": 2}
    assert line["codes"] == {"unknown_event_type": 1, "event_type_required": 1}
    again = asked("POST", "/v1/events", content=posted(customer_id="other"), headers=JSON)
    assert (again["status"], again["conflict"]) == (409, 1)


def test_a_body_that_is_refused_whole_is_told_by_its_status(
    asked: Callable[..., dict[str, Any]],
) -> None:
    line = asked("POST", "/v1/events", content=b"{", headers=JSON)
    assert (line["event"], line["status"], line["code"]) == ("request", 400, "json_syntax")


def test_a_path_is_told_by_its_route_and_one_that_is_none_is_not_repeated(
    asked: Callable[..., dict[str, Any]],
) -> None:
    line = asked("GET", "/v1/customers/jane@example.com")
    assert (line["route"], line["status"]) == ("/v1/customers/{customer_id:path}", 404)
    line = asked("GET", "/jane@example.com")
    assert (line["route"], line["status"], line["code"]) == ("no route", 404, "not_found")


@pytest.mark.parametrize("level", [LogLevel.INFO, LogLevel.DEBUG])
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_probes_are_told_on_request_only(
    engine: Engine, log: Callable[..., None], written: Written, level: LogLevel, path: str
) -> None:
    """They come every few seconds, and an ordinary log would be full of them."""
    log(LogForm.JSON, level=level)
    with serving(engine) as client:
        client.get(path)
    lines = [line for line in objects(written()) if line["event"] == "request"]
    assert len(lines) == (level is LogLevel.DEBUG)


def test_a_failure_of_ours_is_told_under_its_request(
    engine: Engine,
    log: Callable[..., None],
    written: Written,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log(LogForm.JSON)
    with serving(engine) as client:
        monkeypatch.setattr(engine, "installation", None)
        answer = client.get("/v1/customers/jane@example.com")
    failed, request = objects(written())
    assert failed["event"] == "request_failed"
    assert failed["message"] == "GET /v1/customers/{customer_id:path} failed"
    assert failed["error"]["type"] == "AttributeError"
    assert failed["error"]["stack"][-1].startswith("lifecycle/engine/reading.py:")
    assert failed["request_id"] == request["request_id"] == answer.headers["x-request-id"]
    assert (request["event"], request["status"]) == ("request", 500)


def test_what_is_no_http_is_told_under_the_id_that_it_was_answered_with(
    engine: Engine, log: Callable[..., None], written: Written
) -> None:
    log(LogForm.JSON)
    with serving(engine) as client, socket.create_connection(_address(client)) as raw:
        raw.sendall(b"jane@example.com\r\n\r\n")
        answer = raw.makefile("rb").read().decode()
    (line,) = objects(written())
    assert (line["event"], line["status"]) == ("request_unreadable", 400)
    assert f"x-request-id: {line['request_id']}\r\n" in answer


def test_whoever_goes_away_before_the_request_is_read_is_told_of(
    engine: Engine, log: Callable[..., None], written: Written
) -> None:
    log(LogForm.JSON)
    with serving(engine) as client:
        host, _ = _address(client)
        with socket.create_connection(_address(client)) as raw:
            raw.sendall(
                f"POST /v1/events HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
                "Content-Length: 100\r\n\r\n{".encode()
            )
        client.get("/v1/transitions")
    told = {line["event"] for line in objects(written())}
    assert {"request", "request_abandoned"} <= told


def _address(client: httpx.Client) -> tuple[str, int]:
    assert client.base_url.port is not None
    return client.base_url.host, client.base_url.port
