"""How many letters are on their way at once, by each channel? A slow provider fills its own lane only."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

WAITING = 4  # letters that wait in a lane for each that is on its way, at the least
MOST_WAITING = 100  # likewise, at the most
AHEAD = 1.0  # seconds for which those that wait are enough, within these bounds
SLOW_AFTER = 1.0  # seconds without room: others are looked at meanwhile


class Lane(Generic[T]):
    """Threads that hand over the letters of one channel; started with the first letter."""

    def __init__(
        self,
        name: str,
        at_once: int,
        hand_over: Callable[[T], object],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._at_once = at_once
        self._hand_over = hand_over
        self._monotonic = monotonic
        self._waiting: deque[T] = deque()
        self._busy = 0
        self._seconds = AHEAD  # that one letter takes, of late
        self._moved_at = monotonic()
        self._threads: list[threading.Thread] = []
        self._stopping = False
        self._changed = threading.Condition()

    @property
    def room(self) -> int:
        """For how many letters there is; none until half of it is free, as a claim of one costs the
        same as one of many."""
        with self._changed:
            return self._room() if self._is_half_free() else 0

    @property
    def is_stuck(self) -> bool:
        """Whether it has been full for so long that what is behind it should not wait for it."""
        with self._changed:
            return self._room() <= 0 and self._monotonic() - self._moved_at > SLOW_AFTER

    def _room(self) -> int:
        return self._most() - len(self._waiting) - self._busy

    def _most(self) -> int:
        """As many as leave soon: what is claimed is not stopped any more, and its lease must not end."""
        waiting = min(max(int(AHEAD / max(self._seconds, 1e-6)), WAITING), MOST_WAITING)
        return self._at_once * (1 + waiting)

    def _is_half_free(self) -> bool:
        return self._room() * 2 >= self._most()

    def take(self, letter: T) -> bool:
        """False once the lane is stopping: then the letter is not handed over by it."""
        with self._changed:
            if self._stopping:
                return False
            self._waiting.append(letter)
            if len(self._threads) < min(self._at_once, self._busy + len(self._waiting)):
                self._start()
            self._changed.notify()
            return True

    def wait_for_room(self, timeout: float) -> bool:
        """Whether there is some within that many seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._is_half_free() or self._stopping, timeout)

    def wait_until_empty(self, timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout)

    def stop(self, timeout: float) -> list[T]:
        """What is on its way is ended; what has not begun comes back."""
        with self._changed:
            self._stopping = True
            left = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        deadline = self._monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - self._monotonic()))
        return left

    def _start(self) -> None:
        name = f"send-{self.name}-{len(self._threads)}"
        thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                if not self._waiting:
                    return
                letter = self._waiting.popleft()
                self._busy += 1
            began = self._monotonic()
            try:
                self._hand_over(letter)
            finally:
                with self._changed:
                    self._busy -= 1
                    self._moved_at = self._monotonic()
                    self._seconds += (self._moved_at - began - self._seconds) / 8
                    self._changed.notify_all()
