"""Reads what somebody posts: a form of one of our pages, or a report; never more than is allowed."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import parse_qs

from starlette.requests import Request

from lifecycle.errors import Problem

FORM_BYTES = 16 * 1024
BODY_SECONDS = 10.0  # from the head to the last byte; SNS waits for 15 s in all
_MOST_FIELDS = 200


def _hold_freely(_size: int) -> None:
    """What is small, or comes by a key, is counted by nobody."""


async def read_body(
    request: Request, most: int, hold: Callable[[int], None] = _hold_freely
) -> bytes:
    """Raises Problem as soon as there is more than that, or it takes too long.

    `hold` is told of bytes before they are kept, and may raise Problem itself.
    """
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read(request, most, hold)
    except TimeoutError:
        raise _too_slow() from None


async def _read(request: Request, most: int, hold: Callable[[int], None]) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        hold(len(chunk))
        body += chunk
        if len(body) > most:
            raise Problem(
                "body_too_large",
                f"the body is too large (limit {most // 1024} KiB)",
                status=413,
                expected=f"at most {most} bytes",
            )
    return bytes(body)


def _too_slow() -> Problem:
    """503, not 408: providers take most of what begins with a 4 for a no that is final."""
    return Problem(
        "body_too_slow",
        "the body did not come in time",
        status=503,
        expected=f"the whole body within {BODY_SECONDS:g} seconds",
        hint="post it again",
    )


def form_in(body: bytes) -> Mapping[str, Sequence[str]]:
    """The fields of a posted form; nothing of one that no browser would have sent."""
    try:
        return parse_qs(
            body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
        )
    except ValueError:
        return {}


def first(form: Mapping[str, Sequence[str]], name: str) -> str:
    values = form.get(name)
    return values[0] if values else ""


def words_in(text: str) -> str:
    """What a person wrote, with nothing in it that nobody can see but the ends of lines."""
    unified = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    kept = (each for each in unified if each == "\n" or unicodedata.category(each)[0] != "C")
    return "".join(kept).strip()
