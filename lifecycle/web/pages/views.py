"""What a page is made of, before it is HTML: figures, drawings, rows with a bar, tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFigure:
    what: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Behind the charts: the first column names the row, the others are figures."""

    about: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    words: tuple[int, ...] = ()  # columns that hold words, beside the first


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """The same chart, for wide pages and for phones."""

    wide: Markup
    narrow: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Small:
    """One of many small charts."""

    colour: str
    from_state: str
    to_state: str
    rule: str
    total: str
    chart: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    name: str
    aside: str = ""  # small, after the name
    bar: Markup
    value: str
    note: str = ""  # small, after the value
    colour: str = ""  # of the dot before the name


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What a colour stands for."""

    colour: str
    name: str
    value: str
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A question, what is found in one sentence or two, and what shows it."""

    key: str  # its address on the page
    title: str
    found: str
    drawing: Drawing | None = None
    smalls: Sequence[Small] = ()
    keys: Sequence[Key] = ()
    rows: Sequence[Row] = ()
    more_rows: Sequence[Row] = ()  # folded away
    more_said: str = ""
    note: str = ""
    tables: Sequence[Table] = ()
