"""The policies in force, one after the other, compiled once: tables that the fold looks things up in."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lifecycle.domain.event import OUR_PREFIX
from lifecycle.domain.facts import (
    Accumulator,
    Cell,
    Takers,
    Update,
    accumulator,
    definition,
    fed_by,
    readable,
)
from lifecycle.domain.guard import Guard, compiled
from lifecycle.domain.instant import instant_text
from lifecycle.domain.machine import PolicyMachine, check_trigger, event_trigger
from lifecycle.domain.policy import (
    INTERACTION,
    After,
    FactKind,
    OnCalendar,
    OnEvent,
    OnState,
    OnTransition,
    OutreachRule,
    OwnRhythm,
    Policy,
    PolicyVersion,
    TransitionRule,
    ValueType,
)
from lifecycle.domain.snapshot import Snapshot
from lifecycle.errors import FoldBroken

MOVED_BY_HAND = "moved"  # the rule of a step that an operator made
_COUNTS = {FactKind.COUNT, FactKind.DISTINCT}  # facts that are whole numbers
LONGEST = timedelta(days=1_000_000)  # a longer wait never ends: the calendar stops before

Reader = Callable[[Any, datetime], Any]  # (what is being folded, instant) → value for a guard


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundGuard:
    """A guard together with where each of its variables is found."""

    guard: Guard
    told: Reader | None  # the values, then the class of each, where few differ: see `judge_again`
    readers: tuple[tuple[str, Reader, Reader], ...]  # name, value for the guard, canonical value


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundOutreach:
    rule: OutreachRule
    guard: BoundGuard | None
    unless: BoundGuard | None = None  # judged when a message is to be sent, never by the fold


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A timed check, with or without a transition, one of a stay, or a calendar rule."""

    name: str
    trigger: str  # the machine's, of a check with a transition
    position: int  # file order: transitions first, then outreach
    anchor: int | None  # cell of its FIRST or LAST fact; None for stays and calendar rules
    wait: timedelta | None
    rhythm: tuple[OwnRhythm, int] | None  # with the cell of its gap fact
    calendar: OnCalendar | None  # of a calendar rule
    stays: frozenset[str] = frozenset()  # of a check of a stay: the states; it counts from entering
    transition: TransitionRule | None = None
    outreach: BoundOutreach | None = None


def leaves(check: Check, state: str) -> bool:
    return check.transition is not None and state in check.transition.sources


def stands(check: Check, state: str) -> bool:
    """Whether a check of outreach can stand armed in a state: all can, but for those of a stay."""
    return not check.stays or state in check.stays


def is_steady(check: Check) -> bool:
    """Whether only its fact, and having fired, changes when a check comes due."""
    return check.transition is None and not check.stays and check.rhythm is None


