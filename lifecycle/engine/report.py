"""How many customers are in each state: now, at an instant of the past, at the end of each month?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from lifecycle.domain.instant import END, instant_text
from lifecycle.domain.timeline import Timeline
from lifecycle.engine.installation import Installation
from lifecycle.errors import Problem
from lifecycle.store import customers, reports
from lifecycle.store.reports import Moves


@dataclass(frozen=True, slots=True, kw_only=True)
class StateCount:
    name: str
    labels: Mapping[str, str]  # by language; none for a state that the policy no longer has
    customers: int
    share: float  # of all customers, from 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    as_of: datetime
    counts: tuple[StateCount, ...]  # in the order of the policy, empty states included

    @property
    def customers(self) -> int:
        return sum(each.customers for each in self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    month: str  # `2010-07`, in the zone that was asked for
    ends_at: datetime  # the first instant after what is counted
    complete: bool  # false: the month still goes on
    counts: Mapping[str, int]  # state → customers, in the order of the policy


def states(inst: Installation, at: datetime | None = None) -> States:
    """How many customers are in each state.

    Without `at`, everybody as of now. With it, those whose first event had happened by that
    instant, each in the state that her live steps had led to: what is known now about then. Raises
    Problem for an instant that has not come.
    """
    with inst.db.read() as tx:
        now, timeline = inst.now(tx), inst.timeline(tx)
        if at is None:
            counted: Mapping[str, int] = customers.count_by_state(tx)
        elif at > now:
            raise Problem(
                "instant_in_future",
                f"{instant_text(at)} has not come: it is {instant_text(now)}",
                pointer="at",
                got=instant_text(at),
                expected="an instant of the past",
            )
        else:
            counted = _after(reports.moves_until(tx, at, _initial(timeline)))
    return _states(timeline, counted, now if at is None else at)


def states_by_month(
    inst: Installation, zone: ZoneInfo | None = None, until: datetime | None = None
) -> tuple[Month, ...]:
    """How many customers were in each state at the end of each month, from that of the first event.

    Months are those of `zone`, by default the policy's. The last is that of `until`, by default
    that of the last event or step; the month of now is counted as far as it has come.
    """
    with inst.db.read() as tx:
        now, timeline = inst.now(tx), inst.timeline(tx)
        span = reports.first_and_last(tx, now)
        if span is None:
            return ()
        where = zone or ZoneInfo(timeline.at(now).zone_name)
        first, last = span[0], span[1] if until is None else min(until, now)
        months = list(_months(first.astimezone(where), last.astimezone(where)))
        ends = [end for _, end in months]
        found = reports.moves_by_period(tx, ends, _initial(timeline))
    return tuple(_counted(timeline, months, found, now))


def _initial(timeline: Timeline) -> str:
    return timeline.versions[0].policy.initial


def _after(moves: Iterable[Moves]) -> Counter[str]:
    """How many customers are in each state after these moves."""
    counted: Counter[str] = Counter()
    for move in moves:
        counted[move.to_state] += move.customers
        if move.from_state is not None:
            counted[move.from_state] -= move.customers
    return counted


def _named(timeline: Timeline, counted: Mapping[str, int], at: datetime) -> dict[str, int]:
    """Every state of the policy in its order, and those of earlier policies that still have any."""
    known = [state.name for state in timeline.at(at).policy.states]
    left = sorted(name for name, count in counted.items() if count and name not in known)
    return {name: counted.get(name, 0) for name in (*known, *left)}


def _states(timeline: Timeline, counted: Mapping[str, int], at: datetime) -> States:
    labels = {state.name: state.labels for state in timeline.at(at).policy.states}
    named = _named(timeline, counted, at)
    total = sum(named.values())
    return States(
        as_of=at,
        counts=tuple(
            StateCount(
                name=name,
                labels=labels.get(name, {}),
                customers=count,
                share=count / total if total else 0.0,
            )
            for name, count in named.items()
        ),
    )


def _months(first: datetime, last: datetime) -> Iterator[tuple[str, datetime]]:
    """Each month from that of `first` to that of `last`, in their zone, with the instant it ends."""
    year, month = first.year, first.month
    while (year, month) <= (last.year, last.month):
        name = f"{year:04}-{month:02}"
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
        if year > END.year:
            yield name, END
        else:
            yield name, datetime(year, month, 1, tzinfo=first.tzinfo).astimezone(UTC)


def _counted(
    timeline: Timeline,
    months: Sequence[tuple[str, datetime]],
    found: Iterable[Moves],
    now: datetime,
) -> Iterator[Month]:
    by_period: dict[int, list[Moves]] = {}
    for move in found:
        by_period.setdefault(move.period, []).append(move)
    counted: Counter[str] = Counter()
    for period, (name, end) in enumerate(months):
        counted.update(_after(by_period.get(period, ())))
        yield Month(
            month=name,
            ends_at=end,
            complete=end <= now,
            counts=_named(timeline, counted, now),
        )
