"""How large is it, and of what is it made? One bar, stretched to whatever room the page gives it.

It holds no text, so that it may be stretched: names and figures stand beside it in the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from lifecycle.web.pages.charts import marks

LENGTH = 1000.0
_HIGH = 12.0


class Segment(NamedTuple):
    value: float
    colour: str  # class of the style sheet
    said: str  # under the pointer


def bar(segments: Sequence[Segment], most: float, *, key: str, title: str) -> Markup:
    """Segments one after the other; `most` is what a bar of full length stands for."""
    drawn, start = [], 0.0
    for segment in segments:
        if not segment.value:
            continue
        long = segment.value / most * LENGTH
        drawn.append(
            marks.element(
                "rect",
                marks.element("title", segment.said),
                x=f"{start:.2f}",
                y=0,
                width=f"{long:.2f}",
                height=_HIGH,
                class_=f"segment {segment.colour}",
            )
        )
        start += long
    return marks.element(
        "svg",
        marks.element("title", title, id=f"{key}-title"),
        *drawn,
        class_="chart bar",
        viewBox=f"0 0 {marks.n(LENGTH)} {marks.n(_HIGH)}",
        preserveAspectRatio="none",
        role="img",
        aria_labelledby=f"{key}-title",
    )
