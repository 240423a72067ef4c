"""How often need one ring? Rings carry nothing, so while one waits every further one is dropped."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Doorbell:
    """Sends at most one message at a time; work that arrives meanwhile is covered by the one waiting.

    Whoever comes to the door calls `answer` *before* looking for work. Then a ring either comes
    before that, and its work is found, or after it, and is sent anew: none is lost in between.
    """

    def __init__(self, send: Callable[[], object]) -> None:
        self._send = send
        self._waiting = False
        self._lock = threading.Lock()

    def ring(self) -> None:
        """Raises what `send` raises, and then counts as not rung."""
        with self._lock:
            if self._waiting:
                return
            self._waiting = True
        try:
            self._send()
        except BaseException:
            self.answer()
            raise

    def answer(self) -> None:
        with self._lock:
            self._waiting = False
