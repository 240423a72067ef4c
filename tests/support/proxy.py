"""A line to a server that the test may cut and mend, that speaks TLS for it, or tells something else."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Self
from urllib.parse import urlsplit, urlunsplit

LOOPBACK = "127.0.0.1"

Change = Callable[[bytes], bytes]


class Proxy:
    """Passes on whatever comes in either direction, at an address that stays the same while it is cut."""

    def __init__(
        self, url: str, *, tls: ssl.SSLContext | None = None, answers: Change = lambda data: data
    ) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or LOOPBACK, parts.port or 0)
        self._tls = tls
        self._answers = answers
        self._listening: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.port = 0

    def instead_of(self, url: str, *, scheme: str | None = None, host: str = LOOPBACK) -> str:
        """The server's URL with this line's address in it."""
        parts = urlsplit(url)
        user, at, _ = parts.netloc.rpartition("@")
        netloc = f"{user}{at}{host}:{self.port}"
        return urlunsplit(parts._replace(scheme=scheme or parts.scheme, netloc=netloc))

    def mend(self) -> None:
        """From now on connections are taken."""
        listening = socket.create_server((LOOPBACK, self.port))
        self.port = listening.getsockname()[1]
        self._listening = listening
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def cut(self) -> None:
        """Every connection ends, and no new one is taken, as if the server had gone."""
        listening, self._listening = self._listening, None
        if listening is not None:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)  # wakes whoever accepts
            listening.close()
        with self._lock:
            ended, self._open = self._open, set()
        for each in ended:
            _end(each)

    def __enter__(self) -> Self:
        self.mend()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
            server = socket.create_connection(self._target)
        except OSError:  # a client that does not trust our certificate, for one
            _end(client)
            return
        with self._lock:
            if self._listening is None:
                _end(client)
                _end(server)
                return
            self._open |= {client, server}
        back = threading.Thread(target=_pass_on, args=(server, client, self._answers), daemon=True)
        back.start()
        _pass_on(client, server, lambda data: data)


def _pass_on(source: socket.socket, target: socket.socket, change: Change) -> None:
    """Until either side ends, and then both do."""
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(change(data))
    _end(source)
    _end(target)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
