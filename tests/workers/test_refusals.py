"""What a large installation refuses to start with, in one line that says what to do."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from lifecycle.errors import Unusable
from lifecycle.settings import Settings
from tests.support.process import started
from tests.support.redis import WheelServer
from tests.workers.conftest import PYTHON, Many
from workers.broker import broker_for, shown

SCHEDULER = str(Path(__file__).resolve().parents[2] / "scheduler.py")
CONFIGURATION = 78

PROCESSES = [
    pytest.param(("-m", "lifecycle", "serve", "--port", "0"), id="serve"),
    pytest.param(("-m", "lifecycle", "work"), id="work"),
    pytest.param(("-m", "lifecycle", "schedule"), id="schedule"),
    pytest.param((SCHEDULER,), id="scheduler.py"),
    pytest.param(("-m", "dramatiq", "workers", "--processes", "1"), id="dramatiq"),
]


def settings(tmp_path: Path, broker_url: str) -> Settings:
    return Settings(
        database_url="postgresql://localhost/none", config_dir=tmp_path, broker_url=broker_url
    )


@pytest.mark.parametrize("program", PROCESSES)
def test_an_sqlite_file_is_for_one_process(
    program: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", f"sqlite:///{tmp_path / 'test.db'}")
    monkeypatch.delenv("LIFECYCLE_BROKER_URL", raising=False)
    with started(*PYTHON) as start:
        code, _, log = start(*program).ended()
    told = [line for line in log.splitlines() if line.startswith("error: ")]
    assert code == CONFIGURATION
    assert len(told) == 1
    assert "an SQLite file is for one process, so run `lifecycle up`" in told[0]
    assert "Traceback" not in log
    assert not (tmp_path / "test.db").exists()


def test_nothing_is_said_of_a_port_or_a_broker_by_a_process_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever puts those right first would only then hear that it was for nothing."""
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", f"sqlite:///{tmp_path / 'test.db'}")
    monkeypatch.setenv("LIFECYCLE_BROKER_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("LIFECYCLE_REQUIRE_BROKER", "true")
    with socket.create_server(("127.0.0.1", 0)) as taken, started() as start:
        code, _, log = start("serve", "--port", str(taken.getsockname()[1])).ended()
    assert code == CONFIGURATION
    (told,) = log.splitlines()
    assert "an SQLite file is for one process" in told


@pytest.mark.postgres
def test_a_port_that_is_taken_is_told_once_the_database_is_there(many: Many) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, log = many.start("serve", "--port", str(port)).ended()
    assert code == CONFIGURATION
    assert f"port {port} of 127.0.0.1 cannot be opened" in log
    assert "answering on" not in log


@pytest.mark.postgres
@pytest.mark.redis
@pytest.mark.parametrize("program", PROCESSES)
def test_a_redis_that_throws_keys_away(
    program: tuple[str, ...], many: Many, own_redis: WheelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_redis.stop()
    own_redis.start(**{"maxmemory-policy": "allkeys-lru"})
    monkeypatch.setenv("LIFECYCLE_BROKER_URL", own_redis.url)
    code, _, log = many.python(*program).ended()
    told = [line for line in log.splitlines() if line.startswith("error: ")]
    assert code == CONFIGURATION
    assert len(told) == 1
    assert "maxmemory-policy allkeys-lru" in told[0]
    assert "set `maxmemory-policy noeviction`" in told[0]
    assert "Traceback" not in log


@pytest.mark.parametrize(("scheme", "package"), [("redis", "redis"), ("amqps", "pika")])
def test_a_broker_whose_package_is_not_installed(
    scheme: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [package, "workers.redis_bells", "workers.amqp_bells"]:
        monkeypatch.delitem(sys.modules, module, raising=False)
    for module in ["dramatiq.brokers.redis", "dramatiq.brokers.rabbitmq"]:
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(Unusable, match=f"`pip install {package}`"):
        broker_for(settings(tmp_path, f"{scheme}://:secret@127.0.0.1:1"))


@pytest.mark.parametrize(
    "url",
    [
        "amqp://127.0.0.1:1/%2F?heartbeat=never",
        "redis://127.0.0.1:1/0?socket_timeout=soon",
        "redis://127.0.0.1:1/0?ssl_ca_certs=/ca",
        "amqp://127.0.0.1:1/%2F?ssl_ca_certs=/ca",
    ],
)
def test_options_of_a_url_that_make_no_sense(url: str, tmp_path: Path) -> None:
    with pytest.raises(
        Unusable, match=r"LIFECYCLE_BROKER_URL: .*127\.0\.0\.1:1.*is not understood"
    ):
        broker_for(settings(tmp_path, url))


def test_a_broker_is_shown_without_its_password() -> None:
    assert shown("amqps://me:se@cret@broker:5671/v?heartbeat=1") == "amqps://broker:5671/v"


def test_a_redis_that_does_not_answer_is_no_reason_not_to_start(tmp_path: Path) -> None:
    broker, line = broker_for(settings(tmp_path, "redis://127.0.0.1:1/0"))
    assert line.away
    broker.close()
