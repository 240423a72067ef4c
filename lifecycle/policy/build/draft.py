"""A policy that may still be wrong, with the place of everything in it."""

from __future__ import annotations

from dataclasses import dataclass, field

from lifecycle.domain.policy import Policy
from lifecycle.policy.report import START, Place
from lifecycle.policy.shapes import At

Path = tuple[str | int, ...]  # such as ("transitions", 3, "when") or ("states", "deal")


@dataclass(slots=True)
class Draft:
    policy: Policy
    places: dict[Path, Place] = field(default_factory=dict)
    holes: bool = False  # a transition is missing here because it could not be read at all
    loose: tuple[At[str], ...] = ()  # guards of rules that could not be read but for them

    def place(self, *path: str | int) -> Place:
        """The place of the named thing, or of the nearest thing around it."""
        while path not in self.places and path:
            path = path[:-1]
        return self.places.get(path, START)
