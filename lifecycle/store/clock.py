"""From which origin does the engine's made-up clock run, and until when has it been followed?"""

from __future__ import annotations

from datetime import datetime

from lifecycle.clock import Origin
from lifecycle.store.sql import Tx, both

__all__ = ["Origin", "Tx", "lived_until", "read", "write"]


def read(tx: Tx) -> Origin | None:
    """The origin that all processes share; None while the clock is the real one."""
    row = tx.row(_READ)
    if row is None:
        return None
    return Origin(
        spec=row[0],
        real_origin=tx.from_db(row[1]),
        virtual_origin=tx.from_db(row[2]),
        seen=tx.from_db(row[3]),
    )


def write(tx: Tx, origin: Origin | None) -> None:
    """Set it; None goes back to the real clock."""
    if origin is None:
        tx.run(_DELETE)
        return
    tx.run(
        _WRITE,
        origin.spec,
        tx.to_db(origin.real_origin),
        tx.to_db(origin.virtual_origin),
        tx.to_db(origin.seen),
    )


def lived_until(tx: Tx) -> datetime | None:
    """The latest instant at which an event was taken in, or up to which anybody was folded.

    None where nothing has happened yet. It looks at every customer.
    """
    with tx.whole_tables():
        known = [tx.row(_TAKEN_IN), tx.row(_FOLDED)]
    instants = [tx.from_db(row[0]) for row in known if row is not None and row[0] is not None]
    return max(instants, default=None)


_TAKEN_IN = both("SELECT received_at FROM event ORDER BY id DESC LIMIT 1")
_FOLDED = both("SELECT max(folded_until) FROM customer")
_READ = both("SELECT spec, real_origin, virtual_origin, seen FROM clock WHERE id = 1")
_WRITE = both(
    "INSERT INTO clock (id, spec, real_origin, virtual_origin, seen) VALUES (1, ?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET spec = excluded.spec, real_origin = excluded.real_origin,"
    " virtual_origin = excluded.virtual_origin, seen = excluded.seen"
)
_DELETE = both("DELETE FROM clock WHERE id = 1")
