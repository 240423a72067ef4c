"""Where are the metrics of a process that answers no HTTP? On a port of its own, if one is named.

Nothing else is answered there, and nobody is waited for: who asks has a thread of his own.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lifecycle.bootstrap import Engine
from lifecycle.engine.observer import Page
from lifecycle.errors import Unusable
from lifecycle.logs.lines import Teller
from lifecycle.loopback import LOOPBACK, NAMES, host_of, is_loopback
from lifecycle.settings import FLAGS, VARIABLES

tell = Teller("lifecycle")

PATH = "/metrics"
IDLE_SECONDS = 10  # of a connection on which nothing is asked


@contextlib.contextmanager
def metrics_served(engine: Engine, port: int | None, host: str = LOOPBACK) -> Iterator[None]:
    """What the engine's observer keeps, while the block runs; None serves nothing, 0 takes a free port.

    On the loopback address it answers only those who ask for this machine by one of its own names.
    Raises Unusable where the port cannot be opened.
    """
    if port is None:
        yield
        return
    with _listening(host, port, engine) as server:
        thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
        thread.start()
        shown = f"[{host}]" if ":" in host else host
        at = f"http://{shown}:{server.server_address[1]}{PATH}"
        tell.info("metrics_served", "metrics at {at}", at=at)
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def may_ask(named: str, *, listening_on: object) -> bool:
    """Whether a Host header may be answered: on a loopback address only this machine's own names.

    A page of the web that makes its own name point here would otherwise read what is for others.
    Elsewhere any will do, as a container is asked by an address that nobody knew before it started.
    """
    return host_of(named) in NAMES or not is_loopback(str(listening_on))


def _listening(host: str, port: int, engine: Engine) -> _Server:
    try:
        return _Server(host, port, engine)
    except OSError as error:
        raise Unusable(
            f"port {port} of {host} cannot be opened for metrics ({error.strerror or error}); each"
            f" process needs one of its own: set another with {FLAGS['metrics_port']} or"
            f" {VARIABLES['metrics_port']}, or 0 for any that is free"
        ) from error


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a stop must not wait for whoever is slow to read

    def __init__(self, host: str, port: int, engine: Engine) -> None:
        self._engine = engine
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def page(self) -> Page | None:
        return self._engine.observer.page(self._engine.installation, self._engine.broker())

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - as it is called
        """Whoever hangs up is no matter; a defect of ours is, and the port lives on."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            self._engine.complaints.about("metrics_failed", "a page of metrics", error)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = IDLE_SECONDS
    server_version, sys_version = "lifecycle", ""

    def do_GET(self) -> None:
        if not may_ask(self.headers.get("Host", ""), listening_on=self.server.server_address[0]):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
        elif self.path != PATH or (page := self.server.page()) is None:
            self.send_error(HTTPStatus.NOT_FOUND, explain=f"metrics are at {PATH}")
        else:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", page.media_type)
            self.send_header("Content-Length", str(len(page.content)))
            self.end_headers()
            self.wfile.write(page.content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is called
        """No access log."""
