"""What came of asking a provider over HTTP: an answer, a sure no, or nobody knows?

One connection a request: a connection that was kept could have been closed by the other side
meanwhile, and then nobody would know whether what was written into it had arrived.
"""

from __future__ import annotations

import contextlib
import functools
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Self

from lifecycle.errors import Problem
from lifecycle.outreach.channels.target import Target, Targets
from lifecycle.outreach.outcome import Accepted, Ambiguous, Fault, Outcome, Refused

CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0
BODY_LIMIT = 64 * 1024  # bytes that are read of an answer
LONGEST_WAIT = timedelta(days=1)  # a provider that asks for more is asked again then
DETAIL_LIMIT = 200  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes  # as far as it came in time, and no more than is read of any


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One POST, or a GET where there is no body."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


Reply = Answer | Refused | Ambiguous


def real_now() -> datetime:
    """Signatures and retries stay on real time, whatever clock the engine has."""
    return datetime.now(UTC)


class Client:
    """Asks providers; safe to share between threads. It follows no redirect and knows no proxy."""

    def __init__(
        self,
        *,
        targets: Targets | None = None,
        tls: ssl.SSLContext | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
        now: Callable[[], datetime] = real_now,
    ) -> None:
        self.targets = targets or Targets()
        self._tls = tls or _trusting_the_system()
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self.now = now

    def until(self) -> float:
        """When a letter that is begun now must be done with, however many requests it takes."""
        return time.monotonic() + self._connect_seconds + self._read_seconds

    def ask(self, request: Request, *, until: float | None = None) -> Reply:
        """Refused where the request cannot have arrived whole, Ambiguous where it can and no answer came."""
        until = self.until() if until is None else until
        connected_by = min(time.monotonic() + self._connect_seconds, until)
        try:
            target = self.targets.find(request.url)
        except Problem as error:
            return _not_reached("blocked_target", error.detail)
        except OSError:
            return _not_reached("dns_failed", "the name of the provider's host does not resolve")
        opened = self._opened(target, connected_by)
        if isinstance(opened, Refused):
            return opened
        with contextlib.closing(opened):
            left = min(self._read_seconds, until - time.monotonic())
            if left <= 0:
                return _not_reached("connect_failed", "no time was left once it was connected")
            return self._asked(opened, target, request, left)

    def _opened(self, target: Target, until: float) -> socket.socket | Refused:
        """The first of its addresses that takes us, and TLS with it; each has its share of the time."""
        last = _not_reached("connect_failed", "no time was left to connect")
        for number, address in enumerate(target.addresses):
            left = (until - time.monotonic()) / (len(target.addresses) - number)
            if left <= 0:
                break
            try:
                plain = socket.create_connection((address, target.port), timeout=left)
            except OSError as error:
                said = type(error).__name__
                last = _not_reached("connect_failed", f"no connection to the provider: {said}")
            else:
                return self._secured(plain, target)
        return last

    def _secured(self, plain: socket.socket, target: Target) -> socket.socket | Refused:
        """With a certificate that names the host, whatever the address is."""
        if target.scheme == "http":
            return plain
        try:
            plain.settimeout(self._connect_seconds)
            return self._tls.wrap_socket(plain, server_hostname=target.host)
        except OSError as error:
            plain.close()
            said = getattr(error, "reason", None) or type(error).__name__
            return _not_reached("tls_failed", f"no TLS with the provider: {said}")

    def _asked(
        self, connected: socket.socket, target: Target, request: Request, seconds: float
    ) -> Reply:
        connected.settimeout(seconds)
        connection = HTTPConnection(target.host, target.port)
        connection.sock = connected
        with _Watch(seconds, connected) as watch:
            try:
                _write(connection, target, request)
            except (ValueError, HTTPException):
                return _not_reached(
                    "request_malformed", "a setting of the channel cannot stand in a header"
                )
            except OSError:
                return _not_reached(
                    "cut_while_writing", "the connection ended before all was written"
                )
            try:
                response = connection.getresponse()
            except (OSError, HTTPException) as error:
                return _no_answer(late=watch.fired or isinstance(error, TimeoutError))
            with contextlib.closing(response):
                body = _read(response)
            return Answer(
                status=response.status,
                headers={name.lower(): value for name, value in response.getheaders()},
                body=body,
            )


