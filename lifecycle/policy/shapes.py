"""What may stand at a place of the file: each shape reads a node and states itself as JSON Schema.

A shape reports what is wrong and gives None; whoever asked goes on with the rest, so that one run
tells every problem. Names are taken as written here; whether they exist is `build`'s to decide.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any, Generic, TypeVar

from lifecycle.policy.report import Place, Report, did_you_mean, found, nearest, unlisted
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
        """The value, or None with every reason reported."""

    @abstractmethod
    def schema(self) -> JsonSchema:
        """The same as JSON Schema (draft 2020-12), as far as it can say it."""


class _Word(Shape[T]):
    """One scalar; subclasses turn its text into a value or raise `_NotThis`."""

    code: str = "wrong_value"

    def read(self, node: Node, report: Report) -> At[T] | None:
        if not isinstance(node, Scalar) or node.empty:
            report.error(node.place, self.code, f"{described(node)}; allowed: {self.says()}")
            return None
        try:
            return At(self.value(node), node.place)
        except _NotThis as error:
            report.error(node.place, error.code or self.code, str(error))
            return None

    @abstractmethod
    def value(self, node: Scalar) -> T: ...

    @abstractmethod
    def says(self) -> str:
        """What is allowed, in words."""


class _NotThis(Exception):
    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class Line(_Word[str]):
    """Any text of one to `most` characters."""

    def __init__(self, what: str, *, most: int = 200, example: str | None = None) -> None:
        self._what, self._most, self._example = what, most, example

    def value(self, node: Scalar) -> str:
        if not node.text.strip():
            raise _NotThis(f'found ""; allowed: {self.says()}')
        if len(node.text) > self._most:
            raise _NotThis(
                f"found {len(node.text):,} characters; allowed: {self._what} of at most "
                f"{self._most:,}",
                "too_long",
            )
        return node.text

    def says(self) -> str:
        return self._what

    def schema(self) -> JsonSchema:
        schema: JsonSchema = {"type": "string", "minLength": 1, "maxLength": self._most}
        return schema | ({"examples": [self._example]} if self._example else {})


class Name(_Word[str]):
    """A name that the author invents or refers to; `taken` are words with a meaning of their own."""

    code = "wrong_name"

    def __init__(
        self,
        what: str,
        *,
        pattern: str = r"[A-Za-z][A-Za-z0-9_]{0,63}",
        says: str = "letters, digits and _, beginning with a letter, at most 64",
        taken: Mapping[str, str] | None = None,
    ) -> None:
        self.what = what
        self._pattern, self._says, self._taken = re.compile(pattern), says, taken or {}

    def value(self, node: Scalar) -> str:
        why = self._taken.get(node.text) or (
            "lifecycle.* are events of the system itself"
            if node.text.startswith("lifecycle.")
            else None
        )
        if why is not None:
            raise _NotThis(f"{found(node.text)} as {self.what}, but {why}", "reserved_name")
        if not self._pattern.fullmatch(node.text):
            raise _NotThis(f"{found(node.text)}; allowed as {self.what}: {self._says}")
        return node.text

    def says(self) -> str:
        return f"{self.what} ({self._says})"

    def schema(self) -> JsonSchema:
        schema: JsonSchema = {"type": "string", "pattern": f"^{self._pattern.pattern}$"}
        if self._taken:
            schema["not"] = {"enum": sorted(self._taken)}
        return schema


class OneWord(_Word[str]):
    """One of a few words; `synonyms` are what people write instead."""

    code = "wrong_word"

    def __init__(
        self, options: Mapping[str, str], *, synonyms: Mapping[str, str] | None = None
    ) -> None:
        self.options = options
        self._synonyms = synonyms or {}

    def value(self, node: Scalar) -> str:
        if node.text in self.options:
            return node.text
        meant = self._synonyms.get(node.text.lower()) or nearest(node.text, self.options)
        hint = f'; did you mean "{meant}"?' if meant else ""
        raise _NotThis(f"{found(node.text)}; allowed: {self.says()}{hint}")

    def says(self) -> str:
        return ", ".join(self.options)

    def schema(self) -> JsonSchema:
        return {
            "oneOf": [{"const": word, "description": say} for word, say in self.options.items()]
        }


class YesNo(_Word[bool]):
    code = "wrong_word"

    def value(self, node: Scalar) -> bool:
        if node.plain and node.text in {"true", "True", "TRUE"}:
            return True
        if node.plain and node.text in {"false", "False", "FALSE"}:
            return False
        meant = {"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false"}
        guess = meant.get(node.text.lower()) or nearest(node.text, ["true", "false"])
        hint = f"; did you mean {guess}?" if guess else ""
        quoted = "" if node.plain else " in quotes"
        raise _NotThis(f"{found(node.text)}{quoted}; allowed: true, false (without quotes){hint}")

    def says(self) -> str:
        return "true, false"

    def schema(self) -> JsonSchema:
        return {"type": "boolean"}


class Exactly(_Word[str]):
    """One constant, such as the version of the format."""

    def __init__(self, text: str) -> None:
        self._text = text

    def value(self, node: Scalar) -> str:
        if node.text != self._text:
            raise _NotThis(f"{found(node.text)}; allowed: {self._text}")
        return node.text

    def says(self) -> str:
        return self._text

    def schema(self) -> JsonSchema:
        return {"const": int(self._text)}


_UNITS = {
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_DURATION = re.compile(r"(?P<amount>[0-9]{1,9})(?P<unit>[a-z]+)")
_LONGEST = timedelta(days=36_525)
UNITS_NEEDED = (
    "a duration needs a whole number with a unit of s, min (or m), h, d, w, such as 10min or 60d; "
    "months only as a calendar rule"
)


class Duration(_Word[timedelta]):
    """`60d`; zero only where nothing to wait for makes sense."""

    code = "wrong_duration"

    def __init__(self, *, zero: bool = False) -> None:
        self._zero = zero

    def value(self, node: Scalar) -> timedelta:
        match = _DURATION.fullmatch(node.text)
        unit = _UNITS.get(match["unit"]) if match else None
        if match is None or unit is None:
            raise _NotThis(f"{found(node.text)}; {UNITS_NEEDED}")
        amount = int(match["amount"])
        if amount == 0 and not self._zero:
            raise _NotThis(f"{found(node.text)}; allowed: more than nothing; {UNITS_NEEDED}")
        if amount > _LONGEST // unit:
            raise _NotThis(f"{found(node.text)}; allowed: at most 100 years (36525d)")
        return amount * unit

    def says(self) -> str:
        return UNITS_NEEDED

    def schema(self) -> JsonSchema:
        amount = "[0-9]{1,9}" if self._zero else "0*[1-9][0-9]{0,8}"
        return {"type": "string", "pattern": f"^{amount}(s|min|m|h|d|w)$", "examples": ["60d"]}


class Number(_Word[Decimal]):
    """A plain decimal above zero and, if said so, at most `most`; never taken through a double."""

    code = "wrong_number"
    _plain = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")

    def __init__(self, what: str, *, most: Decimal | None = None) -> None:
        self._what, self._most = what, most

    def value(self, node: Scalar) -> Decimal:
        if not self._plain.fullmatch(node.text):
            raise _NotThis(f"{found(node.text)}; allowed: {self.says()}")
        number = Decimal(node.text)
        if number <= 0 or (self._most is not None and number > self._most):
            raise _NotThis(f"{found(node.text)}; allowed: {self.says()}")
        return number

    def says(self) -> str:
        until = f" and at most {self._most}" if self._most is not None else ""
        return f"{self._what}: a plain decimal number above 0{until}"

    def schema(self) -> JsonSchema:
        schema: JsonSchema = {"type": ["number", "string"], "exclusiveMinimum": 0}
        if self._most is not None:
            schema["maximum"] = float(self._most)
        return schema | {"pattern": f"^{self._plain.pattern}$"}


class Clock(_Word[time]):
    """A local time of day, `HH:MM`."""

    code = "wrong_time"
    _plain = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")

    def value(self, node: Scalar) -> time:
        match = self._plain.fullmatch(node.text)
        if match is None:
            raise _NotThis(f"{found(node.text)}; allowed: {self.says()}")
        return time(int(match[1]), int(match[2]))

    def says(self) -> str:
        return "a time of day from 00:00 to 23:59, such as 09:00"

    def schema(self) -> JsonSchema:
        return {"type": "string", "pattern": f"^{self._plain.pattern}$", "examples": ["09:00"]}


class Day(_Word[date]):
    """A date, `YYYY-MM-DD`."""

    code = "wrong_date"
    _plain = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

    def value(self, node: Scalar) -> date:
        try:
            if self._plain.fullmatch(node.text):
                return date.fromisoformat(node.text)
        except ValueError:
            pass  # such as 2025-02-30: told below like any other text that is no date
        raise _NotThis(f"{found(node.text)}; allowed: {self.says()}")

    def says(self) -> str:
        return "a date that exists, such as 2025-01-31"

    def schema(self) -> JsonSchema:
        return {"type": "string", "pattern": f"^{self._plain.pattern}$"}


class Checked(_Word[S], Generic[S]):
    """A word judged by a function, which gives the value or raises ValueError with the sentence."""

    def __init__(
        self, judge: Callable[[str], S], *, says: str, code: str, schema: JsonSchema
    ) -> None:
        self._judge, self._says, self._schema = judge, says, schema
        self.code = code

    def value(self, node: Scalar) -> S:
        try:
            return self._judge(node.text)
        except ValueError as error:
            raise _NotThis(str(error)) from error

    def says(self) -> str:
        return self._says

    def schema(self) -> JsonSchema:
        return dict(self._schema)


class ListOf(Shape[tuple[At[T], ...]]):
    """A list of at least one; with `alone`, a single one may stand without brackets."""

    def __init__(self, item: Shape[T], *, alone: bool = False) -> None:
        self._item, self._alone = item, alone

    def read(self, node: Node, report: Report) -> At[tuple[At[T], ...]] | None:
        if isinstance(node, Scalar) and self._alone:
            only = self._item.read(node, report)
            return At((only,), node.place) if only else None
        if not isinstance(node, ListNode) or not node.items:
            what = "found an empty list" if isinstance(node, ListNode) else described(node)
            either = "one, or a list of at least one" if self._alone else "a list of at least one"
            report.error(node.place, "wrong_value", f"{what}; allowed: {either}")
            return None
        items = [self._item.read(item, report) for item in node.items]
        kept = tuple(item for item in items if item is not None)
        return At(kept, node.place) if kept else None

    def schema(self) -> JsonSchema:
        many = {"type": "array", "items": self._item.schema(), "minItems": 1, "uniqueItems": True}
        return {"anyOf": [self._item.schema(), many]} if self._alone else many


class MapOf(Shape[tuple[tuple[At[S], At[T]], ...]], Generic[S, T]):
    """A map whose keys are names of the author's own; a value may be left out where `blank`."""

    def __init__(self, key: _Word[S], item: Shape[T], *, blank: bool = False) -> None:
        self._key, self._item, self._blank = key, item, blank

    def read(self, node: Node, report: Report) -> At[tuple[tuple[At[S], At[T]], ...]] | None:
        if isinstance(node, Scalar) and node.empty:
            return At((), node.place)
        if not isinstance(node, MapNode):
            report.error(
                node.place,
                "wrong_value",
                f"{described(node)}; allowed: a map whose keys are {self._key.says()}",
            )
            return None
        return At(tuple(self._entries(node, report)), node.place)

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
            "type": ["object", "null"],
            "propertyNames": self._key.schema(),
            "additionalProperties": {"anyOf": [item, {"type": "null"}]} if self._blank else item,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a record: its shape, and what the reference and the editor say about it."""

    name: str
    shape: Shape[Any]
    about: str
    required: bool = False
    default: str | None = None  # as written in the file, for the reference


class Fields(dict[str, At[Any]]):
    """What a record held; keys that were broken or left out are missing."""

    def __init__(self, pairs: Mapping[str, At[Any]], written: frozenset[str]) -> None:
        super().__init__(pairs)
        self.written = written  # names that stood there, broken or not

    def value(self, name: str, otherwise: Any = None) -> Any:
        held = self.get(name)
        return otherwise if held is None else held.value

    def flag(self, name: str) -> bool:
        return bool(self.value(name))

    def place(self, name: str, otherwise: Place) -> Place:
        held = self.get(name)
        return otherwise if held is None else held.place

    def broken(self, name: str) -> bool:
        """It was written, and its problem has been reported."""
        return name in self.written and name not in self


# Keys of other tools that name code; here nothing in a file is ever imported or called.
_CODE_KEYS = frozenset(
    {"callback", "callbacks", "condition", "conditions", "unless", "before", "prepare", "function",
     "functions", "call", "hook", "hooks", "action", "actions", "on_enter", "on_exit"}
)  # fmt: skip
NO_FUNCTIONS = (
    "guards are CEL over facts and attributes; functions cannot be named here, "
    "and nothing that a file names is ever imported or called"
)


class Record(Shape[Fields]):
    """A map with a fixed set of keys."""

    def __init__(self, what: str, keys: Sequence[Key], *, more: JsonSchema | None = None) -> None:
        self.what = what
        self.keys = tuple(keys)
        self._by_name = {key.name: key for key in keys}
        self._more = more or {}

    def read(self, node: Node, report: Report) -> At[Fields] | None:
        if not isinstance(node, MapNode):
            report.error(
                node.place,
                "wrong_value",
                f"{described(node)}; allowed: {self.what}, a map with the keys "
                + ", ".join(self._by_name),
            )
            return None
        fields: dict[str, At[Any]] = {}
        for name, value in node.entries:
            key = self._by_name.get(name.text)
            if key is None:
                report.error(name.place, "unknown_key", self.unknown(name.text))
                continue
            if isinstance(value, Scalar) and value.empty and not key.required:
                continue  # `facts:` with nothing after it is the same as left out
            held = key.shape.read(value, report)
            if held is not None:
                fields[key.name] = held
        written = frozenset(name.text for name, _ in node.entries)
        for key in self.keys:
            if key.required and key.name not in written:
                report.error(
                    node.place,
                    "missing_key",
                    f'{self.what} needs "{key.name}": {_first_sentence(key.about)}',
                )
        return At(Fields(fields, written), node.place)

    def unknown(self, name: str) -> str:
        if name in _CODE_KEYS:
            return f'unknown setting "{name}" of {self.what}: {NO_FUNCTIONS}; use "when"'
        return (
            f'unknown setting "{name}" of {self.what}{did_you_mean(name, self._by_name)} '
            f"(allowed: {', '.join(self._by_name)})"
        )

    def schema(self) -> JsonSchema:
        properties: JsonSchema = {}
        for key in self.keys:
            property_schema = key.shape.schema() | {"description": key.about}
            if key.default is not None:
                property_schema["default"] = key.default
            properties[key.name] = property_schema
        schema: JsonSchema = {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
        }
        required = [key.name for key in self.keys if key.required]
        return schema | ({"required": required} if required else {}) | self._more


class Choice(Shape[tuple[str, Fields]]):
    """A map that is recognised by which one of several keys it holds."""

    def __init__(self, what: str, kinds: Mapping[str, Record]) -> None:
        self.what = what
        self.kinds = dict(kinds)

    def read(self, node: Node, report: Report) -> At[tuple[str, Fields]] | None:
        if not isinstance(node, MapNode):
            report.error(
                node.place,
                "wrong_value",
                f"{described(node)}; allowed: {self.what}, a map with one of the keys "
                + ", ".join(self.kinds),
            )
            return None
        names = [name for name, _ in node.entries]
        heads = [name for name in names if name.text in self.kinds]
        if not heads:
            guess = next((near for n in names if (near := nearest(n.text, self.kinds))), None)
            hint = f'; did you mean "{guess}"?' if guess else ""
            report.error(
                names[0].place if names else node.place,
                "unknown_key",
                f"{found(', '.join(n.text for n in names)) if names else 'found an empty map'}; "
                f"{self.what} needs one of: {', '.join(self.kinds)}{hint}",
            )
            return None
        if len(heads) > 1:
            report.error(
                heads[1].place,
                "two_kinds",
                f'found "{heads[0].text}" and "{heads[1].text}" together; '
                f"{self.what} has only one of: {', '.join(self.kinds)}",
            )
            return None
        held = self.kinds[heads[0].text].read(node, report)
        return At((heads[0].text, held.value), held.place) if held else None

    def schema(self) -> JsonSchema:
        return {"oneOf": [record.schema() for record in self.kinds.values()]}


class Either(Shape[Any]):
    """A word or a map, whichever stands there."""

    def __init__(self, word: Shape[Any], record: Shape[Any]) -> None:
        self._word, self._record = word, record

    def read(self, node: Node, report: Report) -> At[Any] | None:
        return (self._record if isinstance(node, MapNode) else self._word).read(node, report)

    def schema(self) -> JsonSchema:
        return {"anyOf": [self._word.schema(), self._record.schema()]}


def one_of(what: str, text: str, options: Sequence[str]) -> str:
    return unlisted(what, text, options)


def _first_sentence(text: str) -> str:
    return text.split(". ", 1)[0].rstrip(".")
