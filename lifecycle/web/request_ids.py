"""Under which id is a request found again? Under its sender's, if that is fit for a log; else our own.

`X-Request-ID` wins over the trace of a W3C `traceparent`. Neither is trusted: it may be anybody's.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

from lifecycle.store.events import BY_IMPORT

_FIT = re.compile(rb"(?!%b)[A-Za-z0-9][A-Za-z0-9._-]{7,63}" % BY_IMPORT.encode())
_TRACE = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_FUTURE = re.compile(
    rb"(?!00|ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}-.*"
)

Headers = Iterable[tuple[bytes, bytes]]


def new() -> str:
    return secrets.token_hex(8)


def of(headers: Headers) -> str:
    """8 to 64 letters, digits, dots, dashes and underscores, whoever chose them."""
    sent = _once(headers, b"x-request-id")
    if sent is not None and _FIT.fullmatch(sent):
        return sent.decode()
    trace = _once(headers, b"traceparent")
    if trace is not None and (found := _TRACE.fullmatch(trace) or _FUTURE.fullmatch(trace)):
        return found[1].decode()
    return new()


def _once(headers: Headers, name: bytes) -> bytes | None:
    """A header that comes twice names two requests, and so none."""
    values = [value for each, value in headers if each == name]
    return values[0] if len(values) == 1 else None
