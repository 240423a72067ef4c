"""How large will the states be, how many letters will leave, and how far may that be believed?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lifecycle.domain import calendar
from lifecycle.domain.policy import After, OnCalendar, OnState, OwnRhythm, Policy
from lifecycle.engine.backtest.asking import Candidate
from lifecycle.engine.backtest.course import Ways
from lifecycle.engine.backtest.histories import Histories
from lifecycle.engine.backtest.passing import DAY, Passing, days_back
from lifecycle.engine.backtest.report import Judged
from lifecycle.engine.backtest.run import OnCustomers, Policies, run
from lifecycle.errors import NotReady, Problem
from lifecycle.insight import passages
from lifecycle.insight.cohorts import Ahead, Dated
from lifecycle.insight.forecast import LEAST_DAYS, Band, Forecast, Letters, forecast
from lifecycle.insight.hindsight import Hindsight, hindsight, sentences
from lifecycle.insight.passages import Ages, Passages, Span
from lifecycle.insight.rates import Rates, rates

HELD_BACK = 90  # days
AGES = range(30, 401)  # days of which each is an age by itself, as far as timed checks ask for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked for."""

    days: int = 90
    every: int = 7
    level: float = 0.8
    held_back: int | None = None  # days; None: HELD_BACK, and no check where history is short


@dataclass(frozen=True, slots=True, kw_only=True)
class StateAhead:
    state: str
    now: int
    readings: tuple[Band, ...] | None  # None: not enough data yet
    why: str | None = None  # why not


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleAhead:
    rule: str
    before: int  # letters in as many days up to now
    total: Band | None  # None: not enough data yet
    readings: tuple[Band, ...] | None  # since the one before
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The same forecast, made when the last days were not known."""

    held_back: int  # days
    since: datetime
    found: Hindsight | None  # None: not enough data yet
    verdict: tuple[str, ...]  # in plain sentences


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that is told of a forecast."""

    policies: tuple[Judged, ...]
    later: tuple[Judged, ...]  # versions that judge only after the last event, so not forecast with
    as_of: datetime  # the last event
    customers: int
    rows_left_out: int  # of a file of history, as they were refused
    history_days: int
    rates_of_days: int  # how many of them, the last ones, the rates are of
    has_season: bool  # whether half of what was otherwise a year ago is expected again
    days: int
    level: float
    everybody: bool
    readings: tuple[datetime, ...]
    states: tuple[StateAhead, ...]
    letters: Letters | None  # of all rules of which enough is known
    rules: tuple[RuleAhead, ...]
    check: Check


def ahead(
    candidate: Candidate,
    histories: Histories,
    by: Ways,
    asked: Asked,
    *,
    processes: int | None = None,
    on_customers: OnCustomers = lambda _, __: None,
) -> Report:
    """Raises NotReady where there is no history, and Problem for more held back than half of it."""
    until = histories.last_at
    if until is None:
        raise NotReady("there are no events in it, so there is nothing to forecast from")
    given, candidate = candidate, candidate.up_to(until)
    policy = candidate.newest
    ages = ages_of(one.policy for one in candidate.versions)
    held_back = HELD_BACK if asked.held_back is None else asked.held_back
    work = Passing(
        policies=Policies.of(candidate.versions),
        ways=by,
        until=until,
        ages=ages,
        span=Span(held_back=held_back),
    )
    counts = run(work, histories, processes=processes, on_customers=on_customers)
    if 2 * held_back > counts.days and asked.held_back is not None:
        raise Problem(
            "held_back_too_long",
            f"{held_back} days cannot be held back from a history of {counts.days}: what is left has to"
            " be at least as long",
            pointer="held-back",
            got=str(held_back),
            expected=f"at most {counts.days // 2} days",
        )
    world = _Told(policy=policy, counts=counts, span=work.span, ages=ages, until=until)
    known = world.rates(recent=True)
    made = world.forecast(known, _ahead(asked, asked.days), recent=True)
    return Report(
        policies=tuple(judged for judged, _ in candidate.judged()),
        later=tuple(judged for judged, _ in given.judged() if judged.effective_at > until),
        as_of=until,
        customers=counts.customers,
        rows_left_out=histories.rows_left_out,
        history_days=counts.days,
        rates_of_days=known.days,
        has_season=known.a_year_ago is not None,
        days=asked.days,
        level=asked.level,
        everybody=by.everybody,
        readings=tuple(until + each * DAY for each in made.readings),
        states=tuple(world.states_ahead(made)),
        letters=made.volume,
        rules=tuple(world.rules_ahead(made, asked.days)),
        check=world.check(asked),
    )


def _ahead(asked: Asked, days: int) -> Ahead:
    return Ahead(days=days, every=asked.every, level=asked.level)


