"""How does an instant look in the database? Everybody else speaks aware UTC datetimes only.

SQLite keeps whole microseconds since 1970 (its texts would drop the zone and compare wrongly);
PostgreSQL keeps `timestamptz`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_microseconds(instant: datetime) -> int:
    """Exact for every datetime; a naive one is a TypeError."""
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_microseconds(value: int) -> datetime:
    return _EPOCH + timedelta(
        0, value // 1_000_000, value % 1_000_000
    )  # twice as fast as one number


def to_timestamptz(instant: datetime) -> datetime:
    """The instant itself; a naive one is a TypeError, as the server would guess its zone."""
    if instant.tzinfo is None:
        raise TypeError(f"an instant must be aware, not {instant!r}")
    return instant


def from_timestamptz(value: datetime) -> datetime:
    """The value itself: our sessions are in UTC, for which the driver makes `datetime.UTC`."""
    return value
