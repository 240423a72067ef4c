"""What a browser would make of a page: its elements, its tables, its drawings."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

VOID = {"meta", "link", "br", "img", "input", "hr"}


@dataclass
class Table:
    head: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)

    def column(self, name: str) -> list[int]:
        place = self.head.index(name)
        return [int(row[place].replace(",", "")) for row in self.rows]


class Read(HTMLParser):
    """Fails where an element is not closed in its turn."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []  # element, name, value
        self.said: list[str] = []  # all text but that of the style sheet
        self.style = ""
        self.tables: dict[str, Table] = {}
        self._open: list[str] = []
        self._table = Table()
        self._caption = ""
        self.feed(page)
        self.close()
        assert self._open == [], f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag in VOID:
            return
        self._open.append(tag)
        if tag == "table":
            self._table, self._caption = Table(), ""
        elif tag == "tr" and "tbody" in self._open:
            self._table.rows.append([])
        elif tag in {"td", "th"}:
            self._cells().append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"closed too early: {tag}"
        if tag == "table":
            assert self._caption not in self.tables, f"two tables called {self._caption}"
            self.tables[self._caption] = self._table

    def handle_data(self, data: str) -> None:
        where = self._open[-1] if self._open else ""
        if where == "style":
            self.style += data
            return
        self.said.append(data)
        if where == "caption":
            self._caption += data
        elif where in {"td", "th"}:
            self._cells()[-1] += data

    def _cells(self) -> list[str]:
        return self._table.rows[-1] if "tbody" in self._open else self._table.head

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.said).split())

    def values(self, name: str) -> list[str]:
        return [value for _, each, value in self.attributes if each == name]


def drawings(page: str) -> dict[str, ET.Element]:
    """Every picture, by its key; each is XML of its own."""
    found = [ET.fromstring(text) for text in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]
    keyed = {root.attrib["aria-labelledby"].split("-title")[0]: root for root in found}
    assert len(keyed) == len(found)
    return keyed


def points(path: str) -> list[tuple[float, float]]:
    """Of a path that goes from point to point."""
    return [
        (float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path)
    ]  # fmt: skip
