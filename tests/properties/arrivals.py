"""How the same events may arrive: in any order, any of them again, in batches, with work between."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hypothesis import strategies as st

from lifecycle.domain.event import Event
from tests.properties.choices import Choices
from tests.properties.made import LONG, STEP, Made, World, histories, horizons, policies, worlds

NAMES = ("anna", "Bo", "爱")


@dataclass(frozen=True)
class Arrival:
    """What happens at one reading of the engine's clock, which never goes back."""

    clock: datetime
    events: list[Event]
    applied: bool  # what waits is folded before the next arrival
    fired: bool  # and due checks are
    sent: bool  # and what is queued leaves

    def __str__(self) -> str:
        did = [name for name in ("applied", "fired", "sent") if getattr(self, name)]
        events = [
            f"  {e.customer} {e.source}|{e.id} {e.type} {e.occurred_at} {e.properties}"
            for e in self.events
        ]
        return "\n".join([f"clock {self.clock}, then {did}:", *events])


@dataclass(frozen=True, repr=False)
class Told:
    """Everybody's history under some policies, and one way in which it arrived."""

    policies: Made
    arrivals: list[Arrival]
    until: datetime  # the clock at the end
    earlier: datetime  # an instant before that

    @property
    def events(self) -> list[Event]:
        """Each once."""
        return list(
            {(e.source, e.id): e for arrival in self.arrivals for e in arrival.events}.values()
        )

    def of(self, customer: str) -> list[Event]:
        return [event for event in self.events if event.customer == customer]

    def __repr__(self) -> str:
        arrivals = [f"{arrival}" for arrival in self.arrivals]
        until, earlier = f"until {self.until}", f"earlier {self.earlier}"
        return "\n".join([f"{self.policies}", *arrivals, until, earlier])

    def _repr_pretty_(self, printer: object, cycle: bool) -> None:
        printer.text(repr(self))  # type: ignore[attr-defined]


@st.composite
def told(draw: st.DrawFn, versions: int = 1) -> Told:
    world = draw(worlds())
    choose = Choices(draw)
    events = [
        event._replace(customer=name, id=f"{name}-{event.id}")
        for name in NAMES[: choose.number(1, 3)]
        for event in draw(histories(world, most=10))
    ]
    arrivals = (
        _as_in_life(choose, world, events)
        if choose.maybe()
        else _arrivals(choose, world, _shuffled(choose, events))
    )
    until = max(arrivals[-1].clock, draw(horizons(world, events)))
    earlier = min(until, draw(horizons(world, events)))
    return Told(draw(policies(world, versions, events)), arrivals, until, earlier)


def _as_in_life(choose: Choices, world: World, events: list[Event]) -> list[Arrival]:
    """Most arrive when they happen, some late, some twice; checks fire meanwhile."""
    arriving: dict[datetime, list[Event]] = {world.start: []}
    for event in events:
        for late in [choose.one((0, 0, 0, 4, 20, 60))] + [30] * choose.rarely():
            arriving.setdefault(event.occurred_at + late * STEP, []).append(event)
    for _ in range(choose.number(0, 4)):
        arriving.setdefault(world.start + choose.number(0, LONG) * STEP, [])
    return [
        Arrival(clock, arriving[clock], applied=True, fired=True, sent=choose.rarely())
        for clock in sorted(arriving)
    ]


def _shuffled(choose: Choices, events: list[Event]) -> list[Event]:
    """In any order, and one in four of them twice."""
    placed = [(choose.number(0, 99), event) for event in events]
    placed += [(choose.number(0, 99), event) for event in events if choose.rarely()]
    return [event for _, event in sorted(placed, key=lambda place: place[0])]


def _arrivals(choose: Choices, world: World, events: list[Event]) -> list[Arrival]:
    """The clock starts before most events have happened, so some come from the future."""
    clock = world.start + choose.number(0, LONG) * STEP
    batches: list[list[Event]] = [[]]
    for event in events:
        if choose.maybe():
            batches.append([])
        batches[-1].append(event)
    arrivals = []
    for batch in batches:
        clock += choose.number(0, 8) * STEP
        arrivals.append(Arrival(clock, batch, choose.maybe(), choose.maybe(), sent=choose.rarely()))
    return arrivals
