"""Where does everything that an explanation needs come from? One unchanging view of the database."""

from __future__ import annotations

from lifecycle.engine import difference
from lifecycle.engine.explain.ahead import ahead, asleep
from lifecycle.engine.explain.chapters import chapters, standing
from lifecycle.engine.explain.explanation import Behind, Explanation
from lifecycle.engine.explain.retold import Retold, retell
from lifecycle.engine.identities import find
from lifecycle.engine.installation import Installation
from lifecycle.store import customers, dead, events, messages, reading, steps
from lifecycle.store.events import StoredEvent
from lifecycle.store.sql import Tx
from lifecycle.store.steps import StepRow

DETAILED = 500  # newest events of a customer of whom it is told what they changed


def explain(inst: Installation, key: str, *, detailed: int = DETAILED) -> Explanation:
    """Everything about the customer whom `key` names, as of the engine's clock.

    It tells of what has been applied: what only just arrived is listed as pending. Changes nothing.
    Raises NotFound where nobody is known by that name.
    """
    with inst.db.read() as tx:
        return _explain(inst, tx, key, detailed)


def _explain(inst: Installation, tx: Tx, key: str, detailed: int) -> Explanation:
    customer_id = find(tx, key)
    row = customers.rows(tx, [customer_id])[customer_id]
    timeline = inst.timeline(tx)
    now = inst.now(tx)
    if row.folded_until is not None:
        now = max(now, row.folded_until)
    history = dict(events.histories(tx, [customer_id])).get(customer_id, [])
    retold = retell(timeline, history, row.folded_until or now, detailed)
    recorded = steps.all_of(tx, customer_id)
    return Explanation(
        customer=row.key,
        number=row.id,
        identifiers=tuple(customers.identifiers(tx, customer_id)),
        now=now,
        folded_until=row.folded_until,
        standing=standing(timeline, retold.snapshot, now),
        chapters=chapters(
            retold.happenings,
            recorded,
            messages.of(tx, [customer_id]).get(customer_id, []),
            _overturning(tx, recorded),
        ),
        ahead=ahead(timeline, retold.snapshot, now),
        asleep=asleep(timeline, retold.snapshot, now),
        pending=tuple(events.pending_of(tx, [customer_id]).get(customer_id, ())),
        waiting=retold.waiting,
        held=reading.held_of(tx, customer_id),
        dead=tuple(dead.of_customer(tx, customer_id)),
        behind=_behind(retold, recorded),
        timeline=timeline,
    )


def _overturning(tx: Tx, recorded: list[StepRow]) -> dict[int, StoredEvent]:
    rows = {row.revoked_by for row in recorded if row.revoked_by is not None}
    return events.by_row_ids(tx, rows)


def _behind(retold: Retold, recorded: list[StepRow]) -> Behind | None:
    live = [row for row in recorded if row.seq is not None]
    differs = difference.of_steps(live, retold.steps)
    if not differs.insert and not differs.revoke:
        return None
    return Behind(missing=len(differs.insert), gone=len(differs.revoke))
