"""What happens to a customer next by time alone, when, and what would change it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from lifecycle.domain import builtin
from lifecycle.domain.facts import fed_by
from lifecycle.domain.fold import Due, armed, facts_at, fold
from lifecycle.domain.instant import END
from lifecycle.domain.policy import (
    INTERACTION,
    After,
    Fact,
    FactKind,
    OnEvent,
    OnState,
    OutreachRule,
    Policy,
    TransitionRule,
)
from lifecycle.domain.snapshot import Snapshot
from lifecycle.domain.step import Fired, Moved, Outcome, PlannedMessage, Refused, Unplanned
from lifecycle.domain.timeline import Check, Timeline, Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """From which instant a timed check counts."""

    fact: str
    at: datetime
    moved: bool  # it is that of an operator's move, which is later than the fact
    wait: timedelta
    rhythm: str | None  # the fact of her own rhythm, where the wait is taken from it
    by_default: bool = False  # that fact is empty: the wait is what the rule says otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """The local date of a calendar rule."""

    day: date
    attribute: str | None  # whose month and day it is; None: a fixed date
    lunar: tuple[int, int] | None = (
        None  # month and day of the Chinese calendar, where it is fixed so
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """The stay in a state from whose beginning a check counts."""

    state: str
    at: datetime  # when she entered
    wait: timedelta


Basis = Anchor | Slot | Stay


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """An event that could take her to a state in which the check does not stand, or to a new stay."""

    event: str
    rule: str
    to: str
    guard: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """A timed check or date that stands armed, and what would change it."""

    at: datetime
    name: str
    basis: Basis
    overdue: bool  # its time has come; it fires with the next sweep
    stands_in: tuple[str, ...]  # states in which it stands; empty: in all
    moved_by: tuple[str, ...]  # event types that would move its date
    disarmed_by: tuple[Exit, ...]
    expected: Moved | Refused | Fired | Unplanned | None
    """What will come of it if nothing arrives; None: something else is before it."""
    plans: tuple[PlannedMessage, ...]  # the messages that would follow


@dataclass(frozen=True, slots=True, kw_only=True)
class Asleep:
    """A check that could stand in her state but does not."""

    name: str
    fact: str | None  # from which it counts; None: a rule of the calendar, or a stay
    spent_at: datetime | None  # the anchor at which it was judged already
    moved: bool  # which is that of an operator's move
    empty: str | None  # the fact or attribute that it lacks
    of_stay: bool  # it counts from the beginning of her stay
    again_on_entry: bool  # entering a state of its anew arms it, whatever it counts from
    moved_by: tuple[str, ...]  # event types that would arm it


def ahead(timeline: Timeline, snapshot: Snapshot, now: datetime) -> tuple[Ahead, ...]:
    """Everything that stands armed, the earliest first."""
    dues = armed(timeline, snapshot, now)
    outcomes, planned = _forecast(timeline, snapshot, dues)
    version = timeline.at(now)
    facts = facts_at(timeline, snapshot, now)
    found = []
    for due in dues:
        outcome = outcomes.get((due.check.name, due.at))
        found.append(
            Ahead(
                at=due.at,
                name=due.check.name,
                basis=_basis(version, snapshot, due, facts),
                overdue=due.at <= now,
                stands_in=_stands_in(version.policy, due.check),
                moved_by=_moved_by(version.policy, due.check),
                disarmed_by=tuple(_exits(version.policy, due.check, snapshot.state)),
                expected=outcome,
                plans=tuple(planned.get(_cause(outcome), ())),
            )
        )
    return tuple(found)


def asleep(timeline: Timeline, snapshot: Snapshot, now: datetime) -> tuple[Asleep, ...]:
    """The checks of her state that do not stand, and why."""
    if snapshot.began_at is None:
        return ()
    version = timeline.at(now)
    standing = {due.check.name for due in armed(timeline, snapshot, now)}
    return tuple(
        _asleep(version, snapshot, check)
        for check in version.checks(snapshot.state)
        if check.name not in standing
    )


def _stands_in(policy: Policy, check: Check) -> tuple[str, ...]:
    if check.stays:
        return stay(policy, check.name).names
    return check.transition.sources if check.transition else ()


def _asleep(version: Version, snapshot: Snapshot, check: Check) -> Asleep:
    if check.stays:
        return Asleep(
            name=check.name,
            fact=None,
            spent_at=snapshot.entered_at,
            moved=False,
            empty=None,
            of_stay=True,
            again_on_entry=True,
            moved_by=(),
        )
    anchor: datetime | None = None if check.anchor is None else snapshot.cells[check.anchor]
    fact = None if check.anchor is None else since(version.policy, check.name).name
    lacks, moved = None, False
    if check.anchor is None:
        lacks = check.calendar.attribute if check.calendar else None
    elif anchor is None:
        lacks = fact
    elif check.transition is not None and snapshot.moved_at is not None:
        moved = snapshot.moved_at > anchor
        anchor = max(anchor, snapshot.moved_at)
    return Asleep(
        name=check.name,
        fact=fact,
        spent_at=anchor,
        moved=moved,
        empty=lacks,
        of_stay=False,
        again_on_entry=check.transition is not None,
        moved_by=_moved_by(version.policy, check, first=lacks is not None),
    )


def after(policy: Policy, name: str) -> After:
    """When the timed check of that name comes due."""
    named: list[TransitionRule | OutreachRule] = [*policy.transitions, *policy.outreach]
    return next(
        rule.trigger for rule in named if rule.name == name and isinstance(rule.trigger, After)
    )


def stay(policy: Policy, name: str) -> OnState:
    """In which states, and for how long, the check of a stay of that name waits."""
    return next(
        rule.trigger
        for rule in policy.outreach
        if rule.name == name and isinstance(rule.trigger, OnState)
    )


def since(policy: Policy, name: str) -> Fact:
    """The fact from which a timed check counts."""
    wanted = after(policy, name).since
    return next(fact for fact in policy.facts if fact.name == wanted)


def _forecast(
    timeline: Timeline, snapshot: Snapshot, dues: tuple[Due, ...]
) -> tuple[
    dict[tuple[str, datetime], Moved | Refused | Fired | Unplanned],
    dict[str, list[PlannedMessage]],
]:
    """What will come of the checks if nothing arrives: the same fold, run on into the future."""
    outcomes: dict[tuple[str, datetime], Moved | Refused | Fired | Unplanned] = {}
    planned: dict[str, list[PlannedMessage]] = {}
    reached = [due.at for due in dues if due.at < END]
    if not reached:
        return outcomes, planned

    def witness(outcome: Outcome) -> None:
        if isinstance(outcome, Moved):
            outcomes[outcome.step.trigger, outcome.at] = outcome
        elif isinstance(outcome, Refused | Fired | Unplanned):
            outcomes.setdefault((outcome.trigger, outcome.at), outcome)

    folded = fold(timeline, snapshot, [], max(reached), witness)
    for message in folded.messages:
        planned.setdefault(message.cause, []).append(message)
    return outcomes, planned


def _cause(outcome: Moved | Refused | Fired | Unplanned | None) -> str:
    if outcome is None:
        return ""
    return outcome.step.cause if isinstance(outcome, Moved) else outcome.cause


def _basis(version: Version, snapshot: Snapshot, due: Due, facts: Mapping[str, object]) -> Basis:
    check = due.check
    if due.day is not None:
        assert check.calendar is not None
        named = check.calendar
        return Slot(day=due.day, attribute=named.attribute, lunar=named.lunar)
    assert due.anchor is not None
    if check.stays:
        assert check.wait is not None
        return Stay(state=snapshot.state, at=due.anchor, wait=check.wait)
    assert check.anchor is not None
    rhythm = check.rhythm[0].fact if check.rhythm else None
    return Anchor(
        fact=since(version.policy, check.name).name,
        at=due.anchor,
        moved=due.anchor != snapshot.cells[check.anchor],
        wait=due.at - due.anchor if check.wait is None else check.wait,
        rhythm=rhythm,
        by_default=rhythm is not None and facts.get(rhythm) is None,
    )


def _moved_by(policy: Policy, check: Check, *, first: bool = False) -> tuple[str, ...]:
    """The event types that move the anchor or the rhythm of a check, or the date of a rule.

    Nothing new moves the instant of a `first` event, unless there was none (`first`), nor the
    beginning of a stay.
    """
    if check.stays:
        return ()
    if check.calendar is not None:
        return (builtin.PROFILE_CHANGED,)
    facts = [since(policy, check.name)]
    if check.rhythm is not None:
        facts += [fact for fact in policy.facts if fact.name == check.rhythm[0].fact]
    kinds = [
        kind
        for fact in facts
        if first or fact.kind is not FactKind.FIRST
        for kind, _ in fed_by(fact, policy)
        if kind != INTERACTION
    ]
    return tuple(dict.fromkeys(kinds))


def _exits(policy: Policy, check: Check, state: str) -> Iterator[Exit]:
    if check.transition is None and not check.stays:
        return
    stays_on = check.transition.sources if check.transition else ()  # a new stay is counted anew
    for rule in policy.transitions:
        if isinstance(rule.trigger, OnEvent) and state in rule.sources:
            if rule.to in stays_on:
                continue
            for kind in rule.trigger.types:
                yield Exit(event=kind, rule=rule.name, to=rule.to, guard=rule.guard)