def ages_of(policies: Iterable[Policy]) -> Ages:
    """As many single days as the longest timed check that moves somebody, or waits for a stay."""
    waits = [wait for policy in policies for wait in _waits(policy)]
    longest = -(-max(waits, default=timedelta(0)) // DAY) + 2
    return Ages(single=min(max(longest, AGES.start), AGES.stop - 1))


def _waits(policy: Policy) -> Iterator[timedelta]:
    for rule in policy.transitions:
        if isinstance(rule.trigger, After):
            wait = rule.trigger.wait
            yield wait.at_most if isinstance(wait, OwnRhythm) else wait
    for outreach in policy.outreach:
        if isinstance(outreach.trigger, OnState) and outreach.trigger.stayed is not None:
            yield outreach.trigger.stayed


def timed(policy: Policy) -> frozenset[tuple[str, str]]:
    """From where to where time alone takes a customer."""
    return frozenset(
        (state, rule.to)
        for rule in policy.transitions
        if isinstance(rule.trigger, After)
        for state in rule.sources
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """The counts, and the policy under which they were made."""

    policy: Policy
    counts: Passages
    span: Span
    ages: Ages
    until: datetime

    @property
    def states(self) -> list[str]:
        """In the order of the policy; those that it no longer has come last."""
        named = [state.name for state in self.policy.states]
        met = {state for state, _ in self.counts.change}
        return [*named, *sorted(met.difference(named))]

    @property
    def rules(self) -> list[str]:
        named = [rule.name for rule in self.policy.outreach]
        met = {rule for rule, _ in self.counts.sent}
        return [*named, *sorted(met.difference(named))]

    @property
    def on_dates(self) -> dict[str, OnCalendar]:
        """Rules that write to everybody on a date of the year."""
        return {
            rule.name: rule.trigger
            for rule in self.policy.outreach
            if isinstance(rule.trigger, OnCalendar) and rule.trigger.attribute is None
        }

    def rates(self, *, recent: bool) -> Rates:
        return rates(
            self.counts,
            self.span,
            self.span.recent if recent else self.span.before,
            passages.RECENT if recent else passages.BEFORE,
            self.ages.cells,
            frozenset(self.on_dates),
        )

    def forecast(self, known: Rates, asked: Ahead, *, recent: bool) -> Forecast:
        first = 0 if recent else self.span.held_back
        sizes = [size.total() for size in self.counts.sizes(self.counts.days)]
        return forecast(
            self.counts.present if recent else self.counts.earlier,
            known,
            asked,
            states=self.states,
            rules=self.rules,
            timed=timed(self.policy),
            dated={
                rule: self._dated(rule, trigger, first, asked.days, sizes)
                for rule, trigger in self.on_dates.items()
            },
        )

    def _dated(
        self, rule: str, trigger: OnCalendar, first: int, days: int, sizes: Sequence[int]
    ) -> Dated:
        """What its dates brought before day `first`, and which of the next `days` are dates."""
        slots = list(self._slots(trigger, first, days))
        return Dated(
            letters=sum(
                count
                for (name, day), count in self.counts.sent.items()
                if name == rule and day >= first
            ),
            present=sum(sizes[day + 1] for day in slots if first <= day < self.counts.days),
            ahead=tuple(first - day for day in slots if day < first),
        )

    def _slots(self, trigger: OnCalendar, first: int, days: int) -> Iterator[int]:
        """The days of its dates, from the beginning of the history to `days` after day `first`."""
        month_day = trigger.month_day or trigger.lunar
        assert month_day is not None, "a date of the year"
        where = calendar.zone(None, self.policy.timezone)
        at = self.until - (self.counts.days + 1) * DAY
        while found := calendar.next_slot(
            month_day,
            trigger.at,
            where,
            after=at,
            not_before=at,
            fired=None,
            lunar=trigger.lunar is not None,
        ):
            at = found[0]
            day = days_back(at, self.until)
            if day < first - days:
                return
            yield day

    def check(self, asked: Asked) -> Check:
        held_back = self.span.held_back
        known = self.counts.days - held_back
        since = self.until - held_back * DAY
        least = max(LEAST_DAYS, held_back)
        if known < least:
            why = (
                f"not enough data yet to check the forecast: {held_back} days held back leave"
                f" {max(known, 0)} of history, and {least} are needed"
            )
            return Check(held_back=held_back, since=since, found=None, verdict=(why,))
        made = self.forecast(self.rates(recent=False), _ahead(asked, held_back), recent=False)
        found = hindsight(made, self.counts, held_back, self.on_dates)
        return Check(
            held_back=held_back,
            since=since,
            found=found,
            verdict=tuple(sentences(found, asked.level)),
        )

    def states_ahead(self, made: Forecast) -> Iterator[StateAhead]:
        now = next(self.counts.sizes(0))
        for state in self.states:
            yield StateAhead(
                state=state,
                now=now[state],
                readings=made.sizes.get(state),
                why=made.missing.get(state),
            )

    def rules_ahead(self, made: Forecast, days: int) -> Iterator[RuleAhead]:
        for rule in self.rules:
            letters = made.letters.get(rule)
            yield RuleAhead(
                rule=rule,
                before=_sent(self.counts.sent, rule, days),
                total=None if letters is None else letters.total,
                readings=None if letters is None else letters.periods,
                why=made.missing.get(f"rule:{rule}"),
            )


def _sent(sent: Mapping[tuple[str, int], int], rule: str, days: int) -> int:
    return sum(sent.get((rule, day), 0) for day in range(days))
