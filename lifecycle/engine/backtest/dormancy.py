"""After how long a silence should a customer be called dormant? What a history says of it.

The pass over all customers, and what its counts say; what is tried is `dormancy_grid`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from lifecycle.domain.event import Event
from lifecycle.domain.fold import Run
from lifecycle.domain.instant import instant_text
from lifecycle.domain.policy import Policy, PolicyVersion
from lifecycle.domain.step import Step
from lifecycle.domain.timeline import Timeline
from lifecycle.engine.backtest.course import uncounted
from lifecycle.engine.backtest.dormancy_grid import Check, Question, dormancy_check, grid_of
from lifecycle.engine.backtest.histories import Histories, History
from lifecycle.engine.backtest.run import OnCustomers, Policies, run
from lifecycle.errors import NotReady
from lifecycle.insight import dormancy
from lifecycle.insight.dormancy import Grid, Tally, Whose
from lifecycle.insight.intervals import GROUPS
from lifecycle.insight.silences import Listener, Signal, Threshold
from lifecycle.insight.suggestion import Suggested, suggested
from lifecycle.insight.thresholds import ENOUGH, Figures, Part
from lifecycle.outreach.assignment import share
from lifecycle.policy.words import span

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many silences there are, and how many of them say something."""

    customers: int
    seen_once: int  # customers with one interaction and no other: never a gap
    judged: int
    unjudged: int  # began less than a horizon before the last event
    unjudged_ended: int  # of them: she was back by then
    elsewhere: int  # began in a state that the check does not leave
    lost: int
    back_later: int  # of the lost: she came back after the horizon
    unfolded: int  # events that the policy cannot fold, left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Everything that is told of it."""

    check: str  # name of the transition
    since: str  # the fact that it waits from
    rhythm: str  # the event between which gaps are measured
    states: tuple[str, ...]  # which the check leaves
    guarded: bool  # the check has a `when`, which is not asked here
    horizon: int  # days
    in_time: int  # days
    until: datetime  # the last event
    rows_left_out: int  # of a file of history, as they were refused
    counts: Counts
    parts: tuple[Part, ...]  # all, those with a rhythm, those without
    suggested: Suggested
    days_written: tuple[str, ...]  # what is suggested, as it stands in a policy; empty: nothing is
    rhythm_written: tuple[str, ...]


# -- the pass over all customers -----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """All silences of a history, counted against every threshold at once."""

    policies: Policies  # one version, without the check and without letters
    grid: Grid
    since: Signal
    gap: Signal
    states: frozenset[str]

    def empty(self) -> Tally:
        return Tally()

    def begin(self) -> Callable[[Iterable[History]], Tally]:
        timeline = self.policies.timeline()
        initial = timeline.versions[0].policy.initial
        listener = Listener(
            since=self.since,
            gap=self.gap,
            states=self.states,
            thresholds=self.grid.thresholds,
            until=self.grid.until,
        )

        def counted(histories: Iterable[History]) -> Tally:
            tally = Tally()
            for customer, history in histories:
                events = [event for event in history if event.occurred_at <= self.grid.until]
                steps, unfolded = _steps(timeline, events, self.grid.until)
                tally.unfolded += unfolded
                found = listener.silences(events, initial, steps)
                dormancy.count(tally, found, _group(customer), self.grid)
            return tally

        return counted


def _group(customer: str) -> int:
    return int(share(customer, "resampling") * GROUPS)


def _steps(
    timeline: Timeline, events: Sequence[Event], until: datetime
) -> tuple[Sequence[Step], int]:
    """Her steps, and how many events had to be left out because they cannot be folded."""
    kept = list(events)
    doubted: set[str] = set()  # types of which one could not be folded: others are tried first
    while True:
        run = Run(timeline, timeline.blank())
        unfolded = len(events) - len(kept)
        for event in kept:
            if run.wake <= event.occurred_at:
                run.advance(event.occurred_at)
            if event.type in doubted and uncounted(timeline, run.cells, event) is not None:
                unfolded += 1
                continue
            try:
                run.take(event)
            except Exception:  # noqa: BLE001 - as an installation puts the event aside
                kept.remove(event)
                doubted.add(event.type)
                break
        else:
            run.advance(until)
            return run.steps, unfolded


