"""Transitions and outreach rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

from lifecycle.domain.instant import decimal_text
from lifecycle.domain.policy import Goal, MessageClass, OnEvent, OutreachRule, TransitionRule
from lifecycle.policy import defaults
from lifecycle.policy.build import sending, triggers
from lifecycle.policy.build.declared import labels
from lifecycle.policy.build.draft import Path
from lifecycle.policy.build.names import Names
from lifecycle.policy.format import ANY
from lifecycle.policy.records import Fields
from lifecycle.policy.report import START
from lifecycle.policy.shapes import At

_PRIORITY = 50


def transitions(written: Sequence[At[Fields]], names: Names) -> tuple[TransitionRule, ...]:
    """Those that could be read, in file order."""
    rules: list[TransitionRule] = []
    for item in written:
        rule = _transition(item, ("transitions", len(rules)), names)
        if rule is not None:
            rules.append(rule)
    return tuple(rules)


def outreach(
    written: Sequence[At[Fields]], transitions: Sequence[str], names: Names
) -> tuple[OutreachRule, ...]:
    """Those that could be read, in file order; `transitions` are the names they may refer to."""
    rules: list[OutreachRule] = []
    for item in written:
        rule = _outreach(item, ("outreach", len(rules)), transitions, names)
        if rule is not None:
            rules.append(rule)
    return tuple(rules)


def _transition(item: At[Fields], path: Path, names: Names) -> TransitionRule | None:
    fields = item.value
    names.note(path, item)
    name = names.rule(fields.get("name"))
    trigger = triggers.of_transition(item, names)
    to = names.state(fields["to"]) if "to" in fields else None
    sources = _sources(fields.value("from", ()), to, path, names)
    if to is None or not sources:
        names.lose(item)
        return None
    return TransitionRule(
        name=name,
        # a trigger that could not be read has been told; the edge still counts for reachability
        trigger=trigger or OnEvent(types=()),
        sources=sources,
        to=to,
        guard=fields.value("when"),
        labels=labels(fields),
    )


def _sources(
    written: Sequence[At[str]], to: str | None, path: Path, names: Names
) -> tuple[str, ...]:
    sources: list[str] = []
    for name in written:
        if name.value == ANY:
            names.places[(*path, ANY)] = name.place
            if len(written) > 1:
                names.report.error(
                    name.place,
                    "any_with_others",
                    'found "any" among other states; allowed: any alone, which means every '
                    "state but the target",
                )
            sources += [state.name for state in names.states if state.name != to]
            continue
        state = names.state(name)
        if state is not None and state == to:
            names.report.error(
                name.place,
                "leads_to_itself",
                f'found "{state}" both in from and as the target; a transition moves: '
                "take it out of from",
            )
        elif state is not None:
            names.places[(*path, "from", state)] = name.place
            sources.append(state)
    return tuple(dict.fromkeys(sources))


def _outreach(
    item: At[Fields], path: Path, transitions: Sequence[str], names: Names
) -> OutreachRule | None:
    fields = item.value
    names.note(path, item)
    name = names.rule(fields.get("name"))
    delays = _delays(fields, names)
    trigger = triggers.of_outreach(fields["on"], transitions, names) if "on" in fields else None
    if trigger is None:
        names.lose(item)
        return None
    channels = _channels(fields, path, names)
    message_class = MessageClass(fields.value("class", "marketing"))
    cancelling = [names.event(kind) for kind in fields.value("cancel_on", ())]
    states = [names.state(state) for state in fields.value("while", ())]
    return OutreachRule(
        name=name,
        trigger=trigger,
        channels=channels,
        message_class=message_class,
        guard=fields.value("when"),
        delays=delays,
        settle=fields.value("settle", timedelta(0)),
        spread=fields.value("spread", timedelta(0)),
        expires=fields.value("expires"),
        again_after=fields.value("again_after", timedelta(days=30)),
        purpose=fields.value("purpose", defaults.purpose(message_class)),
        states=tuple(dict.fromkeys(state for state in states if state is not None)),
        unless=fields.value("unless"),
        cancel_on=tuple(dict.fromkeys(kind for kind in cancelling if kind is not None)),
        priority=fields.value("priority", _PRIORITY),
        cap=sending.cap(fields["cap"], names) if fields.value("cap") is not None else None,
        capped="cap" not in fields or fields.value("cap") is not None,
        holdout=_holdout(fields, message_class, channels, names),
        variants=_variants(fields),
        goal=_goal(fields, names),
        labels=labels(fields),
    )


def _channels(fields: Fields, path: Path, names: Names) -> tuple[str, ...]:
    written: Sequence[At[str]] = fields.value("channels", ())
    for channel in written:
        names.places[(*path, "channel", channel.value)] = channel.place
    return tuple(channel.value for channel in written)


def _holdout(
    fields: Fields, message_class: MessageClass, channels: Sequence[str], names: Names
) -> Decimal:
    usual = defaults.holdout(message_class, channels)
    share: Decimal = fields.value("holdout", usual)
    if share and not defaults.may_hold_out(message_class, channels):
        what = "only a task" if channels and set(channels) == {defaults.TASK} else "service"
        names.report.error(
            fields.place("holdout", START),
            "holdout_refused",
            f"found a holdout of {decimal_text(share * 100)}% on a rule that is {what}; allowed: a holdout on "
            "marketing, for nobody is kept from what she needs; leave it out",
        )
    return share


def _variants(fields: Fields) -> dict[str, int]:
    """By name, so that their order in the file, which says nothing, changes nothing."""
    held = {name.value: weight.value for name, weight in fields.value("variants", ())}
    return dict(sorted(held.items()))


def _goal(fields: Fields, names: Names) -> Goal | None:
    held: Fields | None = fields.value("goal")
    if held is None or "event" not in held or "within" not in held:
        return None
    event = names.event(held["event"])
    return None if event is None else Goal(event=event, within=held.value("within"))


def _delays(fields: Fields, names: Names) -> tuple[timedelta, ...]:
    if "delay" in fields.written and "steps" in fields.written:
        names.report.error(
            fields.place("steps", START),
            "two_kinds",
            'found "delay" and "steps" together; a series says each delay in its steps',
        )
    if "steps" not in fields:
        return (fields.value("delay", timedelta(0)),)
    steps: Sequence[At[timedelta]] = fields.value("steps")
    for before, step in pairwise(steps):
        if step.value <= before.value:
            names.report.error(
                step.place,
                "steps_order",
                "found a step that is not later than the one before it; each is measured from "
                "the cause, so they grow, such as [0d, 3d, 7d]",
            )
    return tuple(step.value for step in steps)
