"""Charts show the values that they are given: to the pixel, at any size."""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lifecycle.policy.diagram.measure import width
from lifecycle.web.pages import told
from lifecycle.web.pages.charts import marks
from lifecycle.web.pages.charts.area import Area, Band, area
from lifecycle.web.pages.charts.bars import LENGTH, Segment, bar
from lifecycle.web.pages.charts.columns import Columns, columns
from lifecycle.web.pages.charts.scale import apart, calendar_ticks, pieces, round_ticks
from tests.pages.reading import points

FIRST = date(2024, 1, 1)
COUNTS = st.integers(0, 10**7)


@given(
    st.integers(2, 40).flatmap(
        lambda days: st.lists(
            st.lists(COUNTS, min_size=days, max_size=days), min_size=1, max_size=6
        )
    )
)
def test_the_bands_of_an_area_are_as_high_as_their_values(values: list[list[int]]) -> None:
    days = [FIRST + timedelta(weeks=n) for n in range(len(values[0]))]
    bands = [Band(name=f"b{n}", colour=f"c{n}", values=row) for n, row in enumerate(values)]
    root = ET.fromstring(
        area(Area(key="k", title="t", about="a", days=days, bands=bands), 960, 380)
    )
    whole = max(1, *(sum(row[n] for row in values) for n in range(len(days))))
    ground, top = _ends(root)
    for number, row in enumerate(values):
        (path,) = (each for each in root.iter("path") if each.get("class") == f"band c{number}")
        outline = points(path.attrib["d"])
        above, below = outline[: len(days)], outline[: len(days) - 1 : -1]
        for value, (x, high), (x_below, low) in zip(row, above, below, strict=True):
            assert x == x_below
            assert low - high == pytest.approx((ground - top) * value / whole, abs=0.11)


def _ends(root: ET.Element) -> tuple[float, float]:
    """The ground, and the height of the largest value: those of the strips under the pointer."""
    strip = next(each for each in root.iter("rect") if each.get("class") == "strip")
    top = float(strip.attrib["y"])
    return top + float(strip.attrib["height"]), top


@given(st.lists(COUNTS, min_size=1, max_size=60).filter(any))
def test_columns_are_as_high_as_their_values(values: list[int]) -> None:
    chart = Columns(
        key="k", title="t", about="a", values=values, colour="c", said=lambda n: str(values[n])
    )
    root = ET.fromstring(columns(chart, 960, 240))
    ground, top = _ends(root)
    (path,) = (each for each in root.iter("path") if each.get("class") == "column c")
    highs = [ground - float(y) for y in re.findall(r"M[\d.]+ [\d.]+V(-?[\d.]+)H", path.attrib["d"])]
    assert highs == pytest.approx(
        [(ground - top) * value / max(values) for value in values if value], abs=0.06
    )
    said = ["".join(each.itertext()) for each in root.iter("rect")]
    assert said == [str(value) for value in values if value]


def test_no_peak_is_lost_where_columns_are_narrower_than_a_pixel() -> None:
    values = [1] * 5_000
    values[1_234] = 700
    chart = Columns(
        key="k", title="t", about="a", values=values, colour="c", marked={1_234: "peak"}
    )
    root = ET.fromstring(columns(chart, 360, 240))
    (peak,) = (each for each in root.iter("path") if each.get("class") == "column peak")
    assert "V26.00H" in peak.attrib["d"]


def test_a_note_stands_above_every_column_that_it_would_cover() -> None:
    """And within the picture."""
    values = [5, 40, 100, 100, 3, 2, 1]
    for place in (0, 6):
        chart = Columns(
            key="k",
            title="t",
            about="a",
            values=values,
            colour="c",
            note=(place, "so many get none"),
        )
        root = ET.fromstring(columns(chart, 360, 240))
        (note,) = (each for each in root.iter("text") if each.get("class") == "note")
        assert float(note.attrib["y"]) >= 10
        assert 0 <= float(note.attrib["x"]) <= 360
        if place == 0:
            assert float(note.attrib["y"]) < 26


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=8).filter(any))
def test_a_bar_is_as_long_as_its_parts(values: list[int]) -> None:
    segments = [Segment(value, "c", str(value)) for value in values]
    root = ET.fromstring(bar(segments, sum(values), key="k", title="t"))
    longs = [float(each.attrib["width"]) for each in root.iter("rect")]
    assert sum(longs) == pytest.approx(LENGTH, abs=0.05)
    assert len(longs) == sum(1 for value in values if value)


