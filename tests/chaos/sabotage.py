"""Is the harness able to go red? Defects of the kind that it is there to find, for a run that has to fail.

None of them is in the program: they are put into the forks that are the processes of that run.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from lifecycle.domain.fate import Fate
from lifecycle.engine import apply
from lifecycle.engine.accept import Accepted, Result
from lifecycle.engine.installation import Installation
from lifecycle.engine.sending import aftermath, reclaim, register
from lifecycle.engine.sending.aftermath import MOST_SERVICE
from lifecycle.engine.work import Applied
from lifecycle.intake.draft import Draft
from lifecycle.store import customers, events
from lifecycle.store.attempts import Attempt
from lifecycle.store.customers import CustomerRow
from lifecycle.store.events import StoredEvent
from lifecycle.store.messages import MessageRow
from lifecycle.store.sending import Held, Settled
from lifecycle.store.sql import Tx

FORGOTTEN = "every tenth batch is answered for and not stored"
CLEARED_EARLY = "pending rows are deleted in a transaction of their own, before the one that folds"
NO_LOCK = "customers are folded without being locked"
NOT_IN_FLIGHT = "letters are handed over, and nobody has said before that they are"
NO_LEASE = "what came of a letter is written down, whoever has the message by now"
RESENT = "marketing that may have left is sent again"
NOT_RECLAIMED = "nobody lets go of what a dead sender had taken"

DAWDLING = 0.3  # seconds; under a lock it would harm nobody


def apply_defect(name: str) -> None:
    """Have this process from now on do what `name` says."""
    _DEFECTS[name]()


def _forget() -> None:
    from lifecycle.engine import accept

    stored, batches = accept.accept, 0

    def forgetful(inst: Installation, drafts: Sequence[Draft], **how: Any) -> list[Result]:
        nonlocal batches
        batches += 1
        if batches % 10:
            return stored(inst, drafts, **how)
        return [Accepted(source=draft.event.source, id=draft.event.id) for draft in drafts]

    accept.accept = forgetful


def _clear_early() -> None:
    """What was deleted is handed on in memory, so it goes well unless the process ends in between."""
    together, pending_of = apply._together, events.pending_of
    in_hand: defaultdict[int, list[StoredEvent]] = defaultdict(list)

    def take_out(tx: Tx, customer_ids: Sequence[int]) -> None:
        for customer, waiting in pending_of(tx, customer_ids).items():
            events.clear_pending(tx, waiting)
            in_hand[customer] = waiting

    def cleared_early(inst: Installation, customer_ids: Sequence[int], attempt: int) -> Applied:
        inst.db.run(lambda tx: take_out(tx, customer_ids))
        try:
            return together(inst, customer_ids, attempt)
        finally:
            for customer in customer_ids:
                in_hand.pop(customer, None)

    def with_what_is_in_hand(tx: Tx, customer_ids: Iterable[int]) -> dict[int, list[StoredEvent]]:
        ids = list(customer_ids)
        found = pending_of(tx, ids)
        for customer in ids:
            if customer in in_hand:
                both = [*in_hand[customer], *found.get(customer, [])]
                found[customer] = sorted(both, key=lambda stored: stored.event.key)
        return found

    apply._together = cleared_early
    events.pending_of = with_what_is_in_hand


def _never_lock() -> None:
    """Nobody is kept off a customer, and there is time for two of them between reading and folding."""
    rows = customers.rows

    def lock(tx: Tx, customer_ids: Iterable[int]) -> list[int]:
        return sorted(customer_ids)

    def dawdling(tx: Tx, customer_ids: Iterable[int]) -> dict[int, CustomerRow]:
        found = rows(tx, customer_ids)
        time.sleep(DAWDLING)
        return found

    def nobody(inst: Installation, unfinished: Iterable[Attempt], now: datetime) -> set[int]:
        return set()

    customers.lock, customers.rows, apply._busy = lock, dawdling, nobody


# -- of sending


def _never_in_flight() -> None:
    """The message stays claimed, so whoever finds it afterwards thinks that it surely has not left."""
    register.Register.begin = lambda *_: True  # type: ignore[method-assign]


def _never_mind_the_lease() -> None:
    settled = register._Page._settled

    def anyhow(self: register._Page, one: register._Conclusion) -> Settled | None:
        message = one.taken.row.row_id
        row = self._held[message].row._replace(fate=Fate.IN_FLIGHT)
        self._held[message] = Held(row, one.taken.token)
        return settled(self, one)

    register._Page._settled = anyhow  # type: ignore[method-assign]


def _send_again() -> None:
    def owed(row: MessageRow, earlier: int) -> bool:
        return earlier < MOST_SERVICE

    aftermath._is_owed = owed


def _never_reclaim() -> None:
    reclaim.reclaim = lambda *_: 0


_DEFECTS: dict[str, Callable[[], None]] = {
    FORGOTTEN: _forget,
    CLEARED_EARLY: _clear_early,
    NO_LOCK: _never_lock,
    NOT_IN_FLIGHT: _never_in_flight,
    NO_LEASE: _never_mind_the_lease,
    RESENT: _send_again,
    NOT_RECLAIMED: _never_reclaim,
}
