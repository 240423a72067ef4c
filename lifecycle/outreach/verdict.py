"""May this message go now, later, or never? One pure decision, in an order that is documented.

The rules are asked in the order of `Reason`; the first that says no decides. `docs/outreach.md` tells
the same to those who write policies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from lifecycle.domain.instant import later
from lifecycle.domain.policy import MessageClass, OutreachRule, Sending
from lifecycle.outreach.assignment import TASK, held_out, variant
from lifecycle.outreach.caps import Spent, bounds, caps
from lifecycle.outreach.hours import closed_until, quiet_until

__all__ = [
    "Case",
    "Defer",
    "Option",
    "Reason",
    "Send",
    "Spent",
    "Suppress",
    "Verdict",
    "order",
    "verdict",
]

PAUSED_FOR = timedelta(minutes=1)  # how soon a message is looked at again whose channel is paused
_NONE: Mapping[str, Any] = MappingProxyType({})
_FURTHEST = timedelta(days=400)  # how far the instant is looked for at which nothing says no


class Reason(StrEnum):
    """Why a message does not go, or not yet; in the order in which the rules are asked."""

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
    PAUSED = "paused"  # it or its channel
    NOT_READY = "not_ready"  # no channel of the rule is described, or it lacks something
    BREAKER = "breaker"  # the channel's provider fails
    RATE = "rate"  # the channel takes no more in a second


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

_NEVER = {reason: Suppress(reason=reason) for reason in Reason}  # made once: most messages end so


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


class Case(NamedTuple):
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
    consents: Mapping[str, bool] = _NONE  # "purpose/channel" → given
    unwanted: bool = False  # `unless` holds, or cannot be evaluated
    happened: Mapping[str, datetime] = _NONE
    # event type → when the first one after the cause happened, of `cancel_on` and the goal


def verdict(case: Case, sending: Sending, spent: Sequence[Spent], now: datetime) -> Verdict:
    """`spent` is what left for this customer, or may have, for as long back as any cap looks.

    A message is put off to the first instant at which, by what is known now, no rule puts it off again;
    the reason is that of the first rule that said no. Once `expires_at` is reached it is suppressed as
    expired, and never before, however far off that instant is.
    """
    if reason := _ended(case, now):
        return _NEVER[reason]
    option = _way(case)
    if isinstance(option, Reason):
        return _NEVER[option]
    if held_out(case.rule, case.customer, sending):
        return _NEVER[Reason.HOLDOUT]
    for cap in caps(case.rule, option.channel, sending):
        if cap.most == 0:
            return _NEVER[Reason.CAP]
    return _put_off(_Waits(case, option, sending, spent, now), now) or Send(
        channel=option.channel, variant=variant(case.rule, case.customer)
    )


def order(cases: Iterable[Case]) -> list[Case]:
    """In which order the due messages of one customer are judged, each after what the last one spent.

    The highest priority first, so that it wins where a cap leaves room for one; of equals the one that
    was caused first, then by the names of the rules and the steps of the series.
    """
    return sorted(
        cases,
        key=lambda one: (-one.rule.priority, one.caused_at, one.rule.name, one.number, one.cause),
    )


def _ended(case: Case, now: datetime) -> Reason | None:
    """Why no channel need be looked for any more."""
    rule, goal = case.rule, case.rule.goal
    if rule.states and case.state not in rule.states:
        return Reason.WRONG_STATE
    if case.unwanted:
        return Reason.UNWANTED
    if case.happened:
        if any(event in case.happened for event in rule.cancel_on):
            return Reason.CANCELLED_BY
        reached_at = None if goal is None else case.happened.get(goal.event)
        if goal and reached_at and reached_at <= later(case.caused_at, goal.within):
            return Reason.GOAL_REACHED
    if case.expires_at is not None and now >= case.expires_at:
        return Reason.EXPIRED
    return None


_OBSTACLES = {  # by how far a channel got that met it
    Reason.NO_CHANNEL: 0,
    Reason.NO_ADDRESS: 1,
    Reason.NO_CONSENT: 2,
    Reason.ADDRESS_SUPPRESSED: 3,
    Reason.FAILED_BEFORE: 4,
}


def _way(case: Case) -> Option | Reason:
    """The first channel by which it can leave; where there is none, what stopped the one that got furthest."""
    furthest = Reason.NO_CHANNEL
    for option in case.options:
        obstacle = _obstacle(case, option)
        if obstacle is None:
            return option
        if _OBSTACLES[obstacle] > _OBSTACLES[furthest]:
            furthest = obstacle
    return furthest


def _obstacle(case: Case, option: Option) -> Reason | None:
    if not option.ready:
        return Reason.NO_CHANNEL
    if not option.has_address:
        return Reason.NO_ADDRESS
    if not _consented(case, option.channel):
        return Reason.NO_CONSENT
    if option.suppressed:
        return Reason.ADDRESS_SUPPRESSED
    return Reason.FAILED_BEFORE if option.failed else None


def _consented(case: Case, channel: str) -> bool:
    """What she said of this channel wins over what she said of all.

    Where nothing was said, a rule with a purpose may not write to her, and one without may. A task is
    for an employee, so it is not for her to allow.
    """
    purpose = case.rule.purpose
    about = purpose or MessageClass.SERVICE.value
    said = case.consents.get(f"{about}/{channel}", case.consents.get(f"{about}/all"))
    return channel == TASK or (purpose is None if said is None else said)


class _Waits:
    """The rules that may put a message off, in the order in which they are asked."""

    __slots__ = ("_bounds", "_open_at", "_paused_until", "_sending", "_speaks", "_zone")

    def __init__(
        self, case: Case, option: Option, sending: Sending, spent: Sequence[Spent], now: datetime
    ) -> None:
        rule = case.rule
        self._bounds = list(bounds(rule, option.channel, sending, spent)) if spent else ()
        self._speaks = (
            rule.message_class is MessageClass.MARKETING and option.channel != TASK
        )  # quiet hours and closed days are for marketing alone
        self._sending = sending
        self._zone = case.zone
        self._paused_until = later(now, PAUSED_FOR) if option.paused else now
        self._open_at = option.open_at

    def at(self, at: datetime) -> tuple[Reason, datetime] | None:
        """The first that says no at an instant, and until when; None where none does."""
        zone = self._zone
        for bound in self._bounds:
            if end := bound.full_until(at, zone):
                return Reason.CAP, end
        if self._speaks:
            if end := quiet_until(at, self._sending.quiet, zone):
                return Reason.QUIET_HOURS, end
            if end := closed_until(at, self._sending.working_days, zone):
                return Reason.CLOSED_DAY, end
        if at < self._paused_until:
            return Reason.PAUSED, self._paused_until
        if self._open_at is not None and at < self._open_at:
            return Reason.BREAKER, self._open_at
        return None


def _put_off(waits: _Waits, now: datetime) -> Defer | None:
    """None where no rule puts it off. Each rule is asked anew of the instant that another has named."""
    said = waits.at(now)
    if said is None:
        return None
    reason, at = said
    while at < later(now, _FURTHEST) and (said := waits.at(at)) is not None:
        at = said[1]
    return Defer(until=at, reason=reason)
