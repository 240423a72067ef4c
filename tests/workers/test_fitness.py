"""A broker that is away, shut or old is done without, and told of; where one is required, nothing starts."""

from __future__ import annotations

import logging
import signal
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lifecycle.errors import LifecycleError, Unavailable, Unusable
from lifecycle.settings import Settings
from tests.support.proxy import Proxy
from tests.support.redis import WheelServer
from tests.workers.conftest import Many, post, until
from workers.broker import examine

CONFIGURATION, AWAY = 78, 69
NOWHERE = "redis://:hush@127.0.0.1:1/0"


def settings(tmp_path: Path, url: str | None) -> Settings:
    return Settings(database_url="postgresql://localhost/none", config_dir=tmp_path, broker_url=url)


def refused(found: Settings, kind: type[LifecycleError]) -> str:
    """What is said where a broker is required: one line, with what to do and without the password."""
    with pytest.raises(kind) as raised:
        examine(replace(found, require_broker=True))
    told = str(raised.value)
    assert "\n" not in told
    assert "hush" not in told
    assert "LIFECYCLE_REQUIRE_BROKER" in told
    return told


def warned(found: Settings, caplog: pytest.LogCaptureFixture, *, listens: bool) -> list[str]:
    """What is said where it is not."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        examine(found, listens=listens)
    return caplog.messages


def with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    return parts._replace(
        netloc=f"{parts.username or ''}:{password}@{parts.hostname}:{parts.port}"
    ).geturl()


def test_one_that_is_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It may yet come, so whoever starts us may try again. Who listens to it tells by himself."""
    found = settings(tmp_path, NOWHERE)
    assert "ConnectionError" in refused(found, Unavailable)
    assert warned(found, caplog, listens=True) == []
    (line,) = warned(found, caplog, listens=False)
    assert "the broker at redis://127.0.0.1:1/0 does not serve: ConnectionError" in line


def test_none_where_one_is_required(tmp_path: Path) -> None:
    told = refused(settings(tmp_path, None), Unusable)
    assert "name one with LIFECYCLE_BROKER_URL, or require none" in told
    examine(settings(tmp_path, None))


@pytest.mark.redis
def test_a_redis_that_refuses_our_password(
    own_redis: WheelServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Waiting does not help, so it is told apart from one that is away."""
    for url in (
        with_password(own_redis.url, "hush"),
        own_redis.url.replace("redis://:", "redis://x:"),
    ):
        found = settings(tmp_path, url)
        told = refused(found, Unusable)
        assert (
            "it does not let us in: correct the name and password in LIFECYCLE_BROKER_URL" in told
        )
        assert len(warned(found, caplog, listens=False)) == 1


@pytest.mark.rabbitmq
@pytest.mark.parametrize("path", ["/%2F", "/nowhere"])
def test_a_rabbitmq_that_does_not_let_us_in(amqp_url: str, path: str, tmp_path: Path) -> None:
    """By a wrong password, or to a virtual host that is not there."""
    parts = urlsplit(amqp_url)._replace(path=path).geturl()
    told = refused(
        settings(tmp_path, with_password(parts, "hush") if path == "/%2F" else parts), Unusable
    )
    assert "it does not let us in: correct the name and password in LIFECYCLE_BROKER_URL" in told


@pytest.mark.redis
def test_a_redis_too_old_for_streams(
    own_redis: WheelServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It answers, so nobody would hear of it otherwise. The same server as ever, that says it is older."""

    def older(answer: bytes) -> bytes:
        return answer.replace(b"redis_version:7.", b"redis_version:5.")

    with Proxy(own_redis.url, answers=older) as line:
        found = settings(tmp_path, line.instead_of(own_redis.url))
        told = refused(found, Unusable)
        assert "it is Redis 5." in told
        assert "before 6.2; install a newer one, or name another" in told
        for listens in (True, False):
            assert len(warned(found, caplog, listens=listens)) == 1
    examine(replace(settings(tmp_path, own_redis.url), require_broker=True))


@pytest.mark.redis
def test_a_redis_that_throws_keys_away_is_refused_whether_or_not_one_is_required(
    own_redis: WheelServer, tmp_path: Path
) -> None:
    own_redis.stop()
    own_redis.start(**{"maxmemory-policy": "allkeys-lru"})
    for required in (True, False):
        found = replace(settings(tmp_path, own_redis.url), require_broker=required)
        with pytest.raises(Unusable, match="set `maxmemory-policy noeviction`"):
            examine(found)


@pytest.mark.postgres
@pytest.mark.redis
def test_with_a_wrong_password_workers_say_so_once_and_poll(
    own_redis: WheelServer, many: Many, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_BROKER_URL", with_password(own_redis.url, "hush"))
    address = many.serve()
    worker = many.start("work")
    worker.logged(
        "WARNING .*correct the name and password in LIFECYCLE_BROKER_URL.; looking into the database"
    )
    post(address, "anna")
    until(lambda: many.count("step") == 1)
    _, _, log = worker.end(signal.SIGTERM)
    assert "looking into the database instead" not in log
    assert "hush" not in log


@pytest.mark.postgres
@pytest.mark.parametrize(
    "command", [("serve", "--port", "0"), ("work",), ("schedule",)], ids=lambda given: given[0]
)
def test_a_process_that_requires_a_broker_ends_with_one_line(
    command: tuple[str, ...], many: Many, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_BROKER_URL", NOWHERE)
    code, _, log = many.start(*command, "--require-broker").ended()
    (told,) = [line for line in log.splitlines() if line.startswith("error: ")]
    assert code == AWAY
    assert "nothing was started, as LIFECYCLE_REQUIRE_BROKER is set" in told
    assert "Traceback" not in log
