"""Which events does a table file hold? One outcome a row, streaming; storing is `engine`'s work."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from lifecycle.domain.policy import Policy
from lifecycle.intake.draft import Draft
from lifecycle.intake.mapping import TableMapping
from lifecycle.intake.row_reader import RowReader, Skipped
from lifecycle.intake.rows import RowProblem, TableFile

__all__ = ["Draft", "Outcome", "RejectsFile", "RowProblem", "Skipped", "drafts"]

PROGRESS_EVERY = 1000  # rows

Outcome = Draft | RowProblem | Skipped
OnProgress = Callable[[int, int], None]  # bytes read so far, and of how many


def drafts(
    path: Path,
    mapping: TableMapping,
    policy: Policy,
    now: datetime,
    on_progress: OnProgress | None = None,
    *,
    shown: str | None = None,
) -> Iterator[Outcome]:
    """The outcome of every row, in the order of the file; `now` is the time of receipt.

    Raises Problem where the file as a whole cannot be read, which may be in the middle of it. A
    row that is refused is an outcome, and reading goes on. `shown` is what messages call the file.
    """
    with TableFile(path, mapping.table, shown) as table:
        reader = RowReader(mapping, table.columns, policy, now)
        for count, item in enumerate(table):
            outcome = reader.read(*item) if isinstance(item, tuple) else item
            if isinstance(outcome, RowProblem):
                outcome = replace(outcome, row=table.row)
            yield outcome
            if on_progress is not None and count % PROGRESS_EVERY == 0:
                on_progress(table.read_bytes, table.total_bytes)
        if on_progress is not None:
            on_progress(table.total_bytes, table.total_bytes)


class RejectsFile:
    """A CSV file of what is wrong, a finding a line: line, column, code, reason, got, row."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow(["line", "column", "code", "reason", "got", "row"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, problem: RowProblem) -> None:
        self._writer.writerow(
            [
                problem.line,
                problem.column,
                problem.code,
                problem.message,
                _harmless(problem.got),
                _harmless(problem.row),
            ]
        )


def _harmless(text: str) -> str:
    """A spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
