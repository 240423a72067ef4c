"""What is told of a backtest: the same figures for people, as JSON and as a page."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from lifecycle.domain.policy import Policy
from lifecycle.engine.backtest.course import Became
from lifecycle.engine.backtest.tally import Counting, Edge, Tally, day, monday, week_of
from lifecycle.outreach.assignment import TASK
from lifecycle.outreach.verdict import Reason

AS_IT_WAS = "the policy as it was in force"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A version of a policy that judged in the backtest."""

    number: int
    hash: str
    effective_at: datetime
    source: str  # the file, the version that was named, or AS_IT_WAS

    @property
    def called(self) -> str:
        """What it is known by; of what was in force the number tells which version it was."""
        number = f": version {self.number}" if self.source == AS_IT_WAS else ""
        return f"{self.source}{number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateWeeks:
    state: str
    customers: tuple[int, ...]  # at the end of each week; the last at the end of the backtest


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeWeeks:
    rule: str
    from_state: str
    to_state: str
    steps: int
    by_week: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stays:
    """How long customers were in a state."""

    state: str
    ended: int  # stays that ended within the period
    going_on: int  # customers who are in it at the end
    median_days: int | None  # of those that ended, in whole days; None: none did
    most_days: int | None  # nine of ten were no longer


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleLetters:
    """What would have become of a rule's messages."""

    rule: str
    planned: int
    sent: int
    sent_by_channel: Mapping[str, int]
    became: Mapping[str, int]  # all that was planned, by what became of it
    why: Mapping[str, int]  # of those that did not leave: the reason
    put_off: Mapping[str, int]  # letters that had to wait, by the first reason; sent later or not
    cost: Decimal | None  # None: no channel that it used says what a letter costs


