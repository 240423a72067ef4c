"""What is told of the effect of a policy: in which numbers it differs from another, on whom."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from lifecycle.domain.policy import Policy
from lifecycle.engine.backtest.effect import Change, Effects, How
from lifecycle.engine.backtest.report import Judged, Letters, Report, quantile, report
from lifecycle.engine.backtest.tally import Counting

_ORDER = {how: place for place, how in enumerate(How)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleOf:
    """A customer to whom it would happen."""

    customer: str
    cause: str  # of the step or letter
    before: datetime | None  # when, under the policy before; None: not at all
    after: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Steps by a rule to a state, or letters of a rule, that change in one way."""

    how: How
    rule: str
    state: str | None  # of steps: to which they lead
    times: int
    customers: int
    median_days: (
        int | None
    )  # by how many whole days earlier or later; None: of those that are neither
    examples: tuple[ExampleOf, ...]  # the first ten customers by key


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleEffect:
    """Letters of a rule that would leave, and what caps hold back of it."""

    rule: str
    before: int
    after: int
    gained: int  # leave only under the policy after
    lost: int
    earlier: int
    later: int
    same: int
    capped_before: int  # held back by a cap, for a while or for good
    capped_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndEffect:
    before: str
    after: str
    customers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Two policies on the same history."""

    before: tuple[Judged, ...]
    after: tuple[Judged, ...]
    since: datetime | None
    until: datetime
    sample: float | None
    everybody: bool
    customers: int
    events: int
    rows_left_out: int  # of a file of history, as they were refused
    unfolded_before: Mapping[str, int]  # events that the policy could not fold, by type
    unfolded_after: Mapping[str, int]
    moved: int  # customers any of whose steps differ
    written: int  # customers any of whose letters differ
    same_steps: int
    steps: tuple[Changed, ...]
    ends: tuple[EndEffect, ...]  # customers who end in another state
    rules: tuple[RuleEffect, ...]
    letters: tuple[Changed, ...]
    letters_before: Letters
    letters_after: Letters
    states_before: Mapping[str, int]  # customers in each at the end
    states_after: Mapping[str, int]
    digest_before: str | None
    digest_after: str | None


def effect_report(
    effects: Effects,
    counting: Counting,
    before: Sequence[tuple[Judged, Policy]],
    after: Sequence[tuple[Judged, Policy]],
    costs: Mapping[str, Decimal],
    *,
    sample: float | None = None,
    everybody: bool = False,
    rows_left_out: int = 0,
) -> Effect:
    first = report(effects.before, counting, before, costs)
    second = report(effects.after, counting, after, costs)
    return Effect(
        before=first.policies,
        after=second.policies,
        since=first.since,
        until=first.until,
        sample=sample,
        everybody=everybody,
        customers=effects.customers,
        events=first.events,
        rows_left_out=rows_left_out,
        unfolded_before=first.unfolded,
        unfolded_after=second.unfolded,
        moved=effects.moved,
        written=effects.written,
        same_steps=sum(n for (what, _), n in effects.unchanged.items() if what == "step"),
        steps=tuple(_changed(effects, "step", _places(before, after))),
        ends=tuple(
            EndEffect(before=was, after=now, customers=count)
            for (was, now), count in sorted(
                effects.ends.items(), key=lambda each: (-each[1], each[0])
            )
        ),
        rules=tuple(_rules(effects, first, second)),
        letters=tuple(_changed(effects, "letter", _places(before, after))),
        letters_before=first.letters,
        letters_after=second.letters,
        states_before=_at_the_end(first),
        states_after=_at_the_end(second),
        digest_before=first.digest,
        digest_after=second.digest,
    )


def _at_the_end(told: Report) -> dict[str, int]:
    return {one.state: one.customers[-1] for one in told.states}


def _places(
    before: Sequence[tuple[Judged, Policy]], after: Sequence[tuple[Judged, Policy]]
) -> dict[str, int]:
    """Where each rule stands: as the policy after has it, then what only that before has."""
    names: dict[str, None] = {}
    for policy in (after[-1][1], before[-1][1]):
        names.update(dict.fromkeys(rule.name for rule in policy.transitions))
        names.update(dict.fromkeys(rule.name for rule in policy.outreach))
    return {name: place for place, name in enumerate(names)}


def _changed(effects: Effects, what: str, places: Mapping[str, int]) -> Iterator[Changed]:
    days: defaultdict[Change, Counter[int]] = defaultdict(Counter)
    for (change, by), times in effects.days.items():
        days[change][by] += times
    found = [change for change in effects.changes if change.what == what]
    found.sort(
        key=lambda one: (places.get(one.rule, len(places)), one.rule, one.state, _ORDER[one.how])
    )
    for change in found:
        shifted = change.how in {How.EARLIER, How.LATER}
        yield Changed(
            how=change.how,
            rule=change.rule,
            state=change.state or None,
            times=effects.changes[change],
            customers=effects.people[change],
            median_days=quantile(days[change], Decimal("0.5")) if shifted else None,
            examples=tuple(
                ExampleOf(
                    customer=one.customer, cause=one.cause, before=one.before, after=one.after
                )
                for one in effects.examples[change]
            ),
        )


def _rules(effects: Effects, before: Report, after: Report) -> Iterator[RuleEffect]:
    was = {rule.rule: rule for rule in before.rules}
    now = {rule.rule: rule for rule in after.rules}

    def times(how: How, rule: str) -> int:
        return effects.changes[Change("letter", how, rule, "")]

    for rule in (*now, *(name for name in was if name not in now)):
        yield RuleEffect(
            rule=rule,
            before=was[rule].sent if rule in was else 0,
            after=now[rule].sent if rule in now else 0,
            gained=times(How.NEWLY, rule),
            lost=times(How.NEVER, rule),
            earlier=times(How.EARLIER, rule),
            later=times(How.LATER, rule),
            same=effects.unchanged["letter", rule],
            capped_before=effects.caps[rule, False],
            capped_after=effects.caps[rule, True],
        )
