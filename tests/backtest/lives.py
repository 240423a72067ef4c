"""How a test tries a policy on Anna: who she is, what happens to her, and what would have left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from lifecycle.domain.builtin import CONSENT_GIVEN, PROFILE_CHANGED
from lifecycle.domain.event import Event
from lifecycle.domain.instant import BEGINNING
from lifecycle.domain.policy import PolicyVersion
from lifecycle.domain.timeline import Timeline
from lifecycle.engine.backtest.course import Course, Courses, Ways
from lifecycle.policy import loads
from tests.scenarios.driver import ANNA, DAY_0, day, happened

WAYS = Ways(
    addresses={"email": "email", "sms": "phone", "task": None}, costs={"sms": Decimal("0.05")}
)
MINUTE = timedelta(minutes=1) / timedelta(days=1)  # in days


class Left(NamedTuple):
    """What would have become of a message, and on which day."""

    rule: str
    on: float
    became: str
    why: str | None = None


def known(on: float = 0, **attributes: str) -> Event:
    """She told how she is reached."""
    return happened(
        PROFILE_CHANGED,
        on,
        f"profile-{on:g}",
        attributes={"email": "anna@example.org", **attributes},
    )


def agreed(on: float = 0, channel: str = "all") -> Event:
    return happened(CONSENT_GIVEN, on, f"agreed-{on:g}", purpose="marketing", channel=channel)


def timeline(text: str) -> Timeline:
    loaded = loads(text)
    return Timeline(
        [PolicyVersion(number=1, hash=loaded.hash, effective_at=BEGINNING, policy=loaded.policy)]
    )


def tried(text: str, events: Sequence[Event], until: float, ways: Ways = WAYS) -> Course:
    """Anna's life under a policy, up to a day."""
    history = sorted(events, key=lambda event: event.key)
    return Courses(timeline(text), ways, day(until)).of(ANNA, history)


def left(course: Course) -> list[Left]:
    """In the order in which they were planned."""
    return [
        Left(
            letter.message.rule,
            round((letter.at - DAY_0) / timedelta(days=1), 6),
            letter.became.value,
            None if letter.reason is None else letter.reason.value,
        )
        for letter in course.letters
    ]
