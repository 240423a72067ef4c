"""`lifecycle policy suggest …`: what does history say of the numbers in a policy?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from lifecycle.cli import exits, output, trying
from lifecycle.cli.options import pointing_at_flags, with_settings
from lifecycle.cli.sides import CURRENT
from lifecycle.settings import Settings

if TYPE_CHECKING:
    from rich.table import Table

    from lifecycle.engine.backtest.dormancy import Answer
    from lifecycle.insight.intervals import Rate
    from lifecycle.insight.silences import Threshold
    from lifecycle.insight.thresholds import Comparison, Part

app = typer.Typer(
    no_args_is_help=True, help="Try numbers of a policy on history, and say which serve best."
)

T = TypeVar("T")

_DAY = timedelta(days=1)


def _days(name: str, help_text: str) -> object:
    return typer.Option(f"--{name}", metavar="DAYS", help=help_text, show_default=False)


@app.command("dormancy")
@with_settings()
def dormancy(
    settings: Settings,
    file: trying.HistoryFile = None,
    *,
    mapping: trying.Mapping = None,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="POLICY",
            help="Whose check it is: a file, the number of a version, or current; left out: current, and"
            " for a FILE of history policy.yaml.",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Which transition is meant; left out: the one that waits since the last interaction"
            " and leads where customers are given up later.",
            show_default=False,
        ),
    ] = None,
    days: Annotated[
        str, typer.Option(metavar="LIST", help="Thresholds for all customers, in days.")
    ] = "30,45,60,90,120,180",
    quantiles: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="Thresholds by each customer's own rhythm: quantiles of her gaps so far.",
        ),
    ] = "0.8,0.9,0.95",
    at_least: Annotated[
        int | None,
        _days("at-least", "The shortest that an own rhythm waits; left out: 30, or the policy's."),
    ] = None,
    at_most: Annotated[
        int | None,
        _days("at-most", "And the longest; left out: the horizon, or the policy's."),
    ] = None,
    otherwise: Annotated[
        int | None,
        _days("otherwise", "How long it waits while she has no gap yet; left out: the policy's."),
    ] = None,
    horizon: Annotated[
        int | None,
        _days(
            "horizon",
            "Who is back within so many days of her last interaction was not lost; left out: until"
            " the policy gives her up, and at least 180.",
        ),
    ] = None,
    in_time: Annotated[
        int | None,
        _days(
            "in-time",
            "A lost customer who is declared later than that is missed; left out: half the horizon.",
        ),
    ] = None,
    false_alarms: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Suggest what has at most so many false alarms, such as 20%; left out: as many as"
            " the policy has.",
            show_default=False,
        ),
    ] = None,
    accept_valid: trying.AcceptValid = False,
    processes: trying.Processes = None,
    json: Annotated[bool, typer.Option("--json", help="As one JSON document.")] = False,
) -> None:
    """Tell how often each threshold of dormancy would have been wrong, and how many days it gains.

    Every silence of every customer is held against all thresholds at once. A false alarm is a customer
    who would have been declared dormant and was back within the horizon, counted from her last
    interaction; a miss is one who was not, and would have been declared too late. An own rhythm is
    compared with that number of days for all which gives as many false alarms. Nothing is changed.
    docs/dormancy.md says exactly what is counted.
    """
    from lifecycle.engine.backtest.dormancy import suggest
    from lifecycle.engine.backtest.dormancy_grid import Question

    asked = Question(
        check=check,
        days=_list(days, int, "--days", "whole numbers of days, such as 30,60,90"),
        quantiles=_list(quantiles, Decimal, "--quantiles", "numbers between 0 and 1: 0.8,0.9"),
        at_least=at_least,
        at_most=at_most,
        otherwise=otherwise,
        horizon=horizon,
        in_time=in_time,
        false_alarms=None if false_alarms is None else _share(false_alarms),
    )
    source = trying.Source.of(settings, file, mapping, accept_valid=accept_valid)
    tried = trying.candidate(source, policy or (CURRENT if file is None else None))
    version = tried.versions[-1]
    try:
        with (
            trying.history(source, version.policy) as histories,
            output.progress("listening to silences of customers") as bar,
            pointing_at_flags(),
        ):
            told = suggest(version, histories, asked, processes=processes, on_customers=bar)
    except KeyboardInterrupt as error:
        raise exits.Interrupted("interrupted: nothing was changed") from error
    if json:
        output.json_document({"policy": tried.source, "hash": version.hash, **output.plain(told)})
    else:
        output.show(Group(*_shown(told, tried.source, version.hash)))


def _list(text: str, of: Callable[[str], T], flag: str, allowed: str) -> tuple[T, ...]:
    """Empty text is an empty list: nothing of the kind is tried."""
    try:
        return tuple(of(each.strip()) for each in text.split(",") if text.strip())
    except (ValueError, InvalidOperation) as error:
        raise typer.BadParameter(
            f"{text!r} is no list; write {allowed}", param_hint=flag
        ) from error


def _share(text: str) -> float:
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no share; write 20% or 0.2", param_hint="--false-alarms"
        ) from error


def _shown(told: Answer, source: str, policy_hash: str) -> Iterator[RenderableType]:
    yield Text.assemble((source, "bold"), f" (hash {policy_hash[:12]}), ", *_what(told))
    yield from map(Text, _counted(told))
    for part in told.parts:
        if part.judged:
            yield _table(part, told)
    yield from (Text(each) for each in _notes(told))
    for part in told.parts:
        yield from _conclusions(part, _TITLES[part.whose.value])
    yield from _suggestion(told)


def _what(told: Answer) -> Iterator[str | tuple[str, str]]:
    yield (told.check, "bold")
    in_force = told.parts[0].rows[0].threshold
    yield f": {_threshold(in_force)} since {told.since}, from {', '.join(told.states)}"
    if told.guarded:
        yield "; its `when` is not asked here"


def _counted(told: Answer) -> Iterator[str]:
    counts, every = told.counts, told.parts[0]
    yield (
        f"{output.count(counts.customers, 'customer')}, {counts.seen_once:,} of them seen only once."
        f" {output.count(counts.judged, 'silence')} judged: {every.lulls:,} ended within"
        f" {told.horizon} days, {every.lost:,} did not"
        + (
            f", {every.left:,} did not after she had left those states otherwise."
            if every.left
            else "."
        )
    )
    yield (
        f"Left out: {counts.unjudged:,} that began less than {told.horizon} days before the last event"
        f" ({told.until:%Y-%m-%d}), {counts.unjudged_ended:,} of which had ended; judging these alone"
        " would count short ones only."
    )
    if told.rows_left_out:
        yield f"{trying.left_out(told.rows_left_out)}."
    if counts.elsewhere:
        yield f"Left out: {counts.elsewhere:,} that began in another state."
    if counts.unfolded:
        yield f"{output.count(counts.unfolded, 'event')} cannot be folded and are left out."


_TITLES = {
    "all": "All silences",
    "with_rhythm": "Of customers who had a rhythm: at least one gap before",
    "no_rhythm": "Of customers who had none yet: their first interaction",
}


def _table(part: Part, told: Answer) -> Table:
    from lifecycle.insight.dormancy import Whose

    letters = told.parts[0].after_letter > 0
    columns = [
        "alarms",
        "false",
        "95 %",
        *(["after a letter"] if letters else []),
        "missed",
        "declared after",
        "half by",
        "days gained",
    ]
    title = f"{_TITLES[part.whose.value]} ({part.judged:,}; {part.lost:,} lost)"
    table = output.table("threshold", *columns, title=title, right=columns)
    for row in part.rows:
        if row.threshold.quantile is not None and part.whose is Whose.NO_RHYTHM:
            continue  # there it is `otherwise`, so many days like any others
        table.add_row(
            Text(
                _threshold(row.threshold) + (" (in force)" if row.threshold.in_force else ""),
                "bold" if row.threshold.in_force else "",
            ),
            f"{row.false.of:,}",
            _percent(row.false.rate),
            "" if row.threshold.wait == told.horizon * _DAY else _interval(row.false),
            *([f"{row.after_letter:,}"] if letters else []),
            _percent(row.missed.rate),
            "" if row.declared_mean is None else f"{row.declared_mean:.1f} d",
            "" if row.declared_median is None else f"{row.declared_median} d",
            "" if row.gained is None else f"{row.gained:+z.1f}",
        )
    return table


def _threshold(threshold: Threshold) -> str:
    wait = threshold.wait
    if isinstance(wait, timedelta):
        return f"{wait / _DAY:g} d"
    low, high, otherwise = (
        f"{each / _DAY:g}" for each in (wait.at_least, wait.at_most, wait.otherwise)
    )
    return f"own {threshold.quantile}, {low}–{high} d, else {otherwise} d"


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.1%}"


def _interval(rate: Rate) -> str:
    if rate.low is None or rate.high is None:
        return ""
    return f"{rate.low:.1%}–{rate.high:.1%}"


def _notes(told: Answer) -> Iterator[str]:
    counts, every = told.counts, told.parts[0]
    yield (
        f"false: came back within {told.horizon} days of her last interaction (at that many days nothing"
        f" can be). missed: lost, and not declared within {told.in_time} days. declared after: mean days"
        " of the lost, and half by. gained: on average, against what is in force. 95 %: Wilson's interval,"
        " which takes each alarm for itself, though customers have several."
    )
    yield (
        f"Of the {counts.lost:,} lost, {counts.back_later:,} came back later than {told.horizon} days:"
        " lost is not gone for good. A longer --horizon asks for more."
    )
    if every.after_letter:
        yield (
            f"In {every.after_letter:,} of the {every.lulls:,} lulls a letter had left. Whether she came"
            " back by it or by herself nobody knows, so those are counted apart: the share of false"
            " alarms lies between that without them, as shown, and that with them, by which thresholds"
            " are compared and suggested."
        )


def _conclusions(part: Part, title: str) -> Iterator[Text]:
    if not part.comparisons:
        return
    yield Text(f"{title}, own rhythm against the same days for all:", "bold")
    for each in part.comparisons:
        yield Text.assemble("  ", *compared(each))


def compared(told: Comparison) -> Iterator[str | tuple[str, str]]:
    from lifecycle.insight.thresholds import Verdict

    name = f"own {told.threshold.quantile}"
    if told.interval is None or told.earlier is None or told.fixed is None:
        yield f"{name}: not enough data yet."
        return
    low, high = told.interval.low, told.interval.high
    if told.verdict is Verdict.BETTER:
        yield (f"{name}: better than fixed days.", "bold green")
        yield (
            f" It declares the lost {told.earlier:z.1f} days sooner (95 %: {low:z.1f} to {high:z.1f}) than"
            f" {told.fixed:.0f} days for all, which give as many false alarms."
        )
    elif told.verdict is Verdict.WORSE:
        yield (f"{name}: not better than fixed days, worse.", "bold yellow")
        yield (
            f" {told.fixed:.0f} days for all give as many false alarms and declare the lost"
            f" {-told.earlier:z.1f} days sooner (95 %: {-high:z.1f} to {-low:z.1f})."
        )
    else:
        yield (f"{name}: not better than fixed days.", "bold")
        yield (
            f" Against {told.fixed:.0f} days for all, which give as many false alarms, it is"
            f" {told.earlier:+z.1f} days sooner (95 %: {low:+z.1f} to {high:+z.1f}): that may be chance."
        )


def _suggestion(told: Answer) -> Iterator[Text]:
    found = told.suggested
    yield Text(f"At most {found.wanted:.1%} false alarms:", "bold")
    if found.days is None or found.false is None:
        yield Text(
            f"  no number of days below {told.horizon} has so few; a longer --horizon tries more."
        )
    else:
        yield Text(
            f"  from {found.days} days on ({_percent(found.false.rate)}, 95 %:"
            f" {_interval(found.false)}), {_gained(found.gained)}. In {told.check}:"
        )
        yield from _yaml(told.days_written)
    if found.rhythm is not None:
        gained = found.rhythm.gained
        yield Text(
            f"  sooner by own rhythm ({_percent(found.rhythm.at_most.rate)}), {_gained(gained)}:"
        )
        yield from _yaml(told.rhythm_written)
    yield Text(
        "What that would change: write it into a copy of the policy, and ask `lifecycle policy diff"
        " --effect`.",
        "dim",
    )


def _gained(days: float | None) -> str:
    if days is None:
        return "days gained unknown"
    if abs(days) < 0.05:
        return "as now"
    return f"{abs(days):.1f} days {'sooner' if days > 0 else 'later'} than now"


def _yaml(lines: tuple[str, ...]) -> Iterator[Text]:
    for line in lines:
        yield Text(f"    {line}", "cyan")