@dataclass(frozen=True, slots=True, kw_only=True)
class DayLetters:
    day: date
    sent: int
    by_rule: Mapping[str, Mapping[str, int]]  # rule → channel → letters


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipFlop:
    """Customers left a state for another and were back within the time."""

    state: str
    went_to: str
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    """All rules together. Tasks for employees cost what they cost, and are no letters to her."""

    planned: int  # by the end, those included that are due only later
    sent: int  # tasks included
    tasks: int  # of these, for employees; they count for no customer
    capped: int  # customers of whom a cap held back a letter, for a while or for good
    cost: Decimal | None  # in the policy's currency
    peak: DayLetters | None  # the day in UTC on which the most leaves, tasks included
    most_in_a_week: int  # letters that one customer gets within any 7 days
    most_in_a_week_customers: int  # who get so many
    a_customer: Mapping[int, int]  # letters → customers who get so many
    unplanned: int  # customers for whom no rule planned anything
    unreached: int  # customers who get no letter
    waiting: int  # messages whose time has not come by the end, or that were put off beyond it
    unreachable: int  # messages that found no address of hers, or no consent

    @property
    def on_peak_day(self) -> int:
        return 0 if self.peak is None else self.peak.sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole backtest."""

    policies: tuple[Judged, ...]
    currency: str
    since: datetime | None  # what happened before is not counted; None: from the beginning
    until: datetime
    sample: float | None  # the share of customers that it looked at; None: all of them
    customers: int
    events: int
    rows_left_out: int  # of a file of history, as they were refused
    unfolded: Mapping[str, int]  # events that could not be folded, by type
    everybody: bool  # each was taken to have an address, and to consent where she never said
    weeks: tuple[date, ...]  # the Mondays on which they begin, in UTC
    states: tuple[StateWeeks, ...]  # in the order of the policy
    edges: tuple[EdgeWeeks, ...]
    stays: tuple[Stays, ...]
    letters: Letters
    rules: tuple[RuleLetters, ...]  # in the order of the policy
    days: tuple[DayLetters, ...]
    flip_flop: timedelta
    flip_flops: tuple[FlipFlop, ...]
    flip_flopping: int  # customers
    refused: Mapping[str, int]  # by rule: its guard said no, from the beginning on
    digest: str | None  # of the derived truth at the end, as `lifecycle digest` gives it


def report(
    tally: Tally,
    counting: Counting,
    policies: Sequence[tuple[Judged, Policy]],
    costs: Mapping[str, Decimal],
    *,
    sample: float | None = None,
    everybody: bool = False,
    rows_left_out: int = 0,
) -> Report:
    """`costs` say what a letter costs by channel; a channel that is not named is not known to cost."""
    newest = policies[-1][1]
    weeks = _weeks(tally, counting)
    return Report(
        policies=tuple(judged for judged, _ in policies),
        currency=newest.currency,
        since=None if counting.since.year == 1 else counting.since,
        until=counting.until,
        sample=sample,
        customers=tally.customers,
        events=tally.events,
        rows_left_out=rows_left_out,
        unfolded=dict(sorted(tally.unfolded.items())),
        everybody=everybody,
        weeks=tuple(monday(week) for week in weeks),
        states=tuple(_states(tally, [policy for _, policy in policies], weeks)),
        edges=tuple(_edges(tally, newest, weeks)),
        stays=tuple(_stays(tally, [policy for _, policy in policies])),
        letters=_letters(tally, costs),
        rules=tuple(_rules(tally, newest, costs)),
        days=tuple(_days(tally)),
        flip_flop=counting.flip_flop,
        flip_flops=tuple(
            FlipFlop(state=state, went_to=went_to, times=times)
            for (state, went_to), times in sorted(
                tally.flips.items(), key=lambda each: (-each[1], each[0])
            )
        ),
        flip_flopping=tally.flipping,
        refused=dict(sorted(tally.refused.items())),
        digest=tally.truths.hex if counting.digests else None,
    )


def _weeks(tally: Tally, counting: Counting) -> range:
    """From the first that is told to that of the end."""
    first = min((week for _, week in tally.deltas), default=week_of(counting.until))
    return range(max(first, week_of(counting.since)), week_of(counting.until) + 1)


def _names(policies: Sequence[Policy], found: set[str]) -> list[str]:
    """States in the order of the newest policy, then those that only earlier ones have."""
    ordered: dict[str, None] = {}
    for policy in reversed(policies):
        ordered.update(dict.fromkeys(state.name for state in policy.states))
    return [*ordered, *sorted(found - ordered.keys())]


def _states(tally: Tally, policies: Sequence[Policy], weeks: range) -> Iterator[StateWeeks]:
    by_state: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for (state, week), more in tally.deltas.items():
        by_state[state][max(week, weeks.start)] += more
    for state in _names(policies, set(by_state)):
        counts, now = [], 0
        for week in weeks:
            now += by_state[state][week]
            counts.append(now)
        yield StateWeeks(state=state, customers=tuple(counts))


def _edges(tally: Tally, policy: Policy, weeks: range) -> Iterator[EdgeWeeks]:
    place = {rule.name: number for number, rule in enumerate(policy.transitions)}
    by_edge: defaultdict[Edge, Counter[int]] = defaultdict(Counter)
    for (edge, week), steps in tally.edges.items():
        by_edge[edge][week] += steps
    for edge in sorted(by_edge, key=lambda one: (place.get(one[0], len(place)), one)):
        rule, from_state, to_state = edge
        yield EdgeWeeks(
            rule=rule,
            from_state=from_state,
            to_state=to_state,
            steps=by_edge[edge].total(),
            by_week=tuple(by_edge[edge][week] for week in weeks),
        )


def _stays(tally: Tally, policies: Sequence[Policy]) -> Iterator[Stays]:
    ended: defaultdict[str, Counter[int]] = defaultdict(Counter)
    going_on: Counter[str] = Counter()
    for (state, days), times in tally.stays.items():
        ended[state][days] += times
    for (state, _), times in tally.staying.items():
        going_on[state] += times
    for state in _names(policies, {*ended, *going_on}):
        yield Stays(
            state=state,
            ended=ended[state].total(),
            going_on=going_on[state],
            median_days=quantile(ended[state], Decimal("0.5")),
            most_days=quantile(ended[state], Decimal("0.9")),
        )


def quantile(counted: Counter[int], part: Decimal) -> int | None:
    """The least value that so large a part does not exceed."""
    needed, passed = part * counted.total(), 0
    for value in sorted(counted):
        passed += counted[value]
        if passed >= needed:
            return value
    return None


def _letters(tally: Tally, costs: Mapping[str, Decimal]) -> Letters:
    sent = Counter[str]()
    for (_, _, _, channel), times in tally.letters.items():
        if channel:
            sent[channel] += times
    waiting = unreachable = 0
    for (_, fate, reason, _), times in tally.letters.items():
        waiting += times if fate == Became.WAITING else 0
        unreachable += times if reason in _UNREACHABLE else 0
    days = list(_days(tally))
    most = max(tally.busiest, default=0)
    return Letters(
        planned=tally.letters.total(),
        sent=sent.total(),
        tasks=sent[TASK],
        capped=tally.capped,
        cost=_cost(sent, costs),
        peak=max(days, key=lambda one: (one.sent, -one.day.toordinal()), default=None),
        most_in_a_week=most,
        most_in_a_week_customers=tally.busiest[most] if most else 0,
        a_customer=dict(sorted(tally.a_customer.items())),
        unplanned=tally.unplanned,
        unreached=tally.a_customer[0],
        waiting=waiting,
        unreachable=unreachable,
    )


_UNREACHABLE = frozenset({Reason.NO_ADDRESS, Reason.NO_CONSENT})


def _cost(sent: Mapping[str, int], costs: Mapping[str, Decimal]) -> Decimal | None:
    known = [costs[channel] * times for channel, times in sent.items() if channel in costs]
    return sum(known, Decimal(0)) if known else None


def _rules(tally: Tally, policy: Policy, costs: Mapping[str, Decimal]) -> Iterator[RuleLetters]:
    became: defaultdict[str, Counter[str]] = defaultdict(Counter)
    why: defaultdict[str, Counter[str]] = defaultdict(Counter)
    channels: defaultdict[str, Counter[str]] = defaultdict(Counter)
    waited: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (rule, fate, reason, channel), times in tally.letters.items():
        became[rule][str(fate)] += times
        if reason:
            why[rule][str(reason)] += times
        if channel:
            channels[rule][channel] += times
    for (rule, reason), times in tally.put_off.items():
        waited[rule][str(reason)] += times
    declared = [rule.name for rule in policy.outreach]
    for rule in (*declared, *sorted(became.keys() - set(declared))):
        yield RuleLetters(
            rule=rule,
            planned=became[rule].total(),
            sent=became[rule][Became.SENT],
            sent_by_channel=dict(sorted(channels[rule].items())),
            became=dict(sorted(became[rule].items())),
            why=dict(sorted(why[rule].items())),
            put_off=dict(sorted(waited[rule].items())),
            cost=_cost(channels[rule], costs),
        )


def _days(tally: Tally) -> Iterator[DayLetters]:
    by_day: defaultdict[int, dict[str, dict[str, int]]] = defaultdict(dict)
    for (rule, channel, number), times in sorted(tally.sent.items()):
        by_day[number].setdefault(rule, {})[channel] = times
    for number, rules in sorted(by_day.items()):
        yield DayLetters(
            day=day(number),
            sent=sum(sum(channels.values()) for channels in rules.values()),
            by_rule=rules,
        )
