"""A policy as canonical JSON, there and back, and the hash under which it is known.

The hash covers what a policy does. Comments, formatting, the order of maps, labels and the order of
states are presentation and not part of it: `60d` and `1440h` are the same policy.
"""

from __future__ import annotations

import hashlib
from datetime import time, timedelta
from decimal import Decimal
from typing import Any

import orjson

from lifecycle.domain.builtin import BUILTIN
from lifecycle.domain.instant import decimal_text, instant_from, instant_text
from lifecycle.domain.policy import (
    After,
    EventType,
    Fact,
    FactKind,
    MessageClass,
    OnCalendar,
    OnEvent,
    OnTransition,
    OutreachRule,
    OwnRhythm,
    Policy,
    Property,
    Rate,
    State,
    TransitionRule,
    UnknownEvents,
    ValueType,
)

FORMAT = 1  # of the JSON, not of the YAML file

Json = dict[str, Any]
Trigger = OnEvent | After | OnTransition | OnCalendar
_MICROSECOND = timedelta(microseconds=1)


def to_canonical(policy: Policy) -> bytes:
    """Everything the policy says, labels included; `from_canonical` gives an equal policy back.

    Event types that are built in are not written, so an old version reads with those of today.
    """
    return orjson.dumps(_policy(policy), option=orjson.OPT_SORT_KEYS)


def policy_hash(policy: Policy) -> str:
    """SHA-256, in hex, of what the policy does."""
    return hashlib.sha256(
        orjson.dumps(_meaning(_policy(policy)), option=orjson.OPT_SORT_KEYS)
    ).hexdigest()


def from_canonical(content: bytes) -> Policy:
    """The policy that `to_canonical` wrote; nothing is checked again."""
    held = orjson.loads(content)
    if held["format"] != FORMAT:
        raise ValueError(f"found a stored policy of format {held['format']}; allowed: {FORMAT}")
    return Policy(
        timezone=held["timezone"],
        currency=held["currency"],
        attributes={name: ValueType(kind) for name, kind in held["attributes"].items()},
        states=tuple(State(**state) for state in held["states"]),
        events=dict(BUILTIN)
        | {name: _event_from(name, event) for name, event in held["events"].items()},
        facts=tuple(_fact_from(fact) for fact in held["facts"]),
        transitions=tuple(_transition_from(rule) for rule in held["transitions"]),
        outreach=tuple(_outreach_from(rule) for rule in held["outreach"]),
        rates=tuple(
            Rate(currency=r["currency"], since=instant_from(r["since"]), rate=Decimal(r["rate"]))
            for r in held["rates"]
        ),
        unknown_events=UnknownEvents(held["unknown_events"]),
        lateness=_duration_from(held["lateness"]),
        skew=_span(held["skew"]),
    )


def _meaning(held: Json) -> Json:
    """The same without presentation, and with a fixed order where order means nothing."""
    return held | {
        "states": sorted((_plain(state) for state in held["states"]), key=lambda s: s["name"]),
        "events": {name: _plain(event) for name, event in held["events"].items()},
        "facts": sorted(held["facts"], key=lambda fact: fact["name"]),
        "rates": sorted(held["rates"], key=lambda rate: (rate["currency"], rate["since"])),
        "transitions": [
            _plain(rule) | {"from": sorted(rule["from"]), "trigger": _unordered(rule["trigger"])}
            for rule in held["transitions"]
        ],
        "outreach": [
            _plain(rule) | {"trigger": _unordered(rule["trigger"])} for rule in held["outreach"]
        ],
    }


def _plain(held: Json) -> Json:
    return {key: value for key, value in held.items() if key != "labels"}


def _unordered(trigger: Json) -> Json:
    return {key: sorted(v) if isinstance(v, list) else v for key, v in trigger.items()}


def _policy(policy: Policy) -> Json:
    return {
        "format": FORMAT,
        "timezone": policy.timezone,
        "currency": policy.currency,
        "attributes": {name: kind.value for name, kind in policy.attributes.items()},
        "states": [
            {"name": s.name, "labels": dict(s.labels), "initial": s.initial, "final": s.final}
            for s in policy.states
        ],
        "events": {
            name: _event(event)
            for name, event in policy.events.items()
            if BUILTIN.get(name) != event
        },
        "facts": [_fact(fact) for fact in policy.facts],
        "transitions": [_transition(rule) for rule in policy.transitions],
        "outreach": [_outreach(rule) for rule in policy.outreach],
        "rates": [
            {"currency": r.currency, "since": instant_text(r.since), "rate": decimal_text(r.rate)}
            for r in policy.rates
        ],
        "unknown_events": policy.unknown_events.value,
        "lateness": _duration(policy.lateness),
        "skew": _duration(policy.skew),
    }


