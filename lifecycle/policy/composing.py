"""The one document of a YAML text as a tree of nodes; what `source` promises of it is kept here.

A module of its own, as the YAML library takes longer to import than all else that reads a policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from lifecycle.policy import slips
from lifecycle.policy.report import START, Place, Report, found
from lifecycle.policy.source import MOST_NESTING, ListNode, MapNode, Node, Scalar, described

_CORE_TAG = "tag:yaml.org,2002:"  # written !! in a file


def composed(text: str, report: Report) -> Node | None:
    """The tree, or None with the reason reported."""
    try:
        return _Composer(report).compose(text)
    except MarkedYAMLError as error:
        place, why = slips.found(text, error) or (
            _mark(error.problem_mark or error.context_mark),
            _why(error),
        )
        report.error(place, "not_yaml", why)
    except YAMLError as error:
        report.error(START, "not_yaml", " ".join(str(error).split()))
    except _TooDeep as error:
        report.error(
            error.place, "too_deep", f"found more than {MOST_NESTING} levels of maps and lists"
        )
    return None


class _TooDeep(Exception):
    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place


@dataclass(slots=True)
class _Open:
    """A map or list whose end has not been read yet."""

    place: Place
    is_map: bool
    nodes: list[Node] = field(default_factory=list)


class _Composer:
    def __init__(self, report: Report) -> None:
        self._report = report

    def compose(self, text: str) -> Node | None:
        """Raises what the parser raises, and `_TooDeep`."""
        document: Node | None = None
        stack: list[_Open] = []
        for event in self._events(text):
            done = self._take(event, stack)
            if done is not None and stack:
                stack[-1].nodes.append(done)
            elif done is not None:
                document = done
        return document

    def _events(self, text: str) -> Iterator[Any]:
        """The events of the first document; a second one is refused."""
        documents = 0
        for event in YAML(typ="safe", pure=True).parse(StringIO(text)):
            documents += isinstance(event, DocumentStartEvent)
            if documents > 1:
                self._report.error(
                    _mark(event.start_mark),
                    "two_documents",
                    'found a second document after "---"; allowed: one document a file',
                )
                return
            yield event

    def _take(self, event: Any, stack: list[_Open]) -> Node | None:
        """The node that this event completes, if any."""
        place = _mark(event.start_mark)
        match event:
            case MappingStartEvent() | SequenceStartEvent():
                self._refuse_tricks(event, place)
                stack.append(_Open(place, isinstance(event, MappingStartEvent)))
                if len(stack) > MOST_NESTING:
                    raise _TooDeep(place)
                return None
            case MappingEndEvent() | SequenceEndEvent():
                return self._close(stack.pop())
            case ScalarEvent():
                self._refuse_tricks(event, place)
                return Scalar(text=event.value, plain=event.style is None, place=place)
            case AliasEvent():
                self._refuse_alias(event, place)
                return Scalar(text="", plain=True, place=place)
            case _:
                return None  # the begin and end of the stream and of the document say nothing

    def _close(self, opened: _Open) -> Node:
        if not opened.is_map:
            return ListNode(items=tuple(opened.nodes), place=opened.place)
        entries: dict[str, tuple[Scalar, Node]] = {}
        for key, value in zip(opened.nodes[::2], opened.nodes[1::2], strict=True):
            if not isinstance(key, Scalar):
                self._report.error(
                    key.place, "key_not_text", f"{described(key)} as a key; allowed: a word"
                )
            elif key.text in entries:
                first = entries[key.text][0].place
                self._report.error(
                    key.place,
                    "duplicate_key",
                    f"{found(key.text)} a second time; the first is in line {first.line}, "
                    "and each key may stand once",
                )
            else:
                entries[key.text] = (key, value)
        return MapNode(entries=tuple(entries.values()), place=opened.place)

    def _refuse_tricks(self, event: NodeEvent, place: Place) -> None:
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._report.error(
                place,
                "tag_refused",
                f"{found(tag.replace(_CORE_TAG, '!!'))}; "
                "tags are not allowed, and nothing is ever made from one",
            )
        if event.anchor is not None:
            self._report.error(
                place,
                "anchor_refused",
                f"{found('&' + event.anchor)}; anchors and aliases are not allowed: "
                "write each rule out, so that it can be read on its own",
            )

    def _refuse_alias(self, event: NodeEvent, place: Place) -> None:
        self._report.error(
            place,
            "anchor_refused",
            f"{found('*' + str(event.anchor))}; anchors and aliases are not allowed: "
            "write each rule out, so that it can be read on its own",
        )


def _why(error: MarkedYAMLError) -> str:
    problem = " ".join(str(error.problem or "this is not YAML").split())
    context = " ".join(str(error.context).split()) + ": " if error.context else ""
    hint = "; indent with spaces, a tab is not allowed" if "\\t" in problem else ""
    if "expected <block end>" in problem:
        hint = "; is the indentation of this line or of one before it off?"
    if "mapping values are not allowed" in problem:
        hint = "; is the indentation off, or should the text before the colon be in quotes?"
    return f"{context}{problem}{hint}"


def _mark(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1) if mark is not None else START
