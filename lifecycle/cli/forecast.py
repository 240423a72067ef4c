"""`lifecycle forecast`: how many customers will be in each state, and how many letters will leave?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from lifecycle.cli import exits, output, trying
from lifecycle.cli.options import pointing_at_flags, with_settings
from lifecycle.settings import Settings

if TYPE_CHECKING:
    from rich.table import Table

    from lifecycle.engine.forecast import Report
    from lifecycle.insight.forecast import Band

LEVELS = (0.5, 0.95)
MISSING = "not enough data yet"


@with_settings()
def forecast(
    settings: Settings,
    file: trying.HistoryFile = None,
    *,
    days: Annotated[
        int, typer.Option(metavar="N", min=1, max=365, help="How far ahead, from the last event.")
    ] = 90,
    policy: trying.Tried = None,
    mapping: trying.Mapping = None,
    every: Annotated[
        int, typer.Option(metavar="DAYS", min=1, max=365, help="How often figures are told.")
    ] = 7,
    level: Annotated[
        str,
        typer.Option(
            metavar="SHARE",
            help="How often the truth is to lie within the intervals, from 50% to 95%.",
        ),
    ] = "80%",
    held_back: Annotated[
        int | None,
        typer.Option(
            metavar="DAYS",
            min=7,
            max=3650,
            help="How much of the end of the history the forecast is checked on, at most half of it;"
            " left out: 90, where the history is long enough.",
            show_default=False,
        ),
    ] = None,
    everybody: trying.Everybody = False,
    accept_valid: trying.AcceptValid = False,
    processes: trying.Processes = None,
    json: Annotated[bool, typer.Option("--json", help="As one JSON document.")] = False,
) -> None:
    """Foretell how many customers will be in each state, and how many letters will leave.

    Customers go on as the last year's did, by state and time in it. Every figure has an interval, and
    the whole is checked: the same forecast is made without the end of the history and compared with
    what followed, and with the guess that nothing changes. Nothing is changed. May run beside
    everything else.
    """
    from lifecycle.engine.backtest.asking import ways
    from lifecycle.engine.forecast import Asked, ahead

    asked = Asked(days=days, every=every, level=_level(level), held_back=held_back)
    source = trying.Source.of(settings, file, mapping, accept_valid=accept_valid)
    by = ways(settings.config_dir, os.environ, everybody=everybody)
    tried = trying.candidate(source, policy)
    try:
        with (
            trying.history(source, tried.newest) as histories,
            output.progress("following customers") as bar,
            pointing_at_flags(),
        ):
            told = ahead(tried, histories, by, asked, processes=processes, on_customers=bar)
    except KeyboardInterrupt as error:
        raise exits.Interrupted("interrupted: nothing was changed") from error
    if json:
        output.json_document(told)
    else:
        output.show(_shown(told))


def _level(text: str) -> float:
    try:
        level = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        level = 0.0
    if not LEVELS[0] <= level <= LEVELS[1]:
        raise typer.BadParameter(
            f"{text!r} is no share for an interval; write 80% or 0.8, from 50% to 95%",
            param_hint="--level",
        )
    return level


def _shown(told: Report) -> Group:
    parts: list[RenderableType] = [Text.assemble(*_heading(told)), _states(told), _rules(told)]
    return Group(*parts, *_notes(told))


def _too_late(told: Report) -> Iterator[str]:
    """What judges by now is not what was forecast with: nothing that is recorded was judged by it."""
    for judged in told.later:
        since = output.moment(judged.effective_at)
        yield (
            f"Version {judged.number} (hash {judged.hash[:12]}) judges from {since} UTC on, after the"
            f" last event, and is not forecast with: `--policy {judged.number}` forecasts with it,"
            " `--policy current` with the one that judges now.\n"
        )


def _heading(told: Report) -> Iterator[str | tuple[str, str]]:
    yield from trying.by_policies(told.policies)
    for line in _too_late(told):
        yield (line, "yellow")
    yield (
        f"{output.count(told.customers, 'customer')},"
        f" {output.count(told.history_days, 'day')} of history up to"
        f" {output.moment(told.as_of)} UTC; rates of the last {told.rates_of_days:,}"
    )
    if told.has_season:
        yield ", with half of what was otherwise at this time a year ago"
    if told.rows_left_out:
        yield (f"; {trying.left_out(told.rows_left_out)}", "yellow")
    if told.everybody:
        yield (
            "; each taken to have an address everywhere, and to consent where she never said",
            "yellow",
        )
    yield "\n"


def _states(told: Report) -> Table:
    """A line a reading, a column a state; under each expected figure its interval."""
    known = [
        state
        for state in told.states
        if state.readings is not None and _is_met(state.readings, state.now)
    ]
    names = [state.state for state in known]
    table = output.table(
        "customers", *names, right=names, title=f"Customers, expected and within {told.level:.0%}"
    )
    table.add_row("now", *(f"{state.now:,}" for state in known))
    for number, at in enumerate(told.readings):
        table.add_row(
            f"{at:%Y-%m-%d}",
            *(_band(state.readings[number]) for state in known if state.readings is not None),
        )
    return table


def _is_met(readings: tuple[Band, ...], now: int) -> bool:
    return now > 0 or any(band.high >= 0.5 for band in readings)


def _band(band: Band) -> Text:
    return Text.assemble(f"{band.expected:,.0f} ", (f"{band.low:,.0f}–{band.high:,.0f}", "dim"))


def _rules(told: Report) -> Table:
    before, ahead = f"last {told.days} days", f"next {told.days} days"
    table = output.table(
        "letters of",
        before,
        ahead,
        f"within {told.level:.0%}",
        "",
        right=[before, ahead, f"within {told.level:.0%}"],
    )
    for rule in told.rules:
        if rule.total is None:
            table.add_row(rule.rule, f"{rule.before:,}", "", "", Text(MISSING, "yellow"))
        elif rule.before or rule.total.high >= 0.5:
            table.add_row(rule.rule, f"{rule.before:,}", *_total(rule.total), "")
    if told.letters is not None:
        table.add_section()
        table.add_row(
            "all of these",
            f"{sum(rule.before for rule in told.rules if rule.total is not None):,}",
            *_total(told.letters.total),
            "",
        )
    return table


def _total(band: Band) -> tuple[str, str]:
    return f"{band.expected:,.0f}", f"{band.low:,.0f}–{band.high:,.0f}"


def _notes(told: Report) -> Iterator[Text]:
    for state in told.states:
        if state.readings is None:
            yield Text(f"{state.state}: {MISSING}: {state.why}.", "yellow")
    for why in sorted({rule.why for rule in told.rules if rule.why is not None}):
        rules = [rule.rule for rule in told.rules if rule.why == why]
        yield Text(f"Letters of {', '.join(rules)}: {MISSING}: {why}.", "yellow")
    if told.check.found is not None:
        yield Text(
            f"Checked on the last {told.check.held_back} days, forecast from what was known on"
            f" {told.check.since:%Y-%m-%d}:",
            "bold",
        )
    for sentence in told.check.verdict:
        yield Text(sentence)
