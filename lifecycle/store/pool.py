"""Which open connection is free? Connections are opened when needed, kept, and used last in, first
out; a broken one is never handed out again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from lifecycle.errors import Unavailable

C = TypeVar("C")


class Pool(Generic[C]):
    def __init__(
        self,
        connect: Callable[[], C],
        close: Callable[[C], None],
        *,
        size: int,
        patience_seconds: float = 30,
    ) -> None:
        self._connect = connect
        self._close = close
        self._size = size
        self._patience_seconds = patience_seconds
        self._places = threading.Semaphore(size)
        self._idle: deque[C] = deque()

    def take(self) -> C:
        """A connection for the caller alone, until it calls `give_back` or `throw_away`."""
        if not self._places.acquire(timeout=self._patience_seconds):
            busy = (
                f"all {self._size} connections to the database have been busy for "
                f"{self._patience_seconds:.0f} s; try again later"
            )
            raise Unavailable(busy, public=busy)
        try:
            return self._idle.pop()
        except IndexError:
            pass
        try:
            return self._connect()
        except BaseException:
            self._places.release()
            raise

    def give_back(self, connection: C) -> None:
        self._idle.append(connection)
        self._places.release()

    def throw_away(self, connection: C) -> None:
        self._places.release()
        self._close(connection)

    def close(self) -> None:
        """Close what is idle; what is in use is its user's to end."""
        while self._idle:
            self._close(self._idle.pop())