class Version:
    """One policy version, compiled against the cells of its timeline."""

    def __init__(
        self, version: PolicyVersion, index: Mapping[str, int], keepers: Sequence[Accumulator]
    ) -> None:
        policy = version.policy
        self.number = version.number
        self.hash = version.hash
        self.effective_at = version.effective_at
        self.withhold_until = version.withhold_until
        self.policy = policy
        self.machine = PolicyMachine(policy)
        self.states = frozenset(state.name for state in policy.states)
        self.zone_name = policy.timezone
        self._cells = {fact.name: index[definition(fact, policy)] for fact in policy.facts}
        self._keepers = keepers
        self.guards = {
            rule.name: self._bound(rule.guard)
            for rule in policy.transitions
            if rule.guard is not None
        }
        outreach = [
            BoundOutreach(
                rule=rule,
                guard=None if rule.guard is None else self._bound(rule.guard),
                unless=None if rule.unless is None else self._bound(rule.unless),
            )
            for rule in policy.outreach
        ]
        self.outreach: Mapping[str, BoundOutreach] = {bound.rule.name: bound for bound in outreach}
        # (event type, state) → the machine's trigger, where a rule leaves the state on that type
        self.leaves: dict[tuple[str, str], str] = {
            (kind, source): event_trigger(kind)
            for rule in policy.transitions
            if isinstance(rule.trigger, OnEvent)
            for kind in rule.trigger.types
            for source in rule.sources
        }
        # (rule, state that it led to) → what a step plans, in file order
        self.on_step = _on_step(policy, outreach)
        self.on_event = _by(outreach, OnEvent, lambda trigger: trigger.types)
        checks = [
            self._check(rule.name, position, rule.trigger, transition=rule)
            for position, rule in enumerate(policy.transitions)
            if isinstance(rule.trigger, After)
        ]
        standing = [
            self._check(bound.rule.name, position, bound.rule.trigger, outreach=bound)
            for position, bound in enumerate(outreach, start=len(policy.transitions))
            if isinstance(bound.rule.trigger, After | OnState | OnCalendar)
            and not _on_entering(bound.rule.trigger)
        ]
        self.calendar = tuple(check for check in standing if check.calendar is not None)
        timed = [check for check in standing if check.calendar is None]
        self.timed = (*checks, *timed)
        self._standing = tuple(check for check in timed if not check.stays)
        self.steady = tuple(check for check in timed if is_steady(check))
        self.idle: frozenset[str] = frozenset()  # event types that move no fact of a timed check
        self._checks: dict[str, tuple[Check, ...]] = {
            state: (
                *(check for check in checks if leaves(check, state)),
                *(check for check in timed if stands(check, state)),
            )
            for state in self.states
        }
        self._unsteady = {
            state: tuple(check for check in standing if not is_steady(check))
            for state, standing in self._checks.items()
        }
        self.calendar_attributes = frozenset(
            trigger.attribute
            for trigger in (rule.trigger for rule in policy.outreach)
            if isinstance(trigger, OnCalendar) and trigger.attribute is not None
        ) | {"timezone"}

    def checks(self, state: str) -> tuple[Check, ...]:
        """The timed checks that can stand armed in a state, in file order; the rules of the calendar
        stand in all. A state since dropped has no way out, and no stay in it is counted.
        """
        return self._checks.get(state, self._standing)

    def unsteady(self, state: str) -> tuple[Check, ...]:
        """Those of `checks` that also look at her state, or at her own rhythm."""
        unsteady = self._unsteady.get(state)
        if unsteady is None:
            unsteady = tuple(check for check in self._standing if not is_steady(check))
        return unsteady

    def facts(self) -> Mapping[str, int]:
        """Fact name → cell."""
        return self._cells

    def keeper(self, cell: int) -> Accumulator:
        return self._keepers[cell]

    def _check(
        self,
        name: str,
        position: int,
        trigger: After | OnState | OnCalendar,
        *,
        transition: TransitionRule | None = None,
        outreach: BoundOutreach | None = None,
    ) -> Check:
        wait = _wait(trigger)
        return Check(
            name=name,
            trigger=check_trigger(name),
            position=position,
            anchor=self._cells[trigger.since] if isinstance(trigger, After) else None,
            wait=min(wait, LONGEST) if isinstance(wait, timedelta) else None,
            rhythm=(wait, self._cells[wait.fact]) if isinstance(wait, OwnRhythm) else None,
            calendar=trigger if isinstance(trigger, OnCalendar) else None,
            stays=frozenset(trigger.names) if isinstance(trigger, OnState) else frozenset(),
            transition=transition,
            outreach=outreach,
        )

    def _bound(self, text: str) -> BoundGuard:
        guard = compiled(text)
        return BoundGuard(
            guard=guard,
            told=self._told(guard.variables),
            readers=tuple((name, *self._reader(name)) for name in guard.variables),
        )

    def _told(self, names: Sequence[str]) -> Reader | None:
        """All that a guard reads, at once; None where something of it takes many values."""
        few = {fact.name for fact in self.policy.facts if fact.kind in _COUNTS}
        few |= {name for name, kind in self.policy.attributes.items() if kind is ValueType.BOOL}
        if not few.issuperset(names):
            return None
        readers = [self._reader(name)[0] for name in names]
        if len(readers) == 1:  # as of most guards
            return _one(readers[0])

        def told(run: Any, at: datetime) -> tuple[Any, ...]:
            values = [read(run, at) for read in readers]
            return (*values, *map(type, values))

        return told

    def _reader(self, name: str) -> tuple[Reader, Reader]:
        """How a variable is read: its value for guards, and its canonical value for the record."""
        if name == "at":
            return _at, lambda run, at: instant_text(at)
        if name == "tags":
            return _tags, _tags
        if name in self._cells:
            cell = self._cells[name]
            value, exact = self._keepers[cell].read, self._keepers[cell].exact
            return (
                lambda run, at: value(run.cells[cell], at),
                lambda run, at: exact(run.cells[cell], at),
            )
        kind = self.policy.attributes[name]
        return (
            lambda run, at: readable(run.attributes.get(name), kind),
            lambda run, at: run.attributes.get(name),
        )


