"""What stands at the top where not the present was asked for: what this tells, and how that differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from lifecycle.domain.calendar import zone
from lifecycle.domain.event import MOVED
from lifecycle.domain.step import Step
from lifecycle.domain.timeline import Timeline
from lifecycle.engine.explain.asked import (
    Difference,
    Hypothesis,
    Late,
    Moment,
    Shifted,
    Supposed,
)
from lifecycle.engine.explain.sentences import event_name, route
from lifecycle.engine.explain.words import Vocabulary, listed, moment, moment_in, span

NAMED = 3  # late events, and such as cannot be folded
SHOWN = 30  # steps that differ


def what_if_lines(customer: str, supposed: Supposed) -> Iterator[str]:
    """That this is a what-if, by which policy, and what it leaves out."""
    yield (
        f"This is a what-if: {customer} as if {policy_name(supposed.policy)} had been in force from"
        " the beginning of time. Nothing of it is recorded."
    )
    if supposed.in_force:
        yield "No other policy was in force, so nothing can differ."
    yield "Of messages it is told that they would be planned, and not whether they would be sent."
    if supposed.left_out:
        yield (
            f"Left out: {_count(sum(supposed.left_out.values()), 'event')} about what became of"
            f" letters ({_kinds(supposed)}), as this policy may not have sent them."
        )
    if supposed.unfoldable:
        named = [f"{id_} of {source} ({why})" for (source, id_), why in supposed.unfoldable.items()]
        yield (
            f"Left out: {_count(len(named), 'event')} that this policy cannot fold: {_first(named)}."
        )


def policy_name(policy: Hypothesis) -> str:
    """`policy.yaml (hash 0123456789ab)`."""
    name = f"policy {policy.name}" if policy.number else policy.name
    return f"{name} (hash {policy.hash[:12]})"


def moment_lines(
    customer: str, past: Moment, timeline: Timeline, zone_name: str, *, what_if: bool
) -> Iterator[str]:
    """As when she is told, what arrived since, and what that changes of what really was."""
    version = timeline.at(past.at)
    when = moment_in(past.at, zone(zone_name, version.zone_name))
    events = _count(past.events, "event")
    if past.late_events:
        known = (
            f"is known today: from the {events} that had occurred by then, whenever they arrived"
        )
        policies = "under the policies published to this day"
    else:
        known = f"was known then: from the {events} that had occurred and arrived by then"
        policies = "under the policies published by then"
    if what_if:
        yield f"Told of {when}, as {known}."
    else:
        yield f"This is {customer} at {when}, as it {known}, {policies}."
    yield _late(past)
    if past.versions and not what_if:
        yield _published_later(past)
    if not what_if and (past.late or past.versions):
        yield _either(past, Vocabulary(version.policy))


def _late(past: Moment) -> str:
    if not past.late:
        return "Nothing that had occurred by then has arrived since."
    named = _first([_name(one) for one in past.late])
    count = len(past.late)
    if past.late_events:
        return f"{count:,} of them arrived after that moment: {named}."
    return (
        f"Left out: {_count(count, 'event')} that had occurred by then and arrived later: {named}."
    )


def _published_later(past: Moment) -> str:
    numbers = listed([str(number) for number in past.versions])
    role = "counted" if past.late_events else "left out"
    if len(past.versions) == 1:
        return f"Policy version {numbers}, in force by then, was only published later: {role}."
    return f"Policy versions {numbers}, in force by then, were only published later: {role}."


def _name(late: Late) -> str:
    occurred = moment(late.stored.event.occurred_at)
    return f"{event_name(late.stored)} of {occurred} (known since {moment(late.known_at)})"


def _either(past: Moment, words: Vocabulary) -> str:
    same = past.state_then == past.state_today
    if past.late_events:
        if same:
            return "What was known at that moment said the same of her state."
        believed = words.state(past.state_then)
        return (
            f"At that moment she was believed to be in {believed}: `--late-events excluded` tells"
            " that."
        )
    if same:
        return "What is known today says the same of her state."
    known = words.state(past.state_today)
    return f"Today it is known that she was in {known}: `--late-events included` tells that."


# -- the difference ----------------------------------------------------------------------------


def difference_lines(supposed: Supposed, timeline: Timeline, now: datetime) -> Iterator[str]:
    """In the order of time, what is in one of the two lives only, or at another instant."""
    differs = supposed.difference
    ours, theirs = Vocabulary(supposed.recorded.at(now).policy), Vocabulary(timeline.at(now).policy)
    if differs.state == differs.supposed_state:
        yield f"She would be in {theirs.state(differs.supposed_state)}, as is recorded."
    else:
        yield (
            f"She would be in {theirs.state(differs.supposed_state)}, and is recorded in"
            f" {ours.state(differs.state)}."
        )
    told = sorted(_steps(differs, ours, theirs))
    if differs.same or not told:
        yield f"{_count(differs.same, 'step')} would be the same{_besides(told)}."
    yield from (f"{moment(at)}  {text}" for at, text in told[:SHOWN])
    if len(told) > SHOWN:
        yield f"And {len(told) - SHOWN:,} more, which --json has."
    for rule, (recorded, planned) in differs.messages.items():
        if recorded == planned:
            yield f"Messages of {rule}: as many ({planned:,}), planned for other times."
        else:
            yield f"Messages of {rule}: {planned:,} would be planned, {recorded:,} recorded."
    if not differs.messages:
        yield "The same messages would be planned, for the same times."


def _besides(told: Sequence[object]) -> str:
    return "" if told else ", and no other"


def _steps(
    differs: Difference, ours: Vocabulary, theirs: Vocabulary
) -> Iterator[tuple[datetime, str]]:
    for pair in differs.shifted:
        yield pair.supposed.at, _shifted(pair, ours, theirs)
    for step in differs.only_supposed:
        yield step.at, f"{_capital(route(step, theirs))} ({_by(step)}): only in the what-if."
    for step in differs.only_recorded:
        yield step.at, f"{_capital(route(step, ours))} ({_by(step)}): only recorded."


def _shifted(pair: Shifted, ours: Vocabulary, theirs: Vocabulary) -> str:
    """`From deal to dormant (quiet), 15 days earlier than recorded (2026-03-02 00:00).`"""
    recorded, supposed = pair.recorded, pair.supposed
    apart = supposed.at - recorded.at
    than = f"{span(abs(apart))} {'earlier' if apart.days < 0 else 'later'} than" if apart else "as"
    unlike = [f"from {ours.state(recorded.from_state)}"] * (
        recorded.from_state != supposed.from_state
    )
    unlike += [f"by {_by(recorded)}"] * (_by(recorded) != _by(supposed))
    was = ", ".join([*unlike, moment(recorded.at)])
    return f"{_capital(route(supposed, theirs))} ({_by(supposed)}), {than} recorded ({was})."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _by(step: Step) -> str:
    return f"moved by {step.by or 'hand'}" if step.trigger == MOVED else step.rule


def _kinds(supposed: Supposed) -> str:
    return listed([f"{count:,} {kind}" for kind, count in supposed.left_out.items()])


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _first(named: Sequence[str]) -> str:
    """The first few of them."""
    more = len(named) - NAMED
    return listed([*named[:NAMED], f"{more:,} more"]) if more > 0 else listed(named)
