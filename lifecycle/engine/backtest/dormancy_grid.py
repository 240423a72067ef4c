"""Which check of a policy is that of dormancy, and what is tried in its place?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from lifecycle.domain.policy import (
    INTERACTION,
    After,
    Fact,
    FactKind,
    OwnRhythm,
    Policy,
    TransitionRule,
)
from lifecycle.errors import Problem
from lifecycle.insight.dormancy import Grid
from lifecycle.insight.silences import Threshold

_DAY = timedelta(days=1)
DAYS = (30, 45, 60, 90, 120, 180)
QUANTILES = (Decimal("0.8"), Decimal("0.9"), Decimal("0.95"))
HORIZON = 180  # days, unless the policy waits longer
AT_LEAST = 30  # days, the shortest that an own rhythm waits
RHYTHM = "usual_gap"  # what a fact is called that the policy has to be given


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked for; None is taken from the policy, as `grid_of` says."""

    check: str | None = None  # name of the transition
    days: tuple[int, ...] = DAYS
    quantiles: tuple[Decimal, ...] = QUANTILES
    at_least: int | None = None  # bounds of an own rhythm, in days
    at_most: int | None = None
    otherwise: int | None = None
    horizon: int | None = None
    in_time: int | None = None  # None: half the horizon
    false_alarms: float | None = None  # None: as many as by the check in force


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The dormancy check of a policy, and what an own rhythm in its place would be known by."""

    rule: TransitionRule
    since: Fact
    gap: Fact  # made up where the policy has none

    @property
    def wait(self) -> timedelta | OwnRhythm:
        assert isinstance(self.rule.trigger, After), "a check is a timed one"
        return self.rule.trigger.wait


# -- which check is meant ------------------------------------------------------------------------


def dormancy_check(policy: Policy, name: str | None = None) -> Check:
    """The check of that name, else the only one that can be meant. Raises Problem."""
    facts = {fact.name: fact for fact in policy.facts}
    found = {
        rule.name: rule
        for rule in policy.transitions
        if isinstance(rule.trigger, After) and _is_of_contact(facts[rule.trigger.since], policy)
    }
    if not found:
        raise Problem(
            "no_dormancy_check",
            "this policy has no check of dormancy: no transition that waits for some time since the"
            " last interaction",
            pointer="check",
            expected="a transition with `after` and a `since` fact {last: …} of an event with"
            " interaction: true, or of `interaction`",
        )
    if name is None:
        followed = [rule for rule in found.values() if _waits_after(policy, rule.to)]
        meant = followed if len(followed) == 1 else list(found.values())
        if len(meant) > 1:
            raise Problem(
                "which_check",
                f"{len(meant)} checks of this policy could be that of dormancy",
                pointer="check",
                expected=f"one of {', '.join(found)}",
            )
        rule = meant[0]
    elif name in found:
        rule = found[name]
    else:
        raise Problem(
            "no_such_check",
            f"this policy has no check of dormancy that is called {name!r}",
            pointer="check",
            got=name,
            expected=f"one of {', '.join(found)}",
        )
    assert isinstance(rule.trigger, After), "they were chosen so"
    return Check(rule=rule, since=facts[rule.trigger.since], gap=_gap(policy, rule.trigger, facts))


def _is_of_contact(fact: Fact, policy: Policy) -> bool:
    if fact.kind is not FactKind.LAST:
        return False
    kind = policy.events.get(fact.event)
    return fact.event == INTERACTION or (kind is not None and kind.interaction)


def _waits_after(policy: Policy, state: str) -> list[timedelta]:
    """How long the timed checks wait that leave a state: she is given up by them."""
    return [
        _longest(rule.trigger.wait)
        for rule in policy.transitions
        if isinstance(rule.trigger, After) and state in rule.sources
    ]


def _longest(wait: timedelta | OwnRhythm) -> timedelta:
    return wait if isinstance(wait, timedelta) else max(wait.at_most, wait.otherwise)


def _gap(policy: Policy, trigger: After, facts: dict[str, Fact]) -> Fact:
    """That of the check, else the first of the policy, else gaps between what the check looks at."""
    if isinstance(trigger.wait, OwnRhythm):
        return facts[trigger.wait.fact]
    since = facts[trigger.since]
    gaps = (fact for fact in policy.facts if fact.kind is FactKind.GAP)
    made_up = Fact(name=RHYTHM, kind=FactKind.GAP, event=since.event, quantile=Decimal("0.5"))
    return next(gaps, made_up)


# -- what is tried -------------------------------------------------------------------------------


def grid_of(policy: Policy, check: Check, asked: Question, until: datetime) -> Grid:
    """Raises Problem for what cannot be tried; `pointer` is the name of the field."""
    horizon = _horizon(policy, check) if asked.horizon is None else asked.horizon
    _positive("horizon", horizon)
    _at_most(
        "horizon", _whole_days(_longest(check.wait)), horizon, f"{check.rule.name} waits up to"
    )
    for days in asked.days:
        _positive("days", days)
        _at_most("days", days, horizon, "a threshold of")
    for quantile in asked.quantiles:
        if not (quantile.is_finite() and 0 < quantile < 1):
            raise Problem(
                "wrong_quantile",
                f"{quantile} is no quantile of a customer's gaps",
                pointer="quantiles",
                got=str(quantile),
                expected="more than 0 and less than 1, such as 0.9: nine of ten gaps are no longer",
            )
    in_time = max(horizon // 2, 1) if asked.in_time is None else asked.in_time
    _positive("in-time", in_time)
    _at_most("in-time", in_time, horizon - 1, "in time is")
    if asked.false_alarms is not None and not 0 <= asked.false_alarms <= 1:
        raise Problem(
            "wrong_share",
            f"{asked.false_alarms:.0%} is no share of false alarms",
            pointer="false-alarms",
            expected="0% to 100%",
        )
    own = _bounds(check, asked, horizon)
    in_force = _in_force(check)
    others = [Threshold(wait=days * _DAY) for days in asked.days]
    others += [Threshold(wait=own, quantile=quantile) for quantile in asked.quantiles]
    return Grid(
        thresholds=(in_force, *(each for each in _once(others) if not _same(each, in_force))),
        horizon=horizon,
        in_time=in_time,
        until=until,
    )


def _horizon(policy: Policy, check: Check) -> int:
    """As long as until she is given up, and at least as long as the check waits."""
    waits = [*_waits_after(policy, check.rule.to), _longest(check.wait)]
    return max(HORIZON, *map(_whole_days, waits))


def _whole_days(wait: timedelta) -> int:
    return -(-wait // _DAY)


def _bounds(check: Check, asked: Question, horizon: int) -> OwnRhythm:
    wait = check.wait
    own = wait if isinstance(wait, OwnRhythm) else None
    otherwise = own.otherwise if own else wait
    assert isinstance(otherwise, timedelta), "a check waits for a time or by a rhythm"
    at_least = own.at_least if own else AT_LEAST * _DAY
    at_most = own.at_most if own else horizon * _DAY
    for name in ("at_least", "at_most", "otherwise"):
        days = getattr(asked, name)
        if days is not None:
            _positive(name.replace("_", "-"), days)
            _at_most(name.replace("_", "-"), days, horizon, "an own rhythm of")
    made = OwnRhythm(
        fact=check.gap.name,
        at_least=at_least if asked.at_least is None else asked.at_least * _DAY,
        at_most=at_most if asked.at_most is None else asked.at_most * _DAY,
        otherwise=otherwise if asked.otherwise is None else asked.otherwise * _DAY,
    )
    if made.at_least > made.at_most:
        raise Problem(
            "wrong_bounds",
            f"an own rhythm cannot be at least {made.at_least.days} and at most"
            f" {made.at_most.days} days",
            pointer="at-least",
            expected="at most as many days as --at-most",
        )
    return made


def _in_force(check: Check) -> Threshold:
    if isinstance(check.wait, timedelta):
        return Threshold(wait=check.wait, in_force=True)
    return Threshold(wait=check.wait, quantile=check.gap.quantile, in_force=True)


def _same(one: Threshold, other: Threshold) -> bool:
    return replace(one, in_force=False) == replace(other, in_force=False)


def _once(thresholds: Iterable[Threshold]) -> list[Threshold]:
    return list(dict.fromkeys(thresholds))


def _positive(name: str, days: int) -> None:
    if days < 1:
        raise Problem(
            "wrong_days",
            f"{days} days are no time to wait",
            pointer=name,
            got=str(days),
            expected="a whole number of days from 1 on",
        )


def _at_most(name: str, days: int, most: int, what: str) -> None:
    if days > most:
        raise Problem(
            "beyond_horizon",
            f"{what} {days} days, and what comes after {most} is not judged",
            pointer=name,
            got=str(days),
            expected=f"at most {most}; a longer --horizon judges longer ones",
        )
