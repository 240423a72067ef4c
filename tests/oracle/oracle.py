"""What must be true of one customer? Answered as the rules are written, with no regard for speed.

The oracle keeps the list of what has happened so far and, whenever it is asked for a fact, a due
check or a change, computes it again from that whole list. It shares the engine's records and none
of its reasoning, so that where both agree the rules have been read twice.
"""

from __future__ import annotations

import re
from calendar import isleap
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import cel

from lifecycle.domain.event import MOVED, REQUESTED, Event
from lifecycle.domain.instant import BEGINNING, END
from lifecycle.domain.policy import (
    After,
    OnCalendar,
    OnEvent,
    OnRequest,
    OnState,
    OnTransition,
    OutreachRule,
    OwnRhythm,
    Policy,
    PolicyVersion,
    TransitionRule,
)
from tests.oracle.facts import typed, value_of
from tests.oracle.local_time import days_called, instant_of
from tests.oracle.truth import Due, Message, Outcome, Step, Truth

Judge = Callable[[str, Mapping[str, Any]], bool]  # guard's text, exact values; may raise


def oracle(
    policy: Policy | Sequence[PolicyVersion],
    events: Sequence[Event],
    until: datetime,
    judge: Judge | None = None,
) -> Truth:
    """The truth at `until`, for events in any order; events after `until` are left out."""
    if isinstance(policy, Policy):
        policy = [PolicyVersion(number=1, hash="", effective_at=BEGINNING, policy=policy)]
    life = _Life(list(policy), judge or by_cel)
    for event in sorted(events, key=lambda e: (e.occurred_at, e.source, e.id)):
        if event.occurred_at <= until:
            life.fire_checks(event.occurred_at)
            life.meet(event)
    life.fire_checks(until)
    current = life.version_at(until).policy
    return Truth(
        state=life.state,
        facts={f.name: value_of(f, current, life.history, until) for f in current.facts},
        steps=life.steps,
        messages=life.messages,
        outcomes=life.outcomes,
        attributes={k: v for k, v in life.attributes().items() if v is not None},
        tags=life.tags(),
        consents=life.consents(),
        waiting=sorted(life.dues(until.year + 2), key=lambda due: due[:2]),
    )


def by_cel(guard: str, values: Mapping[str, Any]) -> bool:
    """Asks CEL: counts are int, decimals double, instants timestamp, gaps duration, empty null."""
    return cel.evaluate(guard, {name: _for_cel(value) for name, value in values.items()}) is True


def _for_cel(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)  # a date is its midnight
    return value


