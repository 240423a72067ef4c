"""`lifecycle report …`: numbers over all customers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.text import Text

from lifecycle.cli import output
from lifecycle.cli.opening import opened
from lifecycle.cli.options import parse_instant, pointing_at_flags, with_settings
from lifecycle.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from lifecycle.cli.lines import Palette
    from lifecycle.engine.report import Month, States

WIDEST_BAR = 30  # columns

app = typer.Typer(no_args_is_help=True, help="Numbers over all customers.")


@app.command("states")
@with_settings()
def states(
    settings: Settings,
    *,
    at: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="At that instant, as it is known now; left out: now."),
    ] = None,
    monthly: Annotated[
        bool, typer.Option("--monthly", help="At the end of each month, by the policy's zone.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="As one JSON document.")] = False,
) -> None:
    """How many customers are in each state."""
    from lifecycle.bootstrap import Access
    from lifecycle.cli.lines import Palette
    from lifecycle.engine import report

    instant = None if at is None else parse_instant(at, flag="--at")
    with opened(settings, Access.READ) as engine:
        palette = Palette(engine.policy())
        found: States | dict[str, Sequence[Month]]
        shown: RenderableType | None
        if monthly:
            months = report.states_by_month(engine.installation, until=instant)
            found, shown = {"months": months}, _by_month(months, palette) if months else None
        else:
            with pointing_at_flags():
                found = report.states(engine.installation, instant)
            shown = _now(found, palette)
    if json:
        output.json_document(found)
    elif shown is None:
        output.err().print(Text("no events yet, so there is no month to report", "dim"))
    else:
        output.show(shown)


def _now(found: States, palette: Palette) -> Group:
    table = output.table("state", "", "customers", "share", "", right=["customers", "share"])
    for column in table.columns[:-1]:
        column.no_wrap = True
    table.columns[-1].max_width = WIDEST_BAR
    most = max((each.customers for each in found.counts), default=0) or 1
    for each in found.counts:
        table.add_row(
            palette.state(each.name),
            Text(" · ".join(each.labels.values()), "dim"),
            f"{each.customers:,}",
            f"{each.share:.1%}",
            Bar(most, 0, each.customers, color=palette.of(each.name).split()[-1]),
        )
    table.add_section()
    table.add_row("all", "", f"{found.customers:,}")
    return Group(table, Text(f"As of {output.moment(found.as_of)} UTC.", "dim"))


def _by_month(months: Sequence[Month], palette: Palette) -> Table:
    names = list(months[-1].counts)
    table = output.table("month", *names, "all", right=[*names, "all"])
    table.collapse_padding = True  # so that seven states stand side by side in 80 columns
    for column, name in zip(table.columns[1:], names, strict=False):
        column.style = palette.of(name)
    table.columns[0].min_width = len("2026-01")
    widest = max(len(f"{sum(month.counts.values()):,}") for month in months)
    for column in table.columns[1:]:
        column.min_width = widest  # no number is broken, rather the name of a state
    for month in months:
        counts = [month.counts.get(name, 0) for name in names]
        table.add_row(
            month.month if month.complete else Text(f"{month.month}\nso far"),
            *(f"{count:,}" if count else "·" for count in counts),
            f"{sum(counts):,}",
        )
    return table
