"""What two policies would have done to the customers of Online Retail II, in plain loops from the file.

Nothing of the engine is used here. `RULES`, `CAP` and `QUIET` say of which outreach this is a
transcription; the states are those of naive.py, and the policies differ in how long `goes-quiet` waits.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from tests.realdata.naive import LONDON, Invoice, Moved, by_customer, history

DAY = timedelta(days=1)
STATES = ("potential", "intent", "deal", "loyal", "dormant", "churned", "reactivated")
STEP_RULES = (
    *("shows-interest", "first-purchase", "becomes-loyal", "buys-again", "comes-back", "wakes-up"),
    *("cools-off", "goes-quiet", "lost", "undo-purchase", "no-longer-loyal", "leaves"),
)
HOWS = ("earlier", "later", "never", "newly", "otherwise")
SOURCE = "online-retail"  # of every event, as the mapping names it


@dataclass(frozen=True)
class Rule:
    name: str
    channel: str  # the first of the rule: everybody has an address on each
    on: str | None = None  # the transition that causes it
    after_days: int = 0  # or: so long after each purchase that no other follows in time
    marketing: bool = True
    holdout: Decimal = Decimal(0)
    delay: timedelta = timedelta()
    settle: timedelta = timedelta()
    expires: timedelta | None = None
    only_in: str | None = None
    priority: int = 50


FIVE_PERCENT = Decimal("0.05")  # of marketing whose rule does not say
RULES = (
    Rule("thanks", "email", on="first-purchase", marketing=False, delay=timedelta(hours=1)),
    Rule(
        "win-back",
        "sms",
        on="goes-quiet",
        holdout=Decimal("0.1"),
        expires=timedelta(days=3),
        only_in="dormant",
        priority=60,
    ),
    Rule(
        "welcome-back",
        "email",
        on="comes-back",
        holdout=FIVE_PERCENT,
        settle=timedelta(minutes=10),
        expires=timedelta(days=2),
    ),
    Rule("care", "email", after_days=30, holdout=FIVE_PERCENT),
    Rule(
        "remind",
        "email",
        after_days=45,
        holdout=FIVE_PERCENT,
        expires=timedelta(days=15),
        priority=40,
    ),
    Rule("call", "task", on="lost", marketing=False),
)
CAP = timedelta(days=14)  # one letter of marketing within any time of this length
QUIET = (time(21), time(9))  # in London, where all customers are taken to live


@dataclass
class Planned:
    """A message, and what became of it."""

    rule: Rule
    cause: str
    caused_at: datetime
    planned_at: datetime
    due: datetime  # when it is judged next
    sent_at: datetime | None = None
    capped: bool = False  # the cap was what held it back, at any of its judgements


@dataclass
class Course:
    """One customer under one policy, up to the end."""

    customer: str
    steps: list[Moved]
    messages: list[Planned]
    state: str
    left: list[Planned] = field(init=False)  # in the order in which they left

    def __post_init__(self) -> None:
        self.left = []
        for message in self.messages:
            if message.sent_at is not None:
                self.left.append(message)
        self.left.sort(key=lambda one: (one.sent_at, one.rule.name))

    def to_her(self) -> list[datetime]:
        """When she was written to: what an employee is asked to do is no letter to her."""
        return [each.sent_at for each in self.left if each.sent_at and each.rule.channel != "task"]


def course(customer: str, rows: list[Invoice], end: datetime, quiet_days: int) -> Course:
    steps = history(rows, end, quiet_days)
    messages = planned(steps, rows, end)
    deliver(customer, steps, messages, end)
    return Course(customer, steps, messages, steps[-1].state if steps else "potential")


def instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def cause(rule: str, of: Invoice | datetime) -> str:
    """No check here fires twice at its anchor: what leads back to where it waits is a purchase."""
    if isinstance(of, Invoice):
        return f"event:{SOURCE}|{of.number}"
    return f"check:{rule}@{instant(of)}#1"


def planned(steps: list[Moved], rows: list[Invoice], end: datetime) -> list[Planned]:
    """Every message that something up to the end causes, also for a time after it."""
    found = []
    for rule in RULES:
        wait = timedelta(days=rule.after_days)
        caused = [(step.at, cause(step.rule, step.cause)) for step in steps if step.rule == rule.on]
        if wait:
            caused += [(at, cause(rule.name, at - wait)) for at in waited(rows, wait, end)]
        for at, by in caused:
            due = at + rule.delay + rule.settle
            found.append(Planned(rule, by, at, at + rule.delay, due))
    return found


def waited(rows: list[Invoice], wait: timedelta, end: datetime) -> list[datetime]:
    """When so much time had passed since what was then the last purchase."""
    bought = sorted({row.instant for row in rows if not row.cancelled and row.amount > 0})
    found = []
    for i in range(len(bought)):
        due = bought[i] + wait
        if due <= end and (i + 1 == len(bought) or due <= bought[i + 1]):
            found.append(due)
    return found


def deliver(customer: str, steps: list[Moved], messages: list[Planned], end: datetime) -> None:
    """Every message is judged when it is due, and again when what it was put off for is over."""
    waiting = list(messages)
    last: datetime | None = None  # when marketing was sent
    while waiting:
        now = min(message.due for message in waiting)
        if now > end:
            return
        due = [message for message in waiting if message.due == now]
        due.sort(key=lambda one: (-one.rule.priority, one.caused_at, one.rule.name))
        message = due[0]
        if not wanted(customer, steps, message, now):
            waiting.remove(message)
            continue
        free = now
        if message.rule.marketing:
            free = first_free(now, last)
            if last is not None and now < last + CAP:
                message.capped = True  # asked before the quiet hours
        if free > now:
            message.due = free
            continue
        message.sent_at = now
        waiting.remove(message)
        if message.rule.marketing:
            last = now


def wanted(customer: str, steps: list[Moved], message: Planned, now: datetime) -> bool:
    """Whether nothing speaks against it for good."""
    rule = message.rule
    if rule.only_in is not None:
        state = "potential"
        for step in steps:
            if step.at <= now:
                state = step.state
        if state != rule.only_in:
            return False
    if rule.expires is not None and now >= message.planned_at + rule.expires:
        return False
    return share(customer, f"holdout/{rule.name}") >= rule.holdout


def share(customer: str, what: str) -> Decimal:
    """The first 13 hex digits of SHA-256, as a part of the whole."""
    digits = hashlib.sha256(f"{what}:{customer}".encode()).hexdigest()[:13]
    return Decimal(int(digits, 16)) / Decimal(16**13)


def first_free(now: datetime, last: datetime | None) -> datetime:
    """The first instant at which neither the cap nor the quiet hours are in the way."""
    while True:
        later = now
        if last is not None and later < last + CAP:
            later = last + CAP
        later = after_quiet(later)
        if later == now:
            return now
        now = later


def after_quiet(at: datetime) -> datetime:
    """Clocks in London change between one and two, when it is quiet anyway."""
    since, until = QUIET
    local = at.astimezone(LONDON)
    if until <= local.time() < since:
        return at
    morning = local.date() + (DAY if local.time() >= since else timedelta())
    return datetime.combine(morning, until, LONDON).astimezone(UTC)


def effect(
    rows: list[Invoice],
    quiet_days: tuple[int, int],
    *,
    end: datetime | None = None,
    part: Decimal | None = None,
    costs: dict[str, Decimal] | None = None,
) -> dict[str, Any]:
    """Every number of the effect of waiting otherwise, under the names that its record has.

    Of a history that ends at `end`, or with the last invoice; of a `part` of the customers.
    """
    end = end or max(row.instant for row in rows)
    rows = [row for row in rows if row.amount != 0 and row.instant <= end]
    before, after = [], []
    events = 0
    for customer, own in sorted(by_customer(rows).items()):
        if part is not None and share(customer, "sample") >= part:
            continue
        events += len(own)
        before.append(course(customer, own, end, quiet_days[0]))
        after.append(course(customer, own, end, quiet_days[1]))
    steps = compared(before, after, steps_of)
    letters = compared(before, after, letters_of)
    ends = Counter(
        (was.state, now.state)
        for was, now in zip(before, after, strict=True)
        if was.state != now.state
    )
    return {
        "since": None,
        "until": instant(end),
        "sample": None if part is None else float(part),
        "everybody": True,
        "customers": len(before),
        "events": events,
        "rows_left_out": 0,
        "moved": steps.customers,
        "written": letters.customers,
        "same_steps": sum(steps.same.values()),
        "steps": told(steps, STEP_RULES),
        "ends": [
            {"before": was, "after": now, "customers": ends[was, now]}
            for was, now in sorted(ends, key=lambda each: (-ends[each], each))
        ],
        "rules": [rule_effect(rule.name, before, after, letters) for rule in RULES],
        "letters": told(letters, [rule.name for rule in RULES]),
        "letters_before": all_letters(before, costs or {}, end),
        "letters_after": all_letters(after, costs or {}, end),
        "states_before": {state: sum(each.state == state for each in before) for state in STATES},
        "states_after": {state: sum(each.state == state for each in after) for state in STATES},
    }


@dataclass(frozen=True)
class Thing:
    """A step, or a letter that left."""

    rule: str
    state: str | None  # to which the step leads
    cause: str
    at: datetime
    known: tuple[str, ...]  # by which it is found again under the other policy


def steps_of(course: Course) -> list[Thing]:
    found = []
    for step in course.steps:
        by = cause(step.rule, step.cause)
        found.append(Thing(step.rule, step.state, by, step.at, (by,)))
    return found


def letters_of(course: Course) -> list[Thing]:
    found = []
    for each in course.left:
        assert each.sent_at is not None
        name = each.rule.name
        found.append(Thing(name, None, each.cause, each.sent_at, (name, each.cause)))
    return found


Kind = tuple[str, str, str | None]
"""How it changed, the rule, and the state of a step."""


@dataclass
class Differences:
    customers: int = 0  # of whom anything differs
    same: Counter[str] = field(default_factory=Counter)  # by rule
    times: Counter[Kind] = field(default_factory=Counter)
    days: defaultdict[Kind, list[int]] = field(default_factory=lambda: defaultdict(list))
    first: defaultdict[Kind, list[dict[str, Any]]] = field(
        default_factory=lambda: defaultdict(list)
    )  # of each customer whom it concerns, by key


def compared(
    before: list[Course], after: list[Course], things: Callable[[Course], list[Thing]]
) -> Differences:
    """A step is known by its cause, a letter by its rule and its cause."""
    found = Differences()
    for was, now in zip(before, after, strict=True):
        then, others = things(was), things(now)
        known = {one.known: one for one in then}
        known_after = {one.known: one for one in others}
        changes: list[tuple[Kind, str, datetime | None, datetime | None]] = []
        for one in then:
            other = known_after.get(one.known)
            kind = how(one, other)
            if kind is None:
                found.same[one.rule] += 1
            else:
                at = None if other is None else other.at
                changes.append(((kind, one.rule, one.state), one.cause, one.at, at))
        changes += [
            (("newly", one.rule, one.state), one.cause, None, one.at)
            for one in others
            if one.known not in known
        ]
        found.customers += bool(changes)
        count(found, was.customer, changes)
    return found


def how(one: Thing, other: Thing | None) -> str | None:
    if other is None:
        return "never"
    if (one.rule, one.state) != (other.rule, other.state):
        return "otherwise"
    if one.at == other.at:
        return None
    return "later" if other.at > one.at else "earlier"


def count(found: Differences, customer: str, changes: Iterable[Any]) -> None:
    seen = set()
    for kind, by, was, now in changes:
        found.times[kind] += 1
        if was is not None and now is not None:
            found.days[kind].append(abs(now - was) // DAY)
        if kind not in seen:
            seen.add(kind)
            example = {
                "customer": customer,
                "cause": by,
                "before": None if was is None else instant(was),
                "after": None if now is None else instant(now),
            }
            found.first[kind].append(example)


def told(found: Differences, rules: Iterable[str]) -> list[dict[str, Any]]:
    """By rule as the policy has them, then by state and how."""
    places = list(rules)
    kinds = sorted(
        found.times, key=lambda one: (places.index(one[1]), one[2] or "", HOWS.index(one[0]))
    )
    return [
        {
            "how": kind,
            "rule": rule,
            "state": state,
            "times": found.times[kind, rule, state],
            "customers": len(found.first[kind, rule, state]),
            "median_days": middle(found.days[kind, rule, state])
            if kind in {"earlier", "later"}
            else None,
            "examples": found.first[kind, rule, state][:10],
        }
        for kind, rule, state in kinds
    ]


def middle(days: list[int]) -> int:
    """The least number that half of them do not exceed."""
    ordered = sorted(days)
    return ordered[(len(ordered) + 1) // 2 - 1]


def rule_effect(
    name: str, before: list[Course], after: list[Course], letters: Differences
) -> dict[str, Any]:
    sent, capped = [], []
    for courses in (before, after):
        own = [each for one in courses for each in one.messages if each.rule.name == name]
        sent.append(sum(each.sent_at is not None for each in own))
        capped.append(sum(each.capped for each in own))
    return {
        "rule": name,
        "before": sent[0],
        "after": sent[1],
        "gained": letters.times["newly", name, None],
        "lost": letters.times["never", name, None],
        "earlier": letters.times["earlier", name, None],
        "later": letters.times["later", name, None],
        "same": letters.same[name],
        "capped_before": capped[0],
        "capped_after": capped[1],
    }


def all_letters(courses: list[Course], costs: dict[str, Decimal], end: datetime) -> dict[str, Any]:
    channels: Counter[str] = Counter()
    days: Counter[date] = Counter()
    by_rule: defaultdict[date, Counter[tuple[str, str]]] = defaultdict(Counter)
    weeks, a_customer = [], []
    for one in courses:
        for each in one.left:
            assert each.sent_at is not None
            channels[each.rule.channel] += 1
            days[each.sent_at.date()] += 1  # in UTC
            by_rule[each.sent_at.date()][each.rule.name, each.rule.channel] += 1
        instants = one.to_her()
        a_customer.append(len(instants))
        weeks.append(max((within_a_week(instants, last) for last in instants), default=0))
    most = max(weeks)
    cost = [costs[channel] * times for channel, times in channels.items() if channel in costs]
    peak = min(days, key=lambda day: (-days[day], day))
    return {
        "planned": sum(len(one.messages) for one in courses),
        "sent": channels.total(),
        "tasks": channels["task"],
        "capped": sum(any(each.capped for each in one.messages) for one in courses),
        "cost": str(sum(cost)) if cost else None,
        "peak": {
            "day": str(peak),
            "sent": days[peak],
            "by_rule": {rule: {channel: times} for (rule, channel), times in by_rule[peak].items()},
        },
        "most_in_a_week": most,
        "most_in_a_week_customers": weeks.count(most),
        "a_customer": {str(letters): a_customer.count(letters) for letters in set(a_customer)},
        "unplanned": sum(not one.messages for one in courses),
        "unreached": a_customer.count(0),
        "waiting": sum(each.due > end for one in courses for each in one.messages),
        "unreachable": 0,  # everybody is taken to be
    }


def within_a_week(instants: list[datetime], last: datetime) -> int:
    return sum(last - 7 * DAY < at <= last for at in instants)
