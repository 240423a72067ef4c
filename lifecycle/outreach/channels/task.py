"""A task for an employee: nobody is asked over the net, somebody of the house is assigned to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from lifecycle.outreach.channels.settings import Around, Assign, ChannelSettings, Kind
from lifecycle.outreach.letter import Letter
from lifecycle.outreach.outcome import Accepted, Fault, Outcome, Refused
from lifecycle.outreach.staff import KEYS, check

FOR_EVER = timedelta(days=36_525)


class Task:
    """`assign` stores the task under the letter's key, once, and says whose it is; None: nobody's.

    It is real: an employee gets it, and would call a customer who has asked nothing.
    """

    is_real = True
    same_key_for: timedelta | None = FOR_EVER

    def __init__(self, name: str, address: str | None, assign: Assign) -> None:
        self.name = name
        self.address = address
        self._assign = assign

    def unready(self, *, marketing: bool) -> Sequence[str]:  # noqa: ARG002 - asked of every channel
        return ()

    def send(self, letter: Letter) -> Outcome:
        owner = self._assign(letter)
        if owner is None:
            return Refused(
                code="nobody_to_assign",
                detail="no employee may be given this task; set owners, or a rule that fits it",
                fault=Fault.PROVIDER,
                permanent=False,
            )
        return Accepted(provider_id=letter.key)

    def close(self) -> None:
        """It holds nothing open."""


def _opened(settings: ChannelSettings, around: Around) -> Task:
    return Task(settings.name, settings.address, around.assigning(settings))


KIND = Kind(
    name="task", about="gives an employee something to do", keys=KEYS, open=_opened, check=check
)
