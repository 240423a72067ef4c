"""Which bytes are an HTTP request? uvicorn's parser says; here is what it is too lenient about.

It refuses two lengths, a length beside chunks, and everything else that two servers could read in
two ways. Added: one Host header, a limit on the head, and that a request followed by garbage has not
happened: it may be half of somebody else's.
"""

from __future__ import annotations

from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from lifecycle.errors import Problem
from lifecycle.logs.lines import Teller
from lifecycle.web import request_ids
from lifecycle.web.guard import HEADERS
from lifecycle.web.problems import document

tell = Teller("lifecycle.web")

HEAD_BYTES = 64 * 1024  # of a request line and its headers


class StrictProtocol(HttpToolsProtocol):
    _in_head = False
    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        was_in_head = self._in_head
        super().data_received(data)
        if was_in_head and self._in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self.send_400_response("the head is too long")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """What is raised here, the parser turns into a refusal of the request."""
        self._in_head = False
        if sum(len(name) + len(value) for name, value in self.headers) > HEAD_BYTES:
            raise ValueError("the head is too long")
        if sum(name == b"host" for name, _ in self.headers) != 1:
            raise ValueError("there is not exactly one Host header")
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - it never says more than we do
        """Refuses, and closes; a request that was read whole, but not begun, is taken back."""
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body and not cycle.body:
                # It is being answered already: it gets its answer, what came after it gets none.
                cycle.keep_alive = False
                self.transport.pause_reading()
                return
            cycle.disconnected = True
            cycle.message_event.set()
        if not self.pipeline:  # else the refusal would be taken for the answer to an earlier one
            self.transport.write(_refusal())
        self.transport.close()


def _refusal() -> bytes:
    request_id = request_ids.new()
    tell.info("request_unreadable", "refused what is not HTTP", request_id=request_id, status=400)
    problem = Problem(
        "http_invalid",
        "this is not a valid HTTP/1.1 request",
        status=400,
        expected="one Host header, one length, a head of at most 64 KiB, nothing after the body",
    )
    body = document(problem, request_id)
    headers = (
        *HEADERS,
        (b"x-request-id", request_id.encode()),
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    )
    head = b"".join(b"%s: %s\r\n" % header for header in headers)
    return b"HTTP/1.1 400 Bad Request\r\n" + head + b"\r\n" + body
