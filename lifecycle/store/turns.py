"""Whose turn is it? A lock that serves its waiters in the order in which they came.

`threading.Lock` lets whoever is running take it again at once; with it, a busy intake would keep
`apply` from ever writing.
"""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType


class Turns:
    """Used as a context manager; not reentrant."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            my_turn = threading.Lock()
            my_turn.acquire()
            self._waiting.append(my_turn)
        try:
            my_turn.acquire()
        except BaseException:
            self._give_up(my_turn)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._next()

    def _next(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False

    def _give_up(self, my_turn: threading.Lock) -> None:
        """An interrupt came while waiting; the turn may have been given to us already."""
        with self._guard:
            if my_turn in self._waiting:
                self._waiting.remove(my_turn)
                return
        self._next()
