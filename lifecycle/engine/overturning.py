"""Which of several late events overturned a step? She is folded again without some of them, and tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from lifecycle.domain.fold import fold
from lifecycle.domain.step import Step
from lifecycle.domain.timeline import Timeline
from lifecycle.errors import PoisonEvent
from lifecycle.store import events
from lifecycle.store.events import StoredEvent
from lifecycle.store.sql import Tx
from lifecycle.store.steps import StepRow

MOST = 10_000  # events of one customer that are folded once more for this; it is not worth more


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """What came late for a customer, who is therefore folded from her beginning."""

    timeline: Timeline
    events: tuple[StoredEvent, ...]  # that came late, in the order of events
    waiting: Sequence[StoredEvent]  # everything that is folded for the first time
    length: int  # of her whole history
    believed: bool  # the record was what follows without these; false: it may lack other events too


def overturned_by(
    tx: Tx, customer_id: int, late: Late | None, rows: Sequence[StepRow]
) -> list[tuple[int, int | None]]:
    """For each revoked step the row of the late event that overturned it; None: none of them did.

    It is the last late event without which, and without those before it, the step would stand. So
    one that came with it and changed nothing gets no blame. Of a history too long to be folded
    again, it is the last late event that is not after the step.
    """
    if late is None or not rows:
        return [(row.row_id, None) for row in rows]
    search = _Search(tx, customer_id, late, until=max(row.step.at for row in rows))
    return [(row.row_id, search.culprit(row.step)) for row in rows]


class _Search:
    """What is read or folded for one step of hers serves the others too."""

    def __init__(self, tx: Tx, customer_id: int, late: Late, *, until: datetime) -> None:
        self._tx = tx
        self._customer_id = customer_id
        self._late = late
        self._until = until
        self._history: list[StoredEvent] | None = None
        self._chains: dict[int, dict[str, Step]] = {}  # by how many late ones are withheld
        self._left = MOST

    def culprit(self, step: Step) -> int | None:
        """Nothing that happened after a step can have overturned it."""
        late = self._late.events
        gone, stands = 0, sum(1 for one in late if one.event.occurred_at <= step.at)
        try:
            if stands == 0 or not (self._late.believed or self._stands(step, stands)):
                return None
            withheld = stands - 1  # mostly it was the last one
            while stands - gone > 1:
                if self._stands(step, withheld):
                    stands = withheld
                else:
                    gone = withheld
                withheld = (gone + stands) // 2
        except _TooLong:
            pass
        return late[stands - 1].row_id

    def _stands(self, step: Step, withheld: int) -> bool:
        """Whether the step follows where so many of the late events, the first ones, are withheld."""
        if withheld not in self._chains:
            self._chains[withheld] = self._chain(withheld)
        return self._chains[withheld].get(step.cause) == step

    def _chain(self, withheld: int) -> dict[str, Step]:
        self._left -= self._late.length
        if self._left < 0:
            raise _TooLong
        if self._history is None:
            waiting = {self._customer_id: self._late.waiting}
            [(_, self._history)] = events.histories(self._tx, [self._customer_id], waiting)
        without = {one.row_id for one in self._late.events[:withheld]}
        told = [one.event for one in self._history if one.row_id not in without]
        try:
            steps = fold(self._late.timeline, None, told, self._until).steps
        except PoisonEvent:  # nothing follows from what cannot be folded
            steps = ()
        return {step.cause: step for step in steps}


class _TooLong(Exception):
    """The answer would cost more than it is worth."""
