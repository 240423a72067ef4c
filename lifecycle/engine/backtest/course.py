"""How would one customer have fared? Her events folded under a policy, and each message it plans
judged as delivery judges it, at the very instant at which it may go.

What really became of messages is no part of it: events that tell of it are left out, and a letter that
would have left is told to the fold instead. Nobody knows what she would have answered to it.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple

from lifecycle.domain import calendar
from lifecycle.domain.event import ABOUT_LETTERS, OUR_SOURCE, SENT, Event, EventKey
from lifecycle.domain.fold import Run
from lifecycle.domain.instant import END, later
from lifecycle.domain.policy import OutreachRule
from lifecycle.domain.snapshot import Snapshot
from lifecycle.domain.step import PlannedMessage, Step
from lifecycle.domain.timeline import Timeline, Version
from lifecycle.outreach.assignment import share
from lifecycle.outreach.caps import longest_window
from lifecycle.outreach.verdict import Case, Defer, Option, Reason, Send, Spent, order, verdict

_TOLD_AFTER = timedelta(microseconds=1)  # a letter has left just after it was claimed
_NOTHING: Mapping[str, datetime] = {}  # nobody changes it


class Became(StrEnum):
    """What would have become of a planned message by the end of the backtest."""

    SENT = "sent"
    HELD_OUT = "held_out"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    WAITING = "waiting"  # its time has not come, or it was put off beyond the end


_BECAME = {
    Reason.WRONG_STATE: Became.CANCELLED,
    Reason.UNWANTED: Became.CANCELLED,
    Reason.CANCELLED_BY: Became.CANCELLED,
    Reason.GOAL_REACHED: Became.CANCELLED,
    Reason.EXPIRED: Became.EXPIRED,
    Reason.HOLDOUT: Became.HELD_OUT,
}  # all others: suppressed


class Letter(NamedTuple):
    """A planned message, and what would have become of it."""

    message: PlannedMessage
    became: Became
    at: datetime  # when that was decided; of one that waits: when it would be looked at next
    reason: Reason | None  # why it did not leave
    channel: str | None  # by which it left
    put_off: Reason | None  # why it had to wait, at first; None: it had not
    capped: bool  # a cap held it back, for a while or for good


class Course(NamedTuple):
    """One customer's life under a policy, up to the end of the backtest."""

    timeline: Timeline
    customer: str
    snapshot: Snapshot
    steps: Sequence[Step]
    messages: Sequence[PlannedMessage]
    letters: Sequence[Letter]  # one a message, in the order in which they were planned
    events: int  # of her history up to the end, less what tells of letters
    unfolded: Sequence[tuple[Event, str]] = ()  # events that cannot be folded, and why


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """By what letters leave, as far as a backtest asks."""

    addresses: Mapping[str, str | None]  # channel → her attribute with an address; None: needs none
    costs: Mapping[str, Decimal] = field(default_factory=dict)  # of a letter, where it is said
    everybody: bool = False  # each has an address everywhere, and consents where she never said


class Courses:
    """Makes the courses of many customers under the same policies, up to the same instant."""

    def __init__(self, timeline: Timeline, ways: Ways, until: datetime) -> None:
        self.timeline = timeline
        self.until = until
        self.ways = ways
        self._only = timeline.versions[0] if len(timeline.versions) == 1 else None
        self.tells = bool(timeline.updates(SENT))  # whether any fact looks at what was sent
        self.rules = {
            (version.number, rule.name): _Rule(rule, version)
            for version in timeline.versions
            for rule in version.policy.outreach
        }
        self.window = longest_window(version.policy for version in timeline.versions)
        self._asked = frozenset(kind for rule in self.rules.values() for kind in rule.asked)

    def of(self, customer: str, history: Iterable[Event]) -> Course:
        """`history` is sorted as events are; what lies after the end is not looked at."""
        events = [
            event
            for event in history
            if event.type not in ABOUT_LETTERS and event.occurred_at <= self.until
        ]
        unfolded: list[tuple[Event, str]] = []
        doubted: set[str] = set()  # types of which one could not be folded: others are tried first
        while True:
            life = _Life(self, customer, events, doubted)
            culprit = life.live()
            if culprit is None:
                return life.course(unfolded)
            event, why = culprit
            unfolded.append((event, why))
            events.remove(event)
            doubted.add(event.type)

    def version(self, now: datetime) -> Version:
        """That which is in force."""
        return self._only or self.timeline.at(now)

    def asks_about(self, kind: str) -> bool:
        return kind in self._asked


class _Rule:
    """A rule of a version, with what is asked of it for every message."""

    __slots__ = ("asked", "rule", "unless")

    def __init__(self, rule: OutreachRule, version: Version) -> None:
        self.rule = rule
        self.unless = version.outreach[rule.name].unless
        self.asked = (*rule.cancel_on, *((rule.goal.event,) if rule.goal else ()))


