"""Where findings are collected, and the words in which they are told."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple

from lifecycle.errors import Finding

MOST_FINDINGS = 200  # one broken paste must not bury the reader


class Place(NamedTuple):
    """Where something stands in the file; both count from 1."""

    line: int
    column: int


START = Place(1, 1)


class Report:
    """Every problem of one file; reading goes on after each, so that all are told at once."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._findings: dict[tuple[Place, str, str], Finding] = {}
        self._unlisted = 0

    def error(self, place: Place, code: str, message: str) -> None:
        self._add(place, code, message, warning=False)

    def warn(self, place: Place, code: str, message: str) -> None:
        self._add(place, code, message, warning=True)

    @property
    def refused(self) -> bool:
        return any(not finding.warning for finding in self._findings.values())

    def findings(self) -> tuple[Finding, ...]:
        """In the order of the file; the same problem at the same place is told once."""
        found = sorted(self._findings.values(), key=lambda f: (f.line, f.column, f.warning, f.code))
        if self._unlisted:
            found.append(
                Finding(
                    file=self.file,
                    line=found[-1].line,
                    column=found[-1].column,
                    code="more_findings",
                    message=f"and {self._unlisted} more that are not listed",
                )
            )
        return tuple(found)

    def _add(self, place: Place, code: str, message: str, *, warning: bool) -> None:
        key = (place, code, message)
        if key in self._findings:
            return
        if len(self._findings) >= MOST_FINDINGS:
            self._unlisted += 1
            return
        self._findings[key] = Finding(
            file=self.file,
            line=place.line,
            column=place.column,
            code=code,
            message=message,
            warning=warning,
        )


def found(text: str) -> str:
    """What was found, clipped so that a message stays one line."""
    flat = " ".join(text.split())
    if len(flat) > 60:
        flat = flat[:57] + "..."
    return f'found "{flat}"'


def allowed(options: Iterable[str]) -> str:
    listed = list(options)
    if not listed:
        return "none is declared"
    if len(listed) > 24:
        return f"allowed: {', '.join(listed[:20])} and {len(listed) - 20} more"
    return "allowed: " + ", ".join(listed)


def nearest(text: str, options: Iterable[str]) -> str | None:
    """The option that was probably meant, whatever its case and its dashes; None: no idea."""
    plain = {_plain(option): option for option in reversed(list(options))}
    hits = get_close_matches(_plain(text), plain, n=1, cutoff=0.6)
    return plain[hits[0]] if hits else None


def did_you_mean(text: str, options: Iterable[str]) -> str:
    """`; did you mean "…"?`, or nothing."""
    near = nearest(text, options)
    return f'; did you mean "{near}"?' if near is not None else ""


def unlisted(what: str, text: str, options: Iterable[str]) -> str:
    """The whole sentence for a word that is not one of those allowed here."""
    listed = list(options)
    return f"{what}: {found(text)}; {allowed(listed)}{did_you_mean(text, listed)}"


def _plain(text: str) -> str:
    return text.lower().replace("-", "_")
