"""What is so of a rule of outreach where its file leaves it open? It depends on the rule's class."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from lifecycle.domain.policy import MessageClass

MARKETING = "marketing"  # the purpose of marketing that names none
TASK = "task"  # a channel to the customer's owner, not to her

_NOBODY = Decimal(0)
_HOLDOUT = Decimal("0.05")


def purpose(message_class: MessageClass) -> str | None:
    """To which a customer must have consented; None: service needs no consent."""
    return MARKETING if message_class is MessageClass.MARKETING else None


def holdout(message_class: MessageClass, channels: Sequence[str]) -> Decimal:
    """The share of customers who do not get it."""
    return _HOLDOUT if may_hold_out(message_class, channels) else _NOBODY


def may_hold_out(message_class: MessageClass, channels: Sequence[str]) -> bool:
    """What a customer needs, and what only her owner sees, is never kept from anybody."""
    return message_class is MessageClass.MARKETING and set(channels) != {TASK}
