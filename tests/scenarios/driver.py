"""How a test tells a history and asks what came of it, whoever does the work underneath.

Days are counted from 2026-01-01T00:00Z, as in the worked examples.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol

from lifecycle.domain.event import MOVED, OUR_SOURCE, REQUESTED, Event

DAY_0 = datetime(2026, 1, 1, tzinfo=UTC)
ANNA = "anna"


def day(number: float) -> datetime:
    return DAY_0 + timedelta(days=number)


def number_of(instant: datetime) -> float:
    """The inverse of `day`."""
    return (instant - DAY_0) / timedelta(days=1)


def happened(type_: str, on: float, id_: str | None = None, /, **properties: Any) -> Event:
    """An event of Anna's; without an id of its own it is named by its type and day."""
    return Event(
        source="shop",
        id=id_ or f"{type_}-{on:g}",
        customer=ANNA,
        type=type_,
        occurred_at=day(on),
        received_at=day(on),
        properties=properties,
    )


def order(on: float, id_: str | None = None, amount: str = "10") -> Event:
    return happened("order_paid", on, id_, amount=amount)


def page(on: float) -> Event:
    return happened("page_viewed", on)


def refund(on: float) -> Event:
    return happened("order_refunded", on)


def closed(on: float) -> Event:
    return happened("account_closed", on)


def moved(to: str, on: float, by: str = "olga", why: str = "asked by phone") -> Event:
    """What an operator's `customer move` becomes."""
    return Event(
        source=OUR_SOURCE,
        id=f"move-{on:g}",
        customer=ANNA,
        type=MOVED,
        occurred_at=day(on),
        received_at=day(on),
        properties={"to": to, "by": by, "why": why},
    )


def asked(outreach: str, on: float, by: str = "olga") -> Event:
    """What a person's request for a rule's message becomes."""
    return Event(
        source=OUR_SOURCE,
        id=f"request-{outreach}-{on:g}",
        customer=ANNA,
        type=REQUESTED,
        occurred_at=day(on),
        received_at=day(on),
        properties={"outreach": outreach, "by": by},
    )


def consented(purpose: str, channel: str, on: float) -> Event:
    return happened("consent_given", on, purpose=purpose, channel=channel)


def withdrew(purpose: str, channel: str, on: float) -> Event:
    return happened("consent_withdrawn", on, purpose=purpose, channel=channel)


class Told(NamedTuple):
    """A live step, or a check or event that came to nothing, with its day."""

    name: str
    day: float


class Planned(NamedTuple):
    rule: str
    day: float


def in_time(planned: Planned) -> tuple[float, str]:
    return planned.day, planned.rule


class Life(Protocol):
    """One customer under one policy; the clock stands where the last call left it."""

    def post(self, *events: Event, at: float) -> None:
        """These events arrive together on day `at`; what is due by then has fired."""

    def reach(self, on: float) -> None:
        """The clock reaches that day and everything due has fired."""

    def steps(self) -> list[Told]: ...

    def told(self) -> list[dict[str, Any]]:
        """The live steps in full: rule, from, to, cause, by, why."""

    def refused(self) -> list[Told]:
        """Triggers whose guards said no, by event type or name of the check."""

    def not_applicable(self) -> list[Told]: ...

    def state(self) -> str: ...

    def fact(self, name: str) -> Any:
        """As canonical JSON, windows ending at the clock."""

    def consents(self) -> dict[str, bool]:
        """`purpose/channel` → given."""

    def next_check(self) -> Told | None: ...

    def messages(self) -> list[Planned]:
        """What is planned, with live causes, by instant, then rule."""

    def digest(self) -> object:
        """Equal for equal truths at the clock's instant."""


Begin = Callable[[str], Life]  # with the text of a policy
