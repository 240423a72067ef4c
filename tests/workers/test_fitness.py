"""A broker that is away, shut or old is done without, and told of; where one is required, nothing starts."""

from __future__ import annotations

import logging
import signal
import socket
import ssl
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pika.exceptions
import pytest
import redis
import trustme

from lifecycle.errors import LifecycleError, Unavailable, Unusable
from lifecycle.settings import Settings
from tests.support.proxy import Proxy
from tests.support.redis import WheelServer
from tests.workers.conftest import Many, post, until
from workers.broker import examine, line_of
from workers.troubles import why

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


def warned(found: Settings, caplog: pytest.LogCaptureFixture) -> list[str]:
    """What is said where it is not."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        examine(found)
    return caplog.messages


def with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    return parts._replace(
        netloc=f"{parts.username or ''}:{password}@{parts.hostname}:{parts.port}"
    ).geturl()


def test_one_that_is_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It may yet come, so whoever starts us may try again. The line of the process tells by itself."""
    found = settings(tmp_path, NOWHERE)
    told = refused(found, Unavailable)
    assert "the broker at redis://127.0.0.1:1/0 does not serve: ConnectionError" in told
    assert "start this again when it answers, or unset that to begin without" in told
    assert warned(found, caplog) == []


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
        assert "put it right and start this again, or unset that to begin without" in told
        assert warned(found, caplog) == []


@pytest.mark.rabbitmq
def test_a_rabbitmq_that_refuses_our_password(amqp_url: str, tmp_path: Path) -> None:
    told = refused(settings(tmp_path, with_password(amqp_url, "hush")), Unusable)
    assert "it does not let us in: correct the name and password in LIFECYCLE_BROKER_URL" in told


@pytest.mark.rabbitmq
def test_a_rabbitmq_without_the_virtual_host(amqp_url: str, tmp_path: Path) -> None:
    """It asks for the password first, so who hears of the host has the right one."""
    told = refused(settings(tmp_path, urlsplit(amqp_url)._replace(path="/no").geturl()), Unusable)
    assert "vhost no not found" in told
    assert "it has no such virtual host: correct what stands behind the host and port" in told
    assert "password" not in told


def test_a_virtual_host_that_is_closed_to_us() -> None:
    said = (
        "ConnectionClosedByBroker: (530) \"NOT_ALLOWED - access to vhost 'v' refused for user 'u'\""
    )
    told = why(pika.exceptions.ProbableAccessDeniedError(said))
    assert "refused for user 'u'" in told
    assert "give our user the right to it with `rabbitmqctl set_permissions`" in told


@pytest.mark.redis
def test_a_redis_without_the_database(own_redis: WheelServer, tmp_path: Path) -> None:
    """The server says how many it has, unless it must not be asked."""
    found = settings(tmp_path, own_redis.url.removesuffix("/0") + "/99")
    told = refused(found, Unusable)
    assert "it has no database of that number: correct what stands behind the host" in told
    assert "; it has 0 to 15; nothing was started" in told
    with redis.Redis.from_url(own_redis.url) as client:
        client.execute_command("ACL", "SETUSER", "default", "-config")
    assert "behind the host in LIFECYCLE_BROKER_URL; nothing was" in refused(found, Unusable)


def speaking() -> ssl.SSLContext:
    context, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), trustme.CA()
    ours.issue_cert("localhost").configure_cert(context)
    return context


@pytest.mark.parametrize(
    "scheme",
    [
        pytest.param("redis", marks=pytest.mark.redis),
        pytest.param("amqp", marks=pytest.mark.rabbitmq),
    ],
)
def test_a_port_that_speaks_tls_or_none_otherwise_than_the_url_says(
    scheme: str, request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It would look as if it were away, by a time-out or a lost connection."""
    url = request.getfixturevalue(f"{scheme}_url")
    with Proxy(url) as plain:
        encrypted = settings(tmp_path, plain.instead_of(url, scheme=f"{scheme}s"))
        told = refused(encrypted, Unusable)
        assert "it speaks no TLS at this port: name the one at which it does" in told
        assert f"begin LIFECYCLE_BROKER_URL with {scheme}://" in told
    with Proxy(url, tls=speaking()) as proxy:
        clear = settings(tmp_path, proxy.instead_of(url))
        assert f"it speaks TLS at this port: begin LIFECYCLE_BROKER_URL with {scheme}s://" in (
            refused(clear, Unusable)
        )
        line_of(clear).lost("apply", ConnectionResetError("by peer"))
    assert f"begin LIFECYCLE_BROKER_URL with {scheme}s://" in caplog.text


@pytest.mark.parametrize("scheme", ["redis", "rediss", "amqp", "amqps"])
def test_a_port_that_says_nothing_is_taken_for_away(scheme: str, tmp_path: Path) -> None:
    """It takes connections and tells nothing, so nothing is known of it; pika has an error of its own."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        quick = "?socket_timeout=1" if scheme.startswith("redis") else ""
        told = refused(settings(tmp_path, f"{scheme}://127.0.0.1:{port}{quick}"), Unavailable)
    assert "TLS at this port" not in told


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
        assert len(warned(found, caplog)) == 1
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
    assert "broker" not in log
    assert "Redis" not in log
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
