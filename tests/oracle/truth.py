"""What the oracle answers with: plain tuples, of its own so that a change of the engine's is seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from lifecycle.domain.policy import OutreachRule, PolicyVersion, TransitionRule


class Step(NamedTuple):
    rule: str
    from_state: str
    to_state: str
    trigger: str
    cause: str
    at: datetime
    guard: str | None
    read: dict[str, Any]  # exact values of the names in the guard
    version: int
    by: str | None = None
    why: str | None = None


class Message(NamedTuple):
    rule: str
    cause: str
    number: int
    caused_at: datetime
    planned_at: datetime
    version: int


class Outcome(NamedTuple):
    kind: str  # Moved, Refused, NotApplicable, Fired
    at: datetime
    trigger: str
    cause: str


class Due(NamedTuple):
    at: datetime
    position: int  # transition rules in file order, then outreach rules in file order
    version: PolicyVersion
    rule: TransitionRule | OutreachRule
    mark: datetime | date  # the anchor, or the local date of a calendar slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    state: str
    facts: dict[str, Any]  # exact, windows read at `until`
    steps: list[Step]
    messages: list[Message]
    outcomes: list[Outcome]
    attributes: dict[str, Any]
    tags: set[str]
    consents: dict[str, bool]  # "purpose/channel" → given
    waiting: list[Due]  # the checks armed after `until`, earliest first


def plain_all(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(value) for name, value in values.items()}


def plain(value: Any) -> Any:
    """An exact value as JSON: plain decimals without trailing zeros, instants in UTC, seconds."""
    match value:
        case Decimal():
            text = f"{value:f}"
            text = text.rstrip("0").rstrip(".") if "." in text else text
            return "0" if text in {"-0", ""} else text
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case timedelta():
            return plain(Decimal(value // timedelta(microseconds=1)) / 1_000_000)
        case _:
            return value
