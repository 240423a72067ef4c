"""What holds for every request and every answer, whatever it is about.

A request id; headers that keep browsers from doing anything clever; and no exception that leaks.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lifecycle.engine.observer import Observer
from lifecycle.logs.lines import Teller
from lifecycle.web import problems

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
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        started = False
        asked = _as_get(scope)
        begun = time.perf_counter()

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                seconds = time.perf_counter() - begun
                self._observer.answered(_route(asked), message["status"], seconds)
                message = {**message, "headers": _with_ours(message["headers"], request_id)}
            await send(message)

        try:
            await self._app(asked, receive, send_guarded)
        except ClientDisconnect:
            tell.debug(
                "request_abandoned",
                "the client of request {request_id} went away before it was read",
                request_id=request_id,
            )
        except Exception as error:
            tell.error(
                "request_failed",
                "request {request_id} failed: {method} {route}",
                request_id=request_id,
                method=scope["method"],
                route=_route(asked),
                error=error,
            )
            if started:
                raise  # the connection is cut: half an answer must not look like a whole one
            answer = problems.response(problems.internal_error(), Request(scope))
            await answer(scope, receive, send_guarded)


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