class _Life:
    """One customer's past, and the few questions that the rules ask of it."""

    def __init__(self, versions: list[PolicyVersion], judge: Judge) -> None:
        self.versions = versions
        self.judge = judge
        self.history: list[Event] = []
        self.steps: list[Step] = []
        self.messages: list[Message] = []
        self.outcomes: list[Outcome] = []
        # every judgement of a check or slot: rule, anchor or local date, stay in the state
        self.judged: list[tuple[str, datetime | date, int]] = []

    # What is so now

    @property
    def state(self) -> str:
        return self.steps[-1].to_state if self.steps else self.versions[0].policy.initial

    def version_at(self, at: datetime) -> PolicyVersion:
        return [v for v in self.versions if v.effective_at <= at][-1]

    def attributes(self) -> dict[str, Any]:
        """Last write wins."""
        known: dict[str, Any] = {}
        for event in self.history:
            known |= _written(event)
        return known

    def tags(self) -> set[str]:
        tags: set[str] = set()
        for event in self.history:
            if event.type == "tag_added":
                tags.add(event.properties["tag"])
            if event.type == "tag_removed":
                tags.discard(event.properties["tag"])
        return tags

    def consents(self) -> dict[str, bool]:
        """What she said last of a purpose on a channel, unless she spoke of all channels since."""
        said = [e for e in self.history if e.type in {"consent_given", "consent_withdrawn"}]
        held: dict[str, bool] = {}
        for number, event in enumerate(said):
            purpose, channel = event.properties["purpose"], event.properties["channel"]
            since = [e.properties for e in said[number + 1 :]]
            channels = {later["channel"] for later in since if later["purpose"] == purpose}
            if not channels & {channel, "all"}:
                held[f"{purpose}/{channel}"] = event.type == "consent_given"
        return held

    def holds(self, guard: str | None, at: datetime) -> tuple[bool, dict[str, Any]]:
        """Whether the guard holds at `at`, and the values of the names in it."""
        if guard is None:
            return True, {}
        policy, known = self.version_at(at).policy, self.attributes()
        values: dict[str, Any] = {
            **{n: typed(known.get(n), kind) for n, kind in policy.attributes.items()},
            **{f.name: value_of(f, policy, self.history, at) for f in policy.facts},
            "tags": sorted(self.tags()),
            "at": at,
        }
        named = set(re.findall(r"[A-Za-z_]\w*", re.sub(r"'[^']*'|\"[^\"]*\"", "", guard)))
        read = {name: value for name, value in values.items() if name in named}
        try:
            return self.judge(guard, values), read
        except Exception:  # noqa: BLE001  # rule 12: whatever goes wrong in a guard refuses
            return False, read

    # What is due

    def fire_checks(self, until: datetime) -> None:
        while due := min(self.dues(until.year + 1), key=lambda due: due[:2], default=None):
            if due.at > until:
                return
            self.fire(due)

    def dues(self, last_year: int) -> Iterator[Due]:
        """Every check and slot that is armed now, whenever it is due."""
        ends = [v.effective_at for v in self.versions[1:]] + [END]
        for version, end in zip(self.versions, ends, strict=True):
            rules: list[TransitionRule | OutreachRule] = [
                *version.policy.transitions,
                *version.policy.outreach,
            ]
            for position, rule in enumerate(rules):
                found: Iterator[tuple[datetime, datetime | date]] = iter(())
                if isinstance(rule.trigger, After):
                    found = self.check(rule, rule.trigger, version)
                elif isinstance(rule.trigger, OnCalendar):
                    found = self.slots(rule, rule.trigger, version.policy, last_year)
                elif isinstance(rule.trigger, OnState) and rule.trigger.stayed is not None:
                    found = self.stay(rule, rule.trigger.names, rule.trigger.stayed, version)
                for at, mark in found:
                    if version.effective_at <= at < end:
                        yield Due(at, position, version, rule, mark)

    def check(
        self, rule: TransitionRule | OutreachRule, after: After, version: PolicyVersion
    ) -> Iterator[tuple[datetime, datetime]]:
        facts = {f.name: f for f in version.policy.facts}

        def now(name: str) -> Any:
            return value_of(facts[name], version.policy, self.history, END)

        anchor = now(after.since)
        if anchor is None:
            return
        never_before = [version.effective_at, self.history[-1].occurred_at]
        if isinstance(rule, TransitionRule):
            if self.state not in rule.sources:
                return
            moves = [step.at for step in self.steps if step.rule == "moved"]
            anchor = max([anchor, *moves])
            never_before += [step.at for step in self.steps[-1:]]
            spent = (rule.name, anchor, len(self.steps)) in self.judged
        else:
            spent = (rule.name, anchor) in [judged[:2] for judged in self.judged]
        if not spent:
            yield max(anchor + _wait(after.wait, now), *never_before), anchor

    def stay(
        self,
        rule: TransitionRule | OutreachRule,
        states: tuple[str, ...],
        stayed: timedelta,
        version: PolicyVersion,
    ) -> Iterator[tuple[datetime, datetime]]:
        if not self.history or self.state not in states:
            return
        entered = self.steps[-1].at if self.steps else self.history[0].occurred_at
        if (rule.name, entered, len(self.steps)) not in self.judged:
            yield max(entered + stayed, version.effective_at), entered

    def slots(
        self, rule: TransitionRule | OutreachRule, on: OnCalendar, policy: Policy, last_year: int
    ) -> Iterator[tuple[datetime, date]]:
        if not self.history:
            return
        known = self.attributes()
        zone = known.get("timezone") or policy.timezone
        since = self.history[0].occurred_at
        was: dict[str, Any] = {}
        for event in self.history:
            became = was | _written(event)
            if any(n and was.get(n) != became.get(n) for n in ("timezone", on.attribute)):
                since = event.occurred_at
            was = became
        if on.attribute and known.get(on.attribute) is None:
            return
        done = [judged[:2] for judged in self.judged]
        if on.lunar:
            days = days_called(on.lunar, since.year - 1, last_year)
        else:
            month_day = on.month_day or _month_day(known[on.attribute or ""])
            years = range(since.year - 1, last_year + 1)
            days = tuple(_in_year(month_day, year) for year in years)
        for local in days:
            at = instant_of(zone, local, on.at)
            if at > since and (rule.name, local) not in done:
                yield at, local

    # What follows

    def meet(self, event: Event) -> None:
        self.history.append(event)
        version, at, cause = self.version_at(event.occurred_at), event.occurred_at, event.cause
        leaving = [
            rule
            for rule in version.policy.transitions
            if isinstance(rule.trigger, OnEvent)
            and event.type in rule.trigger.types
            and self.state in rule.sources
        ]
        kind = "Refused" if leaving else "NotApplicable"
        for rule in leaving:
            holds, read = self.holds(rule.guard, at)
            if holds:
                kind = "Moved"
                name, was, guard = rule.name, self.state, rule.guard
                made = Step(name, was, rule.to, event.type, cause, at, guard, read, version.number)
                self.step(made, version)
                break
        if event.type == MOVED:
            to, by, why = (event.properties.get(k) for k in ("to", "by", "why"))
            kind = "Refused"
            if to != self.state and to in [state.name for state in version.policy.states]:
                kind = "Moved"
                number = version.number
                made = Step("moved", self.state, to, MOVED, cause, at, None, {}, number, by, why)
                self.step(made, version)
        self.outcomes.append(Outcome(kind, at, event.type, cause))
        for outreach in version.policy.outreach:
            if isinstance(outreach.trigger, OnEvent) and event.type in outreach.trigger.types:
                self.plan(outreach, cause, at, version)
            asked = event.type == REQUESTED and event.properties["outreach"] == outreach.name
            if asked and isinstance(outreach.trigger, OnRequest):
                self.plan(outreach, cause, at, version)

    def fire(self, due: Due) -> None:
        rule, at, version = due.rule, due.at, due.version
        self.judged.append((rule.name, due.mark, len(self.steps)))
        if isinstance(due.mark, datetime):
            times = [judged[:2] for judged in self.judged].count((rule.name, due.mark))
            cause = f"check:{rule.name}@{_rfc3339(due.mark)}#{times}"
        else:
            cause = f"calendar:{rule.name}@{due.mark.isoformat()}"
        if isinstance(rule, OutreachRule):
            kind = "Fired" if self.plan(rule, cause, at, version) else "Refused"
        else:
            holds, read = self.holds(rule.guard, at)
            kind = "Moved" if holds else "Refused"
            if holds:
                name, was, guard = rule.name, self.state, rule.guard
                made = Step(name, was, rule.to, name, cause, at, guard, read, version.number)
                self.step(made, version)
        self.outcomes.append(Outcome(kind, at, rule.name, cause))

    def step(self, step: Step, version: PolicyVersion) -> None:
        self.steps.append(step)
        for outreach in version.policy.outreach:
            on = outreach.trigger
            caused = isinstance(on, OnTransition) and step.rule in on.names
            entered = isinstance(on, OnState) and on.stayed is None and step.to_state in on.names
            if caused or entered:
                self.plan(outreach, step.cause, step.at, version)

    def plan(self, rule: OutreachRule, cause: str, at: datetime, version: PolicyVersion) -> bool:
        holds, _ = self.holds(rule.guard, at)
        if holds:
            self.messages += [
                Message(rule.name, cause, number, at, at + delay, version.number)
                for number, delay in enumerate(rule.delays, start=1)
            ]
        return holds


def _written(event: Event) -> dict[str, Any]:
    """The attributes that an event writes."""
    if event.type in {"profile_changed", "lifecycle.scored"}:
        return dict(event.properties["attributes"])
    return {}


def _wait(wait: timedelta | OwnRhythm, now: Callable[[str], Any]) -> timedelta:
    if isinstance(wait, timedelta):
        return wait
    gap: timedelta | None = now(wait.fact)
    return wait.otherwise if gap is None else min(max(gap, wait.at_least), wait.at_most)


def _month_day(posted: str) -> tuple[int, int]:
    day = date.fromisoformat(posted)
    return day.month, day.day


def _in_year(month_day: tuple[int, int], year: int) -> date:
    month, day = month_day
    exists = (month, day) != (2, 29) or isleap(year)
    return date(year, month, day if exists else 28)


def _rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
