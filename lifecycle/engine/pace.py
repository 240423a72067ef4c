"""How much work fits into one transaction, so that whoever waits for the writer waits a short time."""

from __future__ import annotations

import threading

WITHIN_SECONDS = 0.05  # that a transaction may hold SQLite's only writer
LEAST = 20  # below that the commit costs more than the work


class Pace:
    """How many events or customers at once: as many as took about `WITHIN_SECONDS` the last time.

    PostgreSQL's transactions make nobody wait, so its pace never slackens.
    """

    def __init__(self, most: int, *, steady: bool) -> None:
        self._most = most
        self._steady = steady
        self._limit = float(most)
        self._lock = threading.Lock()

    @property
    def limit(self) -> int:
        return int(self._limit)

    def took(self, count: int, seconds: float) -> None:
        """Learn from a transaction that did so much and held the writer for so long."""
        if self._steady or not count:
            return
        fitting = count * WITHIN_SECONDS / max(seconds, 1e-6)
        with self._lock:
            # grows slowly, as a small batch says little about a large one
            wanted = min(fitting, self._limit * 1.25, self._most)
            self._limit = max(wanted, LEAST)
