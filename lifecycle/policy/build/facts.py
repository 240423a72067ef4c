"""Facts: each a kind, the event or property it looks at, and what is taken away from it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from lifecycle.domain.policy import Fact, FactKind, ValueType
from lifecycle.policy.build.names import Names
from lifecycle.policy.records import Fields
from lifecycle.policy.report import found
from lifecycle.policy.shapes import At

_BY_EVENT = (FactKind.COUNT, FactKind.FIRST, FactKind.LAST, FactKind.GAP)
_ANY_TYPE = (FactKind.LATEST, FactKind.DISTINCT)
_NUMBERS = (ValueType.MONEY, ValueType.NUMBER, ValueType.INT)
_MEDIAN = Decimal("0.5")


def facts(fields: Fields, names: Names) -> dict[str, Fact]:
    held: dict[str, Fact] = {}
    for name, item in fields.value("facts", ()):
        names.places["facts", name.value] = name.place
        if name.value in names.attributes:
            line = names.places["attributes", name.value].line
            names.report.error(
                name.place,
                "duplicate_name",
                f"{found(name.value)} as a fact; there is an attribute of that name in line "
                f"{line}, and guards use bare names, so each may stand once",
            )
        kind, of = item.value
        fact = _fact(name.value, FactKind(kind), of, names)
        if fact is not None:
            held[name.value] = fact
    return held


def _fact(name: str, kind: FactKind, fields: Fields, names: Names) -> Fact | None:
    of = fields.get(kind.value)
    if of is None:
        return None
    within: timedelta | None = fields.value("within")
    if kind in _BY_EVENT:
        event = names.event(of, or_interaction=True)
        less = fields.get("less")
        if event is None:
            return None
        return Fact(
            name=name,
            kind=kind,
            event=event,
            less_event=names.event(less) if less else None,
            within=within,
            quantile=fields.value("quantile", _MEDIAN) if kind is FactKind.GAP else None,
        )
    path = names.path(of)
    if path is None:
        return None
    if kind not in _ANY_TYPE:
        _a_number(kind, of, path[2], names)
    less_event, less_property = _less(kind, fields, path[2], names)
    return Fact(
        name=name,
        kind=kind,
        event=path[0],
        property=path[1],
        property_type=path[2],
        less_event=less_event,
        less_property=less_property,
        within=within,
    )


def _less(
    kind: FactKind, fields: Fields, added: ValueType, names: Names
) -> tuple[str | None, str | None]:
    less = fields.get("less")
    path = names.path(less) if less else None
    if less is None or path is None:
        return None, None
    event, name, taken = path
    if _a_number(kind, less, taken, names) and added in _NUMBERS and taken is not added:
        names.report.error(
            less.place,
            "wrong_type",
            f'found "{event}.{name}", which is {taken}; allowed: a property of the type '
            f"{added}, like that which is added up",
        )
    return event, name


def _a_number(kind: FactKind, of: At[Any], held: ValueType, names: Names) -> bool:
    if held in _NUMBERS:
        return True
    names.report.error(
        of.place,
        "wrong_type",
        f'found "{".".join(of.value)}", which is {held}; allowed for {kind}: a property of the '
        "type money, number or int",
    )
    return False
