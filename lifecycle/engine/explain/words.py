"""How are instants, durations, values and names of a policy said in plain English?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from lifecycle.domain.event import Event
from lifecycle.domain.instant import instant_from
from lifecycle.domain.policy import FactKind, Policy, ValueType

_LONGEST_VALUE = 60  # characters of a text that is shown
_MOST_PROPERTIES = 6  # of an event
NO_RHYTHM = "the rule's default, because she has no rhythm yet"


def moment(at: datetime) -> str:
    """`2026-03-02 14:05`, in UTC, with seconds only where there are any."""
    at = at.astimezone(UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}" if at.second or at.microsecond else f"{at:%Y-%m-%d %H:%M}"


def moment_in(at: datetime, zone: ZoneInfo) -> str:
    """In UTC, and by the clock of another zone where that differs."""
    local = at.astimezone(zone)
    if zone.key == "UTC":
        return f"{moment(at)} UTC"
    return f"{moment(at)} UTC ({local:%Y-%m-%d %H:%M} in {zone.key})"


def span(duration: timedelta) -> str:
    """`60 days`, `1 hour 30 minutes`: the two largest units."""
    seconds = int(duration.total_seconds())
    if seconds < 1:
        return "less than a second"
    parts = []
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count:,} {unit}{'' if count == 1 else 's'}")
    return " ".join(parts[:2])


def times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")


def listed(items: Sequence[str], last: str = "and") -> str:
    """`a, b and c`."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def some(items: Sequence[str], most: int = 4) -> str:
    """The first few of what may be many."""
    return listed(items, "or") if len(items) <= most else f"{', '.join(items[:most])}, …"


def clipped(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


class Vocabulary:
    """The names of one policy: what a state is called, and what kind of value a name has."""

    def __init__(self, policy: Policy) -> None:
        self._labels = {state.name: state.labels.get("en", state.name) for state in policy.states}
        self._events = policy.events
        kinds: dict[str, ValueType] = {"at": ValueType.TIMESTAMP, **policy.attributes}
        for fact in policy.facts:
            kinds[fact.name] = fact.property_type or _PLAIN.get(fact.kind, ValueType.NUMBER)
        self._kinds: Mapping[str, ValueType] = kinds
        self._gaps = frozenset(f.name for f in policy.facts if f.kind is FactKind.GAP)

    def state(self, name: str) -> str:
        """Its English label; the name itself where the policy has none, or no such state."""
        return self._labels.get(name, name)

    def states(self, names: Iterable[str], last: str = "and") -> str:
        return listed([self.state(name) for name in names], last)

    def value(self, name: str, value: Any) -> str:
        """The canonical JSON value of a fact or attribute, in words."""
        if name in self._gaps and value is not None:
            return span(timedelta(seconds=float(value)))
        return said(value, self._kinds.get(name))

    def reads(self, values: Mapping[str, Any]) -> str:
        """`orders = 2 and revenue = 10`."""
        return listed([f"{name} = {self.value(name, value)}" for name, value in values.items()])

    def properties(self, event: Event) -> str:
        """`amount 10, currency CNY`; those that are objects are told elsewhere."""
        declared = self._events[event.type].properties if event.type in self._events else {}
        told = [
            f"{name} {said(value, declared[name].type if name in declared else None, quoted=False)}"
            for name, value in event.properties.items()
            if not isinstance(value, dict | list)
        ]
        more = len(told) - _MOST_PROPERTIES
        return ", ".join(told[:_MOST_PROPERTIES]) + (f" and {more} more" if more > 0 else "")


_PLAIN = {FactKind.FIRST: ValueType.TIMESTAMP, FactKind.LAST: ValueType.TIMESTAMP}
_QUOTED = frozenset({ValueType.TEXT, None})


def said(value: Any, kind: ValueType | None, *, quoted: bool = True) -> str:
    """A JSON value of a kind; of an unknown kind, as JSON would write it."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if kind is ValueType.TIMESTAMP and isinstance(value, str):
        return moment(instant_from(value))
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    if isinstance(value, str):
        text = clipped(value)
        return f"“{text}”" if quoted and kind in _QUOTED else text
    return orjson.dumps(value).decode()
