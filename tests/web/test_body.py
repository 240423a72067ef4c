"""A body is taken in up to its limit, and whoever counts the memory is told of all of it."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Sequence

import pytest
from starlette.requests import Request
from starlette.types import Message

from lifecycle.errors import Problem
from lifecycle.intake.strict_json import LIMITS
from lifecycle.web.body import read_json_body

MOST = LIMITS.body_bytes


class Held:
    """Counts what it is told, and refuses what is beyond its room."""

    def __init__(self, room: int = 10**9) -> None:
        self.sizes: list[int] = []
        self._room = room

    def __call__(self, size: int) -> None:
        if sum(self.sizes) + size > self._room:
            raise Problem("rate_limited", "no room", status=429, limit="bodies")
        if size:
            self.sizes.append(size)


def read(chunks: Sequence[bytes], held: Held, encoding: str = "identity") -> bytes:
    left = list(chunks)

    async def receive() -> Message:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    headers = [(b"content-type", b"application/json"), (b"content-encoding", encoding.encode())]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    return asyncio.run(read_json_body(request, held))


def test_each_chunk_is_told_before_it_is_kept() -> None:
    held = Held()
    assert read([b"ab", b"cde"], held) == b"abcde"
    assert held.sizes == [2, 3]


def test_what_a_compressed_body_holds_is_told_too() -> None:
    held, packed = Held(), gzip.compress(b" " * 1_000)
    assert read([packed], held, "gzip") == b" " * 1_000
    assert held.sizes == [len(packed), 1_000]


@pytest.mark.parametrize("room", [10, 500])
def test_what_there_is_no_room_for_is_refused_in_the_middle(room: int) -> None:
    """While it comes in, and once it is known how much it holds."""
    with pytest.raises(Problem, match="no room"):
        read([gzip.compress(b" " * 1_000)], Held(room), "gzip")


def test_a_body_of_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    for encoding, packed in (("identity", lambda body: body), ("gzip", gzip.compress)):
        assert len(read([packed(b" " * MOST)], Held(), encoding)) == MOST
        held = Held()
        with pytest.raises(Problem) as raised:
            read([packed(b" " * (MOST + 1))], held, encoding)
        assert raised.value.status == 413
        assert sum(held.sizes) <= MOST


def test_what_is_beyond_the_limit_is_read_and_not_kept() -> None:
    held = Held()
    with pytest.raises(Problem):
        read([b" " * MOST, b" " * MOST, b" "], held)
    assert held.sizes == [MOST]
