"""Listens, answers, and stops gracefully: uvicorn with one process, one port and no access log."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn

from lifecycle.errors import Unusable
from lifecycle.loopback import is_loopback
from lifecycle.web.app import create_app, feed_of
from lifecycle.web.ports import Engine
from lifecycle.web.protocol import StrictProtocol

STOP_SECONDS = 25  # for requests under way; then they are cut off
KEEP_ALIVE_SECONDS = 30


def serve(
    engine: Engine,
    listening: socket.socket,
    *,
    started: Callable[[str], object] = lambda _: None,
) -> None:
    """Answers until SIGINT or SIGTERM, and returns once everything under way is answered.

    `started` is told the address in which to look, when it is open. The socket is closed at the end.
    """
    Server(engine, listening, started=started).run()


class Server:
    """The same, for who wants to stop it from another thread."""

    def __init__(
        self,
        engine: Engine,
        listening: socket.socket,
        *,
        started: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._socket = listening
        self._started = started
        self._server = _Uvicorn(
            uvicorn.Config(
                create_app(engine),
                http=StrictProtocol,
                ws="none",
                loop="uvloop",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=STOP_SECONDS,
            ),
            on_open=self._tell,
        )

    @property
    def address(self) -> str:
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def run(self) -> None:
        with contextlib.closing(self._socket):
            self._server.run(sockets=[self._socket])
        if not self._server.started:
            raise Unusable("the server could not start; its log says why")

    def stop(self) -> None:
        """From any thread: `run` returns when what is under way has been answered."""
        self._server.should_exit = True

    def _tell(self) -> None:
        self._started(self.address)


class _Uvicorn(uvicorn.Server):
    """Ends streams first, which would never end by themselves; and leaves signals to the caller."""

    def __init__(self, config: uvicorn.Config, on_open: Callable[[], object]) -> None:
        super().__init__(config)
        self._on_open = on_open

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_open()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await feed_of(self.config.app).stop()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A signal ends `run`, and is not raised once more when all is done and over."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def listen(
    host: str, port: int, *, is_any_key: Callable[[], bool] = lambda: False
) -> socket.socket:
    """An open socket; on other than this machine's own addresses only if `is_any_key` says so.

    Port 0 takes a free one. Who connects before `serve` waits for it. Raises Unusable where it cannot
    listen.
    """
    if not is_loopback(host) and not is_any_key():
        raise Unusable(
            f"host {host!r}: as long as there are no API keys, the server listens on this machine"
            " only; use 127.0.0.1, ::1 or localhost, or make a key: `lifecycle key create NAME`"
        )
    if not 0 <= port <= 65_535:
        raise Unusable(f"port {port} is none; use 1 to 65535, or 0 for any free one")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise Unusable(
            f"port {port} of {host} cannot be opened ({error.strerror or error}): is the engine"
            " running already? Set another with --port or LIFECYCLE_PORT"
        ) from error
