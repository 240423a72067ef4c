"""How an instant is written and where time ends; everything is aware UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import orjson

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
END = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


def instant_text(instant: datetime) -> str:
    """`2026-01-01T09:00:00Z`, with microseconds only where there are any."""
    return orjson.dumps(instant, option=orjson.OPT_UTC_Z)[1:-1].decode()  # 3 × as fast as isoformat


def instant_from(text: str) -> datetime:
    """The inverse of `instant_text`."""
    return datetime.fromisoformat(text)


def later(instant: datetime, wait: timedelta) -> datetime:
    """The instant `wait` after another, or END where the calendar stops."""
    try:
        return instant + wait
    except OverflowError:
        return END


def decimal_text(value: Decimal) -> str:
    """Plain and canonical: no exponent, no trailing zeros, no negative zero."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def seconds_text(duration: timedelta) -> str:
    """A duration in seconds as canonical decimal text."""
    micros = duration // timedelta(microseconds=1)
    return decimal_text(Decimal(micros).scaleb(-6))
