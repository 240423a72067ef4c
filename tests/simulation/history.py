"""What happens to the customers of a world, and what must be true in the end, however it arrives.

There are so many histories, each of which is lived through in many worlds: the oracle, which takes
its time, is asked once about each.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from lifecycle.domain.event import Event
from lifecycle.domain.instant import BEGINNING
from lifecycle.domain.policy import PolicyVersion
from lifecycle.domain.timeline import Timeline
from lifecycle.policy import loads
from tests.engine.histories import RICH_POLICY, Arrival, arrivals
from tests.oracle.digested import digested
from tests.oracle.oracle import oracle
from tests.scenarios.driver import day

HISTORIES = 100
END = 200.0  # the day of which everything is asked; whatever arrives has arrived by then
BROKEN = "not-a-number"
MENDED = "12.5"

MEANINGS = {
    "orders >= 3": lambda facts: facts["orders"] >= 3,
    "orders <= 0": lambda facts: facts["orders"] <= 0,
    "spent >= 50.0": lambda facts: facts["spent"] >= 50,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    number: int
    arrivals: tuple[Arrival, ...]  # as they are meant to be, before anything goes wrong
    poison: str | None  # the event that cannot be folded
    mended: bool  # and that an operator repairs and replays; else it stays out of the fold
    deadly: str | None  # the event that takes the process with it that folds it

    @property
    def events(self) -> dict[str, Event]:
        """Each once, by its id."""
        return {event.id: event for arrival in self.arrivals for event in arrival.events}

    @property
    def dead(self) -> set[str]:
        """The ids of those that must be out of the fold in the end, and no others."""
        return {name for name in (None if self.mended else self.poison, self.deadly) if name}


@cache
def policy() -> PolicyVersion:
    return PolicyVersion(
        number=1, hash="1", effective_at=BEGINNING, policy=loads(RICH_POLICY).policy
    )


@cache
def timeline() -> Timeline:
    """Compiled once for all worlds."""
    return Timeline([policy()])


@cache
def history(number: int) -> History:
    chance = random.Random(number)
    told = arrivals(
        seed=number,
        customers=chance.choice([1, 2, 3, 5]),
        events=chance.choice([3, 6, 10, 16]),
        days=100,
        batch=chance.choice([1, 2, 4]),
    )
    orders = sorted({e.id for a in told for e in a.events if e.type == "order_paid"})
    poison = chance.choice(orders) if orders and chance.random() < 0.25 else None
    others = [name for name in orders if name != poison]
    return History(
        number=number,
        arrivals=tuple(_poisoned(arrival, poison) for arrival in told),
        poison=poison,
        mended=poison is not None and chance.random() < 0.5,
        deadly=chance.choice(others) if others and chance.random() < 0.1 else None,
    )


def _poisoned(arrival: Arrival, name: str | None) -> Arrival:
    events = [
        event._replace(properties={"amount": BROKEN}) if event.id == name else event
        for event in arrival.events
    ]
    return arrival._replace(events=tuple(events))


def counted(told: History) -> list[Event]:
    """The events that are in the fold in the end, as they are then."""
    return [
        event._replace(properties={"amount": MENDED}) if event.id == told.poison else event
        for event in told.events.values()
        if event.id not in told.dead
    ]


@cache
def truth(number: int) -> list[dict[str, Any]]:
    """The oracle's, of everybody, in the shape of the digest's."""
    events = counted(history(number))
    return [
        digested(
            name, oracle([policy()], [e for e in events if e.customer == name], day(END), _judge)
        )
        for name in sorted({event.customer for event in events})
    ]


def _judge(guard: str, facts: Mapping[str, Any]) -> bool:
    return bool(MEANINGS[guard](facts))
