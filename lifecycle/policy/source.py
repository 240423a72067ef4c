"""YAML 1.2 text as a tree whose every node knows its line and column.

Scalars keep the text that the author wrote (`3.10`, `08:30`, `on` and `no` stay what they are), so
what a key allows is decided by `shapes` alone. Nothing in a file can name a type, repeat a part of
itself or grow beyond the file: tags, anchors and aliases are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lifecycle.policy.report import START, Place, Report, found

MOST_BYTES = 1024 * 1024
MOST_NESTING = 20

_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    text: str  # as written, without quotes
    plain: bool  # written without quotes
    place: Place

    @property
    def empty(self) -> bool:
        return self.plain and self.text in {"", "~", "null", "Null", "NULL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNode:
    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class MapNode:
    entries: tuple[tuple[Scalar, Node], ...]  # no key twice
    place: Place


Node = Scalar | ListNode | MapNode


def described(node: Node) -> str:
    """What was found, for a message about a node of the wrong kind."""
    if isinstance(node, MapNode):
        return "found a map"
    if isinstance(node, ListNode):
        return "found a list"
    return "found nothing" if node.empty else found(node.text)


def decoded(content: bytes, report: Report) -> str | None:
    """The text of a file, or None with the reason reported."""
    if len(content) > MOST_BYTES:
        report.error(
            START,
            "file_too_large",
            f"found {len(content):,} bytes; allowed: at most {MOST_BYTES:,}",
        )
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        report.error(
            _place_after(before),
            "not_utf8",
            f"found the byte 0x{content[error.start]:02X}; allowed: text in UTF-8, "
            "so save the file with that encoding",
        )
        return None


def tree(text: str, report: Report) -> Node | None:
    """The one document of a file, or None when there is none that could be read on."""
    strange = _NOT_TEXT.search(text)
    if strange:
        report.error(
            _place_after(text[: strange.start()]),
            "not_text",
            f"found the character U+{ord(strange.group()):04X}, which no text file may hold",
        )
        return None
    # Not before: it brings YAML, for which nobody waits who reads no file.
    from lifecycle.policy.composing import composed

    return composed(text, report)


def _place_after(text: str) -> Place:
    lines = text.split("\n")
    return Place(len(lines), len(lines[-1]) + 1)
