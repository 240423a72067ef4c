"""Which policy is tried on which history? For every command that asks what would have been."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from lifecycle.cli import exits, output
from lifecycle.cli.opening import opened
from lifecycle.cli.options import parse_instant, pointing_at_flags
from lifecycle.cli.sides import POLICY_FILE, is_version
from lifecycle.cli.tables import Refused, at_hand, find_mapping, reading, show_kinds
from lifecycle.errors import NotReady
from lifecycle.settings import Settings

if TYPE_CHECKING:
    from lifecycle.cli.sides import Side
    from lifecycle.domain.policy import Policy
    from lifecycle.engine.backtest.asking import Candidate, Period
    from lifecycle.engine.backtest.effect_report import Effect
    from lifecycle.engine.backtest.histories import Filed, Histories
    from lifecycle.engine.backtest.report import Judged
    from lifecycle.intake.draft import Draft
    from lifecycle.intake.table import Outcome

HistoryFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FILE]",
        help="A table of history, read through --mapping without any database; left out: the events"
        " that the installation has recorded.",
        show_default=False,
    ),
]
Mapping = Annotated[
    str | None,
    typer.Option(
        "--mapping",
        "-m",
        metavar="NAME",
        help="Which columns of FILE make an event: a name in mappings/ of the config folder, or a file.",
        show_default=False,
    ),
]
AcceptValid = Annotated[
    bool,
    typer.Option("--accept-valid", help="Go by the good rows of FILE although others are refused."),
]
Tried = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="POLICY",
        help="The policy to try over all of it: a file, the number of a version, or current; left out: what"
        " was in force, each version from its instant on, and for a FILE of history policy.yaml.",
        show_default=False,
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="WHEN",
        help="Count what happens from then on; what came before still happens.",
        show_default=False,
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="WHEN",
        help="Where it ends; left out: with the last event.",
        show_default=False,
    ),
]
Sample = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE",
        help="Look only at a share of the customers, such as 10%: always the same ones.",
        show_default=False,
    ),
]
Everybody = Annotated[
    bool,
    typer.Option(
        "--everybody",
        help="Take every customer to have an address on each channel, and to consent where she never"
        " said; for histories that hold neither.",
    ),
]
Processes = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        max=1024,
        help="How many processes work at it; left out: one a core. The answer is the same.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the history is, as the command line says."""

    settings: Settings
    file: Path | None
    mapping: str | None
    accept_valid: bool = False

    @classmethod
    def of(
        cls, settings: Settings, file: Path | None, mapping: str | None, *, accept_valid: bool
    ) -> Source:
        """Raises BadParameter where a file and its mapping are not both there."""
        if file is None and mapping is not None:
            raise typer.BadParameter(
                "a mapping says how a FILE of history is read, and none is named; what is recorded"
                " needs no mapping",
                param_hint="--mapping",
            )
        if file is not None and mapping is None:
            raise typer.BadParameter(
                f"how is {file} to be read? Name a mapping, as for `lifecycle import`",
                param_hint="--mapping",
            )
        return cls(settings=settings, file=file, mapping=mapping, accept_valid=accept_valid)


def period(since: str | None, until: str | None, sample: str | None) -> Period:
    from lifecycle.engine.backtest.asking import Period

    return Period(
        since=None if since is None else parse_instant(since, flag="--from"),
        until=None if until is None else parse_instant(until, flag="--to"),
        sample=None if sample is None else _share(sample),
    )


def _share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise typer.BadParameter(
            f"{text!r} is no share of the customers; write 10% or 0.1: above 0, and at most all",
            param_hint="--sample",
        )
    return share


def candidate(source: Source, named: str | None) -> Candidate:
    """The policy that is meant. Raises PolicyRefused, NoInput and NotFound, and as the database does."""
    from lifecycle.engine.backtest import asking

    if named is None and source.file is not None:
        return _of_file(source.settings.config_dir / POLICY_FILE)
    if named is not None and not is_version(named):
        return _of_file(Path(named))
    from lifecycle.bootstrap import Access
    from lifecycle.engine import policies

    with opened(source.settings, Access.READ) as engine, engine.db.read() as tx:
        known = policies.versions(tx)
        if named is None and not known:
            raise NotReady("there are no events yet, so there is no history to try a policy on")
        if named is None:
            return asking.in_force(policies.judging(known))
        version = policies.named(known, named, engine.installation.now(tx))
    return asking.Candidate.of(
        version.policy, version.hash, f"version {version.number}", version.number
    )


def _of_file(path: Path) -> Candidate:
    from lifecycle.engine.backtest.asking import Candidate
    from lifecycle.policy import load

    if not path.is_file():
        raise exits.NoInput(
            f"there is no policy file {str(path)!r}; a version is its number, or current"
        )
    loaded = load(path)
    return Candidate.of(loaded.policy, loaded.hash, str(path))


