"""Does the broker answer? Those who listen to it find out; whoever polls in its place asks here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from lifecycle.logs.lines import Teller
from workers.troubles import why

tell = Teller("lifecycle")


class Line:
    """The line to the broker: away until it has been heard, and again while any of its queues fails.

    Losing it and finding it again is one line in the log each, however many listen.
    """

    def __init__(self, shown: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.shown = shown  # the broker's URL without its password
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._heard = False
        self._silent: set[str] = set()  # queues
        self._since = 0.0

    @property
    def away(self) -> bool:
        """Whether rings may be lost just now, so that somebody has to look without them."""
        return bool(self._silent) or not self._heard

    def lost(self, queue: str, error: BaseException) -> None:
        with self._lock:
            told, self._since = bool(self._silent), self._since or self._monotonic()
            self._silent.add(queue)
        if not told:
            tell.warning(
                "broker_lost",
                "the broker at {broker} does not answer ({why});"
                " looking into the database instead, every second, until it does",
                broker=self.shown,
                why=why(error),  # of a ring, which carries nothing
            )

    def found(self, queue: str) -> None:
        with self._lock:
            was_away, self._heard = bool(self._silent), True
            self._silent.discard(queue)
            if self._silent or not was_away:
                return
            seconds, self._since = self._monotonic() - self._since, 0.0
        tell.warning(
            "broker_found",
            "the broker at {broker} answers again, after {seconds} s",
            broker=self.shown,
            seconds=round(seconds),
        )
