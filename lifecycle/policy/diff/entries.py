"""Every record of a policy, as it is written in the file: one function for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from lifecycle.domain.instant import decimal_text, instant_text
from lifecycle.domain.policy import (
    After,
    Cap,
    EventType,
    Fact,
    FactKind,
    Goal,
    OnCalendar,
    OnEvent,
    OnRequest,
    OnState,
    OnTransition,
    OutreachRule,
    OwnRhythm,
    Period,
    Property,
    QuietHours,
    State,
    Surge,
    TransitionRule,
    WorkingDays,
)
from lifecycle.policy import defaults
from lifecycle.policy.build.declared import midnight
from lifecycle.policy.diff.written import (
    Keys,
    List,
    Word,
    Written,
    any_order,
    free,
    in_order,
    keys,
    labels,
)
from lifecycle.policy.format import ANY, REQUEST, WEEKDAYS
from lifecycle.policy.words import span

_USUAL: dict[str, Any] = {field.name: field.default for field in fields(OutreachRule)}
_MEDIAN = Decimal("0.5")
_NINE = time(9, 0)
_WEEKDAYS = tuple(WEEKDAYS)
_NO_CAP = "null (no cap holds for it, not even those of all)"

Trigger = OnEvent | After | OnTransition | OnState | OnCalendar | OnRequest


def state(held: State) -> Keys:
    return keys(
        {
            "initial": _flag(is_so=held.initial),
            "final": _flag(is_so=held.final),
            "label": labels(held.labels),
        }
    )


def event(held: EventType) -> Keys:
    properties = {name: _property(one) for name, one in sorted(held.properties.items())}
    return keys(
        {
            "properties": keys(properties, listed=True, usual=not properties),
            "interaction": _flag(is_so=held.interaction),
            "strict": _flag(is_so=held.strict),
            "label": labels(held.labels),
        }
    )


def fact(held: Fact) -> Keys:
    kind, quantile = held.kind, held.quantile
    usual = kind is FactKind.GAP and quantile == _MEDIAN
    return keys(
        {
            kind.value: _path(held.event, held.property),
            "property_type": _word(held.property_type, usual=True),  # the event says it
            "within": _span(held.within),
            "less": _path(held.less_event, held.less_property),
            "quantile": None if quantile is None else _word(decimal_text(quantile), usual=usual),
        },
        kind=kind.value,
    )


def transition(held: TransitionRule, states: Sequence[str]) -> Keys:
    """`states` are all that the policy has, for `from: any`."""
    return keys(
        {
            "trigger": _of_transition(held.trigger),
            "from": _sources(held, states),
            "to": _word(held.to),
            "when": free(held.guard),
            "label": labels(held.labels),
        }
    )


def outreach(held: OutreachRule) -> Keys:
    return keys(
        {
            "on": _of_outreach(held.trigger),
            "when": free(held.guard),
            "while": any_order(held.states) if held.states else None,
            "unless": free(held.unless),
            "channels": in_order(held.channels),
            "class": _word(held.message_class, usual=held.message_class == defaults.MARKETING),
            "purpose": _word(
                held.purpose, usual=held.purpose == defaults.purpose(held.message_class)
            ),
            "delay": _delays(held.delays),
            "spread": _or_usual("spread", held.spread),
            "settle": _or_usual("settle", held.settle),
            "expires": _span(held.expires),
            "again_after": _or_usual("again_after", held.again_after),
            "cancel_on": any_order(held.cancel_on) if held.cancel_on else None,
            "priority": _word(str(held.priority), usual=held.priority == _USUAL["priority"]),
            "cap": _own_cap(held.cap, capped=held.capped),
            "holdout": _word(
                percent(held.holdout),
                usual=held.holdout == defaults.holdout(held.message_class, held.channels),
            ),
            "variants": _variants(held),
            "goal": None if held.goal is None else _goal(held.goal),
            "label": labels(held.labels),
        }
    )


def cap(held: Cap) -> Keys:
    blocks = held.most == 0
    by_calendar = isinstance(held.window, Period)
    # without its window, which says nothing then, none at all is meant for ever
    window = None if blocks and held.window is Period.DAY else _window(held.window)
    return keys(
        {
            "most": _word(str(held.most)),
            "window": None
            if window is None
            else Keys(
                entries={"per" if by_calendar else "within": window},
                kind="per" if by_calendar else "within",
                flat=True,
            ),
            "channel": _word(held.channel),
            "class": _word(held.message_class),
            "block": _word("true") if blocks else None,
        }
    )


def quiet(held: QuietHours) -> Keys:
    return keys({"since": _word(clock(held.since)), "until": _word(clock(held.until))})


def working_days(held: WorkingDays) -> Keys:
    return keys(
        {
            "days": any_order(_WEEKDAYS[day] for day in sorted(held.weekdays)),
            "holidays": _word(held.holidays),
            "closed": _dates(held.closed),
            "open": _dates(held.open),
        }
    )


def surge(held: Surge) -> Keys:
    usual = Surge()
    return keys(
        {
            "within": _word(span(held.within), usual=held.within == usual.within),
            "least": _word(str(held.least), usual=held.least == usual.least),
            "times": _word(str(held.times), usual=held.times == usual.times),
        }
    )


def day(since: datetime, zone: ZoneInfo) -> str:
    """`2024-01-01` where that day begins then in the zone of the policy; else the instant itself."""
    try:
        local = since.astimezone(zone).date()
    except OverflowError:  # the first day of the year 1, west of Greenwich
        return instant_text(since)
    return local.isoformat() if midnight(local, zone) == since else instant_text(since)


def percent(share: Decimal) -> str:
    return f"{decimal_text(share * 100)}%"


def clock(at: time) -> str:
    return at.isoformat() if at.second or at.microsecond else f"{at:%H:%M}"


def _property(held: Property) -> Keys:
    return Keys(
        entries={
            "type": Word(text=held.type.value),
            "required": Word(text="true" if held.required else "false"),
        },
        short=None if held.required else held.type.value,
    )


def _of_transition(trigger: OnEvent | After) -> Keys:
    if isinstance(trigger, OnEvent):
        return Keys(entries={"on": any_order(trigger.types)}, kind="event", flat=True)
    return Keys(entries=_after(trigger), kind="after", flat=True)


def _of_outreach(trigger: Trigger) -> Written:
    match trigger:
        case OnRequest():
            return Word(text=REQUEST)
        case OnTransition():
            return keys({"transition": any_order(trigger.names)}, kind="transition")
        case OnEvent():
            return keys({"event": any_order(trigger.types)}, kind="event")
        case OnState():
            return keys(
                {"state": any_order(trigger.names), "stayed": _span(trigger.stayed)}, kind="state"
            )
        case After():
            return keys(_after(trigger), kind="after")
        case OnCalendar():
            at = _word(clock(trigger.at), usual=trigger.at == _NINE)
            return keys({"calendar": _word(_calendar(trigger)), "at": at}, kind="calendar")


def _after(trigger: After) -> dict[str, Any]:
    return {"after": _wait(trigger.wait), "since": _word(trigger.since)}


def _wait(wait: timedelta | OwnRhythm) -> Written:
    if isinstance(wait, timedelta):
        return Word(text=span(wait))
    return keys(
        {
            "fact": _word(wait.fact),
            "at_least": _span(wait.at_least),
            "at_most": _span(wait.at_most),
            "otherwise": _span(wait.otherwise),
        }
    )


def _calendar(trigger: OnCalendar) -> str:
    month_day, lunar = trigger.month_day, trigger.lunar
    return " ".join(
        [
            *([trigger.attribute] if trigger.attribute is not None else []),
            *([f"{month_day[0]:02}-{month_day[1]:02}"] if month_day is not None else []),
            *([f"lunar {lunar[0]:02}-{lunar[1]:02}"] if lunar is not None else []),
        ]
    )


def _sources(rule: TransitionRule, states: Sequence[str]) -> List:
    """`any` is read as every state but the target, so its members are what is compared."""
    members = any_order(rule.sources)
    every = any_order(name for name in states if name != rule.to)
    is_any = members.same == every.same and len(members.items) > 1
    return replace(members, short=ANY) if is_any else members


def _delays(delays: Sequence[timedelta]) -> Keys:
    if len(delays) == 1:
        delay = Word(text=span(delays[0]))
        return Keys(entries={"delay": delay}, kind="delay", flat=True, usual=not delays[0])
    return Keys(entries={"steps": in_order(map(span, delays))}, kind="steps", flat=True)


def _own_cap(held: Cap | None, *, capped: bool) -> Written | None:
    """Of a rule; `null` frees it of all caps."""
    if held is None:
        return None if capped else Word(text="null", says=_NO_CAP)
    written = cap(held)
    # no file can say both: it is told all the same
    return written if capped else keys({**written.entries, "capped": Word(text="false")})


def _variants(rule: OutreachRule) -> Keys | None:
    if not rule.variants:
        return None
    weights = {name: Word(text=str(weight)) for name, weight in sorted(rule.variants.items())}
    return Keys(entries=weights, listed=True)


def _goal(goal: Goal) -> Keys:
    return keys({"event": _word(goal.event), "within": _span(goal.within)})


def _window(window: timedelta | Period) -> Word:
    return Word(text=window.value if isinstance(window, Period) else span(window))


def _dates(held: frozenset[Any]) -> List | None:
    return any_order(day.isoformat() for day in sorted(held)) if held else None


def _path(event: str | None, name: str | None) -> Word | None:
    """`order_paid.amount`, or the event alone."""
    there = [part for part in (event, name) if part is not None]
    return Word(text=".".join(there)) if there else None


def _span(held: timedelta | None) -> Word | None:
    return None if held is None else Word(text=span(held))


def _or_usual(name: str, held: timedelta) -> Word:
    return Word(text=span(held), usual=held == _USUAL[name])


def _word(held: str | None, *, usual: bool = False) -> Word | None:
    return None if held is None else Word(text=str(held), usual=usual)


def _flag(*, is_so: bool) -> Word:
    return Word(text="true" if is_so else "false", usual=not is_so)
