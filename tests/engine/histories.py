"""Which events do the stress tests post? Many customers, made up from a seed, arriving as in life.

Some come late, some twice, some together with others that they contradict.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from lifecycle.domain.event import Event
from tests.policies import scenario_policy
from tests.scenarios.driver import day, happened

RICH_POLICY = scenario_policy(
    less=True,
    care=True,
    facts=["spent: {sum: order_paid.amount, less: order_refunded.amount}"],
    outreach=[
        "{name: birthday, on: {calendar: birthday, at: '09:00'}, channels: [email]}",
        "{name: thanks, on: {event: order_paid}, when: spent >= 50.0, channels: [sms], delay: 1h}",
    ],
)
"""Reads an amount, plans on events, steps, checks and dates: whatever goes wrong shows somewhere."""


class Arrival(NamedTuple):
    """What arrives together on a day."""

    day: float
    events: tuple[Event, ...]


def arrivals(
    *, seed: int, customers: int, events: int, days: int = 400, batch: int = 25
) -> list[Arrival]:
    """About `events` events of so many customers over so many days, one in five of them doubled.

    One in four arrives up to a hundred days late, the others within a day; batches mix customers.
    """
    chance = random.Random(seed)
    posted: list[tuple[float, Event]] = []
    for number in range(events):
        event = _event(chance, number, f"c{chance.randrange(customers):03}", days)
        occurred = number_of_day(event)
        late = chance.uniform(1, 100) if chance.random() < 0.25 else chance.random()
        posted.append((occurred + late, event))
        if chance.random() < 0.2:
            posted.append((occurred + late + chance.choice([0, 0, 1, 30]), event))
    posted.sort(key=lambda one: one[0])
    cut = [posted[start : start + batch] for start in range(0, len(posted), batch)]
    return [Arrival(group[-1][0], tuple(event for _, event in group)) for group in cut]


def number_of_day(event: Event) -> float:
    return (event.occurred_at - day(0)).total_seconds() / 86_400


def _event(chance: random.Random, number: int, customer: str, days: int) -> Event:
    on = round(chance.uniform(0, days) * 24) / 24  # on the hour, so that some coincide
    name = f"e{number}"
    match chance.choices(["order", "page", "refund", "close", "profile"], [50, 30, 8, 4, 8])[0]:
        case "order":
            amount = f"{chance.randrange(1, 60)}.{chance.randrange(10)}"
            event = happened("order_paid", on, name, amount=amount)
        case "page":
            event = happened("page_viewed", on, name)
        case "refund":
            event = happened("order_refunded", on, name, amount=str(chance.randrange(1, 20)))
        case "close":
            event = happened("account_closed", on, name)
        case _:
            born = f"19{chance.randrange(50, 99)}-{chance.randrange(1, 13):02}-15"
            event = happened("profile_changed", on, name, attributes={"birthday": born})
    return event._replace(customer=customer)
