"""`lifecycle import`: a file of history, through a mapping."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group
from rich.text import Text

from lifecycle.cli import exits, output
from lifecycle.cli.opening import looked_over, opened, warn_of_policy
from lifecycle.cli.options import with_settings
from lifecycle.cli.tables import (
    Local,
    Refused,
    at_hand,
    find_mapping,
    reading,
    show_kinds,
    show_problem,
    show_rest,
)
from lifecycle.domain.fate import Fate
from lifecycle.settings import Settings

if TYPE_CHECKING:
    from lifecycle.engine.imports import ImportReport
    from lifecycle.engine.installation import Installation


class Effects(StrEnum):
    ON = "on"
    OFF = "off"


@with_settings()
def import_file(
    settings: Settings,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A table: CSV or fixed columns, plain or compressed by gzip or xz; - is standard input.",
        ),
    ],
    *,
    mapping: Annotated[
        str,
        typer.Option(
            "--mapping",
            "-m",
            metavar="NAME",
            help="Which columns make an event: a name in mappings/ of the config folder, or a file.",
        ),
    ],
    effects: Annotated[
        Effects,
        typer.Option(help="on: messages for the past that have not expired may still be sent."),
    ] = Effects.OFF,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Tell what would be stored, known already or a conflict; change nothing.",
        ),
    ] = False,
    rejects: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write there, as CSV, what is wrong with each row that is refused, and the row.",
        ),
    ] = None,
    accept_valid: Annotated[
        bool,
        typer.Option("--accept-valid", help="Store the good rows although others are refused."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="As one JSON document.")] = False,
) -> None:
    """Import a file of history through a mapping.

    Every customer is folded once, after the file's last row. One row that cannot be read means that
    nothing is stored, unless --accept-valid. Running it again adds nothing, and goes on where an
    interrupted import stopped. Messages that the past would have sent are withheld, unless with
    --effects on. A dry run may run beside a server, and makes no database where there is none.
    """
    with ExitStack() as stack:
        local = stack.enter_context(at_hand(file))
        asked = _Asked(
            file=local,
            digest=_digest(local),
            mapping=mapping,
            effects=effects,
            accept_valid=accept_valid,
        )
        refused = Refused(stack, rejects)
        report = _rehearse(settings, asked, refused) if dry_run else _run(settings, asked, refused)
        refused.add_conflicts(report.conflicts)
    if json:
        output.json_document({**output.plain(report), "refused": refused.as_json()})
    else:
        _show(report, refused, asked)
    if report.problems and not (report.stored or (dry_run and accept_valid)):
        raise typer.Exit(exits.Code.BAD_INPUT)
    if report.conflicts:
        raise typer.Exit(exits.Code.REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the command line says, looked up."""

    file: Local
    digest: str
    mapping: str  # its name, or the path to it
    effects: Effects
    accept_valid: bool


def _rehearse(settings: Settings, asked: _Asked, refused: Refused) -> ImportReport:
    """A dry run, beside whoever writes; there may be no database yet, and there is none afterwards."""
    from lifecycle.engine.imports import rehearse_import

    with looked_over(settings) as ground:
        if ground.db is not None:
            warn_of_policy(ground.db, settings)
        _, columns = find_mapping(settings, asked.mapping, ground.policy)
        with output.progress(f"reading {asked.file.name}") as bar:
            read = reading(asked.file, columns, ground.policy, ground.now, bar)
            try:
                return rehearse_import(ground.db, read, on_problem=refused.add)
            except KeyboardInterrupt as error:
                raise exits.Interrupted(
                    "interrupted: this was a dry run, and nothing was changed"
                ) from error


def _run(settings: Settings, asked: _Asked, refused: Refused) -> ImportReport:
    from lifecycle.bootstrap import Access, is_missing
    from lifecycle.engine.imports import run_import
    from lifecycle.engine.work import Applied

    with ExitStack() as stack:

        def opening() -> Installation:
            return stack.enter_context(opened(settings, Access.WRITE)).installation

        inst: Installation | Callable[[], Installation]
        if is_missing(settings):  # it is made only when there is something to be stored
            with looked_over(settings) as ground:
                policy, now = ground.policy, ground.now
            inst = opening
        else:
            engine = stack.enter_context(opened(settings, Access.WRITE))
            warn_of_policy(engine.db, settings)
            policy, now, inst = engine.policy(), engine.now(), engine.installation
        path, columns = find_mapping(settings, asked.mapping, policy)
        bar = stack.enter_context(output.progress(f"reading {asked.file.name}"))
        folded = Applied()

        def folding(applied: Applied, of: int) -> None:
            nonlocal folded
            folded = applied
            bar.now("folding customers", applied.customers, of)

        try:
            return run_import(
                inst,
                asked.file.name,
                _combined(asked.digest, path),
                reading(asked.file, columns, policy, now, bar),
                effects=asked.effects is Effects.ON,
                accept_valid=asked.accept_valid,
                on_problem=refused.add,
                on_applied=folding,
            )
        except KeyboardInterrupt as error:
            raise exits.Interrupted(_interrupted(folded.customers)) from error


