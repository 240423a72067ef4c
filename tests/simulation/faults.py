"""What goes wrong in a world, and how often? Drawn from its seed: most worlds know a few faults only.

A world in which everything fails at once hides what one fault alone would show.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Shares of the occasions, from 0 to 1, at which each happens."""

    ended: float  # points at which a process may be ended on purpose
    ended_there: float  # and at the one that this world likes best
    lost_before: float  # transactions whose connection is lost before the commit
    lost_after: float  # and at the commit, which took place
    refused: float  # transactions that the database cannot begin, however often they are tried
    frozen: float  # waits after which a process goes on when all believe it dead
    interrupted: float  # reads between which intake commits, as on PostgreSQL it may
    dropped: float  # rings that nobody hears
    doubled: float
    late: float  # rings that others overtake
    unheard: float  # posts that do not arrive
    unanswered: float  # posts that do, and whose answer does not
    repeated: float  # posts that come again although they were answered
    shuffled: float  # posts that come at any time
    jumped: float  # seconds in which the real clock leaps
    away: float  # seconds in which the broker goes away for a while

    def rate(self, name: str) -> float:
        rate: float = getattr(self, name)
        return rate

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(cls.__dataclass_fields__)


QUIET = Faults(**dict.fromkeys(Faults.names(), 0.0))

_RATES = {
    "ended": (0.01, 0.03, 0.1),
    "ended_there": (0.2, 0.6),
    "lost_before": (0.02, 0.1),
    "lost_after": (0.02, 0.1),
    "refused": (0.02, 0.1),
    "frozen": (0.01, 0.03),
    "interrupted": (0.2, 0.6),
    "dropped": (0.2, 0.6, 1.0),
    "doubled": (0.2,),
    "late": (0.2, 0.6),
    "unheard": (0.1, 0.3),
    "unanswered": (0.1, 0.3),
    "repeated": (0.1, 0.5),
    "shuffled": (0.2, 1.0),
    "jumped": (0.1, 0.5),
    "away": (0.1, 0.3),
}


def drawn(chance: random.Random) -> Faults:
    """Each fault is there in two worlds of five, and then at one of its rates."""
    return Faults(
        **{
            name: chance.choice(rates) if chance.random() < 0.4 else 0.0
            for name, rates in _RATES.items()
        }
    )
