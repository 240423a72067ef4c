"""Reads what somebody posts: a form of one of our pages, or a report; never more than is allowed."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

from starlette.requests import Request

from lifecycle.errors import Problem

FORM_BYTES = 16 * 1024
_MOST_FIELDS = 200


async def read_body(request: Request, most: int) -> bytes:
    """Raises Problem as soon as there is more than that."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise Problem(
                "body_too_large",
                f"the body is too large (limit {most // 1024} KiB)",
                status=413,
                expected=f"at most {most} bytes",
            )
    return bytes(body)


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
