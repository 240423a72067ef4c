"""Does a rule suddenly want to write to far more people than usual? Then a person looks at it first.

A wrong rule, a bad import or a clock that jumped would else be read in ten thousand mailboxes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from functools import partial

from lifecycle.domain.policy import OnCalendar, OnRequest, OutreachRule, Surge
from lifecycle.domain.timeline import Version
from lifecycle.engine import decisions
from lifecycle.store import pauses, sending
from lifecycle.store.pauses import Paused, Pauses
from lifecycle.store.sql import Tx

BY = "lifecycle"  # who paused it
USUAL = timedelta(days=7)  # over which it is reckoned what is usual
COUNTED = 1000  # times the least surge: so far messages are counted
USUAL_SECONDS = 60.0  # for which it is remembered that so many are usual
ASKED_EVERY = 1.0  # seconds: so often a rule is counted at most


class Surges:
    """Counts what rules have queued of late; shared by the threads of a process."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._asked: dict[str, float] = {}
        self._usual_until: dict[str, float] = {}
        self._lock = threading.Lock()

    def trip(
        self, tx: Tx, version: Version, rules: Collection[str], held: Pauses, now: datetime
    ) -> frozenset[str]:
        """Pause those of the rules that surge, within the transaction; which these were."""
        surge = version.policy.sending.surge
        watched = {rule.name for rule in version.policy.outreach if _is_watched(rule)}
        tripped = set()
        for rule in sorted(watched.intersection(rules)):
            if self._is_due(rule) and (count := self._surging(tx, surge, rule, held, now)):
                why = (
                    f"{count:,} messages or more were queued within {surge.within}, far more than usual:"
                    " look at them with `lifecycle outreach list`, then resume"
                )
                pauses.add(tx, Paused(scope=f"{pauses.RULE}{rule}", by=BY, why=why, since=now))
                tx.after_commit(partial(decisions.tell_of_surge, rule, count))
                tripped.add(rule)
        return frozenset(tripped)

    def _surging(self, tx: Tx, surge: Surge, rule: str, held: Pauses, now: datetime) -> int:
        """How many were queued of late, where that is too many; else 0.

        What is usual is a long count, so of a rule that may queue so many it is asked once a minute.
        """
        since = now - surge.within
        known = held.allowed.get(rule)
        if known is not None:
            since = max(since, known)
        if sending.recorded_since(tx, rule, since, surge.least + 1) <= surge.least:
            return 0
        if self._monotonic() < self._usual_until.get(rule, 0.0):
            return 0
        recent = sending.recorded_since(tx, rule, since, surge.least * COUNTED)
        before = sending.recorded_since(tx, rule, now - USUAL, surge.least * COUNTED) - recent
        if recent > before * (surge.within / USUAL) * surge.times:
            return recent
        self._usual_until[rule] = self._monotonic() + USUAL_SECONDS
        return 0

    def _is_due(self, rule: str) -> bool:
        with self._lock:
            at = self._monotonic()
            if at - self._asked.get(rule, -ASKED_EVERY) < ASKED_EVERY:
                return False
            self._asked[rule] = at
            return True


def _is_watched(rule: OutreachRule) -> bool:
    """What comes due for everybody on one day, or was asked for by a person, is a crowd on purpose."""
    trigger = rule.trigger
    if isinstance(trigger, OnRequest):
        return False
    return not isinstance(trigger, OnCalendar) or trigger.attribute is not None
