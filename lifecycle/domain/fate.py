"""What became of a planned message; the fold plans all of them and knows no fate."""

from __future__ import annotations

from enum import StrEnum


class Fate(StrEnum):
    """Each is documented by who moves a message out of it."""

    QUEUED = "queued"
    """Waits for `not_before`. The sender claims, defers, suppresses or holds it out; `apply` cancels
    it when its cause no longer stands, and decides anew where that brought it for another instant;
    the sweep expires it."""

    DEFERRED = "deferred"
    """As queued, but a rule of sending put it off, and the reason says which; `not_before` is when it
    is looked at again."""

    CLAIMED = "claimed"
    """A sender has it, and has sent nothing yet. That sender puts it in flight, or lets it fail; where
    its lease ends first, the reclaim queues it again; `apply` cancels it as if it were queued."""

    IN_FLIGHT = "in_flight"
    """It is being handed to a provider, who may have it already. The sender makes it sent, failed,
    queued again or unknown; where its lease ends first, the reclaim says which by its class."""

    WITHHELD = "withheld"
    """An import planned it for a time that had passed when the import ended. Final, whatever
    becomes of its cause."""

    EXPIRED = "expired"
    """It was not sent before `expires_at`: an import or an outage never sends old news. `apply`
    decides anew where its cause turns out to have brought it for another instant."""

    CANCELLED = "cancelled"
    """Its cause was revoked before it was sent. `apply` queues it again when the same cause
    stands once more."""

    SUPPRESSED = "suppressed"
    """A rule of sending said no, and the reason says which. Final for this cause."""

    HELD_OUT = "held_out"
    """She is in the group that does not get it, so that its effect can be measured. Final."""

    SENT = "sent"
    """A provider took it. `apply` makes it overtaken when its cause is revoked afterwards."""

    FAILED = "failed"
    """It surely did not leave, and is not tried again; the reason says why. Final."""

    UNKNOWN = "unknown"
    """It may have left: the provider's answer was lost. Never sent again; a later report of the
    provider that names it makes it sent or failed."""

    OVERTAKEN = "overtaken"
    """It had been sent when its cause was revoked. `apply` makes it sent again when the same
    cause stands once more; it is never sent twice."""
