"""A large installation for a test: a real PostgreSQL, processes of their own, and what became of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from lifecycle.bootstrap import Engine
from lifecycle.engine.verify import verify
from tests.support.engine import opened
from tests.support.process import PATIENCE, Running, Start, started
from tests.web.conftest import running

PYTHON = ("-u",)  # followed by what it shall run
VARIABLES = (
    "CONFIG_DIR",
    "PORT",
    "METRICS_PORT",
    "METRICS_HOST",
    "MAX_PENDING",
    "NIGHT",
    "SCORING",
    "KEEP_DAYS",
    "CLOCK",
    "BROKER_URL",
    "BROKER_PREFIX",
    "REQUIRE_BROKER",
    "LOG",
    "LOG_LEVEL",
)


def until(condition: Callable[[], bool], within: float = PATIENCE) -> None:
    """Returns as soon as it holds; fails when it does not in so many seconds."""
    deadline, pause = time.monotonic() + within, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not within {within} s: {condition}"
        pause.wait(0.005)


@dataclass(frozen=True, slots=True, kw_only=True)
class Many:
    """An installation of many processes, all of which find its database and broker in the environment."""

    url: str
    start: Start  # lifecycle …
    python: Start  # python …

    def serve(self) -> str:
        """Where a new `lifecycle serve` answers."""
        return self.start("serve", "--port", "0").logged(r"http://127\.0\.0\.1:\d+")[0]

    def work(self) -> Running:
        """A `lifecycle work` that is ready."""
        worker = self.start("work")
        worker.logged("working;")
        return worker

    def count(self, table: str) -> int:
        with psycopg.connect(self.url) as connection:
            row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
        assert row is not None
        return int(row[0])

    def violations(self) -> Sequence[object]:
        with opened(self.url) as inst:
            return verify(inst)


def order(customer: str) -> dict[str, Any]:
    """She orders, now."""
    return {
        "id": f"order-{customer}",
        "source": "shop",
        "customer_id": customer,
        "type": "order_paid",
        "properties": {"amount": "10.00", "currency": "CNY"},
    }


def post(address: str, *customers: str) -> httpx.Response:
    """Each of them orders, now."""
    events = [order(customer) for customer in customers]
    answer = httpx.post(f"{address}/v1/events", json={"events": events}, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text
    assert answer.json()["accepted"] == len(customers)
    return answer


def names(count: int, of: str = "customer") -> list[str]:
    return [f"{of}-{number}" for number in range(count)]


@pytest.fixture
def engine(database_url: str, tmp_path: Path) -> Iterator[Engine]:
    with running(database_url, tmp_path) as engine:
        yield engine


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Engine]:
    """For what has nothing to do with the database."""
    with running(f"sqlite:///{tmp_path / 'small.db'}", tmp_path) as engine:
        yield engine


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the processes of a test read is what the test says; before any other fixture says it."""
    for name in VARIABLES:
        monkeypatch.delenv(f"LIFECYCLE_{name}", raising=False)


@pytest.fixture
def many(postgres_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Many]:
    """Without a broker, unless the test names one; whatever still runs at the end is killed."""
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", postgres_database_url)
    with started() as start, started(*PYTHON) as python:
        yield Many(url=postgres_database_url, start=start, python=python)
