"""Is this provider worth asking just now? One that fails again and again is left alone, ever longer.

Closed: letters go. Open: none does, until the pause is over. Half open: one goes as a trial; what comes
of it closes the breaker, or opens it for twice as long. Each process finds out for itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import StrEnum

from lifecycle.outreach.outcome import Ambiguous, Fault, Outcome, Refused


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Of one provider. Safe between threads."""

    def __init__(
        self,
        *,
        faults: int = 5,
        pause: float = 30.0,
        longest: float = 900.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`faults` in a row open it for `pause` seconds; each trial that fails doubles that, up to `longest`."""
        self._most = faults
        self._first, self._longest = pause, longest
        self._monotonic = monotonic
        self._faults = 0  # in a row
        self._pause = pause  # the next one
        self._open_until: float | None = None  # None: closed
        self._trial_until: float | None = None  # a trial is under way, and is given up on then
        self._lock = threading.Lock()

    def state(self) -> State:
        with self._lock:
            if self._open_until is None:
                return State.CLOSED
            return State.OPEN if self._monotonic() < self._open_until else State.HALF_OPEN

    def wait(self) -> float:
        """The seconds until it is worth asking; 0.0 where it is now. Changes nothing."""
        with self._lock:
            return self._wait(self._monotonic())

    def enter(self) -> float:
        """0.0: this letter may go; of a half-open breaker it is the trial. Else the seconds to wait.

        Whoever was let in tells `record` what came of it, or `leave`. A trial of which nothing is
        heard is given up on after a pause, so that a thread that died cannot keep the breaker open.
        """
        with self._lock:
            now = self._monotonic()
            wait = self._wait(now)
            if wait == 0 and self._open_until is not None:
                self._trial_until = now + max(self._first, 1.0)
            return wait

    def leave(self) -> None:
        """The letter that was let in did not go to the provider after all."""
        with self._lock:
            self._trial_until = None

    def record(self, outcome: Outcome) -> None:
        """A refusal of this one letter shows that the provider works as well as an acceptance does."""
        fails = isinstance(outcome, Ambiguous) or (
            isinstance(outcome, Refused) and outcome.fault is Fault.PROVIDER
        )
        with self._lock:
            if fails:
                self._failed(self._monotonic())
            else:
                self._faults, self._pause = 0, self._first
                self._open_until = self._trial_until = None

    def _wait(self, now: float) -> float:
        until = max(self._open_until or now, self._trial_until or now)
        return max(0.0, until - now)

    def _failed(self, now: float) -> None:
        """Letters that were under way when it opened fail too, and say nothing new."""
        if self._open_until is not None and now < self._open_until:
            return
        self._faults += 1
        if self._open_until is None and self._faults < self._most:
            return
        self._open_until, self._trial_until = now + self._pause, None
        self._pause = min(self._longest, self._pause * 2)
