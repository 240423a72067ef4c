"""How are the differences of two policies shown: to people by section, to programs as one document?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lifecycle.cli import output
from lifecycle.cli.findings import told
from lifecycle.cli.sides import Side
from lifecycle.intake.strict_json import tame
from lifecycle.policy.diff import Change, Kind

_MARKS = {
    Kind.ADDED: ("+", "green"),
    Kind.REMOVED: ("−", "red"),
    Kind.CHANGED: ("~", "yellow"),
    Kind.REORDERED: ("↕", "cyan"),
    Kind.RENAMED: ("≡", "cyan"),
}
_ARROW = " → "
_LONG = 80  # characters of both sides of an arrow: longer ones stand under each other
_WIDEST_NAME = 28
_AROUND = 7  # columns that a mark and the gaps take
_MEMBERS = re.compile(r"(also|no longer) ([^;]+)")


def document(before: Side, after: Side, changes: Sequence[Change] | None) -> dict[str, Any]:
    """None instead of the changes: one of the two is refused, so nothing was compared."""
    return {
        "before": _side(before),
        "after": _side(after),
        "same": None if changes is None else before.hash == after.hash,
        "changes": changes,
    }


def structure(
    before: Side, after: Side, changes: Sequence[Change], *, width: int
) -> RenderableType:
    """All of it, the two that were compared first, for a terminal of so many columns."""
    return Group(
        _heads(before, after),
        *_sections(changes, width),
        "",
        Text.assemble(*_verdict(before, after, changes)),
    )


def refusals(before: Side, after: Side) -> Iterator[Text]:
    """The findings of whichever is refused, as `policy check` shows them, and which of the two it is."""
    sides = [(before, "first"), *([] if before == after else [(after, "second")])]
    for side, which in sides:
        if side.policy is not None:
            continue
        for finding in side.findings:
            yield told(finding, _lines(side))
        errors = sum(not finding.warning for finding in side.findings)
        yield Text(
            f"{side.called}: the {which} of the two policies is refused:"
            f" {output.count(errors, 'error')}; nothing was compared",
            style="bold red",
        )


def _side(side: Side) -> dict[str, Any]:
    return {
        "file": side.file,
        "version": side.version,
        "hash": side.hash,
        "accepted": side.policy is not None,
        "findings": side.findings,
    }


def _lines(side: Side) -> list[str]:
    try:
        return Path(side.file or "").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # the finding says so
        return []


def _heads(before: Side, after: Side) -> Table:
    heads = Table.grid(padding=(0, 2))
    for which, side in (("before", before), ("after", after)):
        heads.add_row(
            Text(which, "dim"),
            Text(tame(side.called), "bold"),
            Text(f"hash {(side.hash or '')[:12]}", "dim"),
        )
    return heads


def _sections(changes: Sequence[Change], width: int) -> Iterator[RenderableType]:
    names = min(max((len(change.name) for change in changes), default=0), _WIDEST_NAME)
    room = min(width - names - _AROUND, _LONG)
    for section, held in groupby(changes, key=lambda change: change.section):
        yield Text(f"\n{section}", "bold")
        rows = Table.grid(padding=(0, 2, 0, 0))
        rows.add_column(no_wrap=True)
        rows.add_column(overflow="fold", width=names)
        rows.add_column(overflow="fold")
        name = None
        for change in held:
            rows.add_row(*_row(change, room, named=change.name != name))
            name = change.name
        yield Padding(rows, (0, 0, 0, 2))


def _row(change: Change, room: int, *, named: bool) -> tuple[Text, Text, Text]:
    mark, colour = ("·", "dim") if change.cosmetic else _MARKS[change.kind]
    told = tame(change.told)
    return (
        Text(mark, colour),
        Text(tame(change.name) if named else "", "dim" if change.cosmetic else "bold"),
        Text(told, "dim") if change.cosmetic else _coloured(change, told, room),
    )


def _coloured(change: Change, told: str, room: int) -> Text:
    if told.count(_ARROW) == 1 and None not in (change.before, change.after):
        return _arrow(change, told, room)
    if change.kind in (Kind.ADDED, Kind.REMOVED):
        return Text(told, _MARKS[change.kind][1])
    text = Text(told)
    for found in _MEMBERS.finditer(told):
        text.stylize("green" if found[1] == "also" else "red", found.start(2), found.end(2))
    return text


def _arrow(change: Change, told: str, room: int) -> Text:
    """`key before → after`; long ones under each other."""
    left, after = told.split(_ARROW)
    key = (change.key or "").replace(".", " ") + " "
    label = key if left.startswith(key) else ""
    before = left.removeprefix(label)
    if Text(told).cell_len <= room:
        return Text.assemble(label, (before, "red"), (_ARROW, "dim"), (after, "green"))
    return Text.assemble(
        *([f"{label.rstrip()}\n"] if label else []),
        ("− ", "red"), (before, "red"), "\n", ("+ ", "green"), (after, "green"),
    )  # fmt: skip


def _verdict(
    before: Side, after: Side, changes: Sequence[Change]
) -> Iterator[str | tuple[str, str]]:
    real = [change for change in changes if not change.cosmetic]
    rest = len(changes) - len(real)
    if before.hash == after.hash:
        yield ("The same policy", "bold green")
        yield f": both have the hash {(before.hash or '')[:12]}"
        yield "; no changes." if not rest else f"; {_cosmetic(rest)}."
    elif not real:
        yield ("No customer is treated otherwise", "bold green")
        yield f". The order of rules differs, and with it the hash; {_cosmetic(rest)}."
    else:
        counted = Counter(change.kind for change in real)
        yield (output.count(len(real), "change"), "bold")
        yield ": " + ", ".join(f"{counted[kind]:,} {kind}" for kind in Kind if counted[kind])
        yield f"; {_cosmetic(rest)}." if rest else "."


def _cosmetic(number: int) -> str:
    if number == 1:
        return "one difference, marked ·, is only a label or a place in the file"
    return f"{number:,} differences, marked ·, are only labels or places in the file"
