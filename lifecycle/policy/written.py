"""A policy as a file again: what `policy show` prints, and what loads to the same hash.

Comments, and what a file says although it goes without saying, are not part of a policy and do not
come back; neither does `from: any`, which says the same as all the other states.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from lifecycle.domain.builtin import BUILTIN
from lifecycle.domain.instant import decimal_text
from lifecycle.domain.policy import (
    After,
    Cap,
    EventType,
    Fact,
    FactKind,
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
    Sending,
    State,
    Surge,
    TransitionRule,
    UnknownEvents,
    WorkingDays,
)
from lifecycle.policy import defaults
from lifecycle.policy.format import FORMAT_VERSION, REQUEST, WEEKDAYS

_SKEW = timedelta(minutes=5)
_AGAIN_AFTER = timedelta(days=30)
_PRIORITY = 50
_AT = time(9)
_UNITS = (
    ("d", timedelta(days=1)),
    ("h", timedelta(hours=1)),
    ("min", timedelta(minutes=1)),
    ("s", timedelta(seconds=1)),
)
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_NO_TEXT = frozenset({"null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE"})

Item = dict[str, Any]


class _Raw(str):
    """Text that stands in the file as it is."""

    __slots__ = ()


def to_yaml(policy: Policy) -> str:
    """The whole file; the same policy always gives the same text."""
    return "\n".join(_lines(policy)) + "\n"


def _lines(policy: Policy) -> Iterator[str]:
    yield f"version: {FORMAT_VERSION}"
    yield f"timezone: {_text(policy.timezone)}"
    yield f"currency: {_text(policy.currency)}"
    if policy.unknown_events is not UnknownEvents.REFUSE:
        yield f"unknown_events: {policy.unknown_events.value}"
    if policy.lateness is not None:
        yield f"lateness: {_duration(policy.lateness)}"
    if policy.skew != _SKEW:
        yield f"skew: {_duration(policy.skew)}"
    yield from _map("rates", _rates(policy))
    yield from _map("attributes", {n: kind.value for n, kind in policy.attributes.items()})
    yield from _map("states", {state.name: _state(state) for state in policy.states})
    own = {name: each for name, each in policy.events.items() if BUILTIN.get(name) != each}
    yield from _map("events", {name: _event(event) for name, event in own.items()})
    yield from _map("facts", {fact.name: _fact(fact) for fact in policy.facts})
    yield from _list("transitions", [_transition(rule) for rule in policy.transitions])
    yield from _list("outreach", [_outreach(rule) for rule in policy.outreach])
    yield from _map("sending", _sending(policy.sending))
    if policy.sending.holdout:
        yield f"holdout: {{all: {_percent(policy.sending.holdout)}}}"


def _map(name: str, items: Mapping[str, Any]) -> Iterator[str]:
    if items:
        yield f"{name}:"
        yield from (f"  {_text(key)}: {_flow(value)}" for key, value in items.items())


def _list(name: str, items: Sequence[Item]) -> Iterator[str]:
    if items:
        yield f"{name}:"
        yield from (f"  - {_flow(item)}" for item in items)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(key)}: {_flow(held)}" for key, held in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else _text(value)


def _text(value: Any) -> str:
    """Without quotes where nobody could take it for anything else."""
    if isinstance(value, _Raw | int):
        return str(value)
    plain = _PLAIN.fullmatch(value) is not None and value not in _NO_TEXT
    return str(value) if plain else json.dumps(value, ensure_ascii=False)


def _duration(span: timedelta) -> _Raw:
    """In the largest unit that gives a whole number."""
    if not span:
        return _Raw("0s")
    return next(_Raw(f"{span // unit}{name}") for name, unit in _UNITS if not span % unit)


def _percent(share: Decimal) -> _Raw:
    return _Raw(f"{decimal_text(share * 100)}%")


def _clock(at: time) -> _Raw:
    return _Raw(f'"{at:%H:%M}"')


def _given(**held: Any) -> Item:
    """Without what is empty; a key that Python keeps for itself ends in an underscore."""
    return {name.rstrip("_"): value for name, value in held.items() if value not in (None, {}, [])}


# -- what is declared --------------------------------------------------------------------------


def _rates(policy: Policy) -> Item:
    zone = ZoneInfo(policy.timezone)
    held: dict[str, Item] = {}
    for rate in policy.rates:
        day = f"{rate.since.astimezone(zone).date()}"
        held.setdefault(rate.currency, {})[day] = _Raw(decimal_text(rate.rate))
    return held


def _state(state: State) -> Item:
    return _given(
        label=dict(state.labels), initial=state.initial or None, final=state.final or None
    )


def _event(event: EventType) -> Item:
    return _given(
        label=dict(event.labels),
        properties={name: _property(held) for name, held in event.properties.items()},
        interaction=event.interaction or None,
        strict=event.strict or None,
    )


def _property(held: Property) -> Any:
    return {"type": held.type.value, "required": True} if held.required else held.type.value


def _fact(fact: Fact) -> Item:
    of = fact.event if fact.property is None else f"{fact.event}.{fact.property}"
    less = fact.less_event
    if less is not None and fact.less_property is not None:
        less = f"{less}.{fact.less_property}"
    quantile = fact.quantile if fact.kind is FactKind.GAP else None
    return {fact.kind.value: of} | _given(
        less=less,
        within=None if fact.within is None else _duration(fact.within),
        quantile=None if quantile is None else _Raw(decimal_text(quantile)),
    )


# -- rules -------------------------------------------------------------------------------------


def _transition(rule: TransitionRule) -> Item:
    if isinstance(rule.trigger, OnEvent):
        trigger = {"on": _one_or_more(rule.trigger.types)}
    else:
        trigger = _after(rule.trigger)
    return (
        {"name": rule.name}
        | trigger
        | {"from": _one_or_more(rule.sources), "to": rule.to}
        | _given(when=rule.guard, label=dict(rule.labels))
    )


def _outreach(rule: OutreachRule) -> Item:
    marketing = rule.message_class.value == "marketing"
    usual = defaults.holdout(rule.message_class, rule.channels)
    one = rule.delays[0] if len(rule.delays) == 1 else None
    said = {"name": rule.name, "on": _trigger(rule)} | _given(
        when=rule.guard,
        while_=list(rule.states),
        unless=rule.unless,
        channels=list(rule.channels),
        class_=None if marketing else rule.message_class.value,
        purpose=None if rule.purpose == defaults.purpose(rule.message_class) else rule.purpose,
        delay=_duration(one) if one else None,
        steps=[_duration(delay) for delay in rule.delays] if one is None else None,
        spread=_duration(rule.spread) if rule.spread else None,
        settle=_duration(rule.settle) if rule.settle else None,
        expires=None if rule.expires is None else _duration(rule.expires),
        again_after=None if rule.again_after == _AGAIN_AFTER else _duration(rule.again_after),
        cancel_on=list(rule.cancel_on),
        priority=None if rule.priority == _PRIORITY else rule.priority,
        cap=None if rule.cap is None else _cap(rule.cap),
        holdout=None if rule.holdout == usual else _percent(rule.holdout),
        variants=dict(rule.variants),
        goal=None
        if rule.goal is None
        else {"event": rule.goal.event, "within": _duration(rule.goal.within)},
        label=dict(rule.labels),
    )
    return said if rule.capped else said | {"cap": None}


def _trigger(rule: OutreachRule) -> Any:
    match rule.trigger:
        case OnRequest():
            return REQUEST
        case OnTransition(names=names):
            return {"transition": _one_or_more(names)}
        case OnEvent(types=types):
            return {"event": _one_or_more(types)}
        case OnState(names=names, stayed=stayed):
            held = {"state": _one_or_more(names)}
            return held if stayed is None else held | {"stayed": _duration(stayed)}
        case After() as after:
            return _after(after)
        case OnCalendar() as calendar:
            day = {"calendar": _day(calendar)}
            return day if calendar.at == _AT else day | {"at": _clock(calendar.at)}


def _one_or_more(names: Sequence[str]) -> Any:
    return names[0] if len(names) == 1 else list(names)


def _after(trigger: After) -> Item:
    wait = trigger.wait
    held = _rhythm(wait) if isinstance(wait, OwnRhythm) else _duration(wait)
    return {"after": held, "since": trigger.since}


def _rhythm(wait: OwnRhythm) -> Item:
    return {
        "fact": wait.fact,
        "at_least": _duration(wait.at_least),
        "at_most": _duration(wait.at_most),
        "otherwise": _duration(wait.otherwise),
    }


def _day(calendar: OnCalendar) -> str:
    if calendar.attribute is not None:
        return calendar.attribute
    if calendar.lunar is not None:
        return f"lunar {calendar.lunar[0]:02}-{calendar.lunar[1]:02}"
    assert calendar.month_day is not None
    return f"{calendar.month_day[0]:02}-{calendar.month_day[1]:02}"


# -- sending -----------------------------------------------------------------------------------


def _sending(sending: Sending) -> Item:
    quiet, days = sending.quiet, sending.working_days
    return _given(
        caps=[_cap(cap) for cap in sending.caps],
        quiet=None
        if quiet is None
        else {"since": _clock(quiet.since), "until": _clock(quiet.until)},
        working_days=None if days is None else _working_days(days),
        surge=None if sending.surge == Surge() else _surge(sending.surge),
    )


def _cap(cap: Cap) -> Item:
    window = {"per": cap.window.value} if isinstance(cap.window, Period) else None
    if window is None:
        assert isinstance(cap.window, timedelta)
        window = {"within": _duration(cap.window)}
    if cap.most == 0 and cap.window is Period.DAY:
        window = {}  # it holds for ever
    return (
        {"most": cap.most}
        | window
        | _given(
            channel=cap.channel,
            class_=None if cap.message_class is None else cap.message_class.value,
            block=None if cap.most else True,
        )
    )


def _working_days(days: WorkingDays) -> Item:
    names = list(WEEKDAYS)
    return _given(
        days=[names[day] for day in sorted(days.weekdays)],
        holidays=days.holidays,
        closed=[f"{day}" for day in sorted(days.closed)],
        open=[f"{day}" for day in sorted(days.open)],
    )


def _surge(surge: Surge) -> Item:
    return {"within": _duration(surge.within), "least": surge.least, "times": surge.times}
