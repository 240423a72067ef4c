"""A backtest as it is asked for: by which policies, over which history, and what is told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from lifecycle.domain.instant import BEGINNING, instant_text, later
from lifecycle.domain.policy import Policy, PolicyVersion
from lifecycle.engine.backtest.course import Ways
from lifecycle.engine.backtest.effect import Comparison
from lifecycle.engine.backtest.effect_report import Effect, effect_report
from lifecycle.engine.backtest.histories import Histories, Recorded, Sampled
from lifecycle.engine.backtest.report import AS_IT_WAS, Judged, Report, report
from lifecycle.engine.backtest.run import Backtest, C, OnCustomers, Policies, Work, run
from lifecycle.engine.backtest.tally import Counting
from lifecycle.errors import NotReady, Problem
from lifecycle.outreach.channels.opening import KINDS, UNDESCRIBED
from lifecycle.outreach.channels.settings import ADDRESSES, read_channels
from lifecycle.store import backlog, customers
from lifecycle.store.database import Database

BEYOND = timedelta(days=3660)  # how far behind the last event checks and dates may still fire


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Policies that are to judge a history, and what they are called."""

    versions: tuple[PolicyVersion, ...]
    source: str  # the file, or `version 3`

    @classmethod
    def of(cls, policy: Policy, hash: str, source: str, number: int = 1) -> Candidate:  # noqa: A002
        """One policy, as if it had always been in force."""
        version = PolicyVersion(number=number, hash=hash, effective_at=BEGINNING, policy=policy)
        return cls(versions=(version,), source=source)

    @property
    def newest(self) -> Policy:
        return self.versions[-1].policy

    def up_to(self, until: datetime) -> Candidate:
        """Without versions that are to judge only later: what is told has neither their rules nor currency."""
        judging = tuple(one for one in self.versions if one.effective_at <= until)
        return replace(self, versions=judging)

    def judged(self) -> list[tuple[Judged, Policy]]:
        return [
            (
                Judged(
                    number=one.number,
                    hash=one.hash,
                    effective_at=one.effective_at,
                    source=self.source,
                ),
                one.policy,
            )
            for one in self.versions
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """What of a history is looked at."""

    since: datetime | None = None  # what happened before is not counted; None: from the beginning
    until: datetime | None = None  # None: to the last event
    sample: float | None = None  # a share of the customers; None: all of them


def recorded(db: Database, url: str) -> Recorded:
    """The history of an installation. Raises NotReady where nothing has happened yet."""
    with db.read() as tx:
        last_at = backlog.last_event_at(tx)
        people = sum(customers.count_by_state(tx).values())
    if last_at is None:
        raise NotReady("there are no events yet, so there is no history to try a policy on")
    return Recorded(url=url, customers=people, last_at=last_at)


def ways(config_dir: Path, environment: Mapping[str, str], *, everybody: bool = False) -> Ways:
    """By what letters leave, as channels.yaml has it. Raises ChannelsRefused."""
    described = read_channels(config_dir, environment, KINDS).channels
    if described is None:
        return Ways(
            addresses={name: ADDRESSES.get(name) for name in UNDESCRIBED}, everybody=everybody
        )
    return Ways(
        addresses={channel.name: channel.address for channel in described},
        costs={channel.name: channel.cost for channel in described if channel.cost is not None},
        everybody=everybody,
    )


def counting(period: Period, last_at: datetime, flip_flop: timedelta) -> Counting:
    """Raises Problem for a period that is none."""
    until = period.until or last_at
    if until - last_at > BEYOND:
        raise Problem(
            "wrong_period",
            f"the period ends on {instant_text(until)}, more than {BEYOND.days:,} days after the last"
            f" event, of {instant_text(last_at)}",
            pointer="to",
            got=instant_text(until),
            expected=f"an instant up to {instant_text(later(last_at, BEYOND))}, or none for that of"
            " the last event",
        )
    if period.since is not None and period.since > until:
        raise Problem(
            "wrong_period",
            f"the period begins on {instant_text(period.since)}, after its end on"
            f" {instant_text(until)}{'' if period.until else ', that of the last event'}",
            pointer="from",
            got=instant_text(period.since),
            expected=f"an instant up to {instant_text(until)}",
        )
    return Counting(since=period.since or BEGINNING, until=until, flip_flop=flip_flop)


def sampled(histories: Histories, period: Period) -> Histories:
    return histories if period.sample is None else Sampled(of=histories, part=period.sample)


def backtest(
    candidate: Candidate,
    histories: Histories,
    by: Ways,
    period: Period,
    *,
    flip_flop: timedelta = timedelta(days=30),
    processes: int | None = None,
    on_customers: OnCustomers = lambda _, __: None,
) -> Report:
    """Raises NotReady where there is no history, and Problem for a period that is none."""
    if histories.last_at is None:
        raise NotReady("there are no events in it, so there is nothing to try a policy on")
    counted = counting(period, histories.last_at, flip_flop)
    candidate = candidate.up_to(counted.until)
    work = Backtest(policies=Policies.of(candidate.versions), ways=by, counting=counted)
    tally = _run(work, histories, period, counted, processes, on_customers)
    return report(
        tally,
        counted,
        candidate.judged(),
        by.costs,
        sample=period.sample,
        everybody=by.everybody,
        rows_left_out=histories.rows_left_out,
    )


def effect(
    before: Candidate,
    after: Candidate,
    histories: Histories,
    by: Ways,
    period: Period,
    *,
    processes: int | None = None,
    on_customers: OnCustomers = lambda _, __: None,
) -> Effect:
    """How the second policy differs from the first on this history. Raises as `backtest` does."""
    if histories.last_at is None:
        raise NotReady("there are no events in it, so there is nothing to try a policy on")
    counted = counting(period, histories.last_at, timedelta(days=30))
    work = Comparison(
        before=Policies.of(before.versions),
        after=Policies.of(after.versions),
        ways=by,
        counting=counted,
    )
    effects = _run(work, histories, period, counted, processes, on_customers)
    return effect_report(
        effects,
        counted,
        before.judged(),
        after.judged(),
        by.costs,
        sample=period.sample,
        everybody=by.everybody,
        rows_left_out=histories.rows_left_out,
    )


def _run(
    work: Work[C],
    histories: Histories,
    period: Period,
    counted: Counting,
    processes: int | None,
    on_customers: OnCustomers,
) -> C:
    people = sampled(histories, period)
    found = run(work, people, processes=processes, on_customers=on_customers)
    if not found.customers:
        if isinstance(people, Sampled) and people.is_empty:
            raise NotReady(
                f"the sample of {people.part * 100:.4g} % holds none of the {histories.customers:,} customers,"
                " so there is nothing to tell; ask for a larger share. Nothing was changed"
            )
        whom = "to any customer of the sample " if period.sample is not None else ""
        raise NotReady(
            f"nothing had happened {whom}by {instant_text(counted.until)}, so there is nothing to tell;"
            " nothing was changed"
        )
    return found


def in_force(versions: Sequence[PolicyVersion]) -> Candidate:
    """Each version from its own instant on, as the installation itself judged."""
    return Candidate(versions=tuple(versions), source=AS_IT_WAS)
