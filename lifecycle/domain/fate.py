"""What became of a planned message; the fold plans all of them and knows no fate."""

from __future__ import annotations

from enum import StrEnum


class Fate(StrEnum):
    """Each is documented by who moves a message out of it."""

    QUEUED = "queued"
    """Waits for `not_before`. The sender makes it sent; `apply` cancels or suppresses it when its
    cause no longer stands; the sweep expires it."""

    WITHHELD = "withheld"
    """An import planned it for a time that had passed when the import ended. Final, whatever
    becomes of its cause."""

    EXPIRED = "expired"
    """It was not sent before `expires_at`. Final; an import or an outage never sends old news."""

    CANCELLED = "cancelled"
    """Its cause was revoked before it was sent. `apply` queues it again when the same cause
    stands once more."""

    SUPPRESSED = "suppressed"
    """A rule of sending said no, and the reason says which. Final for this cause."""

    SENT = "sent"
    """It left. `apply` makes it overtaken when its cause is revoked afterwards."""

    OVERTAKEN = "overtaken"
    """It had been sent when its cause was revoked. `apply` makes it sent again when the same
    cause stands once more; it is never sent twice."""
