"""What happens to the customer who walks through all seven states, so that every rule has its turn?

She is told about in the order of the states: potential, intent, deal, loyal, dormant, churned and
reactivated. After that she gives back what was dear, falls asleep again, and closes her account.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

from lifecycle.domain.builtin import CONSENT_GIVEN, PAGE_VIEWED, PROFILE_CHANGED, SURVEY_ANSWERED
from lifecycle.domain.event import Event
from lifecycle.domain.policy import Policy
from lifecycle.outreach.assignment import held_out, variant

BEGIN = datetime(2026, 1, 5, 1, 0, tzinfo=UTC)
END = datetime(2027, 12, 1, tzinfo=UTC)
ASKED = {  # by hand, as with `lifecycle outreach send`
    datetime(2026, 9, 10, 2, 0, tzinfo=UTC): "product-news",
    datetime(2026, 11, 5, 2, 0, tzinfo=UTC): "early-access",
}
STATES = (
    ("potential", "2026-01-10"),
    ("intent", "2026-01-20"),
    ("deal", "2026-03-01"),
    ("loyal", "2026-06-01"),
    ("dormant", "2027-04-01"),
    ("churned", "2027-07-01"),
    ("reactivated", "2027-09-01"),
    ("dormant", "2027-11-01"),
    ("churned", "2027-11-30"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Woman:
    language: str
    name: str
    zone: str
    variant: str  # which of the two texts she gets, of every rule that has two
    owner: str

    def key(self, policy: Policy) -> str:
        """The first of her possible keys that no rule holds out and that gets her variant.

        Who is held out is nobody's choice but follows from the key, and one in twenty is, of each rule.
        """
        return next(
            key
            for number in count(1)
            if self._fits(policy, key := f"{self.name.split()[0].lower()}-{number}")
        )

    def _fits(self, policy: Policy, key: str) -> bool:
        return not any(held_out(rule, key, policy.sending) for rule in policy.outreach) and all(
            variant(rule, key) in {None, self.variant} for rule in policy.outreach
        )


CHINESE = Woman(
    language="zh", name="王芳", zone="Asia/Shanghai", variant="coupon", owner="chen.jing"
)
ENGLISH = Woman(
    language="en", name="Anna Fields", zone="Europe/London", variant="plain", owner="olga.reed"
)
WOMEN = (CHINESE, ENGLISH)


def life(woman: Woman, key: str) -> Iterator[Event]:
    """Her events, in their order."""
    for number, (at, type_, properties) in enumerate(_told(woman)):
        instant = BEGIN if at is None else datetime.fromisoformat(f"{at}Z")
        yield Event(
            source="shop",
            id=f"{key}-{number}",
            customer=key,
            type=type_,
            occurred_at=instant,
            received_at=instant,
            properties=properties,
        )


_Told = tuple[str | None, str, dict[str, Any]]


def _told(woman: Woman) -> Iterator[_Told]:
    yield None, PROFILE_CHANGED, {"attributes": _known_of(woman)}
    for purpose, channel in (("marketing", "email"), ("marketing", "sms"), ("survey", "all")):
        yield None, CONSENT_GIVEN, {"purpose": purpose, "channel": channel}
    # potential
    yield "2026-01-05T01:30", "lead_captured", {"campaign": "spring-fair", "medium": "search"}
    # intent
    yield "2026-01-14T02:00", "enquiry_made", {"topic": "delivery", "product": "Teapot 800 ml"}
    yield "2026-01-16T11:00", "cart_started", _product("Teapot 800 ml", "39")
    # deal
    yield "2026-02-02T03:00", "order_paid", _product("Teapot 800 ml", "39", "A-1001")
    yield "2026-02-17T05:00", SURVEY_ANSWERED, {"survey": "csat", "score": "2"}
    yield "2026-03-20T06:00", PAGE_VIEWED, {}
    yield (
        "2026-04-09T20:00",
        "cart_started",
        _product("Tea tray", "19.50"),
    )  # and no reminder: she buys
    yield "2026-04-10T07:00", "order_paid", _product("Tea tray", "19.50", "A-1002")
    # loyal, with a page now and then
    yield "2026-05-20T08:00", "order_paid", _product("Tea cabinet", "6800", "A-1003")
    for at in ("2026-07-10T09:00", "2026-09-01T09:00", "2026-10-25T09:00"):
        yield at, PAGE_VIEWED, {}
    yield "2026-12-10T10:00", "order_paid", _product("Tea caddy", "12", "A-1004")
    yield "2027-01-20T09:00", PAGE_VIEWED, {}
    # dormant and churned by doing nothing; reactivated
    yield "2027-08-20T03:00", "order_paid", _product("Tea strainer", "28", "A-1005")
    yield "2027-08-25T03:00", "order_refunded", {"order_id": "A-1003", "amount": "6800"}
    # dormant by doing nothing, and gone
    yield "2027-11-10T04:00", "account_closed", {"reason": "moved away"}


def _known_of(woman: Woman) -> dict[str, Any]:
    return {
        "name": woman.name,
        "email": f"{woman.language}@example.org",
        "phone": "+8613800138000",
        "language": woman.language,
        "timezone": woman.zone,
        "birthday": "1988-08-08",
        "owner": woman.owner,
        "strategic": True,
    }


def _product(product: str, amount: str, order_id: str | None = None) -> dict[str, Any]:
    named = {"order_id": order_id} if order_id else {}
    return {**named, "product": product, "amount": amount, "currency": "CNY"}
