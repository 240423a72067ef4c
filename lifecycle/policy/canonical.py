"""A policy as canonical JSON, there and back, and the hash under which it is known.

The hash covers what a policy does. Comments, formatting, the order of maps, labels and the order of
states are presentation and not part of it: `60d` and `1440h` are the same policy.

What was added to the file format later (from `spread` on, and `sending`) is written only where it
differs from what is so when a file leaves it out: a policy that says nothing of it keeps its hash.
"""

from __future__ import annotations

import hashlib
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

import orjson

from lifecycle.domain.builtin import BUILTIN
from lifecycle.domain.instant import decimal_text, instant_from, instant_text
from lifecycle.domain.policy import (
    After,
    Cap,
    EventType,
    Fact,
    FactKind,
    Goal,
    MessageClass,
    OnCalendar,
    OnEvent,
    OnRequest,
    OnState,
    OnTransition,
    OutreachRule,
    OwnRhythm,
    Period,
    Policy,
    Property,
    QuietHours,
    Rate,
    Sending,
    State,
    Surge,
    TransitionRule,
    UnknownEvents,
    ValueType,
    WorkingDays,
)
from lifecycle.policy import defaults

FORMAT = 1  # of the JSON, not of the YAML file

Json = dict[str, Any]
Trigger = OnEvent | After | OnTransition | OnState | OnCalendar | OnRequest
_MICROSECOND = timedelta(microseconds=1)
_PRIORITY = 50


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
        sending=_sending_from(held.get("sending", {})),
    )


def _meaning(held: Json) -> Json:
    """The same without presentation, and with a fixed order where order means nothing."""
    sending = {"sending": _any_order(held["sending"])} if "sending" in held else {}
    return (
        held
        | sending
        | {
            "states": sorted((_plain(state) for state in held["states"]), key=lambda s: s["name"]),
            "events": {name: _plain(event) for name, event in held["events"].items()},
            "facts": sorted(held["facts"], key=lambda fact: fact["name"]),
            "rates": sorted(held["rates"], key=lambda rate: (rate["currency"], rate["since"])),
            "transitions": [
                _plain(rule)
                | {"from": sorted(rule["from"]), "trigger": _unordered(rule["trigger"])}
                for rule in held["transitions"]
            ],
            "outreach": [
                _unordered(_plain(rule), "while", "cancel_on")
                | {"trigger": _unordered(rule["trigger"])}
                for rule in held["outreach"]
            ],
        }
    )


def _any_order(sending: Json) -> Json:
    """Every cap holds, whichever stands first."""
    caps = sorted(sending["caps"], key=lambda cap: orjson.dumps(cap, option=orjson.OPT_SORT_KEYS))
    return sending | {"caps": caps}


def _plain(held: Json) -> Json:
    return {key: value for key, value in held.items() if key != "labels"}


def _unordered(held: Json, *only: str) -> Json:
    """With its lists sorted, or only those named."""
    return {
        key: sorted(value) if isinstance(value, list) and (not only or key in only) else value
        for key, value in held.items()
    }


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
    } | ({} if policy.sending == Sending() else {"sending": _sending(policy.sending)})


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
    } | _added(rule)


def _added(rule: OutreachRule) -> Json:
    """What the format did not always have, where it differs from what is so when it is left out."""
    with_default: tuple[tuple[str, Any, Any], ...] = (
        ("spread", _duration(rule.spread), 0),
        ("purpose", rule.purpose, defaults.purpose(rule.message_class)),
        ("while", list(rule.states), []),
        ("unless", rule.unless, None),
        ("cancel_on", list(rule.cancel_on), []),
        ("priority", rule.priority, _PRIORITY),
        ("cap", None if rule.cap is None else _cap(rule.cap), None),
        ("capped", rule.capped, True),
        (
            "holdout",
            decimal_text(rule.holdout),
            decimal_text(defaults.holdout(rule.message_class, rule.channels)),
        ),
        ("variants", dict(rule.variants), {}),
        ("goal", None if rule.goal is None else _goal(rule.goal), None),
    )
    return {key: value for key, value, usual in with_default if value != usual}


