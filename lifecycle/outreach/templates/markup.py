"""Are the tags of an e-mail's template in order? Told with their lines, which MJML itself cannot."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from lifecycle.errors import Finding
from lifecycle.outreach.templates.mail import LINKING, SCHEMES, is_safe_link
from lifecycle.outreach.templates.part import Part
from lifecycle.policy.report import Place, Report

_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)
_REFUSED = frozenset(
    {"script", "iframe", "object", "embed", "form", "input", "base", "mj-include", "svg", "applet"}
)
_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)


def problems_of(part: Part) -> tuple[Finding, ...]:
    """Tags that are not closed, that no e-mail may have, and links to nowhere good."""
    report = Report(part.file)
    reader = _Tags(part, report)
    reader.feed(_JINJA.sub(_blanked, part.text))
    reader.close()
    reader.end()
    return report.findings()


def _blanked(match: re.Match[str]) -> str:
    """As long as what it stands for, so that every place stays what it is."""
    return re.sub(r"[^\n]", "x", match.group())


class _Tags(HTMLParser):
    def __init__(self, part: Part, report: Report) -> None:
        super().__init__(convert_charrefs=True)
        self._part = part
        self._report = report
        self._open: list[tuple[str, Place]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._look(tag, attrs)
        if tag not in _VOID:
            self._open.append((tag, self._place()))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._look(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        names = [name for name, _ in self._open]
        if tag not in names:
            self._error("tag_not_open", f"</{tag}> closes what was not opened")
            return
        while (opened := self._open.pop())[0] != tag:
            self._report.error(opened[1], "tag_not_closed", f"<{opened[0]}> is closed nowhere")

    def end(self) -> None:
        for name, place in self._open:
            self._report.error(place, "tag_not_closed", f"<{name}> is closed nowhere")

    def _look(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _REFUSED:
            self._error("tag_not_allowed", f"<{tag}> has no place in an e-mail")
        for name, value in attrs:
            if name.startswith("on"):
                self._error("tag_not_allowed", f"{name}= runs a script; mail programs refuse it")
            if name in LINKING and not is_safe_link(value or ""):
                allowed = ", ".join(sorted(SCHEMES))
                self._error("unsafe_link", f"{name} goes elsewhere than {allowed}")

    def _place(self) -> Place:
        line, column = self.getpos()
        return Place(self._part.line + line - 1, column + 1)

    def _error(self, code: str, message: str) -> None:
        self._report.error(self._place(), code, message)