def effect(
    source: Source,
    before: Side,
    after: Side,
    period: Period,
    *,
    everybody: bool = False,
    processes: int | None = None,
) -> Effect:
    """What the second of two policies does otherwise than the first; each as if it had always been."""
    from lifecycle.engine.backtest import asking

    by = asking.ways(source.settings.config_dir, os.environ, everybody=everybody)
    first, second = _of_side(before), _of_side(after)
    try:
        with (
            history(source, second.newest) as histories,
            output.progress("trying both policies on customers") as bar,
            pointing_at_flags(),
        ):
            return asking.effect(
                first, second, histories, by, period, processes=processes, on_customers=bar
            )
    except KeyboardInterrupt as error:
        raise exits.Interrupted("interrupted: nothing was changed") from error


def _of_side(side: Side) -> Candidate:
    from lifecycle.engine.backtest.asking import Candidate

    assert side.policy is not None, "a refused side is told before"
    return Candidate.of(side.policy, side.hash or "", side.called, side.version or 1)


def by_policies(policies: Iterable[Judged]) -> Iterator[str | tuple[str, str]]:
    """A line for each policy that judged, with the instant from when on, where it is not the beginning."""
    from lifecycle.domain.instant import BEGINNING

    for judged in policies:
        yield (judged.called, "bold")
        yield f" (hash {judged.hash[:12]})"
        if judged.effective_at > BEGINNING:
            yield f", from {output.moment(judged.effective_at)} UTC on"
        yield "\n"


@contextmanager
def history(source: Source, policy: Policy) -> Iterator[Histories]:
    """The rows of a file are read as `policy` declares its events."""
    from lifecycle.bootstrap import Access
    from lifecycle.engine.backtest.asking import recorded

    if source.file is None:
        with opened(source.settings, Access.READ) as engine:
            found = recorded(engine.db, source.settings.database_url)
        yield found
        return
    with ExitStack() as stack:
        yield _filed(stack, source, source.file, policy)


def _filed(stack: ExitStack, source: Source, file: Path, policy: Policy) -> Filed:
    from lifecycle.engine.backtest.histories import filed

    assert source.mapping is not None, "a file comes with a mapping"
    local = stack.enter_context(at_hand(file))
    refused = Refused(stack, None, otherwise=_rejecting(file, source.mapping))
    with output.progress(f"reading {local.name}") as bar:
        _, columns = find_mapping(source.settings, source.mapping, policy)
        rows = reading(local, columns, policy, datetime.now(UTC), bar)()
        found = stack.enter_context(filed(_drafts(rows, refused)))
    show_kinds(refused, refused.problems)
    if refused.problems and not source.accept_valid:
        raise exits.BadInput(
            f"{output.count(refused.problems, 'row')} of {local.name} cannot be read. Correct them, or go"
            " by the others with --accept-valid; nothing was changed"
        )
    _warn_of_doubles(found, local.name)
    return replace(found, unread=refused.problems)


def _rejecting(file: Path, mapping: str) -> str:
    """These commands write no rejects, and need none: an import that changes nothing does."""
    named = f"{shlex.quote(str(file))} -m {shlex.quote(mapping)}"
    return f"`lifecycle import {named} --dry-run --rejects FILE` keeps all of them"


def unreached(waiting: int, unreachable: int) -> str | None:
    """Why nobody at all gets a letter, where that is not for the rules to say; None: it is."""
    told = []
    if unreachable:
        told.append(
            f"This history knows no address, or no consent, for {output.count(unreachable, 'message')}:"
            " --everybody takes all to be reachable."
        )
    if waiting:
        wait = "waits" if waiting == 1 else "wait"
        told.append(f"At the end {output.count(waiting, 'message')} still {wait}.")
    return " ".join(told) or None


def left_out(rows: int) -> str:
    """What a report says of rows of its file that were refused, as whoever gets it saw no warning."""
    return f"{output.count(rows, 'row')} of the file {'was' if rows == 1 else 'were'} refused and left out"


def _drafts(rows: Iterator[Outcome], refused: Refused) -> Iterator[Draft]:
    from lifecycle.intake.draft import Draft
    from lifecycle.intake.rows import RowProblem

    for row in rows:
        if isinstance(row, Draft):
            yield row
        elif isinstance(row, RowProblem):
            refused.add(row)


def _warn_of_doubles(found: Filed, name: str) -> None:
    alike, unlike = found.again
    if alike or unlike:
        output.err().print(
            Text(
                f"warning: {name} says {output.count(alike, 'event')} more than once, each counted once"
                f"; and {output.count(unlike, 'row')} with the id of an earlier one and other content,"
                " left out as an import would refuse them",
                "yellow",
            ),
            soft_wrap=True,
        )
