"""How does a test say which message is due, for whom, and what was sent to her before?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from lifecycle.domain.policy import (
    Cap,
    MessageClass,
    OnTransition,
    OutreachRule,
    QuietHours,
    Sending,
    WorkingDays,
)
from lifecycle.outreach.verdict import Case, Option, Spent, Verdict, verdict

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 5, 13, 4, tzinfo=UTC)  # a Wednesday in Shanghai, where it is noon
MARKETING, SERVICE = MessageClass.MARKETING, MessageClass.SERVICE
CONSENTED = {"marketing/all": True}
QUIET = QuietHours(since=time(21), until=time(9))
WEEKDAYS = WorkingDays(weekdays=frozenset(range(5)))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def rule(name: str = "win-back", **parts: Any) -> OutreachRule:
    """A marketing rule by e-mail, else by SMS, unless `parts` say otherwise."""
    marketing = parts.get("message_class", MARKETING) is MARKETING
    said: dict[str, Any] = {
        "trigger": OnTransition(names=("quiet",)),
        "channels": ("email", "sms"),
        "message_class": MARKETING,
        "purpose": "marketing" if marketing else None,
    }
    return OutreachRule(name=name, **said | parts)


def case(
    about: OutreachRule | None = None,
    *,
    options: Sequence[Option] | None = None,
    consents: Mapping[str, bool] | None = None,
    **parts: Any,
) -> Case:
    """It was caused an hour before noon; the customer is in `dormant`, in Shanghai."""
    judged = about or rule()
    said: dict[str, Any] = {
        "cause": "event:shop|1",
        "number": 1,
        "caused_at": NOON - HOUR,
        "expires_at": None,
        "customer": "anna",
        "state": "dormant",
        "zone": SHANGHAI,
        "options": options or [Option(channel=name) for name in judged.channels],
        "consents": CONSENTED if consents is None else consents,
    }
    return Case(rule=judged, **said | parts)


def judged(
    about: Case, sending: Sending | None = None, *spent: Spent, at: datetime = NOON
) -> Verdict:
    return verdict(about, sending or Sending(), spent, at)


def sent(at: datetime, channel: str = "email", name: str = "other", **parts: Any) -> Spent:
    said: dict[str, Any] = {"message_class": MARKETING}
    return Spent(at=at, channel=channel, rule=name, **said | parts)


def sending(*caps: Cap, **parts: Any) -> Sending:
    return Sending(caps=caps, **parts)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def local(text: str, zone: ZoneInfo = SHANGHAI) -> datetime:
    """What clocks in Shanghai, or there, show at this time."""
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def days(*texts: str) -> frozenset[date]:
    return frozenset(map(date.fromisoformat, texts))
