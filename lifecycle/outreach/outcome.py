"""What came of handing a letter to a provider? Only a sure no may ever be tried again freely."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Fault(StrEnum):
    """Whose doing a refusal is."""

    RECIPIENT = "recipient"  # this address: another channel may reach her
    MESSAGE = "message"  # this text: it is refused for everybody
    PROVIDER = "provider"  # the provider, or the way to it: nothing is wrong with the message


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """It surely left."""

    provider_id: str | None = None  # under which the provider knows it


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """It surely did not leave."""

    code: str  # the provider's, or ours such as `connect_failed`; stable, without personal data
    detail: str  # for people, masked and clipped
    fault: Fault
    permanent: bool  # trying again would be refused again
    retry_after: timedelta | None = None  # the earliest next try, where the provider says it


@dataclass(frozen=True, slots=True, kw_only=True)
class Ambiguous:
    """Nobody knows: everything was handed over, and no answer came."""

    code: str
    detail: str


Outcome = Accepted | Refused | Ambiguous
