"""May more events be taken in, while so many wait to be applied?

A spike is what a queue is for, and workers that are away are no reason to refuse what can be stored.
So the bound is far beyond any lag that anybody would want: it keeps a database from being filled by
intake that outruns its workers for hours or days, and says so while there is still time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from lifecycle.engine.installation import Installation
from lifecycle.errors import Overloaded
from lifecycle.settings import DEFAULT_MAX_PENDING
from lifecycle.store import backlog

LOOK_EVERY = 5.0  # seconds


class Backlog:
    """Looks at most every few seconds, whoever asks how often; safe to share between threads."""

    def __init__(
        self,
        inst: Installation,
        most: int = DEFAULT_MAX_PENDING,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inst = inst
        self._most = most
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._next_look = monotonic()
        self._is_full = False

    def refuse_if_full(self) -> None:
        """Raises Overloaded. Others do not wait for the one that looks."""
        if self._is_my_look():
            with self._inst.db.read() as tx:
                self._is_full = backlog.is_longer_than(tx, self._most)
        if self._is_full:
            raise Overloaded(
                "backlog",
                f"more than {self._most:,} events wait to be applied; are workers running?",
                retry_after=round(LOOK_EVERY),
            )

    def _is_my_look(self) -> bool:
        with self._lock:
            now = self._monotonic()
            if now < self._next_look:
                return False
            self._next_look = now + LOOK_EVERY
            return True
