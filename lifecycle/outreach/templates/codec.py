"""Is this context plain data, and how does it travel to the process that fills templates in?

Only values of exactly these types pass: whatever else somebody hands over by mistake, a row of the
database first of all, is a TypeError before a byte of it is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

_AS_IT_IS = (str, bool, type(None))
_LARGEST = 2**63 - 1
_DEEPEST = 6


def encoded(value: Any, path: str = "context", depth: int = 0) -> Any:
    """As JSON; raises TypeError with the path of the first thing that is not plain."""
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if depth > _DEEPEST:
        raise TypeError(f"{path}: more than {_DEEPEST} levels of maps and lists")
    if kind is dict:
        return _map(value, path, depth)
    if kind is list or kind is tuple:
        items = enumerate(value)
        return ["l", *(encoded(item, f"{path}[{at}]", depth + 1) for at, item in items)]
    return _leaf(value, path)


def _map(value: dict[Any, Any], path: str, depth: int) -> dict[str, Any]:
    made = {}
    for key, item in value.items():
        if type(key) is not str or key.startswith("_"):
            raise TypeError(f"{path}: a key must be a word that begins with a letter: {key!r:.60}")
        made[key] = encoded(item, f"{path}.{key}", depth + 1)
    return made


def _leaf(value: Any, path: str) -> Any:
    kind = type(value)
    if kind is int and abs(value) <= _LARGEST:
        return value
    if kind is Decimal and value.is_finite() and abs(value.adjusted()) <= 40:
        return ["d", str(value)]
    if kind is datetime and value.tzinfo is not None:
        return ["i", value.astimezone(UTC).isoformat()]
    if kind is date:
        return ["y", value.isoformat()]
    if kind is timedelta:
        return ["s", str(value // timedelta(microseconds=1))]
    raise TypeError(
        f"{path}: {kind.__module__}.{kind.__qualname__} is no plain value that a template may see;"
        " allowed: str, int, finite Decimal, bool, date, aware datetime, timedelta, None,"
        " and dict, list and tuple of them"
    )


def decoded(value: Any, new_map: Callable[[str], dict[str, Any]], path: str = "") -> Any:
    """What was encoded; every map is a `new_map(path)` that knows its own path."""
    if isinstance(value, dict):
        made = new_map(path)
        for key, item in value.items():
            made[key] = decoded(item, new_map, f"{path}.{key}" if path else key)
        return made
    if isinstance(value, list):
        kind, *rest = value
        if kind == "l":
            return [decoded(item, new_map, path) for item in rest]
        return _READ[kind](rest[0])
    return value


_READ: Mapping[str, Any] = {
    "d": Decimal,
    "i": datetime.fromisoformat,
    "y": date.fromisoformat,
    "s": lambda text: timedelta(microseconds=int(text)),
}
