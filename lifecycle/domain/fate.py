"""What became of a planned message; the fold plans all of them and knows no fate."""

from __future__ import annotations

from enum import StrEnum


class Fate(StrEnum):
    """Each is documented by who moves a message out of it."""

    QUEUED = "queued"
    """Waits for `not_before`. The sender makes it sent; `apply` cancels it when its cause no longer
    stands, and decides anew where that brought it for another instant; the sweep expires it."""

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

    SENT = "sent"
    """It left. `apply` makes it overtaken when its cause is revoked afterwards."""

    OVERTAKEN = "overtaken"
    """It had been sent when its cause was revoked. `apply` makes it sent again when the same
    cause stands once more; it is never sent twice."""
