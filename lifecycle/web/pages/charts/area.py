"""How do parts of a whole change over time? Bands on top of each other, named where they end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from markupsafe import Markup

from lifecycle.policy.diagram.measure import width
from lifecycle.web.pages import told
from lifecycle.web.pages.charts import marks
from lifecycle.web.pages.charts.scale import Scale, apart, calendar_ticks, pieces, round_ticks

_TEXT = 13.0  # pixels, of the names; axes are a little smaller
_GAP = 17.0  # from one name to the next
_TOP = 12.0
_BOTTOM = 26.0
_HOVERED = 120  # strips at most that tell their figures under the pointer


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    name: str
    colour: str  # class of the style sheet
    values: Sequence[int]  # one a day of the chart


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    key: str
    title: str
    about: str
    days: Sequence[date]  # ascending, at least two
    bands: Sequence[Band]  # from the ground up

    def floors(self) -> list[list[int]]:
        """Where each band begins, and above the last where it ends."""
        rows = [[0] * len(self.days)]
        for band in self.bands:
            rows.append([below + value for below, value in zip(rows[-1], band.values, strict=True)])
        return rows


def area(chart: Area, wide: float, high: float, *, hover: bool = True) -> Markup:
    """Drawn so wide and high; `hover`: strips tell their figures under the pointer."""
    floors = chart.floors()
    most = max(1, *floors[-1])
    ticks = round_ticks(most, 6)
    left = 8 + 1.1 * max(width(told.number(tick), 12) for tick in ticks)
    right = wide - _room_for_names(chart)
    high = max(high, _TOP + _BOTTOM + _GAP * len(chart.bands))
    y = Scale(low=0, high=most, start=high - _BOTTOM, end=_TOP)
    x = Scale(low=chart.days[0].toordinal(), high=chart.days[-1].toordinal(), start=left, end=right)
    places = [x(day.toordinal()) for day in chart.days]
    return marks.drawing(
        *(
            marks.element(
                "path", d=f"M{marks.n(left)} {marks.n(y(tick))}H{marks.n(right)}", class_="hair"
            )
            for tick in ticks
        ),
        *(
            marks.element("path", d=_outline(below, above, places, y), class_=f"band {band.colour}")
            for band, (below, above) in zip(chart.bands, pairwise(floors), strict=True)
        ),
        *(
            marks.element(
                "path", d=f"M{marks.n(left)} {marks.n(y(tick))}H{marks.n(right)}", class_="over"
            )
            for tick in ticks[1:]
        ),
        *(
            marks.text(told.number(tick), left - 8, y(tick) + 4, "axis", text_anchor="end")
            for tick in ticks
        ),
        *_dates(chart, x, high),
        *_names(chart, floors, y, right),
        *(_strips(chart, places, left, right, (_TOP, high - _BOTTOM)) if hover else ()),
        key=chart.key,
        title=chart.title,
        about=chart.about,
        size=(wide, high),
        class_="area",
    )


def _room_for_names(chart: Area) -> float:
    said = (f"{band.name} {told.number(band.values[-1])}" for band in chart.bands)
    return 24 + min(190.0, 1.05 * max((width(one, _TEXT, bold=True) for one in said), default=0.0))


def _outline(below: Sequence[int], above: Sequence[int], places: Sequence[float], y: Scale) -> str:
    there = "L".join(
        f"{marks.n(place)} {marks.n(y(value))}" for place, value in zip(places, above, strict=True)
    )
    back = "L".join(
        f"{marks.n(place)} {marks.n(y(value))}"
        for place, value in zip(reversed(places), reversed(below), strict=True)
    )
    return f"M{there}L{back}Z"


def _dates(chart: Area, x: Scale, high: float) -> list[Markup]:
    """A name of a month stands at its beginning, unless it would run out of the picture."""
    room = max(2, int((x.end - x.start) // 62))
    ticks = calendar_ticks(chart.days[0], chart.days[-1], room)
    drawn = []
    for day, said in ticks:
        at = x(day.toordinal())
        drawn.append(
            marks.element("path", d=f"M{marks.n(at)} {marks.n(high - _BOTTOM)}v5", class_="tick")
        )
        drawn.append(marks.text(said, at, high - 6, "axis", text_anchor="middle"))
    return drawn


def _names(chart: Area, floors: Sequence[Sequence[int]], y: Scale, right: float) -> list[Markup]:
    """At the height at which the band ends; where names would touch, a line leads to them."""
    ends = [(below[-1] + above[-1]) / 2 for below, above in pairwise(floors)]
    wanted = [y(end) for end in reversed(ends)]  # downwards
    placed = apart(wanted, _GAP, _TOP, y.start)
    drawn = []
    for band, at, place in zip(reversed(chart.bands), wanted, placed, strict=True):
        value = told.number(band.values[-1])
        drawn.append(
            marks.element(
                "path",
                d=f"M{marks.n(right + 2)} {marks.n(at)}L{marks.n(right + 12)} {marks.n(place)}",
                class_=f"lead {band.colour}",
            )
        )
        name = marks.clipped(band.name, _TEXT, 180 - width(value, _TEXT))
        drawn.append(
            marks.element(
                "text",
                marks.element("tspan", name, class_=f"said {band.colour}"),
                marks.element("tspan", value, class_="value", dx="6"),
                x=right + 16,
                y=place + 4.5,
            )
        )
    return drawn


def _strips(
    chart: Area, places: Sequence[float], left: float, right: float, between: tuple[float, float]
) -> list[Markup]:
    top, bottom = between
    drawn = []
    before = left
    for piece in pieces(len(chart.days), _HOVERED):
        last = piece[-1]
        after = right if last == len(chart.days) - 1 else (places[last] + places[last + 1]) / 2
        figures = (
            f"{band.name}: {told.number(band.values[last])}" for band in reversed(chart.bands)
        )
        drawn.append(
            marks.element(
                "rect",
                marks.element("title", marks.lines(told.day(chart.days[last]), *figures)),
                x=before,
                y=top,
                width=after - before,
                height=bottom - top,
                class_="strip",
            )
        )
        before = after
    return drawn
