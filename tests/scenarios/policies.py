"""The policy of the worked examples, and the three that single rows add to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

from lifecycle.domain.builtin import BUILTIN
from lifecycle.domain.policy import (
    INTERACTION,
    After,
    EventType,
    Fact,
    FactKind,
    MessageClass,
    OnEvent,
    OnTransition,
    OutreachRule,
    Policy,
    Property,
    State,
    TransitionRule,
    ValueType,
)

STATES = ("potential", "deal", "loyal", "dormant", "churned", "reactivated")


def days(number: float) -> timedelta:
    return timedelta(days=number)


def on(name: str, event: str, sources: str, to: str, when: str | None = None) -> TransitionRule:
    """`sources` as a policy file writes them: names between commas, or `any`."""
    left = tuple(s for s in STATES if s != to) if sources == "any" else tuple(sources.split(", "))
    return TransitionRule(
        name=name, trigger=OnEvent(types=(event,)), sources=left, to=to, guard=when
    )


def after(
    name: str, wait: timedelta, since: str, sources: str, to: str, when: str | None = None
) -> TransitionRule:
    return TransitionRule(
        name=name,
        trigger=After(wait=wait, since=since),
        sources=tuple(sources.split(", ")),
        to=to,
        guard=when,
    )


EXAMPLES = Policy(
    timezone="UTC",
    currency="CNY",
    attributes={},
    states=tuple(State(name=name, labels={}, initial=name == "potential") for name in STATES),
    events=MappingProxyType(
        {
            **BUILTIN,
            "order_paid": EventType(
                name="order_paid",
                properties={"amount": Property(type=ValueType.MONEY)},
                interaction=True,
            ),
            "order_refunded": EventType(name="order_refunded", properties={}),
            "account_closed": EventType(name="account_closed", properties={}),
        }
    ),
    facts=(
        Fact(name="orders", kind=FactKind.COUNT, event="order_paid"),
        Fact(name="last_order_at", kind=FactKind.LAST, event="order_paid"),
        Fact(name="last_seen_at", kind=FactKind.LAST, event=INTERACTION),
    ),
    transitions=(
        on("first", "order_paid", "potential", "deal"),
        on("loyal", "order_paid", "deal", "loyal", when="orders >= 3"),
        on("back", "order_paid", "dormant, churned", "reactivated"),
        on("again", "order_paid", "reactivated", "deal"),
        after("quiet", days(60), "last_seen_at", "deal, loyal, reactivated", "dormant"),
        after("lost", days(120), "last_order_at", "dormant", "churned"),
        on("left", "account_closed", "any", "churned"),
    ),
    outreach=(
        OutreachRule(
            name="win-back",
            trigger=OnTransition(names=("quiet",)),
            channels=("email",),
            message_class=MessageClass.MARKETING,
            settle=timedelta(minutes=10),
            expires=days(7),
        ),
    ),
)

# Rows 17 and 18
WITH_UNDO = replace(
    EXAMPLES,
    facts=(replace(EXAMPLES.facts[0], less_event="order_refunded"), *EXAMPLES.facts[1:]),
    transitions=(
        *EXAMPLES.transitions,
        on("undo", "order_refunded", "deal", "potential", when="orders <= 0"),
    ),
)

# Row 19
WITH_CARE = replace(
    EXAMPLES,
    outreach=(
        *EXAMPLES.outreach,
        OutreachRule(
            name="care",
            trigger=After(wait=days(30), since="last_order_at"),
            channels=("email",),
            message_class=MessageClass.SERVICE,
        ),
    ),
)

# Row 20
WITH_WINDOW = replace(
    EXAMPLES,
    facts=(
        *EXAMPLES.facts,
        Fact(name="orders_30d", kind=FactKind.COUNT, event="order_paid", within=days(30)),
    ),
    transitions=tuple(
        replace(rule, guard="orders_30d >= 2") if rule.name == "quiet" else rule
        for rule in EXAMPLES.transitions
    ),
)
