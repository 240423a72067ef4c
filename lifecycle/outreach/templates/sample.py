"""What would a template say to somebody? A made-up customer who has everything that a policy declares."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from lifecycle.domain.policy import FactKind, OutreachRule, Policy, ValueType
from lifecycle.outreach.templates.names import Supplied, Variables, supplied

AT = datetime(2026, 9, 25, 2, 0, tzinfo=UTC)  # the Mid-Autumn Festival of that year
UNSUBSCRIBE = "https://care.example.com/u/sample"
LINKS = {
    "unsubscribe": UNSUBSCRIBE,
    "preferences": "https://care.example.com/p/sample",
    "survey": "https://care.example.com/s/sample",
}
COMPANY = {
    "en": {"name": "Example Ltd", "address": "1 Example Road, Shanghai 200000"},
    "zh": {"name": "示例公司", "address": "上海市示例路1号，200000"},
}
_REACHED = {
    "website": "https://example.com/",
    "phone": "+86 21 5550 0000",
    "email": "care@example.com",
}
_PEOPLE = {"en": ("Anna Smith", "Anna", "Li Lei"), "zh": ("王小明", "王小明", "李雷")}
_WORDS = {
    "email": "anna@example.com",
    "phone": "+86 138 0000 0000",
    "country": "CN",
    "tier": "gold",
}
_BY_TYPE: Mapping[ValueType, Any] = {
    ValueType.INT: 3,
    ValueType.NUMBER: Decimal(4),
    ValueType.MONEY: Decimal("1280.00"),
    ValueType.CURRENCY: "CNY",
    ValueType.BOOL: True,
    ValueType.DATE: date(1990, 9, 25),
    ValueType.TIMESTAMP: AT - timedelta(days=30),
    ValueType.ZONE: "Asia/Shanghai",
}


def sample_of(
    policy: Policy, rule: OutreachRule, language: str, *, step: int = 1, variant: str | None = None
) -> dict[str, Any]:
    """The variables of a message of the rule, every one of them with a value."""
    base = "zh" if language.lower().startswith("zh") else "en"
    variables = supplied(policy, rule)
    name, first, colleague = _PEOPLE[base]
    customer = {key: _value(key, kind, base) for key, kind in policy.attributes.items()}
    message = {"rule": rule.name, "step": step} | ({"variant": variant} if variant else {})
    return {
        "customer": customer
        | {
            "key": "sample",
            "name": name,
            "first_name": first,
            "language": language,
            "state": policy.initial,
            "state_label": _label(policy, base),
            "tags": ["sample"],
        },
        "facts": {fact.name: _fact(fact.kind, fact.property_type, base) for fact in policy.facts},
        "cause": _cause(policy, rule, variables, base),
        "message": message,
        "links": dict(LINKS),
        "company": COMPANY[base] | _REACHED,
        "owner": {"login": "lilei", "name": colleague, "phone": "+86 139 0000 0000",
                  "email": "lilei@example.com"},
        "now": AT,
    }  # fmt: skip


def _value(name: str, kind: ValueType, base: str) -> Any:
    if kind in _BY_TYPE:
        return _BY_TYPE[kind]
    return _WORDS.get(name, "示例" if base == "zh" else "Example")


def _label(policy: Policy, base: str) -> str:
    state = next(each for each in policy.states if each.name == policy.initial)
    return state.labels.get(base, state.name)


def _fact(kind: FactKind, property_type: ValueType | None, base: str) -> Any:
    match kind:
        case FactKind.COUNT | FactKind.DISTINCT:
            return 3
        case FactKind.SUM:
            return Decimal("1280.00")
        case FactKind.FIRST | FactKind.LAST:
            return AT - timedelta(days=30)
        case FactKind.GAP:
            return timedelta(days=30)
        case _:
            return _value("", property_type or ValueType.TEXT, base)


def _cause(policy: Policy, rule: OutreachRule, variables: Variables, base: str) -> dict[str, Any]:
    given = variables["cause"].fields
    words = {"kind": "event", "name": rule.name, "from": policy.initial, "to": policy.initial}
    made: dict[str, Any] = {name: word for name, word in words.items() if name in given}
    made["at"] = AT - timedelta(hours=1)
    if "event" in given:
        made["event"] = _event(policy, given["event"], base)
    return made


def _event(policy: Policy, held: Supplied, base: str) -> dict[str, Any]:
    types = {
        name: prop.type for kind in policy.events.values() for name, prop in kind.properties.items()
    }
    return {name: _value(name, types[name], base) for name in held.fields}
