"""What becomes of a planned message: withheld, expired, suppressed, queued, cancelled or overtaken.

Pure decisions. Fates are no part of the truth: the fold always plans every message.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from lifecycle.domain.fate import Fate
from lifecycle.domain.instant import later
from lifecycle.domain.step import PlannedMessage
from lifecycle.store.messages import MessageRow

SUPERSEDED = "superseded"  # its cause no longer follows from the events
SENT_RECENTLY = "sent_recently"  # the rule's message was sent for a cause since revoked
IMPORTED = "imported"  # planned for an instant before the import that caused it had ended
RESTATED = "restated"  # planned for an instant before history was restated, and by that alone

UNSENT = frozenset({Fate.QUEUED, Fate.DEFERRED, Fate.CLAIMED})
"""Fates of messages that surely have not left, and may yet."""


class Decided(NamedTuple):
    fate: Fate
    reason: str | None
    not_before: datetime


def first_fate(
    message: PlannedMessage,
    now: datetime,
    *,
    withheld_until: datetime | None,
    overtaken_at: datetime | None,
    spread: timedelta = timedelta(0),
    restated_until: datetime | None = None,
) -> Decided:
    """The fate of a message at the moment it is first planned.

    `withheld_until` is when the newest import of her events ended; `overtaken_at` is when a message
    of the same rule was last sent whose cause has since been revoked. `spread` is how much later than
    others of the same instant she gets it. `restated_until` is when a policy was published that judges
    all of the past, where it is that alone by which the message is planned.
    """
    not_before = later(max(message.planned_at, now), message.settle + spread)
    if withheld_until is not None and message.planned_at < withheld_until:
        return Decided(fate=Fate.WITHHELD, reason=IMPORTED, not_before=not_before)
    if message.expires_at is not None and message.expires_at <= now:
        return Decided(fate=Fate.EXPIRED, reason=None, not_before=not_before)
    if overtaken_at is not None and not_before < later(overtaken_at, message.again_after):
        return Decided(fate=Fate.SUPPRESSED, reason=SENT_RECENTLY, not_before=not_before)
    if restated_until is not None and message.planned_at < restated_until:
        return Decided(fate=Fate.WITHHELD, reason=RESTATED, not_before=not_before)
    return Decided(fate=Fate.QUEUED, reason=None, not_before=not_before)


def orphaned(row: MessageRow) -> tuple[Fate, str | None]:
    """The fate of a message whose cause was revoked: not sent any more, or sent and overtaken.

    What is in flight, or may have left, is judged when it is known whether it did.
    """
    if row.fate in UNSENT:
        return Fate.CANCELLED, SUPERSEDED
    if row.fate is Fate.SENT:
        return Fate.OVERTAKEN, SUPERSEDED
    return row.fate, row.reason


def moved(row: MessageRow, decided: Decided) -> tuple[Fate, str | None]:
    """The fate of a message whose cause stands, but brought it for another instant than was thought.

    As when it is first planned, unless it left or something final was decided about its rule.
    """
    if row.fate in {Fate.QUEUED, Fate.DEFERRED, Fate.EXPIRED}:
        return decided.fate, decided.reason
    return row.fate, row.reason


def revived(row: MessageRow, message: PlannedMessage, decided: Decided) -> tuple[Fate, str | None]:
    """The fate of a message that was not sent, and whose revoked cause follows once more.

    What expired stays so, unless its cause now brings it for another instant.
    """
    if row.fate is Fate.CANCELLED and row.reason == SUPERSEDED:
        return decided.fate, decided.reason
    if row.message.planned_at != message.planned_at:
        return moved(row, decided)
    return row.fate, row.reason
