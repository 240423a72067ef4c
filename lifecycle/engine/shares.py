"""How much of something bounded may one key hold? As much as is left free for everybody else.

A key alone gets half of it, two that want all they can get a third each, and something is always free
for whoever comes next: nobody can use it up, and no number of keys has to be known beforehand.
"""

from __future__ import annotations

from collections import Counter


class Shares:
    """So many units; what is taken must be given back by the same key. Not safe between threads."""

    def __init__(self, units: int) -> None:
        self.free = units
        self._held: Counter[str] = Counter()

    def take(self, key: str, units: int) -> bool:
        """False, and nothing is taken, where the key would then hold more than is left free."""
        if self._held[key] + units > self.free - units:
            return False
        self._held[key] += units
        self.free -= units
        return True

    def give_back(self, key: str, units: int) -> None:
        self._held[key] -= units
        self.free += units
        if not self._held[key]:
            del self._held[key]

    def held(self, key: str) -> int:
        return self._held[key]
