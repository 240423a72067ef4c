"""Reads the body of a post: of the right kind, whole, decompressed, and never larger than allowed."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from starlette.requests import Request

from lifecycle.errors import Problem
from lifecycle.intake.strict_json import KIB, LIMITS, Limits, shown, too_long

_GZIP = 16 + zlib.MAX_WBITS
_UTF8 = {"utf-8", "utf8"}


_PATIENCE = 8 * 1024 * KIB  # of a body that is too long: read, and thrown away


async def read_json_body(
    request: Request, hold: Callable[[int], None], limits: Limits = LIMITS
) -> bytes:
    """Raises Problem. Takes in no more than the limit, and makes no more than that of it.

    `hold` may raise Problem itself. It is told of bytes that came in before they are kept; of what a
    compressed body turned out to hold when it is known, which is the limit at most. For a moment
    both are in memory.
    """
    _require_json(request.headers.getlist("content-type"))
    compressed = _is_compressed(request.headers.getlist("content-encoding"))
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limits.body_bytes:
            hold(len(chunk))
            chunks.append(chunk)
        elif size > _PATIENCE:
            # An honest client of a slightly too long body reads the answer only when it has sent
            # everything, so it was let finish; this one may go on for ever.
            break
    if size > limits.body_bytes:
        raise too_long(None if size > _PATIENCE else size, limits)
    body = b"".join(chunks)
    if not compressed:
        return body
    inflated = _inflated(body, limits)
    hold(len(inflated))
    return inflated


def _require_json(given: list[str]) -> None:
    kind, *parameters = (given[0] if len(given) == 1 else "").split(";")
    charset = next(
        (
            value
            for key, _, value in (p.partition("=") for p in parameters)
            if key.strip().lower() == "charset"
        ),
        "utf-8",
    )
    if kind.strip().lower() != "application/json" or charset.strip(' "').lower() not in _UTF8:
        raise Problem(
            "content_type",
            "the Content-Type is not that of JSON in UTF-8",
            status=415,
            got=shown(", ".join(given)) if given else "none",
            expected="Content-Type: application/json",
        )


def _is_compressed(given: list[str]) -> bool:
    encoding = ", ".join(given).strip().lower()
    if encoding in {"", "identity"}:
        return False
    if encoding in {"gzip", "x-gzip"}:
        return True
    raise Problem(
        "content_encoding",
        "the Content-Encoding is not understood",
        status=415,
        got=shown(encoding),
        expected="gzip, or none",
    )


def _inflated(body: bytes, limits: Limits) -> bytes:
    """Stops at the limit, however far the body would go on."""
    reader = zlib.decompressobj(_GZIP)
    try:
        inflated = reader.decompress(body, limits.body_bytes + 1)
    except zlib.error as error:
        raise _broken(str(error)) from None
    if len(inflated) > limits.body_bytes:
        raise Problem(
            "body_too_large",
            f"the body is too large (limit {limits.body_bytes // KIB} KiB after decompression)",
            status=413,
            expected=f"at most {limits.body_bytes} bytes after decompression",
            hint="split it into smaller batches",
        )
    if not reader.eof:
        raise _broken("it ends too early")
    if reader.unused_data:
        raise _broken("there is more after its end")
    return inflated


def _broken(why: str) -> Problem:
    return Problem(
        "content_encoding",
        f"the body is not gzip, as its Content-Encoding says: {why}",
        status=400,
        expected="a gzip stream",
    )
