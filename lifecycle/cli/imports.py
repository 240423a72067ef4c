"""`lifecycle import`: a file of history, through a mapping."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group
from rich.text import Text

from lifecycle.cli import exits, output
from lifecycle.cli.opening import opened
from lifecycle.cli.options import with_settings
from lifecycle.domain.fate import Fate
from lifecycle.errors import NotFound
from lifecycle.settings import Settings

if TYPE_CHECKING:
    from lifecycle.bootstrap import Engine
    from lifecycle.engine.imports import ImportReport
    from lifecycle.intake.mapping import TableMapping
    from lifecycle.intake.rows import RowProblem
    from lifecycle.intake.table import RejectsFile

SHOWN = 20  # refused rows that are shown; all of them are counted, and go into --rejects


class Effects(StrEnum):
    ON = "on"
    OFF = "off"


@with_settings()
def import_file(
    settings: Settings,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A table: CSV or fixed columns, plain or compressed by gzip."
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
        bool, typer.Option("--dry-run", help="Read and check every row; store nothing.")
    ] = False,
    rejects: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the rows that were refused there, as CSV."),
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
    --effects on.
    """
    from lifecycle.bootstrap import Access
    from lifecycle.engine.imports import run_import
    from lifecycle.engine.work import Applied
    from lifecycle.intake import table

    digest = _digest(file)
    with ExitStack() as stack:
        engine = stack.enter_context(opened(settings, Access.WRITE))
        path, columns = _mapping(engine, settings, mapping)
        refused = _Refused(stack, rejects)
        bar = stack.enter_context(output.progress(f"reading {file.name}"))
        now = engine.now()
        folded = Applied()

        def folding(applied: Applied) -> None:
            nonlocal folded
            folded = applied
            bar.now("folding customers", applied.customers)

        try:
            report = run_import(
                engine.installation,
                file.name,
                _combined(digest, path),
                lambda: table.drafts(file, columns, engine.policy(), now, bar),
                effects=effects is Effects.ON,
                accept_valid=accept_valid,
                dry_run=dry_run,
                on_problem=refused.add,
                on_applied=folding,
            )
        except KeyboardInterrupt as error:
            raise exits.Interrupted(_interrupted(folded.customers)) from error
    if json:
        output.json_document({**output.plain(report), "refused": output.plain(refused.first)})
    else:
        _show(report, refused, effects=effects, dry_run=dry_run)
    if report.problems and not report.stored:
        raise typer.Exit(exits.Code.BAD_INPUT)
    if report.conflicts:
        raise typer.Exit(exits.Code.REFUSED)


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


def _digest(file: Path) -> str:
    """SHA-256 of the file as it lies; raises NoInput."""
    try:
        with file.open("rb") as opened_file:
            return hashlib.file_digest(opened_file, "sha256").hexdigest()
    except FileNotFoundError:
        raise exits.NoInput(f"there is no file {file}; nothing was changed") from None
    except OSError as error:
        raise exits.NoInput(f"{file}: {error.strerror}; nothing was changed") from error


def _combined(digest: str, mapping: Path) -> str:
    """Another mapping makes another import of the same file."""
    return hashlib.sha256(digest.encode() + mapping.read_bytes()).hexdigest()


def _mapping(engine: Engine, settings: Settings, name: str) -> tuple[Path, TableMapping]:
    """The mapping's file, and what it says; its warnings go to stderr."""
    from lifecycle.intake import mapping_file

    try:
        path = mapping_file.find(name, settings.config_dir / "mappings")
    except NotFound as error:
        raise exits.NoInput(f"{error}; nothing was changed") from error
    found = mapping_file.load(path, engine.policy())
    for finding in found.warnings:
        output.err().print(Text(str(finding)), soft_wrap=True)
    return path, found


class _Refused:
    """The rows that were refused: the first to be shown, all of them for the rejects file."""

    def __init__(self, stack: ExitStack, path: Path | None) -> None:
        from lifecycle.intake.table import RejectsFile

        self.first: list[RowProblem] = []
        self.path = path
        self._file: RejectsFile | None = None
        if path is not None:
            try:
                self._file = stack.enter_context(RejectsFile(path))
            except OSError as error:
                raise exits.CannotWrite(
                    f"--rejects {path}: {error.strerror}; nothing was changed"
                ) from error

    def add(self, problem: RowProblem) -> None:
        if len(self.first) < SHOWN:
            self.first.append(problem)
        if self._file is not None:
            self._file.write(problem)


def _show(report: ImportReport, refused: _Refused, *, effects: Effects, dry_run: bool) -> None:
    stderr = output.err()
    for problem in refused.first:
        stderr.print(Text.assemble(problem.message, (f"  {problem.code}", "dim")), soft_wrap=True)
    if more := report.problems - len(refused.first):
        kept = f"all are in {refused.path}" if refused.path else "--rejects FILE keeps all of them"
        stderr.print(f"… and {more:,} more; {kept}")
    table = output.table("rows", "", right=["rows"])
    for count, what in _lines(report, dry_run=dry_run):
        table.add_row(f"{count:,}", what)
    output.show(table)
    output.show(_conclusion(report, dry_run=dry_run))
    if report.applied.fates:
        output.show(_planned(report.applied.fates, effects))


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


def _lines(report: ImportReport, *, dry_run: bool) -> Iterator[tuple[int, str]]:
    yield report.rows, "read"
    for reason, count in sorted(report.skipped.items()):
        yield count, f"skipped: {reason}"
    if report.problems:
        yield report.problems, "refused"
    if not report.stored:
        if dry_run:
            yield report.rows - report.problems - sum(report.skipped.values()), "would be stored"
        return
    yield report.accepted, "stored"
    for count, what in (
        (report.duplicates, "known already, with the same content"),
        (report.too_late, "too late for the policy: among the dead letters"),
        (len(report.conflicts), "refused: their id is known with other content"),
    ):
        if count:
            yield count, what


def _conclusion(report: ImportReport, *, dry_run: bool) -> Text:
    if dry_run:
        return Text("A dry run: nothing was stored.")
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
