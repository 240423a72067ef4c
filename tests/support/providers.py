"""Providers on loopback that answer as they are told, or break off at a named stage.

What they check of a request stands in `tests.support.signatures`.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self
from urllib.parse import parse_qsl, urlsplit

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    method: str
    target: str  # path and query, as they were written
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def json(self) -> dict[str, object]:
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    status: int = 200
    body: bytes | str | dict[str, object] = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        body = json.dumps(self.body) if isinstance(self.body, dict) else self.body
        raw = body.encode() if isinstance(body, str) else body
        heads = {"Content-Length": str(len(raw)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} Said", *(f"{k}: {v}" for k, v in heads.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


class Cut(StrEnum):
    """Where it breaks the connection off."""

    AT_ONCE = "at_once"  # before it has read a byte
    IN_REQUEST = "in_request"  # after the head of the request
    AFTER_REQUEST = "after_request"  # all was read, nothing was said
    IN_HEAD = "in_head"  # in the middle of the head of its answer
    IN_BODY = "in_body"  # in the middle of the body of its answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Drip:
    """A byte every few milliseconds, without an end: of the head, or of the body."""

    head: bytes


class Silence:
    """It takes the request, and never says a word."""

    def __repr__(self) -> str:
        return "Silence()"  # names tests, in every process alike


Act = Say | Cut | Drip | Silence
SILENCE = Silence()


def each(*acts: Act) -> Callable[[Asked], Act]:
    """One after the other; the last one for all that come later."""
    left = list(acts)
    lock = threading.Lock()

    def act(_: Asked) -> Act:
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return act


class FakeProvider:
    """A server for the time of a `with`; `asked` holds what it was asked, in order."""

    def __init__(
        self,
        act: Callable[[Asked], Act] | Act,
        *,
        tls: ssl.SSLContext | None = None,
        host: str = LOOPBACK,
        port: int = 0,
    ) -> None:
        self._act = act if callable(act) else each(act)
        self._before = act if isinstance(act, Cut) else None
        self._tls = tls
        self._listening = socket.create_server((host, port))
        self.port = self._listening.getsockname()[1]
        self.connections = 0
        self.asked: list[Asked] = []
        self.broken_off = threading.Event()  # the other side ended a drip or a silence
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()

    def _start(self, run: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.closing(client):
            client.settimeout(5)
            if self._before is Cut.AT_ONCE:
                _reset(client)
                return
            if self._tls is None:
                self._answer(client)
                return
            with self._tls.wrap_socket(client, server_side=True) as secured:
                self._answer(secured)

    def _answer(self, client: socket.socket) -> None:
        asked = self._read(client)
        if asked is None:
            return
        self.asked.append(asked)
        match self._act(asked):
            case Say() as said:
                client.sendall(said.encoded())
            case Cut.IN_HEAD:
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
            case Cut.IN_BODY:
                client.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"errcode"')
            case Cut():
                return
            case Drip(head=head):
                client.sendall(head)
                self._until_broken_off(client, b"a")
            case Silence():
                self._until_broken_off(client, b"")

    def _read(self, client: socket.socket) -> Asked | None:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = client.recv(65_536)
            if not piece:
                return None
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
        if self._before is Cut.IN_REQUEST:
            _reset(client)
            return None
        while len(body) < int(headers.get("content-length", "0")):
            body += client.recv(65_536)
        return Asked(method=method, target=target, headers=headers, body=body)

    def _until_broken_off(self, client: socket.socket, drop: bytes) -> None:
        client.settimeout(0.01)
        while not self._closing.is_set():
            try:
                client.sendall(drop)
                if not client.recv(1):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        self.broken_off.set()


def _reset(client: socket.socket) -> None:
    """Ends it with a reset, as a machine does that knows nothing of the connection."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
