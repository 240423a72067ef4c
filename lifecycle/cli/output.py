"""How do answers look? Tables and colours for people, JSON for programs, progress on stderr only.

What somebody posted must never command a terminal, nor look like a line of ours: control characters
are written out as in JSON, which itself would escape only some of them.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

from lifecycle.cli.exits import OutputClosed
from lifecycle.intake.strict_json import tame

if TYPE_CHECKING:
    from rich.progress import Progress

PIPED_WIDTH = 200  # columns, when nobody says how wide the reader is


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise OutputClosed

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Whoever prints a value may forget what could be in it; breaks of lines are for them to say."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            if control or text.isprintable():
                yield segment
            else:
                yield Segment(_tame_lines(text), style)


def out() -> Console:
    """Made anew at each use: tests and pipes change what stdout is."""
    return _console(stderr=False)


def err() -> Console:
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    piped = not stream.isatty() and "COLUMNS" not in os.environ
    return _Console(
        stderr=stderr,
        highlight=False,
        emoji=False,
        markup=False,
        width=PIPED_WIDTH if piped else None,
    )


def show(renderable: RenderableType) -> None:
    """In a pipe no line ends in the blanks that fill a table's last column."""
    console = out()
    if console.is_terminal:
        console.print(renderable)
        return
    with console.capture() as shown:
        console.print(renderable)
    lines = shown.get().removesuffix("\n").split("\n")
    _write("\n".join(line.rstrip() for line in lines))


def json_document(value: object) -> None:
    """One indented JSON document."""
    _write(_tame_lines(orjson.dumps(plain(value), option=orjson.OPT_INDENT_2).decode()))


def json_line(value: object) -> None:
    """One object on one line, written at once, for those who follow."""
    _write(tame(orjson.dumps(plain(value)).decode()))


def _tame_lines(text: str) -> str:
    """All but the breaks of lines."""
    return "\n".join(map(tame, text.split("\n")))


def _write(text: str) -> None:
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise OutputClosed from error


def plain(value: object) -> Any:
    """As JSON values: instants in UTC with Z, durations in seconds, exact decimals as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (date, Decimal, Path)):
        return str(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return value


def instant(at: datetime) -> str:
    """RFC 3339 in UTC, with as many decimals of a second as there are."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def moment(at: datetime) -> str:
    """For people: UTC to the second, which the heading says."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def count(number: int, what: str) -> str:
    """`1 customer`, `2,000 customers`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


class _Table(Table):
    def add_row(self, *cells: RenderableType | None, **how: Any) -> None:
        """A value that is text stands on a line of its own, whatever is in it."""
        super().add_row(*(tame(cell) if isinstance(cell, str) else cell for cell in cells), **how)


def table(*columns: str, title: str | None = None, right: Sequence[str] = ()) -> Table:
    """A listing in the house's look; the columns named in `right` hold numbers."""
    made = _Table(
        title=None if title is None else tame(title),
        title_style="bold",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        header_style="bold",
        pad_edge=False,
    )
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


@contextlib.contextmanager
def progress(what: str) -> Iterator[Ticker]:
    """A bar on stderr while it is a terminal; otherwise nothing is drawn."""
    from rich.progress import (  # few commands take long enough to need it
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = err()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        yield Ticker(bar, what)


class Ticker:
    """What long work calls to say how far it is; the total may become known later, or never."""

    def __init__(self, bar: Progress, what: str) -> None:
        self._bar = bar
        self._what = what
        self._task = bar.add_task(what, total=None)

    def __call__(self, done: int, total: int | None = None) -> None:
        self._bar.update(self._task, completed=done, total=total)

    def now(self, what: str, done: int, total: int) -> None:
        """The work has come to another part, which is counted and timed from its own beginning."""
        if what != self._what:
            self._bar.remove_task(self._task)
            self._task = self._bar.add_task(what, total=total)
            self._what = what
        self._bar.update(self._task, completed=done, total=total)
