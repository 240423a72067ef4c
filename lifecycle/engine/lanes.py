"""Who is next? A queue for each key, from which whoever takes is given some of every key in turn.

Deficit round robin (Shreedhar and Varghese, 1995): at each turn a key earns the same, and saves it
until its next item is paid for, so that large items bring it no more than small ones bring others.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

QUANTUM = 100  # units that a key earns at each turn


@dataclass(slots=True)
class _Lane(Generic[T]):
    key: str
    items: deque[tuple[T, int]] = field(default_factory=deque)  # each with its size in units
    earned: int = 0  # and not used yet


class Lanes(Generic[T]):
    """First come, first served within a key; turn by turn between keys. Not safe between threads."""

    def __init__(self, quantum: int = QUANTUM) -> None:
        self._quantum = quantum
        self._lanes: dict[str, _Lane[T]] = {}  # those in which something waits
        self._turns: deque[_Lane[T]] = deque()  # the same, whose turn it is first

    def __bool__(self) -> bool:
        return bool(self._turns)

    def add(self, key: str, item: T, size: int) -> None:
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(key)
            self._turns.append(lane)
        lane.items.append((item, size))

    def first(self, key: str) -> T | None:
        """What has waited longest of this key."""
        lane = self._lanes.get(key)
        return None if lane is None else lane.items[0][0]

    def take(self, units: int) -> list[tuple[str, T, int]]:
        """At most so many units, or one item that is larger; each with its key and size.

        What does not fit beside the others is first the next time.
        """
        taken: list[tuple[str, T, int]] = []
        room = units
        passed: list[_Lane[T]] = []
        while self._turns and room > 0:
            lane = self._turns.popleft()
            if taken and lane.items[0][1] > room:
                passed.append(lane)
                continue
            lane.earned += self._quantum
            while lane.items and lane.items[0][1] <= lane.earned:
                if taken and lane.items[0][1] > room:
                    break
                item, size = lane.items.popleft()
                taken.append((lane.key, item, size))
                lane.earned -= size
                room -= size
            self._put_back(lane)
        self._turns.extendleft(reversed(passed))
        return taken

    def _put_back(self, lane: _Lane[T]) -> None:
        """Behind the others; a lane that is empty saves nothing for later."""
        if lane.items:
            self._turns.append(lane)
        else:
            del self._lanes[lane.key]
