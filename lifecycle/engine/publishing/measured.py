"""What would a policy do that the one in force does not, in the figures on which a decision rests?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lifecycle.domain.policy import Policy, PolicyVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Two policies run over the same recorded history; `before` is of what it takes the place of."""

    customers: int  # of that history
    moved: int  # customers whose steps differ
    messages_before: int  # that would be sent
    messages_after: int
    capped_before: int  # customers who meet a cap
    capped_after: int
    most_in_a_week_before: int  # messages that one customer gets in any 7 days
    most_in_a_week_after: int
    peak_day_before: int  # messages on the day of the most
    peak_day_after: int
    digest: str  # of the whole report
    unfolded_before: int = 0  # events that it cannot fold, which would be put aside
    unfolded_after: int = 0
    stranded: int = 0  # customers in states that it does not have; no rule moves them
    unreached: int = 0  # customers who would get no letter
    waiting: int = 0  # messages that still wait at the end
    unreachable: int = 0  # messages that find no address, or no consent

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def measured_from(held: dict[str, Any]) -> Measured:
    """What `to_json` gave; figures that a newer program noted besides are left out."""
    return Measured(**{name: held[name] for name in Measured.__dataclass_fields__ if name in held})


Changes = Callable[[Policy, Policy], Sequence[str]]
"""How the second policy differs from the first, a line of words each; none: in what it does, it does not."""

Measure = Callable[[Sequence[PolicyVersion], Policy], Measured]
"""What a policy does with the recorded history, beside versions that judge it one after the other."""