def _one(read: Reader) -> Reader:
    def told(run: Any, at: datetime) -> tuple[Any, type]:
        value = read(run, at)
        return value, type(value)

    return told


def _on_entering(trigger: object) -> bool:
    """Whether a step causes the message, where it is about a state."""
    return isinstance(trigger, OnState) and trigger.stayed is None


def _wait(trigger: After | OnState | OnCalendar) -> timedelta | OwnRhythm | None:
    match trigger:
        case After():
            return trigger.wait
        case OnState():
            return trigger.stayed
        case OnCalendar():
            return None


def _on_step(
    policy: Policy, outreach: Sequence[BoundOutreach]
) -> dict[tuple[str, str], tuple[BoundOutreach, ...]]:
    steps = {(rule.name, rule.to) for rule in policy.transitions}
    steps |= {(MOVED_BY_HAND, state.name) for state in policy.states}
    table = {
        (rule, to): tuple(bound for bound in outreach if _follows(bound.rule.trigger, rule, to))
        for rule, to in steps
    }
    return {step: bound for step, bound in table.items() if bound}


def _follows(trigger: object, rule: str, to: str) -> bool:
    if isinstance(trigger, OnTransition):
        return rule in trigger.names
    return isinstance(trigger, OnState) and trigger.stayed is None and to in trigger.names


def _at(run: Any, at: datetime) -> datetime:
    return at


def _tags(run: Any, at: datetime) -> list[str]:
    return list(run.tags)


def _by(
    outreach: Sequence[BoundOutreach], kind: type[Any], names: Callable[[Any], Sequence[str]]
) -> dict[str, tuple[BoundOutreach, ...]]:
    table: dict[str, list[BoundOutreach]] = {}
    for bound in outreach:
        if isinstance(bound.rule.trigger, kind):
            for name in names(bound.rule.trigger):
                table.setdefault(name, []).append(bound)
    return {name: tuple(rules) for name, rules in table.items()}


