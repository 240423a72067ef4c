"""How all derived truth is computed again from the events: equal to the byte, or it was wrong before."""

from __future__ import annotations

from collections.abc import Callable

from lifecycle.engine.apply import apply_customers
from lifecycle.engine.installation import Installation
from lifecycle.engine.work import Applied
from lifecycle.store import customers

PAGE = 500  # customers a transaction


def rebuild(inst: Installation, on_customers: Callable[[int], None] = lambda _: None) -> Applied:
    """Fold every customer from the beginning, and write what differs from what was recorded.

    Revoked steps and the fates of messages are kept. In a sound installation nothing differs:
    `steps` and `messages` of the answer are then 0. May be interrupted and run again; intake and
    workers may go on meanwhile, and complete whom they did not let go (`left`).
    """
    done = Applied()
    after = 0
    while ids := _next(inst, after):
        after = ids[-1]
        inst.db.run(lambda tx, ids=ids: customers.forget(tx, ids))  # type: ignore[misc]
        applied = apply_customers(inst, ids)
        done += applied
        on_customers(applied.customers)
    return done


def _next(inst: Installation, after: int) -> list[int]:
    with inst.db.read() as tx:
        return customers.ids_after(tx, after, PAGE)
