"""What time is it for the engine? Real time, or `LIFECYCLE_CLOCK`: standing still, or running faster.

Pure: whoever asks brings the database's clock and the row that holds the origin (`store.clock`).

A made-up clock is *wound*: each winding says how far it may run until the next one. While nothing
runs (after a stop, a crash, a suspended machine) nobody winds it, so it stands still and never leaps
over time in which no event could arrive; it goes on from there when a process winds it again. All
processes of an installation read the same row, so they agree, and so do restarts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Self

from lifecycle.errors import Unusable

WOUND_FOR = timedelta(seconds=3)  # of real time: how far one winding carries
WIND_EVERY = timedelta(seconds=1)  # of real time: what keeps it going (`workers.clockwork`)

FASTEST = 100_000_000  # times real time: three years a second
_LAST = datetime(9999, 1, 1, tzinfo=UTC)  # it stands still there

_SHAPE = re.compile(
    r"(?P<start>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d))"
    r"(\*(?P<rate>\d{1,9}(\.\d{1,6})?))?"
)
_ALLOWED = (
    "allowed: 2011-12-10T00:00:00Z (stands still there), or 2011-12-10T00:00:00Z*86400"
    " (starts there and runs that many times faster); unset it for real time"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The row that all processes of an installation share; rewritten by every winding."""

    spec: str  # the text of the ClockSpec that set it
    real_origin: datetime  # the database's clock at the latest winding
    virtual_origin: datetime  # what the engine's clock said then
    seen: datetime  # it says nothing later than this before it is wound again


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSpec:
    """Where a made-up clock starts, and how fast it runs."""

    start: datetime  # aware UTC
    rate: Fraction  # seconds of its time in a second of real time; 0: stands still

    @classmethod
    def parse(cls, text: str, *, where: str = "LIFECYCLE_CLOCK") -> Self:
        """Raises Unusable, naming `where` the text was found."""
        found = _SHAPE.fullmatch(text)
        if found is None:
            raise Unusable(f"{where}: {text!r} is not a clock; {_ALLOWED}")
        try:
            start = datetime.fromisoformat(found["start"]).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise Unusable(f"{where}: {found['start']!r} is no instant ({error})") from error
        rate = Fraction(found["rate"] or 0)
        if found["rate"] is not None and not 0 < rate <= FASTEST:
            raise Unusable(
                f"{where}: the clock cannot run {found['rate']} times as fast;"
                f" the rate is above 0 and at most {FASTEST}; leave out `*…` to let it stand still"
            )
        if start >= _LAST:
            raise Unusable(
                f"{where}: {found['start']!r} is after {_LAST:%Y-%m-%d}, the end of time"
            )
        return cls(start=start, rate=rate)

    def __str__(self) -> str:
        start = self.start.isoformat().replace("+00:00", "Z")
        # A decimal in the text has at most 15 digits, so this gives back what was parsed.
        rate = Decimal(self.rate.numerator) / Decimal(self.rate.denominator)
        return f"{start}*{rate:f}" if self.rate else start

    def at(self, origin: Origin, real_now: datetime) -> datetime:
        """What the clock says: nothing before its latest winding, even when real time went back."""
        elapsed = max(real_now - origin.real_origin, timedelta(0)) // timedelta(microseconds=1)
        room = (origin.seen - origin.virtual_origin) // timedelta(microseconds=1)
        return origin.virtual_origin + timedelta(microseconds=min(int(elapsed * self.rate), room))

    def wind(self, origin: Origin, real_now: datetime) -> Origin:
        """Let it run on from what it says now, for `WOUND_FOR` of real time."""
        return _origin(self, self.at(origin, real_now), real_now, run_for=WOUND_FOR)

    def stop(self, origin: Origin, real_now: datetime) -> Origin:
        """Let it stand still at what it says now until it is wound again."""
        return _origin(self, self.at(origin, real_now), real_now, run_for=timedelta(0))


def begin(
    spec: ClockSpec | None,
    found: Origin | None,
    real_now: datetime,
    *,
    alone: bool,
    lived_until: datetime | None,
) -> Origin | None:
    """The row that a process writes when it starts with `spec`; None is real time, and no row.

    The same spec goes on where the clock stood. Another one starts anew: never earlier than what the
    database has lived through, which `lived_until` tells of one in real time (None: nothing yet), nor
    while another process winds the clock that it has. Raises Unusable. Whether another one runs in
    real time nobody knows; only `alone` rules it out.
    """
    if found is None:
        return None if spec is None else _anew(spec, real_now, lived_until)
    if spec is not None and str(spec) == found.spec:
        return spec.wind(found, real_now)
    wanted = f"LIFECYCLE_CLOCK={spec}" if spec else "real time"
    kept = f"this database has its own clock, LIFECYCLE_CLOCK={found.spec}"
    if not alone and real_now - found.real_origin < WOUND_FOR:
        raise Unusable(
            f"{wanted}: {kept}, and another process keeps it running;"
            " use the same clock, or stop that process first"
        )
    stood_at = ClockSpec.parse(found.spec).at(found, real_now)
    start = spec.start if spec else real_now
    if start < stood_at:
        raise Unusable(
            f"{wanted} would turn the clock back: {kept}, and has lived until"
            f" {stood_at:%Y-%m-%dT%H:%M:%SZ}; nothing was changed."
            " Set that clock again, one that starts later, or use another database"
        )
    return None if spec is None else _origin(spec, start, real_now, run_for=WOUND_FOR)


def _anew(spec: ClockSpec, real_now: datetime, lived_until: datetime | None) -> Origin:
    """In a database that has been in real time until now, or is new."""
    if lived_until is not None and spec.start < lived_until:
        raise Unusable(
            f"LIFECYCLE_CLOCK={spec} would turn the clock back: this database has lived in real time"
            f" until {lived_until:%Y-%m-%dT%H:%M:%SZ}; nothing was changed."
            " Unset it, set one that starts later, or use another database"
        )
    return _origin(spec, spec.start, real_now, run_for=WOUND_FOR)


def _origin(
    spec: ClockSpec, virtual: datetime, real_now: datetime, *, run_for: timedelta
) -> Origin:
    ahead = int(run_for // timedelta(microseconds=1) * spec.rate)
    room = (_LAST - virtual) // timedelta(microseconds=1)
    return Origin(
        spec=str(spec),
        real_origin=real_now,
        virtual_origin=virtual,
        seen=virtual + timedelta(microseconds=max(0, min(ahead, room))),
    )
