"""Which values could a guard read? Typed samples for every fact and attribute.

The library that evaluates guards has no type checker, so a guard is tried over these instead. Values
around the numbers and texts that the guard itself names are among them: `orders >= 3` is tried with
2, 3 and 4.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import chain

from lifecycle.domain.policy import Fact, FactKind, Policy, ValueType

MOST_COMBINATIONS = 400
MOST_WITH_EMPTIES = 100  # for each variable that is empty
AT = "at"
TAGS = "tags"

_NOW = datetime(2026, 3, 14, 9, 30, tzinfo=UTC)
_TEXT = re.compile(r"\"([^\"\\]*)\"|'([^'\\]*)'")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
_SPAN = re.compile(r"duration\(\s*[\"'](\d+)([hms])[\"']\s*\)")


class Type(StrEnum):
    """What CEL makes of a value."""

    INT = "int"
    DOUBLE = "double"
    STRING = "string"
    BOOL = "bool"
    TIMESTAMP = "timestamp"
    DURATION = "duration"
    LIST = "list of strings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    type: Type
    nullable: bool  # empty until something is known


def variables(policy: Policy) -> dict[str, Variable]:
    """Everything that a guard of this policy may name."""
    known = {
        name: Variable(type=_TYPES[kind], nullable=True) for name, kind in policy.attributes.items()
    }
    known |= {fact.name: _of_fact(fact) for fact in policy.facts}
    known[AT] = Variable(type=Type.TIMESTAMP, nullable=False)
    known[TAGS] = Variable(type=Type.LIST, nullable=False)
    return known


_TYPES = {
    ValueType.TEXT: Type.STRING,
    ValueType.ZONE: Type.STRING,
    ValueType.CURRENCY: Type.STRING,
    ValueType.INT: Type.INT,
    ValueType.NUMBER: Type.DOUBLE,
    ValueType.MONEY: Type.DOUBLE,
    ValueType.BOOL: Type.BOOL,
    ValueType.DATE: Type.TIMESTAMP,
    ValueType.TIMESTAMP: Type.TIMESTAMP,
}


def _of_fact(fact: Fact) -> Variable:
    match fact.kind:
        case FactKind.COUNT | FactKind.DISTINCT:
            return Variable(type=Type.INT, nullable=False)
        case FactKind.SUM:
            return Variable(type=Type.DOUBLE, nullable=False)
        case FactKind.FIRST | FactKind.LAST:
            return Variable(type=Type.TIMESTAMP, nullable=True)
        case FactKind.GAP:
            return Variable(type=Type.DURATION, nullable=True)
        case FactKind.LATEST | FactKind.MIN | FactKind.MAX:
            return Variable(type=_TYPES[fact.property_type or ValueType.NUMBER], nullable=True)


def full(
    known: Mapping[str, Variable], texts: Sequence[str], most: int = MOST_COMBINATIONS
) -> Iterator[dict[str, object]]:
    """Combinations in which nothing is empty, at most so many of them."""
    pools = {name: _pool(name, variable.type, texts) for name, variable in known.items()}
    total = math.prod(len(pool) for pool in pools.values())
    if total <= most:
        indices: Iterator[int] = iter(range(total))
    else:  # evenly spread, every value of every pool among them
        stride = next(n for n in range(total // 3 + 1, total) if math.gcd(n, total) == 1)
        indices = (n * stride % total for n in range(most))
    for index in indices:
        values: dict[str, object] = {}
        for name, pool in pools.items():
            index, chosen = divmod(index, len(pool))  # noqa: PLW2901
            values[name] = pool[chosen]
        yield values


def with_empties(
    known: Mapping[str, Variable], texts: Sequence[str]
) -> Iterator[tuple[tuple[str, ...], dict[str, object]]]:
    """Combinations in which one nullable variable is empty, and those in which all are."""
    nullable = [name for name, variable in known.items() if variable.nullable]
    everything = [tuple(nullable)] if len(nullable) > 1 else []
    for names in chain(((name,) for name in nullable), everything):
        others = {name: variable for name, variable in known.items() if name not in names}
        for values in full(others, texts, MOST_WITH_EMPTIES):
            yield names, values | dict.fromkeys(names)


def _pool(name: str, kind: Type, texts: Sequence[str]) -> tuple[object, ...]:
    if name == AT:
        return (_NOW,)
    match kind:
        case Type.INT:
            around = [whole + d for whole in _wholes(texts) for d in (-1, 0, 1)]
            return tuple(dict.fromkeys([0, 1, 3, -1, *around]))
        case Type.DOUBLE:
            near = [number + d for number in _numbers(texts) for d in (-0.5, 0.0, 0.5)]
            return tuple(dict.fromkeys([0.0, 1.5, 3.0, -1.0, *near]))
        case Type.STRING:
            return tuple(dict.fromkeys(["gold", "", "Straße 東", *_texts(texts)]))
        case Type.BOOL:
            return (True, False)
        case Type.TIMESTAMP:
            ago = [timedelta(0), timedelta(days=1), timedelta(days=400), timedelta(days=12_000)]
            return tuple(_NOW - span for span in dict.fromkeys([*ago, *_near(texts)]))
        case Type.DURATION:
            usual = [timedelta(0), timedelta(hours=7), timedelta(days=45)]
            return tuple(dict.fromkeys([*usual, *_near(texts)]))
        case Type.LIST:
            named = _texts(texts)
            return ([], ["vip"], ["vip", *named]) if named else ([], ["vip"], ["vip", "a"])


_SECOND = timedelta(seconds=1)
_UNITS = {"h": "hours", "m": "minutes", "s": "seconds"}


def _numbers(texts: Sequence[str]) -> list[float]:
    bare = [_TEXT.sub("''", text) for text in texts]
    return [float(number) for text in bare for number in _NUMBER.findall(text)][:12]


def _wholes(texts: Sequence[str]) -> list[int]:
    return [math.floor(number) for number in _numbers(texts) if number < 2**53]


def _texts(texts: Sequence[str]) -> list[str]:
    return [one or other for text in texts for one, other in _TEXT.findall(text)][:12]


def _near(texts: Sequence[str]) -> list[timedelta]:
    """The durations that the guards name, and a second less and more."""
    named = [pair for text in texts for pair in _SPAN.findall(text)][:6]
    spans = [timedelta(**{_UNITS[unit]: int(many)}) for many, unit in named if len(many) < 8]
    return [span + near for span in spans for near in (-_SECOND, timedelta(0), _SECOND)]