def client_for(timeout: timedelta, *, only: Sequence[str] = ()) -> Client:
    """Done with a letter in that time, of which a quarter, and at most 5 s, is for connecting.

    `only`: the hosts that may be asked at all; none named: any public one.
    """
    whole = timeout.total_seconds()
    connect = min(CONNECT_SECONDS, whole / 4)
    targets = Targets(only=only)
    return Client(targets=targets, connect_seconds=connect, read_seconds=whole - connect)


MakeClient = Callable[[timedelta], Client]


@functools.cache
def _trusting_the_system() -> ssl.SSLContext:
    """One for all clients: reading the authorities of the system takes a while."""
    return ssl.create_default_context()


def judged(answer: Answer, *, now: datetime, same_key: bool = False) -> Outcome:
    """What a status alone says. `same_key`: the provider knows a request by its key."""
    status, code = answer.status, f"http_{answer.status}"
    if 200 <= status < 300:
        return Accepted()
    if status == 409 and same_key:
        return _refused(code, "it is still at work on the same key", permanent=False)
    if status in {408, 429, 503}:
        wait = retry_after(answer, now)
        return _refused(code, f"it answered {status}", permanent=False, wait=wait)
    if 300 <= status < 400:
        return _refused(code, "it answered with a redirect, which is never followed")
    if status == 410:
        return _refused(code, "it says that nobody is there any more: disable this channel")
    if 400 <= status < 500:
        at_fault = Fault.PROVIDER if status in _OURS else Fault.MESSAGE
        return _refused(code, f"it answered {status}", fault=at_fault)
    return Ambiguous(code=code, detail=f"it answered {status}, which says nothing of what was done")


# Refusals of us (our key, our URL), which say nothing of the message.
_OURS = frozenset({401, 402, 403, 404, 405, 407})


def retry_after(answer: Answer, now: datetime) -> timedelta | None:
    """The header, as seconds or as a date; what cannot be read, or lies in the past, is none."""
    text = answer.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        wait = timedelta(seconds=int(text))
    else:
        try:
            wait = parsedate_to_datetime(text).astimezone(UTC) - now
        except (ValueError, OverflowError):
            return None
    return min(wait, LONGEST_WAIT) if wait > timedelta(0) else None


def shown(text: str) -> str:
    """A provider's words for people: on one line, clipped, and without what may be an address."""
    line = "".join(each if each.isprintable() else " " for each in text[: 4 * DETAIL_LIMIT])
    masked = _ADDRESS.sub("•••", line)
    return masked if len(masked) <= DETAIL_LIMIT else f"{masked[: DETAIL_LIMIT - 1]}…"


_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+|\+?\d(?:[ -]?\d){4,}")  # of mail; a number of a phone


class _Watch:
    """Ends a connection that takes longer than it may in all, however slowly it drips."""

    def __init__(self, seconds: float, watched: socket.socket) -> None:
        self._watched = watched
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self.fired = False

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _end(self) -> None:
        self.fired = True
        with contextlib.suppress(OSError):
            # not the method of an SSL socket, which would take its TLS away under the reader
            socket.socket.shutdown(self._watched, socket.SHUT_RDWR)


def _write(connection: HTTPConnection, target: Target, request: Request) -> None:
    headers = {
        "Host": target.authority,
        "User-Agent": "lifecycle-engine",
        "Accept-Encoding": "identity",
        "Connection": "close",
        **request.headers,
    }
    method = "GET" if request.body is None else "POST"
    connection.request(method, target.path, body=request.body, headers=headers)


def _read(response: HTTPResponse) -> bytes:
    """Cut off it is no JSON any more, so nobody has to know whether it was."""
    body = bytearray()
    with contextlib.suppress(OSError, HTTPException):
        while len(body) < BODY_LIMIT and (piece := response.read1(BODY_LIMIT - len(body))):
            body += piece
    return bytes(body)


def _refused(
    code: str,
    detail: str,
    *,
    fault: Fault = Fault.PROVIDER,
    permanent: bool = True,
    wait: timedelta | None = None,
) -> Refused:
    return Refused(code=code, detail=detail, fault=fault, permanent=permanent, retry_after=wait)


def _not_reached(code: str, detail: str) -> Refused:
    return _refused(code, detail, permanent=False)


def _no_answer(*, late: bool) -> Ambiguous:
    if late:
        return Ambiguous(code="no_answer", detail="all was written, and no answer came in time")
    return Ambiguous(code="answer_cut", detail="all was written, and the answer was cut off")
