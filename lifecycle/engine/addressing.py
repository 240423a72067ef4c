"""What may a message say of this customer? The variables of its template, as of the moment it is claimed.

Plain values only, and only what the policy declares: whatever else was posted stays here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from lifecycle.domain.event import Event
from lifecycle.domain.instant import instant_from
from lifecycle.domain.policy import (
    After,
    FactKind,
    OnCalendar,
    OnEvent,
    OnRequest,
    OnState,
    OnTransition,
    OutreachRule,
    Policy,
    ValueType,
)
from lifecycle.domain.snapshot import Snapshot
from lifecycle.domain.step import Step
from lifecycle.domain.timeline import Version
from lifecycle.outreach.letter import Links
from lifecycle.store.messages import MessageRow

FALLBACK = "en"  # the language of whoever has said none
_KINDS = {
    OnTransition: "transition",
    OnState: "transition",
    OnEvent: "event",
    After: "check",
    OnCalendar: "calendar",
    OnRequest: "request",
}
_WIDE_NAME = re.compile("[⺀-鿿가-힣]")  # written without blanks, and in one piece


def context_of(
    snapshot: Snapshot,
    version: Version,
    row: MessageRow,
    at: datetime,
    *,
    customer: str,
    event: Event | None = None,
    step: Step | None = None,
    variant: str | None = None,
    links: Links | None = None,
    company: Mapping[str, str] | None = None,
    owner: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The variables of docs/templates.md for one planned message; what has no value is left out.

    `customer` is her key; `event` the one that caused the message, `step` the transition that did,
    where they are known; `at` the engine's clock at the claim, not before what the snapshot holds.
    """
    policy = version.policy
    message = row.message
    rule = next((rule for rule in policy.outreach if rule.name == message.rule), None)
    made: dict[str, Any] = {
        **known_of(snapshot, version, at, customer=customer),
        "cause": _cause(policy, rule, row, event, step),
        "message": _given(rule=message.rule, step=message.number, variant=variant),
        "company": {name: text for name, text in (company or {}).items() if text},
        "now": at,
    }
    if links is not None:
        made["links"] = {
            "unsubscribe": links.unsubscribe,
            "preferences": links.preferences,
            "survey": links.survey,
        }
    if owner:
        made["owner"] = {name: text for name, text in owner.items() if text}
    return made


def known_of(
    snapshot: Snapshot, version: Version, at: datetime, *, customer: str
) -> dict[str, dict[str, Any]]:
    """What a message may say of her whatever causes it; what has no value is left out."""
    return {
        "customer": _customer(snapshot, version.policy, customer),
        "facts": _facts(snapshot, version, at),
    }


def plain(value: Any, kind: ValueType | None) -> Any:
    """A stored JSON value as templates see it: exact numbers, dates and instants."""
    if value is None:
        return None
    if kind in (ValueType.MONEY, ValueType.NUMBER):
        return Decimal(str(value))
    if kind is ValueType.TIMESTAMP:
        return instant_from(value)
    if kind is ValueType.DATE:
        return date.fromisoformat(value)
    return value


def first_name_of(name: str) -> str | None:
    """The first word of a name that has several; names in Chinese characters are one piece."""
    words = name.split()
    return words[0] if len(words) > 1 and not _WIDE_NAME.search(name) else None


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _customer(snapshot: Snapshot, policy: Policy, key: str) -> dict[str, Any]:
    own = {
        name: plain(snapshot.attributes.get(name), kind) for name, kind in policy.attributes.items()
    }
    name, language = own.get("name"), own.get("language") or FALLBACK
    first = own.get("first_name") or (first_name_of(name) if isinstance(name, str) else None)
    return _given(
        **own
        | {
            "key": key,
            "first_name": first,
            "language": language,
            "state": snapshot.state,
            "state_label": _label(policy, snapshot.state, str(language)),
            "tags": list(snapshot.tags),
        }
    )


def _label(policy: Policy, name: str, language: str) -> str:
    labels = next((state.labels for state in policy.states if state.name == name), {})
    wanted = (language, language.split("-", maxsplit=1)[0], FALLBACK)
    return next((labels[each] for each in wanted if each in labels), name)


def _facts(snapshot: Snapshot, version: Version, at: datetime) -> dict[str, Any]:
    kinds = {fact.name: fact for fact in version.policy.facts}
    made = {}
    for name, cell in version.facts().items():
        keeper, fact, held = version.keeper(cell), kinds[name], snapshot.cells[cell]
        if fact.kind in (FactKind.FIRST, FactKind.LAST, FactKind.GAP):
            made[name] = keeper.read(held, at)
        elif fact.kind is FactKind.SUM:
            made[name] = plain(keeper.exact(held, at), ValueType.MONEY)
        else:
            made[name] = plain(keeper.exact(held, at), fact.property_type)
    return _given(**made)


def _cause(
    policy: Policy,
    rule: OutreachRule | None,
    row: MessageRow,
    event: Event | None,
    step: Step | None,
) -> dict[str, Any]:
    trigger = rule.trigger if rule else None
    by_move = isinstance(trigger, OnTransition | OnState)  # an event may cause a step besides
    step = step if by_move else None
    name = step.rule if step else event.type if event and not by_move else row.message.rule
    moved = (step.from_state, step.to_state) if step else _only_move(policy, trigger)
    return _given(
        **{
            "kind": _KINDS[type(trigger)] if trigger else "request",
            "name": name,
            "at": row.message.caused_at,
            "from": moved[0],
            "to": moved[1],
            "event": _properties(policy, event) if event else None,
        }
    )


def _only_move(policy: Policy, trigger: object) -> tuple[str | None, str | None]:
    """From where and to where, as far as the rule itself leaves no choice."""
    if isinstance(trigger, OnState):
        return None, trigger.names[0] if len(trigger.names) == 1 else None
    if not isinstance(trigger, OnTransition):
        return None, None
    moves = [each for each in policy.transitions if each.name in trigger.names]
    sources = {source for each in moves for source in each.sources}
    targets = {each.to for each in moves}
    return (
        sources.pop() if len(sources) == 1 else None,
        targets.pop() if len(targets) == 1 else None,
    )


def _properties(policy: Policy, event: Event) -> dict[str, Any]:
    """Those that are declared. Money is in the currency of the event, so that is named always."""
    declared = policy.events[event.type].properties if event.type in policy.events else {}
    currency = {n: policy.currency for n, p in declared.items() if p.type is ValueType.CURRENCY}
    values = {name: plain(event.properties.get(name), p.type) for name, p in declared.items()}
    return currency | _given(**values)
