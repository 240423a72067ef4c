"""An installation on real time, whose messages are due at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest

from lifecycle.domain.builtin import CONSENT_GIVEN, PROFILE_CHANGED
from lifecycle.domain.event import Event
from lifecycle.engine.installation import Installation
from tests.policies import scenario_policy
from tests.scenarios.driver import ANNA
from tests.sending.post_office import let_real
from tests.support.engine import installation

RULES = (
    "{name: offer, on: {event: order_paid}, channels: [email, sms], holdout: 0%}",
    "{name: receipt, on: {event: order_refunded}, channels: [email], class: service}",
)


@pytest.fixture
def inst(database_url: str) -> Iterator[Installation]:
    with installation(database_url, scenario_policy(outreach=RULES), clock=None) as made:
        let_real(made)
        yield made


@pytest.fixture
def now(inst: Installation) -> datetime:
    with inst.db.read() as tx:
        return inst.now(tx)


def known(now: datetime, customer: str = ANNA, *, phone: bool = False) -> list[Event]:
    """She told her name and address, and agreed to marketing by both channels."""
    attributes = {"name": customer.title(), "email": f"{customer}@example.org"}
    if phone:
        attributes["phone"] = "+8613800138000"
    return [
        _event(now, customer, "profile", PROFILE_CHANGED, {"attributes": attributes}),
        *(
            _event(
                now,
                customer,
                f"agreed-{channel}",
                CONSENT_GIVEN,
                {"purpose": "marketing", "channel": channel},
            )
            for channel in ("email", "sms")
        ),
    ]


def bought(now: datetime, customer: str = ANNA, id: str = "order") -> Event:
    return _event(now, customer, id, "order_paid", {"amount": "10"})


def paid_back(now: datetime, customer: str = ANNA, id: str = "refund") -> Event:
    return _event(now, customer, id, "order_refunded", {"amount": "10"})


def _event(
    now: datetime, customer: str, id: str, kind: str, properties: dict[str, object]
) -> Event:
    return Event("shop", f"{customer}-{id}", customer, kind, now, now, properties)
