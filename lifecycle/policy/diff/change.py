"""One difference between two policies, as a record and in words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    REORDERED = "reordered"  # the same things in another order
    RENAMED = "renamed"  # the same in all it does, and only one thing that it can have been


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    section: str  # as in the file; `policy` holds the keys that stand alone
    name: str  # of the rule, fact, state …; of the key itself in `policy` and `sending`
    key: str | None  # in that thing, with dots where it lies deeper; None: the thing as a whole
    kind: Kind
    before: str | None  # as the file would write it; None: was not there
    after: str | None
    words: str  # `goes-quiet: after 60d → 45d`
    cosmetic: bool = False  # only how it reads or where it stands: no customer is treated otherwise

    @property
    def told(self) -> str:
        """The words without the name."""
        return self.words.removeprefix(f"{self.name}: ")