def _interrupted(folded: int) -> str:
    if folded:
        return (
            f"interrupted: every row is stored, and {output.count(folded, 'customer')} folded;"
            " the others wait.\n"
            "Run the same command again, or `lifecycle up`: either goes on, and adds nothing twice."
        )
    return (
        "interrupted: the import has not ended.\n"
        "Rows that were stored so far are kept and count only once the import has ended;"
        " nothing is half-done.\n"
        "Run the same command again: it goes on where this one stopped, and adds nothing twice."
    )


# -- what is read ------------------------------------------------------------------------------


def _digest(file: Local) -> str:
    """SHA-256 of the file as it lies; raises NoInput."""
    try:
        with file.path.open("rb") as opened_file:
            return hashlib.file_digest(opened_file, "sha256").hexdigest()
    except FileNotFoundError:
        raise exits.NoInput(f"there is no file {file.path}; nothing was changed") from None
    except OSError as error:
        raise exits.NoInput(f"{file.path}: {error.strerror}; nothing was changed") from error


def _combined(digest: str, mapping: Path) -> str:
    """Another mapping makes another import of the same file."""
    return hashlib.sha256(digest.encode() + mapping.read_bytes()).hexdigest()


# -- what is told ------------------------------------------------------------------------------


def _show(report: ImportReport, refused: Refused, asked: _Asked) -> None:
    show_kinds(refused, report.problems)
    for problem in refused.conflicts:
        show_problem(problem)
    show_rest(len(report.conflicts) - len(refused.conflicts), refused)
    table = output.table("rows", "", right=["rows"])
    for count, what in _lines(report):
        table.add_row(f"{count:,}", what)
    output.show(table)
    output.show(_conclusion(report, accept_valid=asked.accept_valid))
    if report.applied.fates:
        output.show(_planned(report.applied.fates, asked.effects))


def _planned(fates: Mapping[Fate, int], effects: Effects) -> Group:
    """What becomes of the messages that the import planned, and what --effects has to do with it."""
    table = output.table("messages", "", right=["messages"])
    for fate, count in sorted(fates.items()):
        table.add_row(f"{count:,}", f"{fate}: {_BECOMES[fate]}")
    if effects is Effects.ON or Fate.WITHHELD not in fates:
        return Group(table)
    return Group(table, Text("With --effects on, those not expired would have been queued.", "dim"))


_BECOMES = {
    Fate.WITHHELD: "planned for a time before the import ended, so never sent",
    Fate.EXPIRED: "already too old to be sent",
    Fate.SUPPRESSED: "the like was sent not long before",
    Fate.QUEUED: "waiting to be sent",
}


def _lines(report: ImportReport) -> Iterator[tuple[int, str]]:
    yield report.rows, "read"
    for reason, count in sorted(report.skipped.items()):
        yield count, f"skipped: {reason}"
    if report.problems:
        yield report.problems, "refused"
    if not report.stored and not report.dry_run:
        return
    yield report.accepted, "would be stored" if report.dry_run else "stored"
    for count, what in (
        (report.duplicates, "known already, with the same content"),
        (report.too_late, "too late for the policy: among the dead letters"),
        (len(report.conflicts), "refused: their id is known with other content"),
    ):
        if count:
            yield count, what


def _conclusion(report: ImportReport, *, accept_valid: bool) -> Text:
    if report.dry_run:
        only = " With refused rows nothing would be, unless with --accept-valid."
        return Text(
            "A dry run: nothing was stored."
            + (only if report.problems and not accept_valid else "")
        )
    if not report.stored:
        return Text(
            "Nothing was stored. Correct the rows, or store the others with --accept-valid.", "bold"
        )
    applied = report.applied
    return Text(
        f"{output.count(applied.customers, 'customer')} folded:"
        f" {output.count(applied.steps, 'step')},"
        f" {output.count(applied.messages, 'message')} planned."
    )
