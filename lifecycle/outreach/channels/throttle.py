"""May another letter go to this provider yet? A token bucket that says how long to wait, and never sleeps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Throttle:
    """Lets `burst` letters go at once, and `rate` a second in the long run. Safe between threads.

    Each process has its own: a provider that allows 30 a second gets 10/s from each of three.
    """

    def __init__(
        self, rate: float | None, burst: int = 1, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate  # None: no limit
        self._burst = burst
        self._monotonic = monotonic
        self._left = float(burst)
        self._at = monotonic()
        self._lock = threading.Lock()

    @property
    def step(self) -> float:
        """The seconds from one letter to the next, in the long run."""
        return 0.0 if self._rate is None else 1 / self._rate

    def take(self) -> float:
        """0.0: one may go now, and is counted. Else nothing is, and it is the seconds to come again in."""
        if self._rate is None:
            return 0.0
        with self._lock:
            wait = self._wait(self._rate)
            if wait == 0:
                self._left -= 1
            return wait

    def wait(self) -> float:
        """The seconds until one may go; 0.0 where one may now. Nothing is counted."""
        if self._rate is None:
            return 0.0
        with self._lock:
            return self._wait(self._rate)

    def give_back(self) -> None:
        """A letter that was counted did not go after all."""
        with self._lock:
            self._left = min(self._burst, self._left + 1)

    def _wait(self, rate: float) -> float:
        now = self._monotonic()
        self._left = min(self._burst, self._left + max(0.0, now - self._at) * rate)
        self._at = now
        missing = 1 - self._left
        # what is missing by rounding alone would have callers come again in a nanosecond
        return missing / rate if missing > 1e-9 else 0.0
