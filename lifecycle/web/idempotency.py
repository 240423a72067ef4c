"""Which key did the sender of a request give it, and is another request under the same in hand here?

What is kept under a key, and what two processes do at once, is `engine.once`'s.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from lifecycle.engine.keyring import Caller
from lifecycle.engine.once import Answer, Name, in_progress
from lifecycle.errors import Problem

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
LONGEST = 255  # characters

PARAMETER: dict[str, Any] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": (
        "chosen by the sender, another one for each request: the same request sent again under it"
        " gets the same answer"
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": "^[ -~]+$"},
}


def name_of(request: Request, caller: Caller) -> Name | None:
    """None where the sender gave no key; raises Problem for one that cannot be used."""
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    key = given[0]
    if len(given) > 1:
        raise _format(f"{len(given)} headers")
    if not 1 <= len(key) <= LONGEST:
        raise _format(f"{len(key)} characters")
    if not all(" " <= character <= "~" for character in key):
        raise _format("a character that is not visible ASCII")
    route = f"{request.method} {request.scope['route'].path}"
    return Name(principal=caller.key_id, route=route, key=key)


def _format(got: str) -> Problem:
    return Problem(
        "idempotency_key_format",
        "this cannot be an Idempotency-Key",
        pointer=HEADER,
        got=got,
        expected=f"one header with 1 to {LONGEST} visible ASCII characters, such as a UUID",
    )


def replayed(answer: Answer) -> Response:
    """The answer as it went out the first time, to the byte; which it was, its headers say."""
    return Response(
        answer.body.encode(),
        status_code=answer.status,
        headers={REPLAYED: "true"},
        media_type="application/json",
    )


class InHand:
    """The requests with a key that this process is answering. Used on the event loop alone.

    It holds a name from when the body is whole until there is an answer: a sender that stops in the
    middle of a body holds nothing, and what a process held ends with it.
    """

    def __init__(self) -> None:
        self._by_name: dict[Name, object] = {}

    def begin(self, name: Name, request: object) -> None:
        """Raises Problem where another request is in hand under this name."""
        if name in self._by_name:
            raise in_progress(name)
        self._by_name[name] = request

    def end(self, name: Name, request: object) -> None:
        """Does nothing for a request that was never begun."""
        if self._by_name.get(name) is request:
            del self._by_name[name]
