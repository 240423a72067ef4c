"""How a command reads a table of history: which file, through which mapping, and what is wrong with it."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from lifecycle.cli import exits, output
from lifecycle.errors import NotFound
from lifecycle.intake.strict_json import tame
from lifecycle.settings import Settings

if TYPE_CHECKING:
    from lifecycle.domain.policy import Policy
    from lifecycle.engine.imports import RowConflict
    from lifecycle.intake.mapping import TableMapping
    from lifecycle.intake.rows import RowProblem
    from lifecycle.intake.table import Outcome, RejectsFile

SHOWN = 20  # kinds of problems, and conflicts, that are shown; all go into --rejects


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """A file that can be read more than once, and what the user calls it."""

    path: Path
    name: str


@contextmanager
def at_hand(file: Path) -> Iterator[Local]:
    """What comes through a pipe is kept in a temporary file meanwhile; raises NoInput."""
    if str(file) != "-" and (file.is_file() or file.is_dir() or not file.exists()):
        yield Local(path=file, name=file.name)
        return
    with tempfile.NamedTemporaryFile(prefix="lifecycle-import-") as kept:
        try:
            if str(file) == "-":
                shutil.copyfileobj(sys.stdin.buffer, kept)
            else:
                with file.open("rb") as pipe:
                    shutil.copyfileobj(pipe, kept)
            kept.flush()
        except OSError as error:
            raise exits.NoInput(f"{file}: {error.strerror}; nothing was changed") from error
        name = "standard input" if str(file) == "-" else str(file)
        yield Local(path=Path(kept.name), name=name)


def find_mapping(settings: Settings, name: str, policy: Policy) -> tuple[Path, TableMapping]:
    """The mapping's file, and what it says; its warnings go to stderr."""
    from lifecycle.intake import mapping_file

    try:
        path = mapping_file.find(name, settings.config_dir / "mappings")
    except NotFound as error:
        raise exits.NoInput(f"{error}; nothing was changed") from error
    found = mapping_file.load(path, policy)
    for finding in found.warnings:
        output.err().print(Text(str(finding)), soft_wrap=True)
    return path, found


def reading(
    file: Local, columns: TableMapping, policy: Policy, now: datetime, bar: output.Ticker
) -> Callable[[], Iterator[Outcome]]:
    """Reads the file anew each time that it is called."""
    from lifecycle.intake import table

    return lambda: table.drafts(file.path, columns, policy, now, bar, shown=file.name)


# What is a row's own in a message that is otherwise the same for every row.
_OWN = re.compile(r"^line \d+( to \d+)?|byte 0x[0-9a-f]{2} at \d+")


@dataclass(slots=True)
class _Kind:
    """Rows with the same thing wrong with them."""

    first: RowProblem
    rows: int = 1


class Refused:
    """What is wrong with rows: each kind once, to be shown, and all of it for the rejects file."""

    def __init__(
        self,
        stack: ExitStack,
        path: Path | None,
        *,
        otherwise: str = "--rejects FILE keeps all of them",
    ) -> None:
        """`otherwise` says, where there is no such file, how all of it is had."""
        from lifecycle.intake.table import RejectsFile

        self.kept = otherwise if path is None else f"all are in {path}"
        self.problems = 0
        self.conflicts: list[RowProblem] = []  # the first of them
        self._kinds: dict[tuple[str, str, str], _Kind] = {}
        self._file: RejectsFile | None = None
        if path is not None:
            try:
                self._file = stack.enter_context(RejectsFile(path))
            except OSError as error:
                raise exits.CannotWrite(
                    f"--rejects {path}: {error.strerror}; nothing was changed"
                ) from error

    @property
    def kinds(self) -> list[_Kind]:
        """The first of them."""
        return list(self._kinds.values())

    def add(self, problem: RowProblem) -> None:
        self.problems += 1
        told = problem.message if problem.alike is None else problem.alike
        kind = (problem.column, problem.code, _OWN.sub("", told))
        if kind in self._kinds:
            self._kinds[kind].rows += 1
        elif len(self._kinds) < SHOWN:
            self._kinds[kind] = _Kind(problem)
        self._write(problem)

    def add_conflicts(self, conflicts: tuple[RowConflict, ...]) -> None:
        for conflict in conflicts:
            problem = _conflict(conflict)
            if len(self.conflicts) < SHOWN:
                self.conflicts.append(problem)
            self._write(problem)

    def as_json(self) -> list[dict[str, object]]:
        return [_form(kind) for kind in self.kinds]

    def _write(self, problem: RowProblem) -> None:
        if self._file is not None:
            self._file.write(problem)


def _form(kind: _Kind) -> dict[str, object]:
    form: dict[str, object] = output.plain(kind.first)
    del form["alike"]  # `rows` says how many there are
    return form | {"rows": kind.rows}


def _conflict(conflict: RowConflict) -> RowProblem:
    from lifecycle.intake.rows import RowProblem
    from lifecycle.intake.strict_json import shown

    line = conflict.line or 0  # every row of a table has one
    return RowProblem(
        line=line,
        column="",
        code="event_id_conflict",
        message=f"line {line}: the id {shown(conflict.id)} is known with other content,"
        f" first seen {output.moment(conflict.first_seen)} UTC; what differs:"
        f" {', '.join(conflict.differing)}",
        got=conflict.id,
    )


def show_kinds(refused: Refused, problems: int) -> None:
    """Each kind of what is wrong once, and how many of so many rows are not shown."""
    kinds = refused.kinds
    for kind in kinds:
        more = f" (and {output.count(kind.rows - 1, 'more row')})" if kind.rows > 1 else ""
        show_problem(kind.first, more)
    show_rest(problems - sum(kind.rows for kind in kinds), refused)


def show_problem(problem: RowProblem, more: str = "") -> None:
    told = Text.assemble(tame(problem.message), (more, "bold"), (f"  {problem.code}", "dim"))
    output.err().print(told, soft_wrap=True)


def show_rest(rows: int, refused: Refused) -> None:
    if rows:
        output.err().print(Text(f"… and {rows:,} more; {refused.kept}"), soft_wrap=True)
