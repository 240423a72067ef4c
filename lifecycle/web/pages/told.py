"""How are figures, shares, dates and names said to people? Plainly, and the same on every machine."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from lifecycle.domain.money import minor_units
from lifecycle.intake.strict_json import tame

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PERCENT = "\u00a0%"  # stays with its number at the end of a line
_NO_TEXT = dict.fromkeys(
    end for plane in range(0xFFFE, 0x110000, 0x10000) for end in (plane, plane + 1)
)  # code points that no document may hold


def plain(text: str) -> str:
    """What may stand in a document: nothing invisible, nothing that turns the direction of writing."""
    return tame(text).translate(_NO_TEXT)


def number(count: int) -> str:
    return f"{count:,}"


def share(part: int, whole: int) -> str:
    """`12.0 %`; never 0 or 100 % where it is not all or nothing."""
    if not whole:
        return "–"
    percent = Decimal(100 * part) / whole
    if 0 < percent < Decimal("0.1"):
        return f"< 0.1{_PERCENT}"
    if Decimal("99.9") < percent < 100:
        return f"> 99.9{_PERCENT}"
    return f"{percent:.0f}{_PERCENT}" if percent in {0, 100} else f"{percent:.1f}{_PERCENT}"


def part(of_one: float) -> str:
    """`10 %` for 0.1."""
    return f"{of_one * 100:.4g}{_PERCENT}"


def many(count: int, one: str, more: str | None = None) -> str:
    """`1 customer`, `1,234 customers`."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def day(at: date) -> str:
    """`9 Dec 2011`."""
    return f"{at.day} {MONTHS[at.month - 1]} {at.year}"


def instant(at: datetime) -> str:
    at = at.astimezone(UTC)
    return f"{day(at)}, {at:%H:%M} UTC"


def days(count: int | None) -> str:
    return "–" if count is None else many(count, "day")


def span(length: timedelta) -> str:
    """Whole days where it is that; else hours."""
    if length % timedelta(days=1):
        return many(round(length / timedelta(hours=1)), "hour")
    return many(length.days, "day")


def money(amount: Decimal, currency: str) -> str:
    """With as many decimals as the currency has."""
    units = minor_units(currency)
    places = 2 if units is None else units
    rounded = amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
    return f"{rounded:,} {currency}"
