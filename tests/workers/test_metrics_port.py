"""Processes that answer no HTTP serve their metrics on a port of this machine, if one is named."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lifecycle.bootstrap import Engine
from lifecycle.errors import Unusable
from lifecycle.metrics import Metrics
from tests.support.metrics import Series, of, read
from tests.web.conftest import running
from tests.workers.conftest import Many, post, until
from workers.metrics_port import may_ask, metrics_served

WHERE = r"metrics at (http://127\.0\.0\.1:\d+)/metrics"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with running(f"sqlite:///{tmp_path}/x.db", tmp_path, observer=Metrics()) as engine:
        yield engine


@pytest.fixture
def client(engine: Engine, caplog: pytest.LogCaptureFixture) -> Iterator[httpx.Client]:
    with caplog.at_level(logging.INFO), metrics_served(engine, 0):
        found = re.search(WHERE, caplog.text)
        assert found is not None
        with httpx.Client(base_url=found[1], timeout=30) as client:
            yield client


def collected(address: str) -> Series:
    return read(httpx.get(f"{address}/metrics", timeout=30).text)


@pytest.mark.postgres
@pytest.mark.parametrize("command", ["work", "schedule"])
def test_a_process_without_an_api_tells_what_it_has_done(many: Many, command: str) -> None:
    """Its own: who took the event in has counted that, and each knows the backlog."""
    address = many.serve()
    process = many.start(command, "--metrics-port", "0")
    own = process.logged(WHERE)[1]
    post(address, "mei", "lei")
    until(lambda: of(collected(own), "events_applied_total") == 2)
    worked, answered = collected(own), collected(address)
    accepted = {"way": "http", "outcome": "accepted"}
    assert of(answered, "events_received_total", accepted) == 2
    assert of(answered, "events_applied_total") == 0
    assert of(worked, "events_received_total", accepted) is None
    assert sum(v for (name, _), v in worked.items() if name == "lifecycle_transitions_total") == 2
    assert of(worked, "pending_events") == of(answered, "pending_events") == 0


@pytest.mark.postgres
def test_a_port_that_is_taken_is_refused_with_what_to_do(many: Many) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, _, log = many.start("work", "--metrics-port", port).ended()
    assert code == 78
    assert f"port {port} of 127.0.0.1 cannot be opened for metrics" in log
    assert "LIFECYCLE_METRICS_PORT" in log
    assert "Traceback" not in log


def test_without_a_port_nothing_listens(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), metrics_served(engine, None):
        assert "metrics" not in caplog.text


def test_the_port_is_free_again_afterwards(engine: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    for _ in range(2):
        with metrics_served(engine, port), pytest.raises(Unusable), metrics_served(engine, port):
            pass


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("evil.example:80", 421),
        ("evil.example:80]", 421),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]", 200),
        ("[::1]:9101", 200),
    ],
)
def test_only_programs_of_this_machine_are_answered(
    client: httpx.Client, host: str, status: int
) -> None:
    """A web page that makes its own name point here gets nothing."""
    answer = client.get("/metrics", headers={"Host": host})
    assert answer.status_code == status
    assert ("lifecycle_pending_events" in answer.text) is (status == 200)


@pytest.mark.parametrize(
    ("listening_on", "allowed"),
    [
        ("127.0.0.1", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:7f00:9", False),
        ("0.0.0.0", True),
        ("::", True),
        ("::ffff:10.1.2.3", True),
    ],
)
def test_on_another_address_anybody_may_ask_by_any_name(listening_on: str, allowed: bool) -> None:
    assert may_ask("10.1.2.3:9101", listening_on=listening_on) is allowed


def test_there_is_nothing_else(client: httpx.Client) -> None:
    assert client.get("/").status_code == 404
    assert client.get("/v1/customers/mei").status_code == 404
    assert client.post("/metrics").status_code == 501


def test_a_defect_costs_one_page_and_is_told(
    client: httpx.Client,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(engine.observer, "page", lambda *_: 1 / 0)
        with pytest.raises(httpx.HTTPError):
            client.get("/metrics")
    until(lambda: "a page of metrics failed: ZeroDivisionError" in caplog.text)
    assert client.get("/metrics").status_code == 200
