"""Event types, attributes, states and rates: what is declared and refers to nothing else."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from lifecycle.domain.builtin import BUILTIN
from lifecycle.domain.policy import EventType, Property, Rate, State, ValueType
from lifecycle.policy.build.names import Names
from lifecycle.policy.records import Fields
from lifecycle.policy.report import found
from lifecycle.policy.shapes import At


def labels(fields: Fields) -> dict[str, str]:
    return {language.value: text.value for language, text in fields.value("label", ())}


def attributes(fields: Fields, names: Names) -> dict[str, ValueType]:
    held = {}
    for name, kind in fields.value("attributes", ()):
        names.places["attributes", name.value] = name.place
        held[name.value] = ValueType(kind.value)
    return held


def events(fields: Fields, names: Names) -> dict[str, EventType]:
    """Those of the file and those built in; the author's own first, so that messages name them."""
    held: dict[str, EventType] = {}
    for name, item in fields.value("events", ()):
        names.places["events", name.value] = name.place
        if name.value in BUILTIN:
            names.report.error(
                name.place,
                "reserved_name",
                f"{found(name.value)} as the name of an event type, but it is built in and "
                "never declared; it may be used in rules and facts as it is",
            )
        else:
            held[name.value] = _event(name.value, item.value, names)
    return held | BUILTIN


def _event(name: str, fields: Fields, names: Names) -> EventType:
    properties = {}
    for key, kind in fields.value("properties", ()):
        names.places["events", name, key.value] = key.place
        properties[key.value] = _property(kind)
    currencies = [key for key, held in properties.items() if held.type is ValueType.CURRENCY]
    if len(currencies) > 1:
        names.report.error(
            names.places["events", name, currencies[1]],
            "two_currencies",
            f'found two properties of the type currency, "{currencies[0]}" and '
            f'"{currencies[1]}"; allowed: one, for it says in which currency the event\'s money is',
        )
    return EventType(
        name=name,
        properties=properties,
        interaction=fields.flag("interaction"),
        strict=fields.flag("strict"),
        labels=labels(fields),
    )


def _property(kind: At[Any]) -> Property:
    if not isinstance(kind.value, Fields):
        return Property(type=ValueType(kind.value))
    # where the type is broken, which has been told, text keeps the rest readable
    return Property(
        type=ValueType(kind.value.value("type", "text")), required=kind.value.flag("required")
    )


def states(fields: Fields, names: Names) -> tuple[State, ...]:
    held = []
    for name, item in fields.value("states", ()):
        names.places["states", name.value] = name.place
        for key in ("initial", "final"):
            names.places["states", name.value, key] = item.value.place(key, name.place)
        held.append(
            State(
                name=name.value,
                labels=labels(item.value),
                initial=item.value.flag("initial"),
                final=item.value.flag("final"),
            )
        )
    return tuple(held)


def rates(fields: Fields, names: Names) -> tuple[Rate, ...]:
    """By currency and instant; a day begins in the policy's time zone."""
    own = fields.value("currency")
    zone = ZoneInfo(fields.value("timezone", "UTC"))
    held = []
    for currency, by_day in fields.value("rates", ()):
        if currency.value == own:
            names.report.error(
                currency.place,
                "rate_of_own_currency",
                f"{found(currency.value)}, which is the policy's own currency; "
                "allowed: other currencies",
            )
        held += [
            Rate(currency=currency.value, since=midnight(day.value, zone), rate=rate.value)
            for day, rate in by_day.value
        ]
    return tuple(sorted(held, key=lambda rate: (rate.currency, rate.since)))


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The beginning of that day in the policy's zone, as an instant."""
    try:
        return datetime.combine(day, time(0), zone).astimezone(UTC)
    except OverflowError:  # the first day of the year 1, east of Greenwich
        return datetime.combine(day, time(0), UTC)
