"""How many short messages is a text? What operators count, and what is paid for."""

from __future__ import annotations

from dataclasses import dataclass

# GSM 03.38: the characters that take one place, and those that take two.
_ONE = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_TWO = frozenset("^{}\\[~]|€\f")


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    encoding: str  # GSM-7, or UCS-2 as soon as one character is not in that
    places: int  # that the text takes
    count: int  # short messages
    strange: str  # the characters that GSM-7 has not, each once


def segments_of(text: str) -> Segments:
    """A message alone has 160 places, or 70 in UCS-2; one of several 153, or 67."""
    strange = "".join(dict.fromkeys(c for c in text if c not in _ONE and c not in _TWO))
    if strange:
        places = len(text.encode("utf-16-be")) // 2
        count = 1 if places <= 70 else -(-places // 67)
        return Segments(encoding="UCS-2", places=places, count=count, strange=strange)
    places = sum(2 if c in _TWO else 1 for c in text)
    count = 1 if places <= 160 else -(-places // 153)
    return Segments(encoding="GSM-7", places=places, count=count, strange="")