class Timeline:
    """The policy versions in force, by the instant from which each judges.

    Facts of all versions are kept side by side, so that each is right over the whole history; two
    versions that define a fact alike share its cell. `shape` names that set of cells, and which checks
    are `wavering`: a snapshot of another shape remembers other things. `retired` are versions that judge
    nothing any more; only records of what was decided once still name them.
    """

    def __init__(
        self, versions: Sequence[PolicyVersion], retired: Sequence[PolicyVersion] = ()
    ) -> None:
        if not versions:
            raise FoldBroken("a timeline needs at least one policy version")
        ordered = sorted(versions, key=lambda version: (version.effective_at, version.number))
        keepers: dict[str, Accumulator] = {}
        feeds: dict[str, list[tuple[str, str]]] = {}
        self._known = frozenset(kind for version in ordered for kind in version.policy.events)
        for version in ordered:
            takers: Takers = {}
            for fact in version.policy.facts:
                kept = accumulator(fact, version.policy, takers)
                if kept.definition not in keepers:
                    keepers[kept.definition] = kept
                    feeds[kept.definition] = fed_by(fact, version.policy, self._known)
        self.keepers: tuple[Accumulator, ...] = tuple(keepers.values())
        index = {meaning: cell for cell, meaning in enumerate(keepers)}
        self.versions = tuple(Version(version, index, self.keepers) for version in ordered)
        self.wavering = _wavering(self.versions)  # checks whose anchor may go back
        remembered = "\n".join([*keepers, *sorted(self.wavering), *_restated(ordered)])
        self.shape = hashlib.sha256(remembered.encode()).hexdigest()[:16]
        self.newest = max(version.number for version in ordered)  # published last
        self._starts = [version.effective_at for version in ordered]
        self._retired = {version.number: version for version in retired}
        self._updates = _updates(index, feeds, self.keepers)
        moving = _moving(index, feeds)
        for judging in self.versions:
            watched = {check.anchor for check in judging.timed}
            watched |= {check.rhythm[1] for check in judging.timed if check.rhythm is not None}
            judging.idle = frozenset(
                kind for kind in self._known if not watched & moving.get(kind, set())
            )
        self._copied = _overriding(self.keepers, "copy")
        self._loaded = _overriding(self.keepers, "load")
        self._unknown = self._updates.get(INTERACTION, ())

    def index_at(self, instant: datetime) -> int:
        """Which version judges at an instant; the first one before all."""
        return max(bisect_right(self._starts, instant) - 1, 0)

    def at(self, instant: datetime) -> Version:
        return self.versions[self.index_at(instant)]

    def numbered(self, number: int) -> Version:
        """The version that was published under a number; `KeyError` where there is none.

        One that is retired knows what its rules said, but no customer's facts are kept for it.
        """
        for version in self.versions:
            if version.number == number:
                return version
        if number in self._retired:
            return Timeline([self._retired[number]]).versions[0]
        raise KeyError(f"this timeline has no policy version {number}")

    def knew(self, newest: int | None, until: datetime) -> bool:
        """Whether all versions that judge up to an instant are known to whoever knew those up to `newest`.

        What was folded up to `until` by a process that had not heard of a version which judges before
        that may be wrong, and is folded from the beginning.
        """
        return all(
            version.effective_at > until or (newest is not None and version.number <= newest)
            for version in self.versions
        )

    def updates(self, kind: str) -> tuple[Update, ...]:
        """What an event of this type does to the cells; unknown types count as interactions."""
        updates = self._updates.get(kind)
        if updates is not None:
            return updates
        ours = kind.startswith(OUR_PREFIX)
        return () if ours or kind in self._known else self._unknown

    def copies(self, cells: Sequence[Cell]) -> list[Cell]:
        """Cells that may be changed without changing these."""
        copied = list(cells)
        for cell, copy in self._copied:
            copied[cell] = copy(copied[cell])
        return copied

    def cells_from(self, dumped: list[Any]) -> tuple[Cell, ...]:
        """The cells that orjson made these of."""
        if len(dumped) != len(self.keepers):
            raise FoldBroken("these cells are those of other facts")
        for cell, load in self._loaded:
            dumped[cell] = load(dumped[cell])
        return tuple(dumped)

    def blank(self) -> Snapshot:
        """A customer of whom nothing is known yet."""
        return Snapshot(
            shape=self.shape,
            state=self.versions[0].policy.initial,
            cells=tuple(keeper.empty() for keeper in self.keepers),
        )


def _restated(ordered: Sequence[PolicyVersion]) -> list[str]:
    """Nothing of what was remembered before history was restated may be folded on from."""
    first = ordered[0].number
    return [] if first == 1 else [f"restated by {first}"]


def _wavering(versions: Sequence[Version]) -> frozenset[str]:
    """The timed checks that not every version anchors alike; the anchors of all others only go forward."""
    anchors: dict[str, set[tuple[int | None, bool]]] = {}  # no anchor: it counts from entering
    for version in versions:
        for check in version.timed:
            kind = (check.anchor, check.transition is None)
            anchors.setdefault(check.name, set()).add(kind)
    return frozenset(name for name, kinds in anchors.items() if len(kinds) > 1)


def _overriding(
    keepers: Sequence[Accumulator], name: str
) -> list[tuple[int, Callable[[Any], Cell]]]:
    """The cells for which there is something to do, and what; most are copied and loaded as they are."""
    plain = getattr(Accumulator, name)
    return [
        (cell, getattr(keeper, name))
        for cell, keeper in enumerate(keepers)
        if getattr(type(keeper), name) is not plain
    ]


def _moving(
    index: Mapping[str, int], feeds: Mapping[str, list[tuple[str, str]]]
) -> dict[str, set[int]]:
    """Event type → the cells that it changes."""
    table: dict[str, set[int]] = {}
    for meaning, cell in index.items():
        for kind, _ in feeds[meaning]:
            table.setdefault(kind, set()).add(cell)
    return table


def _updates(
    index: Mapping[str, int],
    feeds: Mapping[str, list[tuple[str, str]]],
    keepers: Sequence[Accumulator],
) -> dict[str, tuple[Update, ...]]:
    table: dict[str, list[Update]] = {}
    for meaning, cell in index.items():
        for kind, role in feeds[meaning]:
            table.setdefault(kind, []).append(keepers[cell].updater(cell, role))
    return {kind: tuple(updates) for kind, updates in table.items()}
