"""The whole engine behind its HTTP interface: real requests to a real server on this machine.

The engine's clock stands still, and what is posted waits until the test applies it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from lifecycle.bootstrap import Engine, build
from lifecycle.clock import ClockSpec
from lifecycle.domain.instant import instant_text
from lifecycle.engine.observer import Observer
from lifecycle.settings import Settings
from lifecycle.web.ports import Engine as EnginePort
from lifecycle.web.server import Server, listen
from tests.intake.bad_input import NOW, POLICY
from tests.support.current import make_current

PUBLIC_URL = "https://care.example.com"
STILL = ClockSpec.parse(instant_text(NOW))


@contextmanager
def running(
    url: str,
    config: Path,
    policy: str = POLICY,
    observer: Observer | None = None,
    *,
    clock: ClockSpec | None = STILL,
    secret: bytes | None = None,
) -> Iterator[Engine]:
    """An engine without workers."""
    (config / "policy.yaml").write_text(policy, encoding="utf-8")
    make_current(url)
    settings = Settings(
        database_url=url, config_dir=config, clock=clock, secret=secret, public_url=PUBLIC_URL
    )
    with build(settings, observer=observer) as engine:
        yield engine


@contextmanager
def serving(engine: EnginePort) -> Iterator[httpx.Client]:
    opened: queue.Queue[str] = queue.Queue()
    server = Server(engine, listen("127.0.0.1", 0), started=opened.put)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with httpx.Client(base_url=opened.get(timeout=30), timeout=30) as client:
            yield client
    finally:
        server.stop()
        thread.join()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """On SQLite: what differs between the databases is the store's, and tested there."""
    with running(f"sqlite:///{tmp_path / 'test.db'}", tmp_path) as engine:
        yield engine


@pytest.fixture
def client(engine: Engine) -> Iterator[httpx.Client]:
    with serving(engine) as client:
        yield client


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, httpx.Client]]:
    """One engine on SQLite for all tests of a module that must leave it empty."""
    directory = tmp_path_factory.mktemp("empty")
    url = f"sqlite:///{directory / 'test.db'}"
    with running(url, directory) as engine, serving(engine) as client:
        yield engine, client
