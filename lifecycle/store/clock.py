"""From which origin does the engine's made-up clock run?"""

from __future__ import annotations

from lifecycle.clock import Origin
from lifecycle.store.sql import Tx, both

__all__ = ["Origin", "Tx", "read", "write"]


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


_READ = both("SELECT spec, real_origin, virtual_origin, seen FROM clock WHERE id = 1")
_WRITE = both(
    "INSERT INTO clock (id, spec, real_origin, virtual_origin, seen) VALUES (1, ?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET spec = excluded.spec, real_origin = excluded.real_origin,"
    " virtual_origin = excluded.virtual_origin, seen = excluded.seen"
)
_DELETE = both("DELETE FROM clock WHERE id = 1")
