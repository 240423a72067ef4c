"""What slip of the pen makes a file no YAML, and where? The parser notices most only lines later."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lifecycle.policy.report import Place

if TYPE_CHECKING:
    from ruamel.yaml.error import MarkedYAMLError

_QUOTED = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\n]|'')*'")
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")
_SLIPS = (
    (
        re.compile(r"：\s*"),
        "found the full-width {0}; allowed: a plain colon and a blank behind it",
    ),
    (re.compile(r"，(?=\s*\w+\s*[:：])"), "found the full-width {0}; allowed: a plain comma"),
    (
        re.compile(r"^\s*(?:- +)?[A-Za-z_][\w-]*(:)(?=[^\s:/])"),
        "found no blank behind the colon; allowed: a blank between a key and its value",
    ),
)


def found(text: str, error: MarkedYAMLError) -> tuple[Place, str] | None:
    """The place of the slip and what to write instead, if it is one of those that people make."""
    if "quoted scalar" in (error.context or "") and error.context_mark is not None:
        opened = error.context_mark
        return (
            Place(opened.line + 1, opened.column + 1),
            "found a quote that is opened here and never closed",
        )
    for line, content in _lines_of(text, error):
        for pattern, why in _SLIPS:
            if match := pattern.search(content):
                at = match.start(match.lastindex or 0)
                return Place(line + 1, at + 1), why.format(content[at])
    return None


def in_key(key: str) -> str:
    """`; …`, or nothing, for a key that is unknown because its value sticks to it."""
    match = re.fullmatch(r"([A-Za-z_][\w-]*)[:：](\S.*)", key)
    return (
        f'; did you mean "{match[1]}: {match[2]}", with a blank behind the colon?' if match else ""
    )


def _lines_of(text: str, error: MarkedYAMLError) -> Iterator[tuple[int, str]]:
    """From where what could not be read begins to where the parser gave up, without what is quoted."""
    marks = [mark.line for mark in (error.context_mark, error.problem_mark) if mark is not None]
    lines = text.split("\n")
    for line in range(min(marks, default=0), min(max(marks, default=-1) + 1, len(lines))):
        bare = _QUOTED.sub(lambda match: "_" * len(match[0]), lines[line])
        yield line, _COMMENT.sub("", bare)
