"""What does a sender need besides the database? Texts, channels, signed links, and who we are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any, Protocol

from lifecycle.domain.policy import MessageClass
from lifecycle.outreach.channels import Channel
from lifecycle.outreach.letter import Links, Rendered


class NotWritten(Exception):
    """A template could not be filled in for a customer; `code` is stable, `str` says where and why."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Texts(Protocol):
    """The messages that marketing wrote."""

    def has(self, rule: str, step: int, variant: str | None, channel: str) -> bool:
        """Whether there is a text in any language."""

    def write(
        self,
        rule: str,
        step: int,
        variant: str | None,
        channel: str,
        language: str | None,
        context: Mapping[str, Any],
        *,
        zone: tzinfo,
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

    def wait(self, channel: str) -> float:
        """For how many seconds nothing may be handed to a channel: its rate, or its provider fails."""

    def hash_of(self, channel: str, address: str) -> str | None:
        """Under which an address is known; None: there is no secret to hide it with."""

    def links(
        self, customer: str, letter: str, *, purpose: str | None, channel: str, rule: str
    ) -> Links | None:
        """None: there is no public address, or no secret to sign them with."""

    def owner(self, login: str | None) -> Mapping[str, str]:
        """What is known of an employee; empty where nothing is."""

    def unready(self, channel: str, message_class: MessageClass) -> Sequence[str]:
        """What a channel lacks before it may send messages of a class."""
