"""Every process of an installation whose log is JSON writes objects, a line each, and nothing else."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests.support.process import PATIENCE, Running
from tests.support.redis import fresh_prefix
from tests.workers.conftest import Many, order, until

pytestmark = [pytest.mark.postgres, pytest.mark.redis]

SCHEDULER = str(Path(__file__).resolve().parents[2] / "scheduler.py")
READY = '"event": ?"started"'
UNDER_DRAMATIQ = ("-m", "dramatiq", "workers", "--processes", "1", "--threads", "2")
REQUEST = {"X-Request-ID": "console-0001"}


@pytest.fixture
def prefix(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of everything on a Redis that is the broker."""
    with fresh_prefix(redis_url) as named:
        monkeypatch.setenv("LIFECYCLE_LOG", "json")
        monkeypatch.setenv("LIFECYCLE_BROKER_URL", redis_url)
        monkeypatch.setenv("LIFECYCLE_BROKER_PREFIX", named)
        yield named


def objects(process: Running) -> list[dict[str, Any]]:
    """Everything that it wrote, to either stream; fails where a line is anything else."""
    found = [json.loads(line) for line in process.read]
    for line in found:
        assert {"time", "level", "logger", "event", "message", "process", "thread"} <= line.keys()
    return found


def of(lines: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] == event]


def post(address: str, *customers: str) -> None:
    events = [order(customer) for customer in customers]
    answer = httpx.post(
        f"{address}/v1/events", json={"events": events}, headers=REQUEST, timeout=PATIENCE
    )
    assert answer.status_code == 200, answer.text


def put(prefix: str, customer: str) -> None:
    with redis.Redis.from_url(os.environ["LIFECYCLE_BROKER_URL"]) as client:
        client.xadd(f"{prefix}:events", {"event": json.dumps(order(customer))})


def test_serve_work_and_schedule_write_nothing_but_json(prefix: str, many: Many) -> None:
    """A transition is found by the id of the request that brought it about, in another process."""
    server = many.start("serve", "--port", "0")
    address = json.loads(server.logged(READY).string)["message"].split()[2].rstrip(";")
    worker, ticking = many.start("work"), many.start("schedule")
    worker.logged(READY)
    ticking.logged(READY)
    post(address, "ann", "ben")
    put(prefix, "cleo")
    until(lambda: many.count("step") == 3)
    for process in (ticking, worker, server):
        assert process.end(signal.SIGTERM)[0] == 0
    served, worked, ticked = objects(server), objects(worker), objects(ticking)
    for lines in (served, worked, ticked):
        assert len(of(lines, "started")) == 1  # its intake may have begun before
        assert lines[-1]["event"] == "stopped"
    (request,) = of(served, "request")
    assert (request["request_id"], request["accepted"]) == ("console-0001", 2)
    (batch,) = of(worked, "batch_taken")
    moved = of(worked, "transition")
    assert sorted(line["request_id"] for line in moved) == sorted(
        ["console-0001", "console-0001", batch["request_id"]]
    )
    assert {line["logger"] for line in moved} == {"lifecycle.decisions"}


def test_so_do_dramatiqs_own_command_and_the_scheduler_as_a_program(
    prefix: str, many: Many
) -> None:
    """`--skip-logging` keeps the parent of the workers, which imports nothing of ours, from talking."""
    server = many.start("serve", "--port", "0")
    address = json.loads(server.logged(READY).string)["message"].split()[2].rstrip(";")
    workers = many.python(*UNDER_DRAMATIQ, "--skip-logging")
    ticking = many.python(SCHEDULER)
    workers.logged("ready for action")
    ticking.logged(READY)
    post(address, "ann", "ben")
    put(prefix, "cleo")
    until(lambda: many.count("step") == 3)
    for process in (ticking, workers, server):
        assert process.end(signal.SIGTERM)[0] == 0
    assert len(of(objects(workers), "transition")) == 3
    assert [line["event"] for line in objects(ticking)] == ["started", "stopped"]
    objects(server)


@pytest.mark.parametrize("program", ["serve", "work", "schedule"])
def test_what_cannot_start_says_why_as_json(
    program: str, prefix: str, many: Many, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    process = many.start(program)
    assert process.ended()[0] == 69
    assert [line["event"] for line in objects(process)] == ["ended"]


def test_so_do_workers_under_dramatiq_but_for_their_parent(
    prefix: str, many: Many, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    workers = many.python(*UNDER_DRAMATIQ, "--skip-logging")
    assert workers.ended()[0] != 0
    ours = [line for line in workers.read if line.startswith("{")]
    assert [json.loads(line)["event"] for line in ours] == ["ended"]
    (parents,) = [line for line in workers.read if line not in ours]
    assert "exited unexpectedly" in parents