def _outreach_from(held: Json) -> OutreachRule:
    channels, message_class = tuple(held["channels"]), MessageClass(held["class"])
    share = held.get("holdout")
    return OutreachRule(
        name=held["name"],
        trigger=_trigger_from(held["trigger"]),
        channels=channels,
        message_class=message_class,
        spread=_span(held.get("spread", 0)),
        purpose=held.get("purpose", defaults.purpose(message_class)),
        states=tuple(held.get("while", ())),
        unless=held.get("unless"),
        cancel_on=tuple(held.get("cancel_on", ())),
        priority=held.get("priority", _PRIORITY),
        cap=_cap_from(held["cap"]) if "cap" in held else None,
        capped=held.get("capped", True),
        holdout=defaults.holdout(message_class, channels) if share is None else Decimal(share),
        variants=held.get("variants", {}),
        goal=_goal_from(held["goal"]) if "goal" in held else None,
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
        case OnState(stayed=None):
            return {"states": list(trigger.names)}
        case OnState():
            return {"states": list(trigger.names), "stayed": _duration(trigger.stayed)}
        case OnRequest():
            return {"request": True}
        case After():
            return {"after": _wait(trigger.wait), "since": trigger.since}
        case OnCalendar():
            return {
                "attribute": trigger.attribute,
                "month_day": _day(trigger.month_day),
                "at": trigger.at.isoformat(),
            } | ({} if trigger.lunar is None else {"lunar": _day(trigger.lunar)})


def _trigger_from(held: Json) -> Trigger:
    if "events" in held:
        return OnEvent(types=tuple(held["events"]))
    if "transitions" in held:
        return OnTransition(names=tuple(held["transitions"]))
    if "states" in held:
        return OnState(names=tuple(held["states"]), stayed=_duration_from(held.get("stayed")))
    if "request" in held:
        return OnRequest()
    if "after" in held:
        return After(wait=_wait_from(held["after"]), since=held["since"])
    return OnCalendar(
        attribute=held["attribute"],
        month_day=_day_from(held["month_day"]),
        at=time.fromisoformat(held["at"]),
        lunar=_day_from(held.get("lunar")),
    )


def _day(month_day: tuple[int, int] | None) -> str | None:
    return None if month_day is None else f"{month_day[0]:02}-{month_day[1]:02}"


def _day_from(text: str | None) -> tuple[int, int] | None:
    return None if text is None else (int(text[:2]), int(text[3:]))


def _goal(goal: Goal) -> Json:
    return {"event": goal.event, "within": _duration(goal.within)}


def _goal_from(held: Json) -> Goal:
    return Goal(event=held["event"], within=_span(held["within"]))


def _sending(sending: Sending) -> Json:
    quiet, days, surge = sending.quiet, sending.working_days, sending.surge
    return {
        "caps": [_cap(cap) for cap in sending.caps],
        "quiet": None if quiet is None else [quiet.since.isoformat(), quiet.until.isoformat()],
        "working_days": None if days is None else _working_days(days),
        "holdout": decimal_text(sending.holdout),
        "surge": {
            "within": _duration(surge.within),
            "least": surge.least,
            "times": surge.times,
        },
    }


def _sending_from(held: Json) -> Sending:
    if not held:
        return Sending()
    quiet, days, surge = held["quiet"], held["working_days"], held["surge"]
    return Sending(
        caps=tuple(map(_cap_from, held["caps"])),
        quiet=QuietHours(since=time.fromisoformat(quiet[0]), until=time.fromisoformat(quiet[1]))
        if quiet
        else None,
        working_days=None if days is None else _working_days_from(days),
        holdout=Decimal(held["holdout"]),
        surge=Surge(within=_span(surge["within"]), least=surge["least"], times=surge["times"]),
    )


def _cap(cap: Cap) -> Json:
    window = cap.window
    return {
        "most": cap.most,
        "window": window.value if isinstance(window, Period) else _duration(window),
        "channel": cap.channel,
        "class": None if cap.message_class is None else cap.message_class.value,
    }


def _cap_from(held: Json) -> Cap:
    window, message_class = held["window"], held["class"]
    return Cap(
        most=held["most"],
        window=Period(window) if isinstance(window, str) else _span(window),
        channel=held["channel"],
        message_class=None if message_class is None else MessageClass(message_class),
    )


def _working_days(days: WorkingDays) -> Json:
    return {
        "weekdays": sorted(days.weekdays),
        "holidays": days.holidays,
        "closed": sorted(day.isoformat() for day in days.closed),
        "open": sorted(day.isoformat() for day in days.open),
    }


def _working_days_from(held: Json) -> WorkingDays:
    return WorkingDays(
        weekdays=frozenset(held["weekdays"]),
        holidays=held["holidays"],
        closed=frozenset(map(date.fromisoformat, held["closed"])),
        open=frozenset(map(date.fromisoformat, held["open"])),
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
