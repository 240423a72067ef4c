"""May this message go now, later, or never? One pure decision, in an order that is documented.

The rules are asked in the order of `Reason`; the first that says no decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from lifecycle.domain.policy import MessageClass, OutreachRule


class Reason(StrEnum):
    """Why a message does not go, or not yet; in the order in which the rules are asked."""

    ERASED = "erased"
    WRONG_STATE = "wrong_state"  # `while`
    UNWANTED = "unwanted"  # `unless`
    CANCELLED_BY = "cancelled_by"  # an event of `cancel_on` happened
    GOAL_REACHED = "goal_reached"
    EXPIRED = "expired"
    NO_CHANNEL = "no_channel"  # none of the rule's channels is set up, or has a text for it
    NO_ADDRESS = "no_address"
    NO_CONSENT = "no_consent"
    ADDRESS_SUPPRESSED = "address_suppressed"
    FAILED_BEFORE = "failed_before"  # every way was tried, and refused for good
    HOLDOUT = "holdout"
    CAP = "cap"
    QUIET_HOURS = "quiet_hours"
    CLOSED_DAY = "closed_day"
    PAUSED = "paused"  # the channel, by a person
    BREAKER = "breaker"  # the channel's provider fails


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    channel: str
    variant: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Defer:
    """Looked at again at that instant, and no earlier."""

    until: datetime
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppress:
    """Never sent for this cause."""

    reason: Reason


Verdict = Send | Defer | Suppress


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One channel of the rule, in its order of preference, as it stands for this customer."""

    channel: str
    ready: bool = True  # set up, and with a text for this message
    has_address: bool = True
    suppressed: bool = False  # her address there must not be written to, for this class
    failed: bool = False  # this message was refused there for good
    paused: bool = False
    open_at: datetime | None = None  # the breaker of its provider is open until then


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """A message that left, may have left or is about to, as caps count them."""

    at: datetime  # when it was claimed
    channel: str
    message_class: MessageClass
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One message that is due, and all that the rules of sending ask about it."""

    rule: OutreachRule  # of the policy version that planned it
    cause: str
    number: int
    caused_at: datetime
    expires_at: datetime | None
    customer: str  # her own key: the unit of holdout and variants
    state: str
    zone: ZoneInfo  # hers, or the policy's
    options: Sequence[Option]
    erased: bool = False
    consents: Mapping[str, bool] = field(default_factory=dict)  # "purpose/channel" → given
    unwanted: bool = False  # `unless` holds, or cannot be evaluated
    happened: Mapping[str, datetime] = field(default_factory=dict)
    # event type → when the first one after the cause happened, of `cancel_on` and the goal