@given(
    st.lists(st.floats(0, 400), min_size=1, max_size=15).map(sorted),
    st.floats(1, 25),
)
def test_names_keep_their_distance_and_their_order(wanted: list[float], gap: float) -> None:
    placed = apart(wanted, gap, 0, 400)
    assert len(placed) == len(wanted)
    assert all(b - a >= gap - 1e-6 for a, b in pairwise(placed))
    if gap * (len(wanted) - 1) <= 400:
        assert min(placed) >= -1e-6
        assert max(placed) <= 400 + 1e-6


@pytest.mark.parametrize("text", ["\"' onload='x", "<b>&amp;", "\x00\u202e\ufffe\ud800\n", "忠诚"])
def test_no_text_breaks_out_of_a_mark(text: str) -> None:
    """Neither from an attribute nor from what is in it; and what can be seen is kept."""
    root = ET.fromstring(marks.element("text", text, text, class_=text))
    assert root.attrib.keys() == {"class"}
    assert len(root) == 0
    if text.isprintable():
        assert root.attrib["class"] == text
        assert root.text == text * 2


def test_a_name_is_cut_to_its_room() -> None:
    assert marks.clipped("loyal", 13, 180) == "loyal"
    cut = marks.clipped("w" * 100_000, 13, 180)
    assert cut.endswith("w…")
    assert width(cut, 13) <= 180


def test_names_that_do_not_touch_stay_where_they_belong() -> None:
    assert apart([10, 50, 390], 17, 0, 400) == [10, 50, 390]


@given(st.integers(1, 10**12))
def test_axes_have_few_round_numbers_from_zero(most: int) -> None:
    ticks = round_ticks(most, 6)
    assert ticks[0] == 0
    assert ticks[-1] <= most
    assert 2 <= len(ticks) <= 7
    step = ticks[1] - ticks[0]
    assert str(step).rstrip("0") in {"1", "2", "5"}


@given(st.integers(1, 20_000), st.integers(0, 20_000), st.integers(2, 14))
@example(4, 1, 2)  # Tuesday to Saturday: five days are too many, and no week begins in them
def test_dates_at_an_axis_are_in_the_period_and_not_too_many(
    long: int, start: int, most: int
) -> None:
    first = date(1990, 1, 1) + timedelta(days=start)
    last = first + timedelta(days=long)
    ticks = calendar_ticks(first, last, most)
    days = [day for day, _ in ticks]
    assert 1 <= len(days) <= most
    assert days == sorted(set(days))
    assert first <= days[0]
    assert days[-1] <= last


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        (date(2024, 1, 1), date(2024, 1, 4), ["1 Jan", "2 Jan", "3 Jan", "4 Jan"]),
        (date(2024, 1, 3), date(2024, 2, 1), ["8 Jan", "15 Jan", "22 Jan", "29 Jan"]),
        (date(2023, 11, 15), date(2024, 3, 20), ["Dec 2023", "Jan 2024", "Feb", "Mar"]),
        (date(2019, 5, 1), date(2024, 3, 1), ["2020", "2021", "2022", "2023", "2024"]),
    ],
)
def test_dates_are_written_as_short_as_they_can_be(
    first: date, last: date, said: list[str]
) -> None:
    assert [each for _, each in calendar_ticks(first, last, 6)] == said


@given(st.integers(0, 3_000), st.integers(1, 300))
def test_neighbours_are_put_together_without_losing_any(count: int, most: int) -> None:
    made = pieces(count, most)
    assert [place for piece in made for place in piece] == list(range(count))
    assert len(made) <= most
    assert len({len(piece) for piece in made[:-1]}) <= 1


def test_figures_are_said_plainly() -> None:
    assert told.number(1234567) == "1,234,567"
    assert told.many(1, "day") == "1 day"
    assert told.many(1234, "day") == "1,234 days"
    shares = [(0, 9), (1, 9_999), (1, 8), (9_999, 10_000), (9, 9), (0, 0)]
    assert [told.share(*each).replace("\u00a0", " ") for each in shares] == [
        "0 %", "< 0.1 %", "12.5 %", "> 99.9 %", "100 %", "–",
    ]  # fmt: skip
    assert told.money(Decimal("1234.5"), "CNY") == "1,234.50 CNY"
    assert told.money(Decimal("1234.5"), "JPY") == "1,234 JPY"
    assert told.span(timedelta(days=30)) == "30 days"
    assert told.span(timedelta(hours=36)) == "36 hours"
