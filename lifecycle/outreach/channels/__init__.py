"""The ways by which a letter leaves; rules name them, `channels.yaml` says what each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from lifecycle.outreach.letter import Letter
from lifecycle.outreach.outcome import Outcome


class Channel(Protocol):
    """One way out, to one provider; safe to share between threads."""

    @property
    def name(self) -> str:
        """As rules call it."""

    @property
    def address(self) -> str | None:
        """The customer's attribute that holds her address; None where none is needed."""

    @property
    def is_real(self) -> bool:
        """Whether somebody outside gets it; what is not real is never held."""

    @property
    def same_key_for(self) -> timedelta | None:
        """For how long the provider takes a letter of the same key for the same; None: not at all."""

    def unready(self, *, marketing: bool) -> Sequence[str]:
        """What must be set up before it may send, each in one sentence; empty: it is ready."""

    def send(self, letter: Letter) -> Outcome:
        """Hand it over, within the channel's timeout. Never raises for what a provider does."""

    def close(self) -> None:
        """End connections that are kept open."""
