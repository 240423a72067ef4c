"""How many each day, each week, or of each number? Columns on a common ground."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from lifecycle.policy.diagram.measure import width
from lifecycle.web.pages import told
from lifecycle.web.pages.charts import marks
from lifecycle.web.pages.charts.scale import Scale, Tick, pieces, round_ticks

_TOP = 26.0  # room for what is written above the highest column
_BOTTOM = 24.0
_HOVERED = 1000  # columns at most that tell their figures under the pointer


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    key: str
    title: str
    about: str
    values: Sequence[int]
    colour: str  # class of the style sheet
    ticks: Sequence[Tick] = ()  # where, in columns from the left edge of the first
    marked: Mapping[int, str] = field(default_factory=dict)  # column → a colour of its own
    note: tuple[int, str] | None = None  # a column, and what is written above it
    said: Callable[[int], str] | None = None  # what a column tells under the pointer


def columns(chart: Columns, wide: float, high: float, *, axis: bool = True) -> Markup:
    """Drawn so wide and high. Where columns are narrower than a pixel, the highest of neighbours stands
    for them, so that no peak is lost. Without `axis` no values are written beside it.
    """
    most = max(1, *chart.values) if chart.values else 1
    ticks = round_ticks(most, 6) if axis else []
    left = 8 + 1.1 * max(width(told.number(tick), 12) for tick in ticks) if axis else 0.5
    y = Scale(low=0, high=most, start=high - _BOTTOM, end=_TOP)
    x = Scale(low=0, high=max(1, len(chart.values)), start=left, end=wide - (8 if axis else 0.5))
    across = f"H{marks.n(x.end)}"
    return marks.drawing(
        *(
            marks.element("path", d=f"M{marks.n(left)} {marks.n(y(tick))}{across}", class_="hair")
            for tick in ticks[1:]
        ),
        *(
            marks.text(told.number(tick), left - 8, y(tick) + 4, "axis", text_anchor="end")
            for tick in ticks
        ),
        *_columns(chart, x, y),
        marks.element("path", d=f"M{marks.n(left)} {marks.n(y.start)}{across}", class_="ground"),
        *_ticks(chart.ticks, x, high),
        *(_note(chart, x, y) if chart.note else ()),
        *(_strips(chart, x, y) if chart.said and len(chart.values) <= _HOVERED else ()),
        key=chart.key,
        title=chart.title,
        about=chart.about,
        size=(wide, high),
        class_="columns",
    )


def _columns(chart: Columns, x: Scale, y: Scale) -> list[Markup]:
    """One path for each colour."""
    each = (x.end - x.start) / x.high
    gap = min(3.0, each * 0.18) if each >= 3 else 0.0
    paths: dict[str, list[str]] = {}
    for piece in pieces(len(chart.values), max(1, int(x.end - x.start))):
        highest = max(piece, key=lambda place: (chart.values[place], -place))
        value = chart.values[highest]
        if not value:
            continue
        colour = next((chart.marked[one] for one in piece if one in chart.marked), chart.colour)
        start, end = x(piece.start) + gap / 2, x(piece.stop) - gap / 2
        paths.setdefault(colour, []).append(
            f"M{start:.2f} {marks.n(y.start)}V{y(value):.2f}H{end:.2f}V{marks.n(y.start)}Z"
        )
    return [
        marks.element("path", d="".join(path), class_=f"column {colour}")
        for colour, path in paths.items()
    ]


def _ticks(ticks: Sequence[Tick], x: Scale, high: float) -> list[Markup]:
    """Names at the ends turn inwards."""
    drawn = []
    for tick in ticks:
        at = x(tick.at)
        half = width(tick.said, 12) / 2
        anchor = "start" if at - half < 0 else "end" if at + half > x.end + 8 else "middle"
        drawn.append(
            marks.element("path", d=f"M{marks.n(at)} {marks.n(high - _BOTTOM)}v4", class_="tick")
        )
        drawn.append(marks.text(tick.said, at, high - 6, "axis", text_anchor=anchor))
    return drawn


def _note(chart: Columns, x: Scale, y: Scale) -> list[Markup]:
    """Above the column, and above every other one that it would cover."""
    assert chart.note is not None
    place, said = chart.note
    at, room = x(place + 0.5), 1.1 * width(said, 12, bold=True)
    start = max(x.start, min(at - room / 2, x.end - room))
    each = (x.end - x.start) / x.high
    under = chart.values[int((start - x.start) / each) : int((start + room - x.start) / each) + 1]
    top = y(max(chart.values[place], *under))
    anchor = "start" if start > at - room / 2 else "end" if start < at - room / 2 else "middle"
    shifted = {"start": start, "end": start + room, "middle": at}[anchor]
    return [
        marks.element(
            "path",
            d=f"M{marks.n(at)} {marks.n(y(chart.values[place]) - 2)}V{marks.n(top - 7)}",
            class_="tick",
        ),
        marks.text(said, shifted, top - 11, "note", text_anchor=anchor),
    ]


def _strips(chart: Columns, x: Scale, y: Scale) -> list[Markup]:
    assert chart.said is not None
    return [
        marks.element(
            "rect",
            marks.element("title", chart.said(place)),
            x=x(place),
            y=y.end,
            width=x(place + 1) - x(place),
            height=y.start - y.end,
            class_="strip",
        )
        for place, value in enumerate(chart.values)
        if value
    ]
