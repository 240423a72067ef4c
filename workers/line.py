"""Does the broker answer? Those who listen to it find out; whoever polls in its place asks here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from lifecycle.logs.lines import Teller
from workers.troubles import Unfit

tell = Teller("lifecycle")

POLLING = "looking into the database instead, every second"


class Line:
    """The line to the broker: away until it has been heard, and again while any of its queues fails.

    Losing it and finding it again is one line in the log each, however many of a process use it.
    """

    def __init__(
        self,
        shown: str,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        without: str = POLLING,
        diagnose: Callable[[BaseException], Unfit] = Unfit.by,
    ) -> None:
        self.shown = shown  # the broker's URL without its password
        self.diagnose = diagnose  # what an error of it means; may ask it
        self._without = without  # what is done while it is away
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._heard = False
        self._silent: set[str] = set()  # queues, and whoever else has failed
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
                "the broker at {broker} does not answer ({why}); {without}, until it does",
                broker=self.shown,
                why=self.diagnose(
                    error
                ).why,  # of a connection, or of a ring, which carries nothing
                without=self._without,
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
