"""How wide is a text in a sans-serif font? Near enough to keep labels apart, and never too narrow."""

from __future__ import annotations

from unicodedata import east_asian_width

_NARROW = frozenset("iljtfr.,:;'|!()[]{} ·-")
_WIDE = frozenset("mwMW@%")


def width(text: str, size: float, *, bold: bool = False) -> float:
    """In pixels, at this font size."""
    ems = sum(map(_ems, text))
    return ems * size * (1.05 if bold else 1.0)


def _ems(char: str) -> float:
    if east_asian_width(char) in "WF":
        return 1.02
    if char in _NARROW:
        return 0.36
    if char in _WIDE:
        return 0.92
    return 0.70 if char.isupper() or char in "=<>&+" else 0.58


def wrapped(words: list[str], size: float, most: float) -> list[str]:
    """Lines no wider than `most`, broken between words; a word that is too wide stands alone."""
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width(longer, size) <= most:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
