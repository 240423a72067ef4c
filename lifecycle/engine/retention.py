"""What may be forgotten, and after how long? Rows that were about the work and not about the truth.

Events are never among them, nor what was decided because of them: the fold begins at a customer's
first event, so without it her state, her facts and what was sent to her would no longer follow from
anything. What a person did (`dead_action`, `import_run`, keys) stays, as a record of it. Attempts and
what waits are deleted by the work itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from lifecycle.engine.installation import Installation
from lifecycle.engine.night import Shift
from lifecycle.store import idempotency, mailroom, schedule, unmatched
from lifecycle.store.sql import Tx

AT_ONCE = 1000  # rows in one transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgettable:
    """A kind of rows that is forgotten."""

    name: str  # in words, as many of them
    forget: Callable[[Tx, datetime, int], int]
    """Deletes what was over before an instant of real time, at most so many rows; how many these were."""
    kept_for: timedelta | None = None  # after it was over; None: as long as the setting says


FORGETTABLE: tuple[Forgettable, ...] = (
    Forgettable(name="jobs of past nights", forget=schedule.forget),
    Forgettable(name="letters of the outbox", forget=mailroom.forget),
    Forgettable(name="unmatched reports", forget=unmatched.forget),
    Forgettable(name="answers that expired", forget=idempotency.forget, kept_for=timedelta(0)),
)


class Retention:
    """The nightly job that forgets; each batch is one transaction, and deleting twice deletes once."""

    name = "retention"

    def __init__(
        self,
        inst: Installation,
        keep: timedelta,
        forgettable: Sequence[Forgettable] = FORGETTABLE,
    ) -> None:
        self._inst = inst
        self._keep = keep
        self._forgettable = forgettable

    def do(self, shift: Shift) -> str:
        forgotten = [f"{self._forget(shift, kind)} {kind.name}" for kind in self._forgettable]
        outcome = f"forgotten: {', '.join(forgotten)}"
        return shift.end(lambda _: outcome)

    def _forget(self, shift: Shift, kind: Forgettable) -> int:
        count = 0
        while deleted := shift.write(partial(self._batch, kind)):
            count += deleted
        return count

    def _batch(self, kind: Forgettable, tx: Tx) -> int:
        kept_for = self._keep if kind.kept_for is None else kind.kept_for
        return kind.forget(tx, self._inst.db.clock(tx) - kept_for, AT_ONCE)
