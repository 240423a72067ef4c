"""How many events may a key post? A token bucket: a rate, and how far it may be exceeded for a while."""

from __future__ import annotations

import time
from collections.abc import Callable


class Bucket:
    """Holds `burst` events, and gets `rate` of them back each second. Not safe between threads.

    A post is never split. One that begins while there is something left is taken whole, and what it
    takes beyond that is owed: over any longer time the rate holds, whatever the size of the posts.
    """

    def __init__(
        self, rate: float, burst: int, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._monotonic = monotonic
        self._left = float(burst)
        self._at = monotonic()

    def take(self, events: int) -> None:
        """A negative number gives back what was taken for nothing."""
        self._fill()
        self._left -= events

    def wait(self) -> float:
        """Seconds until there is one event left; 0 where there is."""
        self._fill()
        return max(0.0, (1 - self._left) / self._rate)

    def _fill(self) -> None:
        now = self._monotonic()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