def without(policy: Policy, check: Check) -> Policy:
    """Nobody is ever dormant by it, so that where she is does not depend on the threshold."""
    rest = tuple(rule for rule in policy.transitions if rule.name != check.rule.name)
    return replace(policy, transitions=rest, outreach=())


def listening(version: PolicyVersion, check: Check, grid: Grid) -> Listening:
    policy = version.policy
    return Listening(
        policies=Policies.of([replace(version, policy=without(policy, check))]),
        grid=grid,
        since=Signal.of(check.since.event, policy),
        gap=Signal.of(check.gap.event, policy),
        states=frozenset(check.rule.sources),
    )


def suggest(
    version: PolicyVersion,
    histories: Histories,
    asked: Question,
    *,
    processes: int | None = None,
    on_customers: OnCustomers = lambda _, __: None,
) -> Answer:
    """Raises Problem for what cannot be tried, and NotReady where the history is too little."""
    check = dormancy_check(version.policy, asked.check)
    if histories.last_at is None:
        raise NotReady("not enough data yet: there are no events")
    grid = grid_of(version.policy, check, asked, histories.last_at)
    tally = run(
        listening(version, check, grid), histories, processes=processes, on_customers=on_customers
    )
    return answer(
        version.policy,
        check,
        grid,
        tally,
        asked.false_alarms,
        rows_left_out=histories.rows_left_out,
    )


def answer(
    policy: Policy,
    check: Check,
    grid: Grid,
    tally: Tally,
    false_alarms: float | None,
    *,
    rows_left_out: int = 0,
) -> Answer:
    """What the counts say. Raises NotReady where they are too few."""
    figures = [Figures(tally, grid, whose) for whose in Whose]
    parts = tuple(each.part() for each in figures)
    every = parts[0]
    if not every.is_enough:
        raise NotReady(
            f"not enough data yet: of the silences that began {grid.horizon} days or more before the"
            f" last event ({instant_text(grid.until)}), {every.lulls:,} ended within {grid.horizon}"
            f" days and {every.lost:,} did not; from {ENOUGH} of each on something can be said."
            " A shorter --horizon judges more of them"
        )
    rate = every.rows[0].at_most.rate
    wanted = rate if false_alarms is None else false_alarms
    assert wanted is not None, "whoever is lost was declared by the check in force"
    found = suggested(figures[0], every, wanted, grid.horizon)
    own = None if found.rhythm is None else found.rhythm.threshold
    days = None if found.days is None else Threshold(wait=found.days * _DAY)
    return Answer(
        check=check.rule.name,
        since=check.since.name,
        rhythm=check.gap.event,
        states=check.rule.sources,
        guarded=check.rule.guard is not None,
        horizon=grid.horizon,
        in_time=grid.in_time,
        until=grid.until,
        rows_left_out=rows_left_out,
        counts=Counts(
            customers=tally.customers,
            seen_once=tally.seen_once,
            judged=every.judged,
            unjudged=tally.unjudged,
            unjudged_ended=tally.unjudged_ended,
            elsewhere=tally.elsewhere,
            lost=every.lost,
            back_later=tally.back_later,
            unfolded=tally.unfolded,
        ),
        parts=parts,
        suggested=found,
        days_written=() if days is None else written(policy, check, days),
        rhythm_written=() if own is None else written(policy, check, own),
    )


def written(policy: Policy, check: Check, threshold: Threshold) -> tuple[str, ...]:
    """The lines of a policy file that make it so; the last one belongs into the check's rule."""
    wait = threshold.wait
    if isinstance(wait, timedelta):
        return (f"after: {span(wait)}",)
    rhythm = (
        f"after: {{fact: {wait.fact}, at_least: {span(wait.at_least)},"
        f" at_most: {span(wait.at_most)}, otherwise: {span(wait.otherwise)}}}"
    )
    fact = f"{wait.fact}: {{gap: {check.gap.event}, quantile: {threshold.quantile}}}"
    known = check.gap in policy.facts and check.gap.quantile == threshold.quantile
    return (rhythm,) if known else (fact, rhythm)
