"""Into which group does a customer fall: held out or not, and which variant of a text?

Nothing is drawn and nothing stored: the group follows from her key alone, so it is the same on every
try, in every process and for whoever computes it again. How, in words that hold for any language:
the UTF-8 text `what:customer` is hashed with SHA-256; the first 13 hex digits of the hash, read as
one number and divided by 16 ** 13, are her share. `what` is `holdout` for the group that gets no
marketing at all, `holdout/RULE` for that of one rule, and `variant/RULE` for the variants.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from lifecycle.domain.policy import MessageClass, OutreachRule, Sending

TASK = "task"  # the channel whose letters go to an employee, not to the customer

_DIGITS = 13  # of hex: 52 bits, which a double holds exactly
_WHOLE = 16**13


@lru_cache(maxsize=4096)  # the same few are asked for each message of a customer
def share(customer: str, what: str) -> float:
    """A number in [0, 1) that is hers for ever; of two different `what` the numbers are independent."""
    hashed = hashlib.sha256(f"{what}:{customer}".encode()).hexdigest()
    return int(hashed[:_DIGITS], 16) / _WHOLE


def held_out(rule: OutreachRule, customer: str, sending: Sending) -> bool:
    """Whether she does not get this rule's messages, so that their effect can be measured.

    Never true of service, nor of a rule that only asks employees to do something. A larger holdout
    keeps whom a smaller one held out.
    """
    if rule.message_class is not MessageClass.MARKETING or set(rule.channels) == {TASK}:
        return False
    return bool(
        (sending.holdout and share(customer, "holdout") < sending.holdout)
        or (rule.holdout and share(customer, f"holdout/{rule.name}") < rule.holdout)
    )


def variant(rule: OutreachRule, customer: str) -> str | None:
    """Which of the rule's variants she gets; None where it has one text for everybody.

    By weight, in the order of their names: the order of the file means nothing.
    """
    if not rule.variants:
        return None
    point = share(customer, f"variant/{rule.name}") * sum(rule.variants.values())
    for name, weight in sorted(rule.variants.items()):
        if point < weight:
            return name
        point -= weight
    return None
