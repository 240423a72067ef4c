"""How is an installation put together? The one composition root of every entry point and test."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
import traceback
from collections.abc import Callable
from datetime import timedelta

from lifecycle.errors import LifecycleError

log = logging.getLogger("lifecycle")

AGAIN_AFTER = timedelta(minutes=1)


class Complaints:
    """Logs what went wrong in the background, the same thing at most once a minute, and counts it.

    A defect is logged with its traceback the first time; what the system itself refuses, such as a
    database that does not answer, says all in its message.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}  # when, by digest
        self._untold: dict[str, int] = {}  # how often since
        self.total = 0  # since the start, those not logged included

    def about(self, what: str, error: BaseException) -> None:
        digest = digest_of(error)
        with self._lock:
            self.total += 1
            now, told = self._monotonic(), self._told.get(digest)
            if told is not None and now - told < AGAIN_AFTER.total_seconds():
                self._untold[digest] = self._untold.get(digest, 0) + 1
                return
            self._told[digest] = now
            untold = self._untold.pop(digest, 0)
        again = f" (and {untold} times since it was last logged)" if untold else ""
        known = isinstance(error, LifecycleError) or told is not None
        log.error(
            "%s failed%s: %s: %s [%s]",
            what,
            again,
            type(error).__name__,
            error,
            digest,
            exc_info=None if known else error,
        )


def digest_of(error: BaseException) -> str:
    """The same for the same defect: the type and the places of the traceback, no value in it."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename}:{frame.name}:{frame.lineno}" for frame in frames]
    return hashlib.sha256("\n".join([type(error).__name__, *places]).encode()).hexdigest()[:8]
