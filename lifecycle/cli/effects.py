"""How is the effect of a policy shown: who moves otherwise, what is sent otherwise, and who for example?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from lifecycle.cli import output, trying
from lifecycle.intake.strict_json import tame

if TYPE_CHECKING:
    from rich.table import Table

    from lifecycle.engine.backtest.effect_report import Changed, Effect

TELLING = 20  # so many before there must be for a percentage
NAMED = 3  # examples of a change that are shown; --json has ten

_WORDS = {
    "earlier": "earlier",
    "later": "later",
    "never": "no more",
    "newly": "new",
    "otherwise": "otherwise",
}
_COLOURS = {
    "earlier": "yellow",
    "later": "yellow",
    "never": "red",
    "newly": "green",
    "otherwise": "cyan",
}


def shown(effect: Effect) -> Group:
    """All of it for a terminal, numbers first, then examples."""
    parts: list[RenderableType] = [Text("\nThe effect", "bold"), _over(effect)]
    if effect.rows_left_out:
        parts += [Text(f"{trying.left_out(effect.rows_left_out)}.", "yellow")]
    parts += _unfolded("before", effect.unfolded_before)
    parts += _unfolded("after", effect.unfolded_after)
    if not effect.moved and not effect.written and not effect.ends:
        return Group(*parts, Text("No customer fares otherwise.", "bold green"))
    parts += [_figures(effect)]
    if effect.steps:
        parts += [_steps(effect)]
    if effect.ends:
        parts += [_ends(effect)]
    if changing := _rules(effect):
        parts += [changing]
    parts += [*_examples("Steps, for example", effect.steps)]
    parts += [*_examples("Letters, for example", effect.letters)]
    parts += [Text("`lifecycle explain CUSTOMER --policy …` tells why.", "dim")]
    return Group(*parts)


def _over(effect: Effect) -> Text:
    since = "the beginning" if effect.since is None else output.moment(effect.since)
    sample = (
        ""
        if effect.sample is None
        else f", a sample of {effect.sample * 100:.4g} % of all customers"
    )
    reach = (
        "; each taken to have an address everywhere, and to consent where she never said"
        if effect.everybody
        else ""
    )
    return Text(
        f"on {output.count(effect.customers, 'customer')} with"
        f" {output.count(effect.events, 'event')}, from {since} to"
        f" {output.moment(effect.until)} UTC{sample}{reach}",
        "dim",
    )


def _unfolded(which: str, events: Mapping[str, int]) -> Iterator[Text]:
    """What an installation would put aside as dead letters."""
    for kind, count in events.items():
        told = (
            f"{output.count(count, 'event')} of type {kind} cannot be folded by the policy {which}."
        )
        yield Text(told, "red")


def _figures(effect: Effect) -> Table:
    """The same figures of both, side by side."""
    was, now = effect.letters_before, effect.letters_after
    table = output.table("", "before", "after", "", right=["before", "after", ""])
    rows = [
        ("letters and tasks that leave", was.sent, now.sent),
        ("most on one day", was.on_peak_day, now.on_peak_day),
        ("most to one customer within 7 days", was.most_in_a_week, now.most_in_a_week),
        ("customers of whom a cap holds back a letter", was.capped, now.capped),
        ("customers who get no letter", was.unreached, now.unreached),
    ]
    for name, before, after in rows:
        table.add_row(name, f"{before:,}", f"{after:,}", _more(before, after))
    if was.cost is not None or now.cost is not None:
        table.add_row("cost", f"{was.cost or 0:,}", f"{now.cost or 0:,}", "")
    table.add_section()
    table.add_row("customers any of whose steps differ", "", f"{effect.moved:,}", "")
    table.add_row("customers any of whose letters differ", "", f"{effect.written:,}", "")
    return table


def _more(before: int, after: int) -> Text:
    if before == after:
        return Text("=", "dim")
    share = f" ({(after - before) / before:+.1%})" if before >= TELLING else ""
    return Text(f"{after - before:+,}{share}", "yellow")


def _steps(effect: Effect) -> Table:
    columns = ["steps", "customers", "half by"]
    table = output.table("transition", "to", "", *columns, right=columns)
    for one in effect.steps:
        table.add_row(
            one.rule,
            one.state or "",
            Text(_WORDS[one.how], _COLOURS[one.how]),
            f"{one.times:,}",
            f"{one.customers:,}",
            "" if one.median_days is None else output.count(one.median_days, "day"),
        )
    table.add_section()
    table.add_row("all others", "", Text("the same", "dim"), f"{effect.same_steps:,}", "", "")
    return table


def _ends(effect: Effect) -> Table:
    table = output.table("at the end before", "after", "customers", right=["customers"])
    for one in effect.ends:
        table.add_row(one.before, one.after, f"{one.customers:,}")
    return table


def _rules(effect: Effect) -> Table | None:
    """Rules of whose letters anything changes."""
    columns = ["before", "after", "gained", "lost", "earlier", "later", "by caps"]
    table = output.table("letters of", *columns, right=columns)
    for one in effect.rules:
        if one.before == one.after == one.same and one.capped_before == one.capped_after:
            continue
        capped = one.capped_after - one.capped_before
        table.add_row(
            one.rule,
            *(f"{each:,}" for each in (one.before, one.after)),
            *(
                f"{each:,}" if each else "·"
                for each in (one.gained, one.lost, one.earlier, one.later)
            ),
            f"{capped:+,}" if capped else "·",
        )
    return table if table.row_count else None


def _examples(title: str, changes: Sequence[Changed]) -> Iterator[RenderableType]:
    if not changes:
        return
    table = output.table(title, "", "customer", "before", "after")
    for one in changes:
        for place, example in enumerate(one.examples[:NAMED]):
            first = place == 0
            table.add_row(
                f"{one.rule} → {one.state}" if one.state and first else one.rule if first else "",
                Text(_WORDS[one.how], _COLOURS[one.how]) if first else "",
                tame(example.customer),
                _at(example.before),
                _at(example.after),
            )
    yield table


def _at(instant: datetime | None) -> str:
    return "—" if instant is None else output.moment(instant)
