"""What the fold concludes: steps, planned messages, and what became of every trigger.

Steps and messages are named tuples: the fold makes one for most events, and a frozen dataclass of
as many fields costs five times as much to make.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from lifecycle.domain.policy import MessageClass


class Step(NamedTuple):
    """One transition that a customer made."""

    rule: str  # name of the transition rule; `moved` for an operator's move
    from_state: str
    to_state: str
    trigger: str  # event type, or name of the timed check
    cause: str  # `event:source|id`, or `check:name@anchor#times fired at this anchor`
    at: datetime  # event time of the cause
    guard: str | None  # its text
    read: Mapping[str, Any]  # the values that the guard read, as JSON values
    version: int  # number of the policy version that judged it
    by: str | None = None  # of an operator's move
    why: str | None = None


class PlannedMessage(NamedTuple):
    """One message that the policy asks for; what becomes of it is its fate, kept elsewhere."""

    rule: str
    cause: str  # of the step, event, check or `calendar:rule@local date` that planned it
    number: int  # step of the series, from 1
    caused_at: datetime
    planned_at: datetime  # caused_at + delay
    expires_at: datetime | None
    settle: timedelta
    again_after: timedelta
    message_class: MessageClass
    channels: tuple[str, ...]
    version: int

    @property
    def key(self) -> tuple[str, str, int]:
        """Unique within the customer."""
        return (self.rule, self.cause, self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A guard that said no, with what it read; `error` when it could not be evaluated at all."""

    rule: str
    guard: str
    read: Mapping[str, Any]
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The trigger made this step; rules before it in the file had refused."""

    at: datetime
    step: Step
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Rules leave this state for this trigger, but no guard held; a timed check is spent by it."""

    at: datetime
    trigger: str
    cause: str
    state: str
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotApplicable:
    """No rule leaves this state for this trigger; the event's facts are kept all the same."""

    at: datetime
    trigger: str
    cause: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """A check without `to`, or a calendar slot, came due and its guard held."""

    at: datetime
    trigger: str
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplanned:
    """A rule of outreach would have planned a message, but its guard said no."""

    at: datetime
    trigger: str  # name of the outreach rule
    cause: str
    refusal: Refusal


Outcome = Moved | Refused | NotApplicable | Fired | Unplanned
