"""What does a sender need besides the database? Texts, channels, signed links, and who we are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lifecycle.domain.policy import MessageClass
from lifecycle.outreach.channels import Channel
from lifecycle.outreach.letter import Links, Rendered
from lifecycle.outreach.outcome import Outcome
from lifecycle.outreach.verdict import Reason
from lifecycle.store.messages import MessageRow


class NotWritten(Exception):
    """A template could not be filled in for a customer; `code` is stable, `str` says where and why.

    Neither quotes anything of the customer's, so that both may be kept and logged.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Why a letter does not enter its channel now, and for how long."""

    seconds: float  # of real time; the next one may have to wait longer
    reason: Reason  # rate or breaker


class Texts(Protocol):
    """The messages that marketing wrote."""

    def has(
        self, rule: str, step: int, variant: str | None, channel: str, language: str | None
    ) -> bool:
        """Whether there is a text for her, in her language or in one that stands for it."""

    def is_broken(self, rule: str, channel: str) -> bool:
        """Whether a file of its texts is wrong as it is now: who mends it will have one."""

    def write(
        self,
        rule: str,
        step: int,
        variant: str | None,
        channel: str,
        language: str | None,
        context: Mapping[str, Any],
        *,
        zone: str,
        currency: str,
    ) -> Rendered:
        """Raises NotWritten, and then there is no text at all: never one with gaps."""


class Office(Protocol):
    """Everything of one installation that is not in its database; safe to share between threads."""

    @property
    def texts(self) -> Texts: ...

    @property
    def channels(self) -> Mapping[str, Channel]: ...

    @property
    def company(self) -> Mapping[str, str]: ...

    def at_once(self, channel: str) -> int:
        """How many letters may be on their way by a channel at once."""

    def shut_for(self, channel: str) -> float:
        """For how many seconds of real time its provider is left alone, as it fails; 0.0: it is not."""

    def enter(self, channel: str) -> Wait | None:
        """None: a letter may be handed to the channel now, and is counted. Else it waits."""

    def leave(self, channel: str, outcome: Outcome | None) -> None:
        """What came of a letter that had entered; None: it was not handed over after all."""

    def hashes_of(self, channel: str, address: str) -> Sequence[str]:
        """Under which an address is known, by the secret in force first; empty: there is no secret."""

    def key_of(self, customer: str, row: MessageRow) -> str:
        """Under which providers know a message: the same on every try, and no other's."""

    def links(
        self, customer: int, letter: str, *, purpose: str | None, channel: str, rule: str
    ) -> Links | None:
        """None: there is no public address, or no secret to sign them with."""

    def measured(
        self, content: Rendered, *, letter: str, channel: str, consents: Mapping[str, bool]
    ) -> Rendered:
        """Marketing as it leaves: where its channel is measured and she agreed to that, so that we are
        told when it is opened and clicked; else as it was written."""

    def owner(self, login: str | None) -> Mapping[str, str]:
        """What is known of an employee; empty where nothing is."""

    def unready(self, channel: str, message_class: MessageClass) -> Sequence[str]:
        """What a channel lacks before it may send messages of a class."""

    def close(self) -> None:
        """End what is kept open."""