def _event(event: EventType) -> Json:
    return {
        "properties": {
            name: {"type": held.type.value, "required": held.required}
            for name, held in event.properties.items()
        },
        "interaction": event.interaction,
        "strict": event.strict,
        "labels": dict(event.labels),
    }


def _event_from(name: str, held: Json) -> EventType:
    properties = {
        key: Property(type=ValueType(value["type"]), required=value["required"])
        for key, value in held["properties"].items()
    }
    return EventType(name=name, **(held | {"properties": properties}))


def _fact(fact: Fact) -> Json:
    return {
        "name": fact.name,
        "kind": fact.kind.value,
        "event": fact.event,
        "property": fact.property,
        "property_type": None if fact.property_type is None else fact.property_type.value,
        "less_event": fact.less_event,
        "less_property": fact.less_property,
        "within": _duration(fact.within),
        "quantile": None if fact.quantile is None else decimal_text(fact.quantile),
    }


def _fact_from(held: Json) -> Fact:
    kind, quantile = held["property_type"], held["quantile"]
    return Fact(
        **(
            held
            | {
                "kind": FactKind(held["kind"]),
                "property_type": None if kind is None else ValueType(kind),
                "within": _duration_from(held["within"]),
                "quantile": None if quantile is None else Decimal(quantile),
            }
        )
    )


def _transition(rule: TransitionRule) -> Json:
    return {
        "name": rule.name,
        "trigger": _trigger(rule.trigger),
        "from": list(rule.sources),
        "to": rule.to,
        "guard": rule.guard,
        "labels": dict(rule.labels),
    }


def _transition_from(held: Json) -> TransitionRule:
    trigger = _trigger_from(held["trigger"])
    assert isinstance(trigger, OnEvent | After)
    return TransitionRule(
        name=held["name"],
        trigger=trigger,
        sources=tuple(held["from"]),
        to=held["to"],
        guard=held["guard"],
        labels=held["labels"],
    )


def _outreach(rule: OutreachRule) -> Json:
    return {
        "name": rule.name,
        "trigger": _trigger(rule.trigger),
        "channels": list(rule.channels),
        "class": rule.message_class.value,
        "guard": rule.guard,
        "delays": [_duration(delay) for delay in rule.delays],
        "settle": _duration(rule.settle),
        "expires": _duration(rule.expires),
        "again_after": _duration(rule.again_after),
        "labels": dict(rule.labels),
    }


def _outreach_from(held: Json) -> OutreachRule:
    return OutreachRule(
        name=held["name"],
        trigger=_trigger_from(held["trigger"]),
        channels=tuple(held["channels"]),
        message_class=MessageClass(held["class"]),
        guard=held["guard"],
        delays=tuple(map(_span, held["delays"])),
        settle=_span(held["settle"]),
        expires=_duration_from(held["expires"]),
        again_after=_span(held["again_after"]),
        labels=held["labels"],
    )


def _trigger(trigger: Trigger) -> Json:
    match trigger:
        case OnEvent():
            return {"events": list(trigger.types)}
        case OnTransition():
            return {"transitions": list(trigger.names)}
        case After():
            return {"after": _wait(trigger.wait), "since": trigger.since}
        case OnCalendar():
            day = trigger.month_day
            return {
                "attribute": trigger.attribute,
                "month_day": None if day is None else f"{day[0]:02}-{day[1]:02}",
                "at": trigger.at.isoformat(),
            }


def _trigger_from(held: Json) -> Trigger:
    if "events" in held:
        return OnEvent(types=tuple(held["events"]))
    if "transitions" in held:
        return OnTransition(names=tuple(held["transitions"]))
    if "after" in held:
        return After(wait=_wait_from(held["after"]), since=held["since"])
    day = held["month_day"]
    return OnCalendar(
        attribute=held["attribute"],
        month_day=None if day is None else (int(day[:2]), int(day[3:])),
        at=time.fromisoformat(held["at"]),
    )


def _wait(wait: timedelta | OwnRhythm) -> int | Json:
    if isinstance(wait, timedelta):
        return wait // _MICROSECOND
    return {
        "fact": wait.fact,
        "at_least": _duration(wait.at_least),
        "at_most": _duration(wait.at_most),
        "otherwise": _duration(wait.otherwise),
    }


def _wait_from(held: int | Json) -> timedelta | OwnRhythm:
    if isinstance(held, int):
        return _span(held)
    return OwnRhythm(
        fact=held["fact"],
        at_least=_span(held["at_least"]),
        at_most=_span(held["at_most"]),
        otherwise=_span(held["otherwise"]),
    )


def _duration(value: timedelta | None) -> int | None:
    """In microseconds."""
    return None if value is None else value // _MICROSECOND


def _duration_from(micros: int | None) -> timedelta | None:
    return None if micros is None else _span(micros)


def _span(micros: int) -> timedelta:
    return micros * _MICROSECOND
