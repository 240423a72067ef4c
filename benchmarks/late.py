"""One customer with a very long history, a hundredth of which arrives late."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from benchmarks import databases
from benchmarks.measure import Result, watched
from lifecycle.domain.event import Event
from lifecycle.intake.simulate import draft

BATCH = 500
BEGUN = datetime(2020, 1, 1, tzinfo=UTC)


def run(scale: float) -> list[Result]:
    count = int(50_000 * scale)
    arrivals = _arrivals(count)
    with databases.empty("sqlite") as url, databases.engine(url) as engine, watched() as watch:
        for first in range(0, count, BATCH):
            batch = arrivals[first : first + BATCH]
            engine.accept([draft(event, event.received_at) for event in batch])
            engine.apply_pending()
    return [
        Result(
            name="one customer, 1 % late, sqlite",
            what="ev/s",
            rate=count / watch.seconds,
            count=count,
            seconds=watch.seconds,
            cpu_seconds=watch.cpu_seconds,
            notes=[f"{count:,} events in batches of {BATCH}; each late one folds her again"],
        )
    ]


def _arrivals(count: int) -> list[Event]:
    """In order, but one in a hundred up to ten thousand places behind its time."""
    chance = random.Random(7)
    places = [
        (place + chance.randrange(10_000) if chance.random() < 0.01 else place, place)
        for place in range(count)
    ]
    return [_event(place) for _, place in sorted(places)]


def _event(place: int) -> Event:
    at = BEGUN + timedelta(hours=place)
    kind = "order_paid" if place % 20 == 0 else "page_viewed"
    return Event(
        source="bench",
        id=str(place),
        customer="long",
        type=kind,
        occurred_at=at,
        received_at=at,
        properties={"amount": "12.5"} if kind == "order_paid" else {},
    )
