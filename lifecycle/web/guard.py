"""What holds for every request and every answer, whatever it is about.

A request id, and a line of the log under it; headers that keep browsers from doing anything clever;
and no exception that leaks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lifecycle.engine.observer import Observer
from lifecycle.logs import context
from lifecycle.logs.lines import Field, Line, Teller
from lifecycle.web import problems, request_ids

tell = Teller("lifecycle.web")

_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none';"
    " object-src 'none'"
)
HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})  # asked every few seconds, and never news


class Guard:
    def __init__(self, app: ASGIApp, observer: Observer) -> None:
        self._app = app
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            raise NotImplementedError(f"no {scope['type']} is spoken here")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = request_ids.of(scope["headers"])
        scope.setdefault("state", {}).update(request_id=request_id, method=scope["method"])
        with context.about(request_id=request_id):
            await self._answer_as(request_id, scope, receive, send)

    async def _answer_as(self, request_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        started = False
        asked = _as_get(scope)
        begun = time.perf_counter()

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                seconds = time.perf_counter() - begun
                self._observer.answered(_route(asked), message["status"], seconds)
                _tell_of(asked, message["status"], seconds)
                message = {**message, "headers": _with_ours(message["headers"], request_id)}
            await send(message)

        try:
            await self._app(asked, receive, send_guarded)
        except ClientDisconnect:
            tell.info("request_abandoned", "the client went away before its request was read")
        except Exception as error:
            tell.error(
                "request_failed",
                "{method} {route} failed",
                method=scope["method"],
                route=_route(asked),
                error=error,
            )
            if started:
                raise  # the connection is cut: half an answer must not look like a whole one
            answer = problems.response(problems.internal_error(), Request(scope))
            await answer(scope, receive, send_guarded)


def _tell_of(scope: MutableMapping[str, Any], status: int, seconds: float) -> None:
    """One line a request: what was asked, and how many of the events that it posted became what."""
    level = logging.DEBUG if _route(scope) in PROBES else logging.INFO
    if not tell.hears(level):
        return
    fields: dict[str, Field] = {
        "method": scope["method"],
        "route": _route(scope),
        "status": status,
        "ms": round(seconds * 1000, 1),
        "code": scope["state"].get("code"),
        "key": getattr(scope["state"].get("caller"), "name", None),
        **scope["state"].get("told", {}),
    }
    tell.all(level, [Line("request", "{method} {route}: {status} in {ms} ms", fields)])


def _route(scope: MutableMapping[str, Any]) -> str:
    """The route, not the path: identifiers of customers have no place in a log or a label."""
    found: str = getattr(scope.get("route"), "path", "no route")
    return found


def _with_ours(headers: Any, request_id: str) -> list[tuple[bytes, bytes]]:
    given = {name.lower() for name, _ in headers}
    ours = [header for header in HEADERS if header[0] not in given]
    return [*headers, *ours, (b"x-request-id", request_id.encode())]


def _as_get(scope: Scope) -> MutableMapping[str, Any]:
    """HEAD is GET without a body, which the server leaves out by itself."""
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
