"""Transitions and outreach rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

from lifecycle.domain.policy import MessageClass, OnEvent, OutreachRule, TransitionRule
from lifecycle.policy.build import triggers
from lifecycle.policy.build.declared import labels
from lifecycle.policy.build.draft import Path
from lifecycle.policy.build.names import Names
from lifecycle.policy.format import ANY
from lifecycle.policy.records import Fields
from lifecycle.policy.report import START
from lifecycle.policy.shapes import At


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
    return OutreachRule(
        name=name,
        trigger=trigger,
        channels=tuple(channel.value for channel in fields.value("channels", ())),
        message_class=MessageClass(fields.value("class", "marketing")),
        guard=fields.value("when"),
        delays=delays,
        settle=fields.value("settle", timedelta(0)),
        expires=fields.value("expires"),
        again_after=fields.value("again_after", timedelta(days=30)),
        labels=labels(fields),
    )


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
