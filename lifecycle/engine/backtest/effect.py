"""What would another policy have changed? Two courses of the same customer, laid side by side.

A step is known by its cause: the event, or the timed check with the instant that it counts from. So a
check that waits for less time makes the same step earlier, whatever else is new in between; and a step
whose cause brings about nothing under the other policy is gone. It is the same step where the same rule
leads to the same state. A message is known by its key, and what does not leave by the end does not leave.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from heapq import nsmallest
from typing import NamedTuple

from lifecycle.domain.step import Step
from lifecycle.engine.backtest.course import Became, Course, Courses, Letter, Ways
from lifecycle.engine.backtest.histories import History
from lifecycle.engine.backtest.run import Policies
from lifecycle.engine.backtest.tally import Counting, Tally, count

EXAMPLES = 10  # customers who are named for each kind of change

_DAY = timedelta(days=1)


class How(StrEnum):
    """How something is under the policy after, compared with the one before."""

    EARLIER = "earlier"
    LATER = "later"
    NEVER = "never"  # no more by the end
    NEWLY = "newly"  # not before
    OTHERWISE = "otherwise"  # by another rule, or to another state


class Change(NamedTuple):
    """A kind of change, of steps or of letters that leave."""

    what: str  # `step` or `letter`
    how: How
    rule: str  # of the step or letter before, or where there was none of that after
    state: str  # to which the step leads; of a letter: empty


class Example(NamedTuple):
    """One customer to whom it would happen; of several such changes of hers the first."""

    customer: str
    cause: str
    before: datetime | None  # when it happened before; None: not
    after: datetime | None


@dataclass(slots=True, kw_only=True)
class Effects:
    """What is counted of both policies, and of what differs between them."""

    customers: int = 0
    before: Tally = field(default_factory=Tally)
    after: Tally = field(default_factory=Tally)
    changes: Counter[Change] = field(default_factory=Counter)  # how often
    people: Counter[Change] = field(default_factory=Counter)  # customers to whom it happens
    days: Counter[tuple[Change, int]] = field(default_factory=Counter)  # by how many whole days
    unchanged: Counter[tuple[str, str]] = field(default_factory=Counter)  # (what, rule)
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)  # states at the end that differ
    moved: int = 0  # customers any of whose steps differ
    written: int = 0  # customers any of whose letters differ
    caps: Counter[tuple[str, bool]] = field(default_factory=Counter)
    # (rule, whether after) → letters that a cap held back, for a while or for good
    examples: dict[Change, list[Example]] = field(default_factory=dict)

    def merge(self, other: Effects) -> None:
        self.customers += other.customers
        self.moved += other.moved
        self.written += other.written
        self.before.merge(other.before)
        self.after.merge(other.after)
        self.changes.update(other.changes)
        self.people.update(other.people)
        self.days.update(other.days)
        self.unchanged.update(other.unchanged)
        self.ends.update(other.ends)
        self.caps.update(other.caps)
        for change, examples in other.examples.items():
            self.examples[change] = nsmallest(EXAMPLES, [*self.examples.get(change, ()), *examples])


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two policies over the same history; each process does it to the customers it is given."""

    before: Policies
    after: Policies
    ways: Ways
    counting: Counting

    def empty(self) -> Effects:
        return Effects()

    def begin(self) -> Callable[[Iterable[History]], Effects]:
        until = self.counting.until
        first = Courses(self.before.timeline(), self.ways, until)
        second = Courses(self.after.timeline(), self.ways, until)

        def compared(histories: Iterable[History]) -> Effects:
            effects = Effects()
            for customer, history in histories:
                before, after = first.of(customer, history), second.of(customer, history)
                if before.snapshot.began_at is None and after.snapshot.began_at is None:
                    continue
                count(effects.before, before, self.counting)
                count(effects.after, after, self.counting)
                compare(effects, before, after, self.counting.since)
            return effects

        return compared


class _Found(NamedTuple):
    change: Change
    cause: str
    before: datetime | None
    after: datetime | None


def compare(effects: Effects, before: Course, after: Course, since: datetime) -> None:
    """Count what differs between two courses of a customer, from `since` on."""
    effects.customers += 1
    steps = list(_steps(effects, before, after, since))
    letters = list(_letters(effects, before, after, since))
    effects.moved += bool(steps)
    effects.written += bool(letters)
    if before.snapshot.state != after.snapshot.state:
        effects.ends[before.snapshot.state, after.snapshot.state] += 1
    told: set[Change] = set()
    for change, cause, was, now in (*steps, *letters):
        effects.changes[change] += 1
        if was is not None and now is not None:
            effects.days[change, abs(now - was) // _DAY] += 1
        if change not in told:
            told.add(change)
            effects.people[change] += 1
            example = Example(before.customer, cause, was, now)
            _keep(effects.examples.setdefault(change, []), example)


def _keep(examples: list[Example], one: Example) -> None:
    """The first few by key, whoever is met first."""
    if len(examples) < EXAMPLES or one < examples[-1]:
        examples.append(one)
        examples.sort()
        del examples[EXAMPLES:]


def _steps(effects: Effects, before: Course, after: Course, since: datetime) -> Iterator[_Found]:
    then = {step.cause: step for step in after.steps}
    for step in before.steps:
        other = then.pop(step.cause, None)
        at = other.at if other is not None else None
        if max(step.at, at or step.at) < since:
            continue
        if other is not None and _thing(step) == _thing(other) and step.at == other.at:
            effects.unchanged["step", step.rule] += 1
            continue
        how: How | None = How.NEVER
        if other is not None:
            how = _when(step.at, other.at) if _thing(step) == _thing(other) else None
        how = how or How.OTHERWISE
        yield _Found(Change("step", how, step.rule, step.to_state), step.cause, step.at, at)
    for step in then.values():
        if step.at >= since:
            change = Change("step", How.NEWLY, step.rule, step.to_state)
            yield _Found(change, step.cause, None, step.at)


def _thing(step: Step) -> tuple[str, str]:
    """What happens by it: from where is told by the step before."""
    return step.rule, step.to_state


def _when(before: datetime, after: datetime) -> How | None:
    if after == before:
        return None
    return How.EARLIER if after < before else How.LATER


def _letters(effects: Effects, before: Course, after: Course, since: datetime) -> Iterator[_Found]:
    """Those that leave by the end, under either."""
    then = _sent(effects, after, since, after=True)
    for key, letter in _sent(effects, before, since, after=False).items():
        rule, cause, _ = key
        other = then.pop(key, None)
        at = None if other is None else other.at
        if max(letter.at, at or letter.at) < since:
            continue
        if other is None:
            yield _Found(Change("letter", How.NEVER, rule, ""), cause, letter.at, None)
            continue
        how = _when(letter.at, other.at)
        if how is None and letter.channel == other.channel:
            effects.unchanged["letter", rule] += 1
            continue
        change = Change("letter", how or How.OTHERWISE, rule, "")
        yield _Found(change, cause, letter.at, at)
    for (rule, cause, _), letter in then.items():
        if letter.at >= since:
            yield _Found(Change("letter", How.NEWLY, rule, ""), cause, None, letter.at)


def _sent(effects: Effects, course: Course, since: datetime, *, after: bool) -> dict[_Key, Letter]:
    sent = {}
    for letter in course.letters:
        if letter.capped and letter.at >= since:
            effects.caps[letter.message.rule, after] += 1
        if letter.became is Became.SENT:
            sent[letter.message.key] = letter
    return sent


_Key = tuple[str, str, int]
"""Of a message: rule, cause, step of the series."""
