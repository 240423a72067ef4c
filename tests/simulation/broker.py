"""A broker that may drop, double, delay and thereby reorder every ring, and go away for a while."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.simulation.faults import Faults
from tests.simulation.loop import Loop

LATEST = 4.0  # seconds by which a late ring comes
LONGEST_AWAY = 3.0  # seconds


class BrokerAway(Exception):
    """It does not answer."""


class FickleBroker:
    """Promises nothing at all, which is what the engine expects of a broker."""

    def __init__(self, loop: Loop, chance: random.Random, faults: Callable[[], Faults]) -> None:
        self._loop = loop
        self._chance = chance
        self._faults = faults
        self._rings: dict[str, list[float]] = {}  # by bell, when each can be heard
        self._back_at = 0.0

    def ring(self, bell: str) -> None:
        self._must_answer()
        if self._happens("dropped"):
            return
        for _ in range(1 + self._happens("doubled")):
            late = self._chance.uniform(0, LATEST) if self._happens("late") else 0.0
            self._rings.setdefault(bell, []).append(self._loop.now + late)

    def heard(self, bell: str) -> bool:
        """Takes one ring that can be heard by now, if there is one."""
        self._must_answer()
        for ring in self._rings.get(bell, ()):
            if ring <= self._loop.now:
                self._rings[bell].remove(ring)
                return True
        return False

    def turn(self) -> None:
        """Another second has passed: it may go away, and forget everything."""
        if self._happens("away"):
            self._loop.tell("the broker goes away")
            self._back_at = self._loop.now + self._chance.uniform(0, LONGEST_AWAY)
            self._rings.clear()

    def _happens(self, fault: str) -> bool:
        return self._chance.random() < self._faults().rate(fault)

    def _must_answer(self) -> None:
        if self._loop.now < self._back_at:
            raise BrokerAway
