"""What does a provider say afterwards of a letter that left? One record for all ways of saying it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


def plain(text: str, most: int) -> str:
    """What is printable ASCII of it, at most so many characters: anybody may have written it."""
    return "".join(each for each in text if each.isascii() and each.isprintable())[:most]


class News(StrEnum):
    """Each says what follows from it."""

    DELIVERED = "delivered"
    """It arrived. Whoever did not know whether it had left knows now."""

    HARD = "hard"
    """There is nobody at that address, and never will be: nothing is sent there any more."""

    SOFT = "soft"
    """Not this time: the mailbox was full, or its server away. Several of them silence an address."""

    POLICY = "policy"
    """Refused for what we are or how we send, which is no fault of the address: a person looks at it."""

    COMPLAINED = "complained"
    """She called it spam: no marketing goes there any more, and service messages go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """It may be forged, so it is believed only as far as what names the letter cannot be guessed."""

    news: News
    code: str  # the provider's, such as 5.1.1 or 30005; clipped, without personal data
    letters: tuple[str, ...] = ()  # what may be the key of the letter
    provider_ids: tuple[str, ...] = ()  # under which the provider may know it; of signed reports
    channel: str | None = None  # None: whichever it was


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """It is no news of a letter."""

    why: str  # stable: auto_reply, no_report, delayed, …
