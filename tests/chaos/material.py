"""What is posted? Two years of real invoices, as three sets of customers who do not know of each other.

Where the real data is not beside the repository, invoices of the same shape are made up. A fifth is
posted twice, all of it is shuffled, and one event in a thousand may be poison: it passes every check,
and then `entry` has the fold of it fail, or end the process.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lifecycle import policy as policy_file
from lifecycle.domain.event import Event
from lifecycle.domain.instant import instant_text
from lifecycle.intake import mapping_file, table
from lifecycle.intake.draft import Draft
from lifecycle.resources import config_dir

REAL = Path(__file__).resolve().parents[3] / "shared/data/online_retail_ii/invoices.csv.gz"
AFTERWARDS = datetime(2011, 12, 10, tzinfo=UTC)  # when the engine's clock begins: all is past
SETS = ("a", "b", "c")
SOURCE = "online-retail"
TWICE = 0.2  # so much of it is posted once more
MOST_IN_A_POST = 40
FEW, MOST_OF_FEW = 10_000, 10  # so that there are enough posts to die at

RAISES, ABORTS = "poison-raises", "poison-aborts"  # in the id of an event, for `entry`

_MADE_UP_CUSTOMERS = 6_000
_MADE_UP_ORDERS = 7.5  # of each, on average


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Histories of customers, each of which happened to one customer of every set."""

    real: bool  # whether it really happened
    histories: dict[str, tuple[Event, ...]]  # by customer

    def of(self, sets: Sequence[str] = SETS) -> list[Event]:
        """What happened in these sets."""
        return [
            in_set(event, name)
            for name in sets
            for history in self.histories.values()
            for event in history
        ]


def material(seed: int, *, every: int = 1, at_most: int | None = None) -> Material:
    """Every so manieth customer; with `at_most`, so many customers of them, by seed."""
    real = REAL.is_file()
    histories = dict(_by_customer(_invoices() if real else _made_up(seed)))
    names = sorted(histories)[::every]
    if at_most is not None and len(names) > at_most:
        names = sorted(random.Random(seed).sample(names, at_most))
    return Material(real=real, histories={name: histories[name] for name in names})


def in_set(event: Event, name: str) -> Event:
    """The same under the names of a set; the order among a customer's events is kept."""
    return event._replace(customer=f"{name}~{event.customer}", id=f"{name}~{event.id}")


def posts(events: Sequence[Event], seed: int) -> list[list[Event]]:
    """In batches of any size, shuffled, a fifth of it twice; smaller where there are few."""
    chance = random.Random(f"posts {seed}")
    every = [*events, *chance.sample(events, int(len(events) * TWICE))]
    chance.shuffle(every)
    return list(_cut(every, chance, most=MOST_IN_A_POST if len(every) > FEW else MOST_OF_FEW))


def _cut(events: Sequence[Event], chance: random.Random, *, most: int) -> Iterator[list[Event]]:
    start = 0
    while start < len(events):
        size = chance.randint(1, most)
        yield list(events[start : start + size])
        start += size


def poison(
    events: Sequence[Event], seed: int, *, first: int, raises: int, aborts: int
) -> list[Event]:
    """Orders that customers among these made as well, and that nothing can fold; numbered on from `first`."""
    chance = random.Random(f"poison {first} {seed}")
    kinds = [RAISES] * raises + [ABORTS] * aborts
    return [
        beside._replace(
            id=f"{kind}-{number}",
            type="order_paid",
            occurred_at=beside.occurred_at + timedelta(seconds=chance.randint(1, 3600)),
            properties={"amount": "13.13", "currency": "GBP", "order_id": f"{kind}-{number}"},
        )
        for number, (kind, beside) in enumerate(
            zip(kinds, chance.sample(events, len(kinds)), strict=True), start=first
        )
    ]


def body(events: Sequence[Event]) -> bytes:
    """As a sender writes it."""
    posted = [
        {
            "id": event.id,
            "source": event.source,
            "customer_id": event.customer,
            "type": event.type,
            "occurred_at": instant_text(event.occurred_at),
            "properties": event.properties,
        }
        for event in events
    ]
    return json.dumps({"events": posted}).encode()


def _by_customer(events: Iterator[Event]) -> Iterator[tuple[str, tuple[Event, ...]]]:
    found: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        found[event.customer].append(event)
    for customer, history in found.items():
        yield customer, tuple(history)


def _invoices() -> Iterator[Event]:
    """Through the mapping that is shipped, as `lifecycle import` reads them."""
    policy = policy_file.load(config_dir() / "policy.yaml").policy
    mapping = mapping_file.load(config_dir() / "mappings" / "online-retail.yaml", policy)
    for outcome in table.drafts(REAL, mapping, policy, AFTERWARDS):
        if isinstance(outcome, Draft):
            yield outcome.event


def _made_up(seed: int) -> Iterator[Event]:
    """Most buy once or twice and a few very often, with a refund now and then."""
    chance = random.Random(f"made up {seed}")
    number = 0
    for customer in range(_MADE_UP_CUSTOMERS):
        at = datetime(2009, 12, 1, tzinfo=UTC) + timedelta(minutes=chance.randint(0, 900_000))
        rhythm = chance.lognormvariate(3.5, 1)  # days from one order to the next
        for _ in range(1 + min(200, int(chance.expovariate(1 / _MADE_UP_ORDERS)))):
            if at >= AFTERWARDS:
                break
            number += 1
            refund = chance.random() < 0.15
            yield Event(
                source=SOURCE,
                id=f"{number:06d}",
                customer=f"{customer:05d}",
                type="order_refunded" if refund else "order_paid",
                occurred_at=at,
                received_at=AFTERWARDS,
                properties={
                    "amount": f"{chance.lognormvariate(5, 1):.2f}",
                    "currency": "GBP",
                    "order_id": f"{number:06d}",
                },
            )
            at += timedelta(minutes=1 + int(chance.expovariate(1 / rhythm) * 1440))
