"""Where would customers have been, week by week, and how would they have moved?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from markupsafe import Markup

from lifecycle.engine.backtest.report import EdgeWeeks, Report, StateWeeks
from lifecycle.web.pages import told
from lifecycle.web.pages.charts.area import Area, Band, area
from lifecycle.web.pages.charts.bars import Segment, bar
from lifecycle.web.pages.charts.columns import Columns, columns
from lifecycle.web.pages.charts.scale import Tick, calendar_ticks, pieces
from lifecycle.web.pages.looks import Look
from lifecycle.web.pages.views import Drawing, Row, Section, Small, Table

WIDE, NARROW = 960.0, 360.0  # pixels, of charts on wide pages and on phones
MOST_STEPS = 180  # in time: more weeks than that are put together
_WEEK = timedelta(days=7)

Looks = Mapping[str, Look]


def sections(report: Report, looks: Looks) -> Iterator[Section]:
    yield _states(report, looks)
    yield _transitions(report, looks)


def steps_in_time(report: Report) -> list[range]:
    """Places of weeks that are drawn as one."""
    return pieces(len(report.weeks), MOST_STEPS)


def ends(report: Report) -> list[date]:
    """The day on which each of them ends: its last week's Sunday, or the end of the backtest."""
    return [
        min(report.weeks[step[-1]] + _WEEK - timedelta(days=1), report.until.date())
        for step in steps_in_time(report)
    ]


def each_step(report: Report) -> str:
    size = max((len(step) for step in steps_in_time(report)), default=1)
    return "week" if size == 1 else f"{size} weeks"


def together(report: Report) -> str:
    """Said wherever weeks are put together."""
    if each_step(report) == "week":
        return ""
    weeks = told.many(len(report.weeks), "week")
    return (
        f" The {weeks} are shown in steps of {each_step(report)}; the JSON of the report has each."
    )


def _states(report: Report, looks: Looks) -> Section:
    steps = steps_in_time(report)
    lived = [state for state in report.states if any(state.customers)]
    never = [state.name for state in (looks[s.state] for s in report.states if s not in lived)]
    found = _largest(report)
    if never:
        found += f" Nobody was ever in {_listed(never)}."
    if len(steps) < 2:
        rows = [
            _at_end(state, looks[state.state], report.customers, n) for n, state in enumerate(lived)
        ]
        return Section(key="states", title="Customers by state", found=found, rows=rows)
    bands = [
        Band(
            name=state.state,
            colour=looks[state.state].colour,
            values=[state.customers[step[-1]] for step in steps],
        )
        for state in lived
    ]
    about = (
        f"A stacked area for each state, at the end of each {each_step(report)}, from"
        f" {told.day(ends(report)[0])} to {told.day(ends(report)[-1])}. At the end: "
        + ", ".join(f"{band.name} {told.number(band.values[-1])}" for band in bands)
        + "."
    )

    def drawn(key: str, wide: float, high: float, *, hover: bool) -> Markup:
        chart = Area(
            key=key, title="Customers by state", about=about, days=ends(report), bands=bands
        )
        return area(chart, wide, high, hover=hover)

    table = Table(
        about=f"Customers in each state at the end of each {each_step(report)}",
        head=(f"{each_step(report)} to", *(band.name for band in bands), "together"),
        rows=[
            (
                told.day(end),
                *(told.number(band.values[place]) for band in bands),
                told.number(sum(band.values[place] for band in bands)),
            )
            for place, end in enumerate(ends(report))
        ],
    )
    return Section(
        key="states",
        title="Customers by state",
        found=found + together(report),
        drawing=Drawing(
            wide=drawn("states-wide", WIDE, 380, hover=True),
            narrow=drawn("states-narrow", NARROW, 300, hover=False),
        ),
        tables=(table,),
    )


def _at_end(state: StateWeeks, look: Look, everyone: int, number: int) -> Row:
    """Of one week there is no course to be drawn."""
    count = state.customers[-1]
    return Row(
        name=state.state,
        aside=look.label,
        colour=look.colour,
        bar=bar(
            [Segment(count, look.colour, told.many(count, "customer"))],
            max(everyone, count),
            key=f"state-{number}",
            title=f"{state.state}: {told.many(count, 'customer')}",
        ),
        value=told.number(count),
        note=told.share(count, everyone),
    )


def _largest(report: Report) -> str:
    at_end = {state.state: state.customers[-1] for state in report.states if state.customers}
    everyone = sum(at_end.values())
    if not everyone:
        return "No customer was in any state."
    state = max(at_end, key=lambda name: at_end[name])
    if at_end[state] == everyone:
        return f"At the end every customer is in {state}."
    return (
        f"At the end {told.number(at_end[state])} of {told.many(everyone, 'customer')}"
        f" ({told.share(at_end[state], everyone)}) are in {state}, more than in any other state."
    )


def _transitions(report: Report, looks: Looks) -> Section:
    title = "Transitions"
    if not report.edges:
        return Section(key="transitions", title=title, found="No customer made a step.")
    steps = steps_in_time(report)
    in_time = [_in_time(edge, steps) for edge in report.edges]
    total = sum(edge.steps for edge in report.edges)
    ticks = _small_ticks(report)
    each = each_step(report)
    table = Table(
        about=f"Steps by transition and {each}",
        head=(
            f"{each} to",
            *(f"{edge.from_state} → {edge.to_state} ({edge.rule})" for edge in report.edges),
        ),
        rows=[
            ("all", *(told.number(edge.steps) for edge in report.edges)),
            *(
                (told.day(end), *(told.number(values[place]) for values in in_time))
                for place, end in enumerate(ends(report))
            ),
        ],
    )
    return Section(
        key="transitions",
        title=title,
        found=f"{told.many(total, 'step')} by {told.many(len(report.edges), 'way')}, each {each}."
        " Each picture has a scale of its own: its highest column says how many it stands for."
        + together(report),
        smalls=[
            _small(edge, values, looks, ticks, (number, each))
            for number, (edge, values) in enumerate(zip(report.edges, in_time, strict=True), 1)
        ],
        tables=(table,),
    )


def _in_time(edge: EdgeWeeks, steps: Sequence[range]) -> list[int]:
    return [sum(edge.by_week[week] for week in step) for step in steps]


def _small_ticks(report: Report) -> list[Tick]:
    if len(report.weeks) < 2:
        return []
    size = max(len(step) for step in steps_in_time(report))
    first = report.weeks[0]
    return [
        Tick((day - first).days / 7 / size, said)
        for day, said in calendar_ticks(first, report.weeks[-1], 3)
    ]


def _small(
    edge: EdgeWeeks, values: list[int], looks: Looks, ticks: list[Tick], which: tuple[int, str]
) -> Small:
    number, each = which
    highest = values.index(max(values))
    way = f"{edge.from_state} → {edge.to_state}"
    chart = Columns(
        key=f"transition-{number}",
        title=f"{way}, by {edge.rule}",
        about=f"A column for each {each}; {told.many(edge.steps, 'step')} in all, at most"
        f" {told.number(values[highest])}.",
        values=values,
        colour=looks[edge.to_state].colour,
        ticks=ticks,
        note=(highest, told.number(values[highest])),
    )
    return Small(
        colour=looks[edge.to_state].colour,
        from_state=edge.from_state,
        to_state=edge.to_state,
        rule=edge.rule,
        total=told.number(edge.steps),
        chart=columns(chart, 290, 112, axis=False),
    )


def _listed(names: Sequence[str]) -> str:
    if len(names) <= 1:
        return "".join(names)
    return f"{', '.join(names[:-1])} or {names[-1]}"
