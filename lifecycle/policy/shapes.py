"""What may stand at a place of the file: each shape reads a node and states itself as JSON Schema.

A shape reports what is wrong and gives what was probably meant, or None; whoever asked goes on with
the rest, so that one run tells every problem. Names are taken as written here; whether they exist is
`build`'s to decide.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lifecycle.policy.report import Place, Report, found
from lifecycle.policy.source import ListNode, MapNode, Node, Scalar, described

T = TypeVar("T")
S = TypeVar("S")
JsonSchema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class At(Generic[T]):
    """A value and where it stands in the file."""

    value: T
    place: Place


class Shape(ABC, Generic[T]):
    @abstractmethod
    def read(self, node: Node, report: Report) -> At[T] | None:
        """The value; where something is wrong, every reason is reported and the value a guess."""

    @abstractmethod
    def schema(self) -> JsonSchema:
        """The same as JSON Schema (draft 2020-12), as far as it can say it."""


class Word(Shape[T]):
    """One scalar; subclasses turn its text into a value or raise `NotThis`."""

    code: str = "wrong_value"

    def read(self, node: Node, report: Report) -> At[T] | None:
        if not isinstance(node, Scalar) or node.empty:
            report.error(node.place, self.code, f"{described(node)}; allowed: {self.says()}")
            return None
        try:
            return At(self.value(node), node.place)
        except NotThis as error:
            report.error(node.place, error.code or self.code, str(error))
            return None if error.meant is None else At(error.meant, node.place)

    @abstractmethod
    def value(self, node: Scalar) -> T: ...

    @abstractmethod
    def says(self) -> str:
        """What is allowed, in words."""


class NotThis(Exception):
    """The text is not allowed; reading goes on with `meant` where that is known."""

    def __init__(self, message: str, code: str | None = None, meant: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.meant = meant


class ListOf(Shape[tuple[At[T], ...]]):
    """A list of at least one; with `alone`, a single one may stand without brackets."""

    def __init__(self, item: Shape[T], *, alone: bool = False, most: int = 500) -> None:
        self._item, self._alone, self._most = item, alone, most

    def read(self, node: Node, report: Report) -> At[tuple[At[T], ...]] | None:
        if isinstance(node, Scalar) and self._alone:
            only = self._item.read(node, report)
            return At((only,), node.place) if only else None
        if not isinstance(node, ListNode) or not node.items:
            what = "found an empty list" if isinstance(node, ListNode) else described(node)
            either = "one, or a list of at least one" if self._alone else "a list of at least one"
            report.error(node.place, "wrong_value", f"{what}; allowed: {either}")
            return None
        if len(node.items) > self._most:
            report.error(
                node.place,
                "too_many",
                f"found {len(node.items)} entries; allowed: at most {self._most}",
            )
            return None
        items = [self._item.read(item, report) for item in node.items]
        kept = tuple(item for item in items if item is not None)
        _no_word_twice(kept, report)
        return At(kept, node.place) if kept else None

    def schema(self) -> JsonSchema:
        many = {
            "type": "array",
            "items": self._item.schema(),
            "minItems": 1,
            "maxItems": self._most,
            "uniqueItems": True,
        }
        return {"anyOf": [self._item.schema(), many]} if self._alone else many


def _no_word_twice(items: Sequence[At[Any]], report: Report) -> None:
    seen: set[str] = set()
    for item in items:
        if isinstance(item.value, str):
            if item.value in seen:
                report.error(
                    item.place,
                    "duplicate_entry",
                    f"{found(item.value)} a second time; allowed: once in this list",
                )
            seen.add(item.value)


class MapOf(Shape[tuple[tuple[At[S], At[T]], ...]], Generic[S, T]):
    """A map whose keys are names of the author's own; a value may be left out where `blank`."""

    def __init__(
        self,
        key: Word[S],
        item: Shape[T],
        *,
        blank: bool = False,
        least: int = 0,
        most: int = 1000,
    ) -> None:
        self._key, self._item, self._blank = key, item, blank
        self._least, self._most = least, most

    @property
    def item(self) -> Shape[T]:
        """What stands behind each key."""
        return self._item

    def read(self, node: Node, report: Report) -> At[tuple[tuple[At[S], At[T]], ...]] | None:
        if isinstance(node, Scalar) and node.empty and not self._least:
            return At((), node.place)
        if not isinstance(node, MapNode):
            report.error(
                node.place,
                "wrong_value",
                f"{described(node)}; allowed: a map whose keys are {self._key.says()}",
            )
            return None
        if len(node.entries) < self._least:
            report.error(node.place, "wrong_value", f"{_few(node)}; allowed: {self._enough()}")
            return None
        if len(node.entries) > self._most:
            report.error(
                node.place,
                "too_many",
                f"found {len(node.entries)} entries; allowed: at most {self._most}",
            )
            return None
        return At(tuple(self._entries(node, report)), node.place)

    def _enough(self) -> str:
        entry = f"{self._key.says()}: …"
        return entry if self._least == 1 else f"at least {self._least} entries, each {entry}"

    def _entries(self, node: MapNode, report: Report) -> Iterator[tuple[At[S], At[T]]]:
        for key, value in node.entries:
            name = self._key.read(key, report)
            if self._blank and isinstance(value, Scalar) and value.empty:
                item = self._item.read(MapNode(entries=(), place=key.place), report)
            else:
                item = self._item.read(value, report)
            if name is not None and item is not None:
                yield name, item

    def schema(self) -> JsonSchema:
        item = self._item.schema()
        return {
            "type": "object" if self._least else ["object", "null"],
            "minProperties": self._least,
            "maxProperties": self._most,
            "propertyNames": self._key.schema(),
            "additionalProperties": {"anyOf": [item, {"type": "null"}]} if self._blank else item,
        }


def _few(node: MapNode) -> str:
    many = len(node.entries)
    if not many:
        return "found an empty map"
    return f"found {many} {'entry' if many == 1 else 'entries'}"


class Either(Shape[Any]):
    """A word or a map, whichever stands there."""

    def __init__(self, word: Shape[Any], record: Shape[Any]) -> None:
        self._word, self._record = word, record

    def read(self, node: Node, report: Report) -> At[Any] | None:
        return (self._record if isinstance(node, MapNode) else self._word).read(node, report)

    def schema(self) -> JsonSchema:
        return {"anyOf": [self._word.schema(), self._record.schema()]}
