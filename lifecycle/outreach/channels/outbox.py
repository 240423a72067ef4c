"""The channel that sends nothing: it shows what would go out. It is what every channel is at first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from lifecycle.outreach.channels.settings import Around, ChannelSettings, Kind
from lifecycle.outreach.letter import Letter
from lifecycle.outreach.outcome import Accepted, Outcome

FOR_EVER = timedelta(days=36_525)


class Outbox:
    """Hands every letter to `keep`, which shows one of the same key once."""

    is_real = False
    same_key_for: timedelta | None = FOR_EVER

    def __init__(self, name: str, address: str | None, keep: Callable[[Letter], None]) -> None:
        self.name = name
        self.address = address
        self._keep = keep

    def unready(self, *, marketing: bool) -> Sequence[str]:  # noqa: ARG002 - nothing is needed
        return ()

    def send(self, letter: Letter) -> Outcome:
        self._keep(letter)
        return Accepted(provider_id=letter.key)

    def close(self) -> None:
        """It holds nothing open."""


def _open(settings: ChannelSettings, around: Around) -> Outbox:
    return Outbox(settings.name, settings.address, around.keep)


KIND = Kind(name="outbox", about="sends nothing, and shows what would go out", open=_open)
