"""The heart: from a customer's events to her state, the steps she made and the messages they plan.

`fold` is pure: no clock, no randomness, no I/O. Live processing, rebuilding, explaining and
backtesting are this one function, so they cannot disagree. Its meaning is told by worked histories
in the tests. Before each event it fires the timed checks due at or before that event's time; after
the last event, those due up to `until`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from lifecycle.domain import builtin, calendar
from lifecycle.domain.event import MOVED, REQUESTED, SCORED, Event, EventKey
from lifecycle.domain.guard import GuardError
from lifecycle.domain.instant import BEGINNING, END, instant_text, later
from lifecycle.domain.policy import OnRequest, TransitionRule
from lifecycle.domain.snapshot import Mark, Snapshot
from lifecycle.domain.step import (
    Fired,
    Moved,
    NotApplicable,
    Outcome,
    PlannedMessage,
    Refusal,
    Refused,
    Step,
    Unplanned,
)
from lifecycle.domain.timeline import (
    LONGEST,
    MOVED_BY_HAND,
    BoundGuard,
    BoundOutreach,
    Check,
    Timeline,
)
from lifecycle.errors import FoldBroken, PoisonEvent

STEPS_AT_ONCE = 10  # may follow from one event or check without time passing

Witness = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """What a fold concluded."""

    snapshot: Snapshot  # after everything up to the horizon
    steps: tuple[Step, ...]  # made in this fold, in order
    messages: tuple[PlannedMessage, ...]  # planned in this fold, in order
    waiting: tuple[Event, ...]  # events that lie after the horizon
    wake_at: datetime | None  # when something next happens without a new event


class Due(NamedTuple):
    """A timed check or calendar slot that stands armed; the smaller of two fires first."""

    at: datetime
    position: int  # of the rule in the file
    check: Check
    anchor: datetime | None  # of a timed check
    day: date | None = None  # of a calendar slot


def fold(
    timeline: Timeline,
    snapshot: Snapshot | None,
    events: Sequence[Event],
    until: datetime,
    witness: Witness | None = None,
) -> Folded:
    """Fold `events`, sorted by key and all later than what `snapshot` holds, up to `until`.

    `snapshot` None starts at the customer's beginning. `witness` is told every outcome, in order.
    The given snapshot is not changed. Raises `FoldBroken` where the caller broke the order, the
    shape, or a policy that no check would pass loops without time passing; `PoisonEvent` where one
    event cannot be folded.
    """
    run = Run(timeline, timeline.blank() if snapshot is None else snapshot, witness)
    waiting: tuple[Event, ...] = ()
    for position, event in enumerate(events):
        at = event.occurred_at
        if at > until:
            waiting = tuple(events[position:])
            break
        if run.wake <= at:
            run.advance(at)
        try:
            run.take(event)
        except FoldBroken:
            raise
        except Exception as error:
            raise PoisonEvent(event.source, event.id, error) from error
    if run.wake <= until:
        run.advance(until)
    wake = run.wake
    if waiting:
        wake = min(wake, waiting[0].occurred_at)
    return Folded(
        snapshot=run.snapshot(waits=len(waiting)),
        steps=tuple(run.steps),
        messages=tuple(run.messages),
        waiting=waiting,
        wake_at=None if wake == END else wake,
    )


def armed(timeline: Timeline, snapshot: Snapshot, now: datetime) -> tuple[Due, ...]:
    """Every timed check and calendar slot that stands armed at `now`, the earliest first.

    What was due up to `now` must have been folded already.
    """
    run = Run(timeline, snapshot, None)
    run.enter_version_at(now)
    return tuple(sorted(run.dues()))


def unwanted(timeline: Timeline, snapshot: Snapshot, rule: str, version: int, at: datetime) -> bool:
    """Whether the `unless` of a rule holds at `at`, or has no answer; False where it says none.

    Asked when a message is to be sent, of a snapshot that holds everything before; the rule is that
    of the policy version that planned it.
    """
    bound = timeline.numbered(version).outreach[rule]
    if bound.unless is None:
        return False
    holds, error = Run(timeline, snapshot, None).holds(bound.unless, at)
    return holds or error is not None


def is_late(snapshot: Snapshot, event: Event) -> bool:
    """Whether an event belongs before something that was already folded."""
    if snapshot.last_key is not None and event.key <= snapshot.last_key:
        return True
    return snapshot.checked_at is not None and event.occurred_at < snapshot.checked_at


def facts_at(timeline: Timeline, snapshot: Snapshot, at: datetime) -> dict[str, Any]:
    """The facts as canonical JSON, windows ending at `at`, which is not before the last event."""
    version = timeline.at(at)
    return {
        name: timeline.keepers[cell].exact(snapshot.cells[cell], at)
        for name, cell in sorted(version.facts().items())
    }


def _standing(due_of: Callable[[Check], Due | None], checks: Iterable[Check]) -> list[Due]:
    """Those of the checks that stand armed, the first one last."""
    found = [due for due in map(due_of, checks) if due is not None]
    found.sort(reverse=True)
    return found


class Run:
    """One fold under way: the only place where a customer's state changes.

    `fold` is one that nothing interrupts; a backtest stops it in between, to ask what would be sent.
    """

    __slots__ = (
        "_at_once",
        "_began_at",
        "_calendar_since",
        "_checked_at",
        "_earliest",
        "_entered_at",
        "_index",
        "_instant",
        "_last_key",
        "_marks",
        "_moved_at",
        "_next",
        "_next_at",
        "_own_marks",
        "_position",
        "_refused",
        "_slots",
        "_slots_ahead",
        "_stay",
        "_steady",
        "_switch_at",
        "_timeline",
        "_unsteady",
        "_version",
        "_witness",
        "attributes",
        "cells",
        "consents",
        "messages",
        "state",
        "steps",
        "tags",
        "wake",
    )  # CPython finds quickly at most thirty attributes that have no slot

    def __init__(
        self, timeline: Timeline, before: Snapshot, witness: Witness | None = None
    ) -> None:
        if before.shape != timeline.shape:
            raise FoldBroken("this snapshot was made with other facts: fold from the beginning")
        self._timeline = timeline
        self._witness = witness
        self.steps: list[Step] = []
        self.messages: list[PlannedMessage] = []
        self.cells = timeline.copies(before.cells)
        self.state = before.state
        self.attributes = before.attributes
        self.tags: tuple[str, ...] = before.tags
        self.consents = before.consents
        self._entered_at = before.entered_at
        self._stay = before.stay
        self._began_at = before.began_at
        self._last_key: tuple[datetime, str, str] | None = before.last_key
        self._checked_at = before.checked_at
        self._moved_at = before.moved_at
        self._calendar_since = before.calendar_since
        self._marks = dict(before.marks)
        self._own_marks: set[str] = set()  # copied in this fold, so that they may be changed
        self._slots = dict(before.slots)
        # What stands armed, the first one last. None: it is to be looked at again.
        self._slots_ahead: list[Due] | None = None  # until a date, the zone or the version changes
        self._steady: list[Due] | None = None  # until a fact of theirs or the version changes
        self._unsteady: list[Due] | None = None  # and until one of them fires or she enters a state
        self._next: Due | None = None
        self._next_at = END
        self._refused = dict(before.refused)
        self._instant: datetime | None = None  # of the newest step
        self._at_once = 0  # steps since the last event without time passing
        self._position = max(  # the instant of the newest thing folded
            before.last_key.occurred_at if before.last_key else BEGINNING,
            before.checked_at or BEGINNING,
        )
        self._index = timeline.index_at(self._position)
        self._enter_version()
        self.wake = END
        self.arm()

    # -- versions ----------------------------------------------------------------------------

    def _enter_version(self) -> None:
        self._slots_ahead = self._steady = None
        versions = self._timeline.versions
        self._version = versions[self._index]
        more = self._index + 1 < len(versions)
        self._switch_at = versions[self._index + 1].effective_at if more else END
        self._enter_state(self._entered_at)

    def _enter_state(self, at: datetime | None) -> None:
        """No check that leaves a state is due before it was entered, nor before its version."""
        self._entered_at, self._unsteady = at, None
        effective = self._version.effective_at
        self._earliest = effective if at is None else max(at, effective)

    def enter_version_at(self, now: datetime) -> None:
        """Judge by the version in force at `now`, where nothing has happened since the snapshot."""
        self._index = max(self._index, self._timeline.index_at(now))
        self._enter_version()

    # -- events ------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """One event, after the checks due before it: facts first, then rules, then outreach."""
        at, kind = event.occurred_at, event.type
        last = self._last_key
        key = (at, event.source, event.id)  # a plain tuple: this runs for every event
        if last is not None and key <= last:
            raise FoldBroken(f"event {key} is not after {last}")
        self._last_key = key
        self._position = at
        self._at_once = 0
        if self._began_at is None:
            self.enter_version_at(at)
            self._began_at = self._calendar_since = at
            self._enter_state(at)
            self._slots_ahead = None
        for update in self._timeline.updates(kind):
            update(self.cells, event)
        if kind not in self._version.idle:
            self._steady = self._unsteady = None
        if kind in _PROFILE:
            self._profile(event)
        if kind == MOVED:
            self._move(event)
        else:
            self._follow(event)
        self.arm()

    def _follow(self, event: Event) -> None:
        """The rules that wait for such an event, and then the messages."""
        at, kind = event.occurred_at, event.type
        machine_trigger = self._version.leaves.get((kind, self.state))
        if machine_trigger is not None:
            self._trigger(machine_trigger, kind, event.cause, at)
        elif self._witness is not None:
            self._witness(NotApplicable(at=at, trigger=kind, cause=event.cause, state=self.state))
        for outreach in self._version.on_event.get(kind, ()):
            self._plan(outreach, event.cause, at)
        if kind == REQUESTED:
            self._request(event)

    def _profile(self, event: Event) -> None:
        """Attributes, tags and consents: the last write by event time wins, one by one."""
        given = event.properties
        match event.type:
            case kind if kind in _ATTRIBUTES:
                changed = given.get("attributes", {})
                before = self.attributes
                after = {**before, **changed}
                self.attributes = {
                    name: value for name, value in after.items() if value is not None
                }
                if any(
                    name in self._version.calendar_attributes and before.get(name) != value
                    for name, value in changed.items()
                ):
                    self._calendar_since = event.occurred_at
                    self._slots_ahead = None
            case builtin.TAG_ADDED:
                self.tags = tuple(sorted({*self.tags, given["tag"]}))
            case builtin.TAG_REMOVED:
                self.tags = tuple(tag for tag in self.tags if tag != given["tag"])
            case _:
                self._consent(event)

    def _consent(self, event: Event) -> None:
        """What is said of all channels takes the place of what was said of each before."""
        purpose, channel = event.properties["purpose"], event.properties["channel"]
        held = self.consents
        if channel == builtin.EVERY_CHANNEL:
            held = {about: so for about, so in held.items() if about.rpartition("/")[0] != purpose}
        self.consents = {**held, f"{purpose}/{channel}": event.type == builtin.CONSENT_GIVEN}

    def _request(self, event: Event) -> None:
        """A person asked for a rule's message; a rule that waits for nobody's word stays silent."""
        outreach = self._version.outreach.get(event.properties["outreach"])
        if outreach is not None and isinstance(outreach.rule.trigger, OnRequest):
            self._plan(outreach, event.cause, event.occurred_at)

    def _move(self, event: Event) -> None:
        """An operator's manual move: no guard is asked, and anchors start again."""
        at, target = event.occurred_at, event.properties["to"]
        if target == self.state or target not in self._version.states:
            if self._witness is not None:
                self._witness(
                    Refused(at=at, trigger=MOVED, cause=event.cause, state=self.state, refusals=())
                )
            return
        self._moved_at = at
        self._step(
            Step(
                rule=MOVED_BY_HAND,
                from_state=self.state,
                to_state=target,
                trigger=MOVED,
                cause=event.cause,
                at=at,
                guard=None,
                read={},
                version=self._version.number,
                by=event.properties.get("by"),
                why=event.properties.get("why"),
            ),
            (),
        )

    # -- rules -------------------------------------------------------------------------------

    def _trigger(self, machine_trigger: str, trigger: str, cause: str, at: datetime) -> None:
        """The machine's answer to a trigger; the first rule whose guard holds makes a step."""
        rule = self._version.machine.certain(machine_trigger, self.state)
        refusals: list[Refusal] = []
        read: dict[str, Any] = {}
        if rule is None:
            rule = self._ask(machine_trigger, at, refusals, read)
        if rule is not None:
            # by position: rule, from, to, trigger, cause, at, guard, read, version
            step = Step(
                rule.name,
                self.state,
                rule.to,
                trigger,
                cause,
                at,
                rule.guard,
                read,
                self._version.number,
            )
            self._step(step, tuple(refusals))
        elif self._witness is not None:
            self._witness(
                Refused(
                    at=at, trigger=trigger, cause=cause, state=self.state, refusals=tuple(refusals)
                )
            )

    def _ask(
        self, machine_trigger: str, at: datetime, refusals: list[Refusal], read: dict[str, Any]
    ) -> TransitionRule | None:
        """Let the machine find the rule; what guards read and refused is noted on the way."""

        def judge(rule: TransitionRule) -> bool:
            if rule.guard is None:
                return True
            verdict = self._judge(rule.name, self._version.guards[rule.name], at)
            if isinstance(verdict, Refusal):
                self._refused[rule.name] = self._refused.get(rule.name, 0) + 1
                refusals.append(verdict)
                return False
            read.update(verdict)
            return True

        return self._version.machine.fire(machine_trigger, self.state, judge)

    def _judge(self, rule: str, bound: BoundGuard, at: datetime) -> dict[str, Any] | Refusal:
        """The values that the guard read where it holds, a refusal where it does not."""
        holds, error = self.holds(bound, at)
        if not holds and self._witness is None:
            return _UNTOLD  # nobody asks what it read
        values = {name: exact(self, at) for name, _, exact in bound.readers}
        if holds:
            return values
        return Refusal(rule=rule, guard=bound.guard.text, read=values, error=error)

    def holds(self, bound: BoundGuard, at: datetime) -> tuple[bool, str | None]:
        """Whether it does; where it cannot be evaluated, it does not, for a reason."""
        try:
            if bound.told is not None:
                return bound.guard.judge_again(bound.told(self, at)), None
            values = {name: read(self, at) for name, read, _ in bound.readers}
            return bound.guard.judge(values), None
        except GuardError as raised:
            return False, str(raised)

    def _step(self, step: Step, refusals: tuple[Refusal, ...]) -> None:
        self._at_once = self._at_once + 1 if self._instant == step.at else 1
        self._instant = step.at
        if self._at_once > STEPS_AT_ONCE:
            raise FoldBroken(f"more than {STEPS_AT_ONCE} steps at {instant_text(step.at)}")
        self.state = step.to_state
        self._enter_state(step.at)
        self._stay += 1
        self.steps.append(step)
        if self._witness is not None:
            self._witness(Moved(at=step.at, step=step, refusals=refusals))
        for outreach in self._version.on_step.get((step.rule, step.to_state), ()):
            self._plan(outreach, step.cause, step.at)

    # -- outreach ----------------------------------------------------------------------------

    def _plan(self, outreach: BoundOutreach, cause: str, at: datetime) -> bool:
        """Plan the messages of a rule where its guard holds; what becomes of them is decided later."""
        rule = outreach.rule
        if outreach.guard is not None and not self.holds(outreach.guard, at)[0]:
            self._refused[rule.name] = self._refused.get(rule.name, 0) + 1
            if self._witness is not None:
                refusal = self._judge(rule.name, outreach.guard, at)
                assert isinstance(refusal, Refusal), "a guard says the same when asked again"
                self._witness(Unplanned(at=at, trigger=rule.name, cause=cause, refusal=refusal))
            return False
        for number, delay in enumerate(rule.delays, start=1):
            planned_at = later(at, delay) if delay else at
            expires_at = None if rule.expires is None else later(planned_at, rule.expires)
            # as `PlannedMessage(…)`, without a call of Python's own for most events
            told = (
                rule.name,
                cause,
                number,
                at,
                planned_at,
                expires_at,
                rule.settle,
                rule.again_after,
                rule.message_class,
                rule.channels,
                self._version.number,
            )
            self.messages.append(tuple.__new__(PlannedMessage, told))
        return True

    # -- timed checks and calendar slots -----------------------------------------------------

    def arm(self) -> None:
        """Look what comes due next as things are now; ties go to the earlier rule of the file."""
        self._next = None
        self._next_at = self.wake = END
        if self._began_at is None:
            return
        if self._unsteady is None:
            self._unsteady = _standing(self._due, self._version.unsteady(self.state))
        if self._steady is None:
            self._steady = _standing(self._due, self._version.steady)
        if self._slots_ahead is None:
            self._slots_ahead = _standing(self._slot, self._version.calendar)
        first = self._unsteady[-1] if self._unsteady else None
        if self._steady and (first is None or self._steady[-1] < first):
            first = self._steady[-1]
        if self._slots_ahead and (first is None or self._slots_ahead[-1] < first):
            first = self._slots_ahead[-1]
        if first is not None:
            self._next, self._next_at = first, first.at
        self.wake = self._next_at if self._next_at < self._switch_at else self._switch_at  # noqa: FURB136

    def dues(self) -> list[Due]:
        """Everything that stands armed as things are now."""
        if self._began_at is None:
            return []
        timed = _standing(self._due, self._version.checks(self.state))
        return [*timed, *_standing(self._slot, self._version.calendar)]

    def _due(self, check: Check) -> Due | None:
        """When a timed check comes due, and at which anchor; None: it is not armed."""
        if check.anchor is None:
            return self._due_of_stay(check)
        anchor: datetime | None = self.cells[check.anchor]
        if anchor is None:
            return None
        mark = self._marks.get(check.name)
        if check.transition is None:
            if mark is not None and anchor in mark.counts:
                return None
            earliest = self._version.effective_at
        else:
            moved_at = self._moved_at
            if moved_at is not None and moved_at > anchor:
                anchor = moved_at
            if mark is not None and mark.stay == self._stay and anchor in mark.spent:
                return None
            earliest = self._earliest
        at = anchor + (check.wait or self._wait(check))
        if check.rhythm is not None:  # a shorter rhythm may put it before what has happened since
            earliest = max(earliest, self._position)
        at = max(at, earliest)
        return tuple.__new__(Due, (at, check.position, check, anchor, None))  # as `Due(…)`, quicker

    def _due_of_stay(self, check: Check) -> Due | None:
        """It counts from the entry of the stay, and has one turn in it."""
        entered, wait = self._entered_at, check.wait
        if entered is None or wait is None:
            raise FoldBroken(f"{check.name} is no timed check")
        mark = self._marks.get(check.name)
        if mark is not None and entered in mark.spent:  # no two stays that last begin at once
            return None
        at = max(entered + wait, self._version.effective_at)
        return Due(at, check.position, check, entered)

    def _wait(self, check: Check) -> timedelta:
        """The customer's own rhythm, held between the rule's bounds."""
        if check.rhythm is None:
            raise FoldBroken(f"timed check {check.name} has nothing to wait for")
        rhythm, cell = check.rhythm
        gap: timedelta | None = self._timeline.keepers[cell].read(self.cells[cell], END)
        if gap is None:
            return min(rhythm.otherwise, LONGEST)
        return min(max(gap, rhythm.at_least), rhythm.at_most, LONGEST)

    def _spend_slot(self, check: Check, day: date) -> None:
        """Only the rule that has fired looks for its next date."""
        self._slots[check.name] = day
        assert self._slots_ahead is not None, "one of them has fired"
        del self._slots_ahead[-1]
        if (slot := self._slot(check)) is not None:
            self._slots_ahead.append(slot)
            self._slots_ahead.sort(reverse=True)

    def _slot(self, check: Check) -> Due | None:
        rule = check.calendar
        if rule is None or self._calendar_since is None:
            return None
        month_day = rule.lunar or rule.month_day
        if rule.attribute is not None:
            text = self.attributes.get(rule.attribute)
            if text is None:
                return None
            day = date.fromisoformat(text)
            month_day = (day.month, day.day)
        if month_day is None:
            raise FoldBroken(f"calendar rule {check.name} names no date")
        found = calendar.next_slot(
            month_day,
            rule.at,
            calendar.zone(self.attributes.get("timezone"), self._version.zone_name),
            after=self._calendar_since,
            not_before=self._version.effective_at,
            fired=self._slots.get(check.name),
            lunar=rule.lunar is not None,
        )
        return None if found is None else Due(found[0], check.position, check, None, found[1])

    def advance(self, limit: datetime) -> None:
        """Fire everything due at or before `limit`, each at its own instant, under its version."""
        while self.wake <= limit and self.wake < END:
            if self._switch_at <= self._next_at:
                self._index += 1
                self._enter_version()
            else:
                self._fire()
            self.arm()

    def _fire(self) -> None:
        if self._next is None:
            raise FoldBroken("a check was to fire, but none stands armed")
        at, _, check, anchor, day = self._next
        self._checked_at = self._position = at
        if day is not None:
            self._spend_slot(check, day)
            cause = f"calendar:{check.name}@{day.isoformat()}"
        elif anchor is not None:
            cause = f"check:{check.name}@{instant_text(anchor)}#{self._spend(check, anchor)}"
        else:
            raise FoldBroken(f"timed check {check.name} came due without an anchor")
        if check.transition is not None:
            self._trigger(check.trigger, check.name, cause, at)
        elif check.outreach is not None:
            planned = self._plan(check.outreach, cause, at)
            if planned and self._witness is not None:
                self._witness(Fired(at=at, trigger=check.name, cause=cause))

    def _spend(self, check: Check, anchor: datetime) -> int:
        """Mark a timed check as evaluated at this anchor; how often it has been, now included."""
        if self._steady and self._steady[-1] is self._next:
            self._steady.pop()  # until its anchor moves; the others stand as they stood
        else:
            self._unsteady = None
        mark = self._marks.get(check.name)
        if mark is None:
            mark = self._marks[check.name] = Mark(stay=self._stay, spent=[], counts={})
        elif check.name not in self._own_marks:
            mark = self._marks[check.name] = mark.copy()
        self._own_marks.add(check.name)
        if mark.stay != self._stay:
            mark.stay, mark.spent = self._stay, []
        count = mark.counts.get(anchor, 0) + 1
        if check.name in self._timeline.wavering:
            mark.spent.append(anchor)
            mark.counts[anchor] = count
        else:  # or a customer who is checked often would be remembered at ever greater length
            mark.spent, mark.counts = [anchor], {anchor: count}
        return count

    # -- the result --------------------------------------------------------------------------

    def snapshot(self, *, waits: int) -> Snapshot:
        return Snapshot(
            waits=waits,
            shape=self._timeline.shape,
            state=self.state,
            entered_at=self._entered_at,
            stay=self._stay,
            began_at=self._began_at,
            last_key=None if self._last_key is None else EventKey(*self._last_key),
            checked_at=self._checked_at,
            moved_at=self._moved_at,
            calendar_since=self._calendar_since,
            cells=tuple(self.cells),
            attributes=self.attributes,
            tags=self.tags,
            consents=self.consents,
            marks=self._marks,
            slots=self._slots,
            refused=self._refused,
        )


_UNTOLD = Refusal(rule="", guard="", read={})
_ATTRIBUTES = frozenset({builtin.PROFILE_CHANGED, SCORED})
_PROFILE = _ATTRIBUTES | frozenset(
    {
        builtin.TAG_ADDED,
        builtin.TAG_REMOVED,
        builtin.CONSENT_GIVEN,
        builtin.CONSENT_WITHDRAWN,
    }
)
