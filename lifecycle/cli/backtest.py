"""`lifecycle backtest`: what would a policy have done?"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from lifecycle.cli import exits, output, trying
from lifecycle.cli.options import pointing_at_flags, with_settings
from lifecycle.settings import Settings

if TYPE_CHECKING:
    from rich.table import Table

    from lifecycle.domain.policy import Policy
    from lifecycle.engine.backtest.report import Report, RuleLetters

SHOWN = 10  # flip-flops and busiest days that are shown; all are in --json


@with_settings()
def backtest(
    settings: Settings,
    file: trying.HistoryFile = None,
    *,
    policy: trying.Tried = None,
    mapping: trying.Mapping = None,
    since: trying.Since = None,
    until: trying.Until = None,
    sample: trying.Sample = None,
    everybody: trying.Everybody = False,
    flip_flop: Annotated[
        int,
        typer.Option(
            metavar="DAYS", min=1, max=3650, help="Who is back within so many days goes to and fro."
        ),
    ] = 30,
    accept_valid: trying.AcceptValid = False,
    processes: trying.Processes = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write it as a page with charts, too.", show_default=False
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="As one JSON document.")] = False,
) -> None:
    """Tell what a policy would have done to the customers whose history is known.

    The events are folded again under it, with timed checks firing at their own time; each message is
    judged by consent, caps, quiet hours, priority and holdout at the instant at which it might have
    gone, and what would have left counts for those after it. What really was sent is left aside. Nothing
    is changed, and nothing is sent. May run beside everything else.
    """
    from lifecycle.engine.backtest import asking

    period = trying.period(since, until, sample)
    if html is not None:
        _refuse_unwritable(html)
    source = trying.Source.of(settings, file, mapping, accept_valid=accept_valid)
    by = asking.ways(settings.config_dir, os.environ, everybody=everybody)
    tried = trying.candidate(source, policy)
    try:
        with (
            trying.history(source, tried.newest) as histories,
            output.progress("trying the policy on customers") as bar,
            pointing_at_flags(),
        ):
            told = asking.backtest(
                tried,
                histories,
                by,
                period,
                flip_flop=timedelta(days=flip_flop),
                processes=processes,
                on_customers=bar,
            )
    except KeyboardInterrupt as error:
        raise exits.Interrupted("interrupted: nothing was changed") from error
    if html is not None:
        _write_page(html, told, tried.newest)
    if json:
        output.json_document(told)
    else:
        output.show(shown(told))


def _refuse_unwritable(file: Path) -> None:
    """Before anything is counted, which may take long; what is there stays as it is."""
    try:
        if file.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if file.is_file():
            file.open("ab").close()
        elif not file.exists():
            tempfile.TemporaryFile(dir=file.parent).close()
    except OSError as error:
        raise _cannot_write(file, error) from error


def _cannot_write(file: Path, error: OSError) -> exits.CannotWrite:
    return exits.CannotWrite(f"--html {file}: {error.strerror or error}")


def _write_page(file: Path, told: Report, policy: Policy) -> None:
    from lifecycle.web.pages import backtest_page

    page = backtest_page(told, title=Path(told.policies[-1].source).name, policy=policy)
    try:
        file.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        raise _cannot_write(file, error) from error


def shown(told: Report) -> Group:
    parts: list[RenderableType] = [Text.assemble(*_heading(told))]
    parts += [_states(told), _edges(told), _rules(told), *_notes(told)]
    return Group(*parts)


def _heading(told: Report) -> Iterator[str | tuple[str, str]]:
    yield from trying.by_policies(told.policies)
    since = "its beginning" if told.since is None else output.moment(told.since)
    yield (
        f"{output.count(told.customers, 'customer')} and {output.count(told.events, 'event')}"
        f" from {since} to {output.moment(told.until)} UTC"
    )
    if told.sample is not None:
        yield f", a sample of {told.sample * 100:.4g} % of all customers"
    if told.rows_left_out:
        yield (f"; {trying.left_out(told.rows_left_out)}", "yellow")
    if told.everybody:
        yield (
            "; each taken to have an address everywhere, and to consent where she never said",
            "yellow",
        )
    yield "\n"


def _states(told: Report) -> Table:
    """How many are in each state at the end, and how long they stay."""
    table = output.table(
        "state", "at the end", "ended stays", "half within", "nine of ten within",
        right=["at the end", "ended stays", "half within", "nine of ten within"],
    )  # fmt: skip
    stays = {one.state: one for one in told.stays}
    for state in told.states:
        stay = stays.get(state.state)
        table.add_row(
            state.state,
            f"{state.customers[-1]:,}",
            "" if stay is None else f"{stay.ended:,}",
            _days(None if stay is None else stay.median_days),
            _days(None if stay is None else stay.most_days),
        )
    return table


def _days(days: int | None) -> str:
    return "" if days is None else output.count(days, "day")


def _edges(told: Report) -> Table:
    table = output.table("transition", "from", "to", "steps", "", right=["steps"])
    for edge in told.edges:
        table.add_row(
            edge.rule, edge.from_state, edge.to_state, f"{edge.steps:,}", spark(edge.by_week)
        )
    return table


_BARS, _NOTHING = "▁▂▃▄▅▆▇█", "·"
_SPARKS = 32  # characters


def spark(weeks: tuple[int, ...]) -> str:
    """The weeks in so many characters, the highest of which is full."""
    if not weeks:
        return ""
    width = min(_SPARKS, len(weeks))
    sums = [
        sum(weeks[at * len(weeks) // width : (at + 1) * len(weeks) // width]) for at in range(width)
    ]
    most = max(sums) or 1
    return "".join(_BARS[(each * len(_BARS) - 1) // most] if each else _NOTHING for each in sums)


def _rules(told: Report) -> Table:
    costs = any(rule.cost is not None for rule in told.rules)
    columns = ["planned", "sent", "held out", "not sent", "put off", *(["cost"] if costs else [])]
    table = output.table("rule", *columns, "why not, and by what", right=columns)
    for rule in told.rules:
        if not rule.planned:
            continue
        held = rule.became.get("held_out", 0)
        table.add_row(
            rule.rule,
            *(_number(each) for each in (rule.planned, rule.sent, held)),
            _number(_unsent(rule)),
            _number(sum(rule.put_off.values())),
            *([_money(rule.cost)] if costs else []),
            Text(_reasons(rule), "dim"),
        )
    table.add_section()
    letters = told.letters
    table.add_row(
        "all",
        f"{letters.planned:,}",
        f"{letters.sent:,}",
        _number(sum(rule.became.get("held_out", 0) for rule in told.rules)),
        _number(sum(_unsent(rule) for rule in told.rules)),
        _number(sum(sum(rule.put_off.values()) for rule in told.rules)),
        *([_money(letters.cost)] if costs else []),
        "",
    )
    return table


def _unsent(rule: RuleLetters) -> int:
    return rule.planned - rule.sent - rule.became.get("held_out", 0)


def _number(count: int) -> str:
    return f"{count:,}" if count else "·"


def _money(amount: object) -> str:
    return "" if amount is None else f"{amount:,}"


def _reasons(rule: RuleLetters) -> str:
    """Why the others did not leave; and by which channels these did, where there are several."""
    told = [
        f"{reason.replace('_', ' ')} {count:,}"
        for reason, count in rule.why.items()
        if reason != "holdout"
    ]
    if waiting := rule.became.get("waiting"):
        told.append(f"still waiting {waiting:,}")
    if len(rule.sent_by_channel) > 1:
        told += [f"{channel} {count:,}" for channel, count in rule.sent_by_channel.items()]
    return ", ".join(told)


def _notes(told: Report) -> Iterator[Text]:
    letters = told.letters
    if idle := [rule.rule for rule in told.rules if not rule.planned]:
        yield Text(f"Nothing planned by {', '.join(idle)}.", "dim")
    if letters.peak is not None:
        yield Text(f"Most on one day: {letters.peak.sent:,} on {letters.peak.day}.")
    if letters.most_in_a_week:
        yield Text(
            f"Most to one customer within 7 days: {letters.most_in_a_week}, to"
            f" {output.count(letters.most_in_a_week_customers, 'customer')}."
            f" A cap held back letters of {output.count(letters.capped, 'customer')}."
        )
    yield Text(
        f"No letter at all: {output.count(letters.unreached, 'customer')}; of these no rule planned"
        f" anything for {letters.unplanned:,}."
        + (
            f" Not counted as letters: {output.count(letters.tasks, 'task')}."
            if letters.tasks
            else ""
        )
    )
    if letters.unreached == told.customers and not told.everybody:
        why = trying.unreached(letters.waiting, letters.unreachable)
        if why is not None:
            yield Text(why, "yellow")
    yield Text(
        f"To and fro within {told.flip_flop.days} days: {output.count(told.flip_flopping, 'customer')}"
        + "".join(
            f"\n  {one.state} → {one.went_to} → {one.state}: {output.count(one.times, 'time')}"
            for one in told.flip_flops[:SHOWN]
        )
    )
    for kind, count in told.unfolded.items():
        yield Text(f"{output.count(count, 'event')} of type {kind} cannot be folded.", "red")
    if told.digest is not None:
        yield Text(f"Digest of the derived truth: {told.digest}", "dim")
