"""How is a run told? As a page for people, and as JSON for whoever quotes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from lifecycle.killpoints import Point
from tests.chaos.crew import Toll
from tests.chaos.fates import ENGINE_POINTS, REPORT_POINTS, SEND_POINTS
from tests.chaos.judge import Verdict
from tests.chaos.outcome import Outcome
from tests.chaos.sending import Sending

_YES, _NO = Text("✓", "bold green"), Text("✗", "bold red")


def show(console: Console, outcome: Outcome) -> None:
    """What was done to it, and whether it kept its promises."""
    title = Text.assemble(
        (" chaos ", "bold reverse"), f" on {outcome.database}, ", (f"SEED={outcome.seed}", "bold")
    )
    console.print()
    console.print(title)
    console.print(_world(outcome))
    kills = _kills(outcome.toll, ENGINE_POINTS, outcome.goal)
    console.print(_side_by_side(kills, _faults(faults(outcome))))
    console.print(_passes(outcome))
    console.print(_verdicts(outcome.verdicts))
    if outcome.left_out:
        console.print(Text(f"Left out: {outcome.left_out}", "yellow"))
    console.print(_end(outcome))


def show_sending(console: Console, told: Sending) -> None:
    """What was done to those who sent, and whether what left, left as often as it may."""
    head = (" chaos of sending ", "bold reverse")
    console.print()
    console.print(Text.assemble(head, f" on {told.database}, ", (f"SEED={told.seed}", "bold")))
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim")
    lines.add_column()
    lines.add_row("messages", f"{told.messages:,}, half of them marketing, half service")
    lines.add_row("letters", f"{told.taken:,} were taken, over {told.connections:,} connections")
    lines.add_row("lives", f"{told.toll.lives:,} processes, in {_clock(told.seconds)}")
    lines.add_row("leaving", f"{told.seconds_leaving:.0f} s, {told.rate:.0f} messages a second")
    console.print(Panel(lines, box=box.ROUNDED, border_style="dim", expand=False))
    kills = _kills(told.toll, (*SEND_POINTS, *REPORT_POINTS), told.goal)
    happened = _faults({**told.faults, **_of_the_crew(told.toll)})
    console.print(_side_by_side(kills, happened, _fates(told)))
    console.print(_verdicts(told.verdicts))
    console.print(_end(told))


def _fates(told: Sending) -> Table:
    table = Table(title="what became of them", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("class", "fate", "taken"):
        table.add_column(name)
    table.add_column("messages", justify="right")
    for (kind, fate, times), count in sorted(told.fates.items()):
        table.add_row(kind, fate, f"{times} x", f"{count:,}")
    return table


def sending_as_json(told: Sending) -> dict[str, Any]:
    """The same figures."""
    points = (*SEND_POINTS, *REPORT_POINTS)
    return {
        "run": "sending",
        "database": told.database,
        "seed": told.seed,
        "kept": told.kept,
        "messages": told.messages,
        "taken": told.taken,
        "seconds": round(told.seconds, 1),
        "lives": told.toll.lives,
        "kills": {point.value: told.toll.kills[point] for point in points},
        "faults": {**told.faults, **_of_the_crew(told.toll)},
        "fates": [[*key, count] for key, count in sorted(told.fates.items())],
        "verdicts": [dataclasses.asdict(verdict) for verdict in told.verdicts],
    }


def _world(outcome: Outcome) -> RenderableType:
    what = (
        "invoices of Online Retail II" if outcome.real else "invoices, MADE UP (no real data here)"
    )
    again = outcome.posted - outcome.events
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim")
    lines.add_column()
    lines.add_row("events", f"{outcome.events:,} {what}, of {outcome.customers:,} customers")
    lines.add_row("posted", f"{outcome.posted:,}, shuffled; {again:,} of them twice on purpose")
    repeats = sum(outcome.answers.instead.values())
    lines.add_row("posts", f"{repeats:,} got no answer or `try again later`, and were repeated")
    lines.add_row("lives", f"{outcome.toll.lives:,} processes, in {_clock(outcome.seconds)}")
    return Panel(lines, box=box.ROUNDED, border_style="dim", expand=False)


def _side_by_side(*tables: Table) -> Table:
    page = Table.grid(padding=(0, 3))
    page.add_row(*tables)
    return page


def _kills(toll: Toll, points: Iterable[Point], goal: int) -> Table:
    table = Table(title="SIGKILL at", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("point")
    table.add_column("hits", justify="right")
    table.add_column("")
    for point in points:
        count = toll.kills[point]
        table.add_row(point.value, f"{count:,}", _YES if count >= goal else _NO)
    table.add_section()
    table.add_row("all, at least", f"{toll.kills.total():,}", f"{goal} each")
    return table


def _faults(happened: Mapping[str, int]) -> Table:
    table = Table(title="what else went wrong", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("fault")
    table.add_column("times", justify="right")
    for fault, count in happened.items():
        table.add_row(fault, f"{count:,}")
    return table


def faults(outcome: Outcome) -> dict[str, int]:
    """Everything that was done beside kills at points."""
    return dict(outcome.faults) | _of_the_crew(outcome.toll)


def _of_the_crew(toll: Toll) -> dict[str, int]:
    found: dict[str, int] = {}
    if toll.stops:
        found["SIGSTOP amid work, then SIGCONT"] = toll.stops.total()
    for role, count in toll.at_random.items():
        found[f"SIGKILL of a {role}, anywhere"] = count
    if toll.unable:
        found["lives that found no database"] = toll.unable
    if toll.dismissed:
        found["SIGTERM of a sender"] = toll.dismissed
    return found


def _passes(outcome: Outcome) -> Table:
    table = Table(title="passes", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("while")
    table.add_column("took", justify="right")
    table.add_column("events in", justify="right")
    table.add_column("a second", justify="right")
    for told in outcome.passes:
        rate = told.events / told.seconds if told.seconds else 0
        table.add_row(told.name, _clock(told.seconds), f"{told.events:,}", f"{rate:,.0f}")
    for name, rate in outcome.rates.items():
        figure = f"{rate:.1%}" if name == "ratio" else f"{rate:,.0f}"
        table.add_row(Text(f"  {name}", "dim"), "", "", figure)
    return table


def _verdicts(verdicts: Iterable[Verdict]) -> Table:
    table = Table(title="verdicts", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("")
    table.add_column("promise")
    table.add_column("found", overflow="fold")
    for verdict in verdicts:
        style = "" if verdict.kept else "red"
        mark = _YES if verdict.kept else _NO
        table.add_row(mark, Text(verdict.promise, style), Text(verdict.found, style))
    return table


def _end(outcome: Outcome | Sending) -> Group:
    if outcome.kept:
        return Group(Text("Nothing lost, nothing twice, nothing missing.", "bold green"))
    return Group(*_broken(outcome))


def _broken(outcome: Outcome | Sending) -> Iterator[RenderableType]:
    count = sum(not verdict.kept for verdict in outcome.verdicts)
    yield Text(f"{count} promises broken.", "bold red")
    which = " CHAOS_ARGS=sending" if isinstance(outcome, Sending) else ""
    yield Text(f"Again: SEED={outcome.seed} make chaos{which}    logs: {outcome.folder}")


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The same figures."""
    toll = outcome.toll
    return {
        "database": outcome.database,
        "seed": outcome.seed,
        "kept": outcome.kept,
        "real_data": outcome.real,
        "customers": outcome.customers,
        "events": outcome.events,
        "posted": outcome.posted,
        "seconds": round(outcome.seconds, 1),
        "lives": toll.lives,
        "kills": {point.value: toll.kills[point] for point in ENGINE_POINTS},
        "kills_by_role": dict(toll.killed_by_role),
        "stops": {point.value: count for point, count in toll.stops.items()},
        "faults": faults(outcome),
        "instead_of_answers": dict(outcome.answers.instead),
        "passes": [dataclasses.asdict(told) for told in outcome.passes],
        "left_out": outcome.left_out,
        "rates": {name: round(rate, 3) for name, rate in outcome.rates.items()},
        "verdicts": [dataclasses.asdict(verdict) for verdict in outcome.verdicts],
    }


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes else f"{rest} s"
