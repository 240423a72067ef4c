"""The Redis that tests run on: the wheel's ends with its user, a named one is left clean."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support import redis as support

pytestmark = pytest.mark.redis

ONCE = Retry(NoBackoff(), 0)


def test_the_wheels_server_listens_on_the_loopback_behind_a_password() -> None:
    with support.wheel_server() as server, redis.Redis.from_url(server.url) as client:
        assert client.config_get("bind") == {"bind": "127.0.0.1"}
        assert client.config_get("save") == {"save": ""}
        port = client.connection_pool.connection_kwargs["port"]
        without = redis.Redis(port=port, retry=ONCE)
        with without, pytest.raises(redis.AuthenticationError):
            without.ping()


def test_stopped_and_started_it_is_empty_and_has_the_same_address() -> None:
    with support.wheel_server() as server, redis.Redis.from_url(server.url) as client:
        client.set("key", "value")
        url = server.url
        server.stop()
        with redis.Redis.from_url(url, retry=ONCE) as once, pytest.raises(redis.ConnectionError):
            once.ping()
        server.start()
        assert server.url == url
        assert client.get("key") is None


def test_it_ends_with_its_user_even_if_that_is_killed() -> None:
    program = (
        "import sys, time; from tests.support import redis\n"
        "with redis.wheel_server() as server: print(server.url, flush=True); sys.stdin.read()"
    )
    user = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert user.stdout is not None
    assert user.stdin is not None
    url = user.stdout.readline().strip()
    with redis.Redis.from_url(url, retry=ONCE) as client:
        assert client.ping()
        with user.stdin, user.stdout:
            os.kill(user.pid, signal.SIGKILL)
            user.wait()
        with contextlib.suppress(redis.ConnectionError):
            while client.ping():
                pass


def test_a_prefix_leaves_nothing_behind(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        with support.fresh_prefix(redis_url) as prefix:
            client.set(f"{prefix}:one", "1")
            client.rpush(f"{prefix}:two", "2")
        assert not client.keys(f"{prefix}*")


def test_a_server_that_was_named_and_does_not_answer_is_told_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(support.URL_VARIABLE, "redis://127.0.0.1:1/0")
    with (
        pytest.raises(support.RedisUnavailable, match="names a server that does not answer"),
        support.server(),
    ):
        pass
