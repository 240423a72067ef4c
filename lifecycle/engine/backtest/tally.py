"""What is counted of many courses; parts that were counted apart are added up, in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta

from lifecycle.domain.instant import BEGINNING
from lifecycle.domain.step import Step
from lifecycle.engine.backtest.course import Became, Course, Letter
from lifecycle.engine.truth import Sum, truth
from lifecycle.outreach.assignment import TASK

_MONDAY = datetime(1, 1, 1, tzinfo=UTC)  # the first day of the calendar is one
_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)

Edge = tuple[str, str, str]
"""Rule, state before, state after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """What is to be counted."""

    since: datetime = BEGINNING  # steps and letters before it happen, and are not counted
    until: datetime  # the end, which belongs to it
    flip_flop: timedelta = timedelta(days=30)  # back within it: the customer goes to and fro
    digests: bool = True  # also the one number of the derived truth


@dataclass(slots=True, kw_only=True)
class Tally:
    """The figures of some customers. Weeks and days are counted from the calendar's first, in UTC."""

    customers: int = 0
    events: int = 0
    unfolded: Counter[str] = field(default_factory=Counter)  # by event type: could not be folded
    deltas: Counter[tuple[str, int]] = field(default_factory=Counter)
    # (state, week) → how many more are in it at the end of the week than at its beginning
    edges: Counter[tuple[Edge, int]] = field(default_factory=Counter)  # by week
    stays: Counter[tuple[str, int]] = field(default_factory=Counter)  # (state, whole days), ended
    staying: Counter[tuple[str, int]] = field(default_factory=Counter)  # those that go on
    flips: Counter[tuple[str, str]] = field(
        default_factory=Counter
    )  # (state, where she went from it)
    flipping: int = 0  # customers who did so
    letters: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    # (rule, what became of it, why not, channel) → letters
    sent: Counter[tuple[str, str, int]] = field(default_factory=Counter)  # (rule, channel, day)
    put_off: Counter[tuple[str, str]] = field(default_factory=Counter)  # (rule, why at first)
    capped: int = 0  # customers of whom a cap held back a letter
    a_customer: Counter[int] = field(default_factory=Counter)  # letters → customers who got so many
    busiest: Counter[int] = field(default_factory=Counter)  # the most in any 7 days → customers
    unplanned: int = 0  # customers for whom no rule planned anything
    refused: Counter[str] = field(default_factory=Counter)  # by rule: its guard said no
    truths: Sum = field(default_factory=Sum)

    def merge(self, other: Tally) -> None:
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            elif isinstance(mine, Sum):
                mine.merge(theirs)
            else:
                setattr(self, each.name, mine + theirs)


def week_of(at: datetime) -> int:
    return (at - _MONDAY) // _WEEK


def day_of(at: datetime) -> int:
    return (at - _MONDAY).days


def monday(week: int) -> date:
    return (_MONDAY + week * _WEEK).date()


def day(number: int) -> date:
    return (_MONDAY + number * _DAY).date()


def count(tally: Tally, course: Course, counting: Counting) -> None:
    """Add one customer; who has begun nothing by the end is not there yet."""
    if course.snapshot.began_at is None:
        return
    tally.customers += 1
    tally.events += course.events
    for event, _ in course.unfolded:
        tally.unfolded[event.type] += 1
    _count_states(tally, course, counting)
    _count_letters(tally, course.letters, counting.since)
    for rule, times in course.snapshot.refused.items():
        tally.refused[rule] += times
    if counting.digests:
        keys = [message.key for message in course.messages]
        told = truth(
            course.timeline,
            course.customer,
            course.snapshot,
            course.steps,
            keys,
            counting.until,
        )
        tally.truths.add(told)


def _count_states(tally: Tally, course: Course, counting: Counting) -> None:
    """Where she was, how long, and how she moved."""
    entered = course.snapshot.began_at
    assert entered is not None, "who is counted has begun"
    state = course.steps[0].from_state if course.steps else course.snapshot.state
    tally.deltas[state, week_of(entered)] += 1
    before: Step | None = None
    flipped = False
    for step in course.steps:
        at = step.at
        week = week_of(at)
        tally.deltas[step.from_state, week] -= 1
        tally.deltas[step.to_state, week] += 1
        if at >= counting.since:
            tally.edges[step[:3], week] += 1
            tally.stays[step.from_state, (at - entered).days] += 1
            if (
                before is not None
                and step.to_state == before.from_state
                and at - before.at <= counting.flip_flop
            ):
                tally.flips[before.from_state, before.to_state] += 1
                flipped = True
        entered, before = at, step
    tally.staying[course.snapshot.state, (counting.until - entered).days] += 1
    tally.flipping += flipped


def _count_letters(tally: Tally, letters: Sequence[Letter], since: datetime) -> None:
    """What would have left, and what not and why."""
    capped = False
    left: list[datetime] = []
    tally.unplanned += not letters
    for letter in letters:
        at = letter.at
        if at < since:
            continue
        rule, channel = letter.message.rule, letter.channel or ""
        tally.letters[rule, letter.became, letter.reason or "", channel] += 1
        if letter.put_off is not None:
            tally.put_off[rule, letter.put_off] += 1
        capped = capped or letter.capped
        if letter.became is Became.SENT:
            tally.sent[rule, channel, day_of(at)] += 1
            if channel != TASK:
                left.append(at)
    tally.capped += capped
    tally.a_customer[len(left)] += 1
    tally.busiest[most_within(left, _WEEK)] += 1


def most_within(instants: Iterable[datetime], window: timedelta) -> int:
    """How many of these lie within any `window`, its end not included."""
    ordered = sorted(instants)
    most = first = 0
    for last, at in enumerate(ordered):
        while at - ordered[first] >= window:
            first += 1
        most = max(most, last - first + 1)
    return most
