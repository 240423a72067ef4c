"""Do mailboxes turn against us? Marketing by a channel stops before they turn for good.

The bounds are what large mailbox providers ask of senders: complaints below one in a thousand, and few
letters to addresses that do not exist.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from lifecycle.engine import decisions
from lifecycle.store import pauses, sending
from lifecycle.store.pauses import Paused, Pauses
from lifecycle.store.sending import Reception
from lifecycle.store.sql import Tx

BY = "lifecycle"
WITHIN = timedelta(hours=24)
LEAST = 500  # letters, before which a share says nothing
MOST_COMPLAINTS = 0.001
MOST_BOUNCES = 0.02
ASKED_EVERY = 60.0  # seconds: so often a channel is counted at most


class Reputation:
    """Asked when a letter came back for good, or was called spam; shared by the threads of a process."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._asked: dict[str, float] = {}
        self._lock = threading.Lock()

    def heard(self, tx: Tx, channel: str, real: datetime) -> bool:
        """Pause marketing by the channel where its reception is too bad, within the transaction."""
        if not self._is_due(channel):
            return False
        scope = f"{pauses.MARKETING}{channel}"
        known = Pauses.of(pauses.read(tx)).allowed.get(scope)
        since = real - WITHIN if known is None else max(real - WITHIN, known)
        why = told(sending.reception(tx, channel, since))
        if why is None:
            return False
        if pauses.add(tx, Paused(scope=scope, by=BY, why=why, since=real)):
            tx.after_commit(partial(decisions.tell_of_reception, channel, why))
        return True

    def _is_due(self, channel: str) -> bool:
        with self._lock:
            at = self._monotonic()
            if at - self._asked.get(channel, -ASKED_EVERY) < ASKED_EVERY:
                return False
            self._asked[channel] = at
            return True


WATCH = Reputation()
"""Of this process, by whomever it hears."""


def told(found: Reception) -> str | None:
    """In words, why marketing must stop; None: it need not."""
    if found.letters < LEAST:
        return None
    if found.complaints > MOST_COMPLAINTS * found.letters:
        return f"{found.complaints} of {found.letters:,} letters of a day were called spam"
    if found.bounces > MOST_BOUNCES * found.letters:
        return f"{found.bounces} of {found.letters:,} letters of a day went to nobody"
    return None
