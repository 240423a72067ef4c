"""Shapes of maps with fixed keys: records, and records recognised by one of their keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lifecycle.policy import slips
from lifecycle.policy.report import Place, Report, did_you_mean, found, nearest
from lifecycle.policy.shapes import At, JsonSchema, Shape
from lifecycle.policy.source import MapNode, Node, Scalar, described


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a record: its shape, and what the reference and the editor say about it."""

    name: str
    shape: Shape[Any]
    about: str
    required: bool = False
    default: str | None = None  # as written in the file, for the reference
    null: str | None = None  # what `null` says there; None: the same as leaving the key out


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
                if key.null is not None and _says_null(name, value, key.null, report):
                    fields[key.name] = At(None, value.place)
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
        meant = slips.in_key(name) or did_you_mean(name, self._by_name)
        return (
            f'unknown setting "{name}" of {self.what}{meant} (allowed: {", ".join(self._by_name)})'
        )

    def schema(self) -> JsonSchema:
        properties: JsonSchema = {}
        for key in self.keys:
            shape = key.shape.schema()
            if key.null is not None:
                shape = {"anyOf": [shape, {"type": "null", "description": key.null}]}
            property_schema = shape | {"description": key.about}
            if key.default is not None:
                property_schema["default"] = key.default
            properties[key.name] = property_schema
        schema: JsonSchema = {
            "title": _without_article(self.what),
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
        return {
            "title": _without_article(self.what),
            "oneOf": [record.schema() for record in self.kinds.values()],
        }


def _says_null(key: Scalar, value: Scalar, meaning: str, report: Report) -> bool:
    """Where `null` means something of its own, nothing at all could be a slip."""
    if value.text:
        return True
    report.error(
        key.place,
        "wrong_value",
        f"found nothing; allowed: a value, null ({meaning}), or leave the key out",
    )
    return False


def _without_article(what: str) -> str:
    return what.split(" ", 1)[1]


def _first_sentence(text: str) -> str:
    return text.split(". ", 1)[0].rstrip(".")