class _PutOff(NamedTuple):
    """What is remembered of a message that had to wait."""

    first: Reason  # for which it had to, at first
    capped: bool  # a cap was among its reasons


class _Life:
    """One customer, from her first event to the end."""

    def __init__(
        self, courses: Courses, customer: str, events: list[Event], doubted: set[str]
    ) -> None:
        self._courses = courses
        self._customer = customer
        self._events = events
        self._doubted = doubted
        self._unfolded: list[tuple[Event, str]] = []
        self._run = Run(courses.timeline, courses.timeline.blank())
        self._rules: list[_Rule] = []  # one a message
        self._letters: list[Letter | None] = []  # one a message; None: nothing is decided yet
        self._put_off: dict[int, _PutOff] = {}  # by number of the message
        self._due: list[tuple[datetime, int]] = []  # a heap: when to look, number of the message
        self._told: list[tuple[EventKey, Event]] = []  # a heap: letters that left, to be folded
        self._spent: list[Spent] = []
        # What follows from her attributes, under a version; looked at again when either is another.
        self._attributes: Mapping[str, Any] | None = None
        self._version: Version | None = None
        self._zone = calendar.zone(None, "UTC")
        self._reached: dict[tuple[str, ...], Sequence[Option]] = {}  # by the channels a rule names
        self._happened: dict[str, list[datetime]] = {}  # by type, of those that rules ask about

    def live(self) -> tuple[Event, str] | None:
        """The event that broke off the fold, and why; None where it came to the end."""
        run, until, events, told, due = (
            self._run,
            self._courses.until,
            self._events,
            self._told,
            self._due,
        )
        letters, messages = self._letters, run.messages
        place, count = 0, len(events)
        while True:
            coming = events[place].occurred_at if place < count else END
            if told and told[0][0].occurred_at < coming:
                coming = told[0][0].occurred_at
            wake = run.wake
            now = coming if coming < wake else wake  # noqa: FURB136 - min() for every event and letter
            if is_letter := bool(due) and due[0][0] < now:
                now = due[0][0]
            if now > until or now == END:
                return None
            if is_letter:  # it goes after all that happens at its instant
                self._claim(now)
                continue
            if wake == now:  # checks due at an event's instant fire before it
                run.advance(now)
            else:
                if told and (place == count or told[0][0] < events[place].key):
                    event = heapq.heappop(told)[1]
                else:
                    event = events[place]
                    place += 1
                if why := self._take(event):
                    return event, why
            if len(messages) > len(letters):
                self._queue()

    def course(self, broken: Sequence[tuple[Event, str]]) -> Course:
        """`broken` are events that broke off earlier tries, and were not there any more."""
        waiting = {number: at for at, number in self._due}
        return Course(
            self._courses.timeline,
            self._customer,
            self._run.snapshot(waits=0),
            self._run.steps,
            self._run.messages,
            [
                letter or self._letter(number, Became.WAITING, waiting[number])
                for number, letter in enumerate(self._letters)
            ],
            len(self._events) + len(broken),
            (*broken, *self._unfolded),
        )

    def _take(self, event: Event) -> str | None:
        if event.type in self._doubted:
            why = uncounted(self._courses.timeline, self._run.cells, event)
            if why is not None:
                self._unfolded.append((event, why))
                return None
        try:
            self._run.take(event)
        except Exception as error:  # noqa: BLE001 - as an installation puts the event aside
            return f"{type(error).__name__}: {error}"
        if self._courses.asks_about(event.type):
            self._happened.setdefault(event.type, []).append(event.occurred_at)
        return None

    def _queue(self) -> None:
        """What was just planned may go at its instant, a little later where the rule says so."""
        messages, letters = self._run.messages, self._letters
        for number in range(len(letters), len(messages)):
            message = messages[number]
            known = self._courses.rules[message.version, message.rule]
            wait = message.settle
            if spread := known.rule.spread:
                wait += spread * share(self._customer, f"spread/{message.rule}/{message.cause}")
            letters.append(None)
            self._rules.append(known)
            at = later(message.planned_at, wait) if wait else message.planned_at
            heapq.heappush(self._due, (at, number))

    # -- what delivery does ------------------------------------------------------------------------

    def _claim(self, now: datetime) -> None:
        """Judge all that are due, as one claim of delivery does."""
        due = self._due
        version = self._courses.version(now)
        number = heapq.heappop(due)[1]
        case = self._case(number, version, now)
        if not due or due[0][0] > now:
            self._decide(number, case, version, now)
            return
        cases = [case]
        numbers = {id(case): number}
        while due and due[0][0] == now:
            number = heapq.heappop(due)[1]
            cases.append(case := self._case(number, version, now))
            numbers[id(case)] = number
        for case in order(cases):
            self._decide(numbers[id(case)], case, version, now)

    def _decide(self, number: int, case: Case, version: Version, now: datetime) -> None:
        decided = verdict(case, version.policy.sending, self._spent, now)
        if isinstance(decided, Defer):
            self._defer(number, case, decided)
        elif isinstance(decided, Send):
            self._letters[number] = self._letter(number, Became.SENT, now, by=decided.channel)
            self._leave(number, case, decided.channel, now)
        else:
            reason = decided.reason
            became = _BECAME.get(reason, Became.SUPPRESSED)
            self._letters[number] = self._letter(number, became, now, reason)

    def _letter(
        self,
        number: int,
        became: Became,
        at: datetime,
        reason: Reason | None = None,
        by: str | None = None,
    ) -> Letter:
        put_off = self._put_off.get(number)
        return Letter(
            self._run.messages[number],
            became,
            at,
            reason,
            by,
            None if put_off is None else put_off.first,
            reason is Reason.CAP or (put_off is not None and put_off.capped),
        )

    def _defer(self, number: int, case: Case, decided: Defer) -> None:
        """Looked at again then, and no earlier; where it has expired by then, it is told so then."""
        reason, again = decided.reason, decided.until
        if reason in {Reason.QUIET_HOURS, Reason.CLOSED_DAY} and case.rule.spread:
            spread = f"spread/{case.rule.name}/{case.cause}"
            again = later(again, case.rule.spread * share(self._customer, spread))
        first, capped = self._put_off.get(number, (reason, False))
        self._put_off[number] = _PutOff(first, capped or reason is Reason.CAP)
        heapq.heappush(self._due, (again, number))

    def _leave(self, number: int, case: Case, channel: str, now: datetime) -> None:
        rule = case.rule
        spent, looked_at = self._spent, now - self._courses.window
        if spent and spent[0].at < looked_at:
            spent[:] = [one for one in spent if one.at >= looked_at]
        spent.append(Spent(now, channel, rule.message_class, rule.name))
        if not self._courses.tells:
            return
        at = now + _TOLD_AFTER
        told = Event(
            source=OUR_SOURCE,
            id=f"sent:{rule.name}:{case.number}:{number}",
            customer=self._customer,
            type=SENT,
            occurred_at=at,
            received_at=at,
            properties={"rule": rule.name, "step": case.number, "channel": channel},
        )
        heapq.heappush(self._told, (told.key, told))

    def _case(self, number: int, version: Version, now: datetime) -> Case:
        run, known = self._run, self._rules[number]
        message = run.messages[number]
        if run.attributes is not self._attributes or version is not self._version:
            self._look_at_her(version)
        rule, unwanted = known.rule, False
        if known.unless is not None:
            holds, error = run.holds(known.unless, now)
            unwanted = holds or error is not None
        options = self._reached.get(rule.channels)
        if options is None:
            options = [self._option(name) for name in rule.channels]
            self._reached[rule.channels] = options
        told = (
            rule,
            message.cause,
            message.number,
            message.caused_at,
            message.expires_at,
            self._customer,
            run.state,
            self._zone,
            options,
            self._consents(rule),
            unwanted,
            self._since(message, known.asked) if known.asked else _NOTHING,
        )
        return tuple.__new__(Case, told)  # as `Case(…)`, without a call of Python's own

    def _look_at_her(self, version: Version) -> None:
        attributes = self._run.attributes
        self._attributes, self._version = attributes, version
        self._zone = calendar.zone(attributes.get("timezone"), version.zone_name)
        self._reached.clear()

    def _since(self, message: PlannedMessage, asked: Iterable[str]) -> Mapping[str, datetime]:
        """When the first event of each type happened after the message's cause."""
        happened: dict[str, datetime] = {}
        for kind in asked:
            instants = self._happened.get(kind, ())
            after = bisect_right(instants, message.caused_at)
            if after < len(instants):
                happened[kind] = instants[after]
        return happened

    def _option(self, name: str) -> Option:
        ways = self._courses.ways
        if name not in ways.addresses:
            return _option(name, ready=False, has_address=True)
        attribute = ways.addresses[name]
        if attribute is None or ways.everybody:
            return _option(name, ready=True, has_address=True)
        found = self._run.attributes.get(attribute)
        reached = isinstance(found, str) and bool(found.strip())
        return _option(name, ready=True, has_address=reached)

    def _consents(self, rule: OutreachRule) -> Mapping[str, bool]:
        said = self._run.consents
        if not self._courses.ways.everybody or rule.purpose is None:
            return said
        return {f"{rule.purpose}/all": True, **said}


def uncounted(timeline: Timeline, cells: Sequence[Any], event: Event) -> str | None:
    """Why it cannot be counted, tried on copies: so that hundreds of a kind need no fold anew each."""
    copies = timeline.copies(cells)
    try:
        for update in timeline.updates(event.type):
            update(copies, event)
    except Exception as error:  # noqa: BLE001 - as an installation puts the event aside
        return f"{type(error).__name__}: {error}"
    return None


@cache
def _option(channel: str, *, ready: bool, has_address: bool) -> Option:
    """The few that there are are made once: there is one for every channel of every message."""
    return Option(channel=channel, ready=ready, has_address=has_address)
