"""How does a reader say where to go on? By a text that only we make, for the query it was made for.

No secret is in it: whoever makes one up on purpose only chooses a page of what may be read anyhow.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from lifecycle.errors import Problem

_MARK = 6  # bytes


def sealed(query: Sequence[Any], place: Sequence[Any]) -> str:
    """A cursor at a place, good for this query alone."""
    written = orjson.dumps(list(place))
    return _text(_mark(query, written) + written)


def opened(cursor: str, query: Sequence[Any], shape: Sequence[type]) -> list[Any]:
    """The place of a cursor, whose parts are of the types in `shape`.

    Raises Problem for one that was altered or made for another query.
    """
    try:
        held = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        held = b""
    mark, written = held[:_MARK], held[_MARK:]
    known = _text(held) == cursor and mark == _mark(query, written)
    place: list[Any] = orjson.loads(written) if known else []
    if [type(part) for part in place] != list(shape):
        raise Problem(
            "cursor_invalid",
            "the cursor is not one that was given for this query",
            pointer="cursor",
            got=cursor[:60],
            expected="the `cursor` of an answer to the same query, unchanged, or none",
        )
    return place


def _mark(query: Sequence[Any], written: bytes) -> bytes:
    return hashlib.blake2b(orjson.dumps(list(query)) + written, digest_size=_MARK).digest()


def _text(held: bytes) -> str:
    return base64.urlsafe_b64encode(held).decode().rstrip("=")
