"""Which imports were begun and ended, and what do they withhold?

Whoever works on a run holds `name_of` its digest, so that nobody else does, or ends it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from lifecycle.errors import NotFound, NotReady
from lifecycle.store.holds import is_held
from lifecycle.store.sql import Tx, both, either


def name_of(digest: str) -> str:
    """What is held (`Database.hold`) by whoever works on the run of this digest."""
    return f"lifecycle import {digest}"


def begin(tx: Tx, *, name: str, digest: str, effects: bool, now: datetime) -> int:
    """A run to store events under; the unfinished one of the same digest where there is one."""
    row = tx.row(_UNFINISHED, digest)
    if row is not None:
        run_id: int = row[0]
        return run_id
    begun: int = tx.value(_BEGIN, name, digest, effects, tx.to_db(now))
    return begun


def end(tx: Tx, run_id: int, now: datetime, *, effects: bool | None = None) -> None:
    """Let its events be folded from now on; a run that has ended is left as it is.

    `effects` is the last word, where the run was begun with another one.
    """
    tx.run(_END, tx.to_db(now), effects, run_id)


def open_besides(tx: Tx, run_id: int) -> bool:
    """Whether any other run has begun and not ended: it is under way, or was abandoned."""
    return tx.row(_OPEN_BESIDES, run_id) is not None


def is_under_way(tx: Tx, run_id: int) -> bool:
    """Whether another session works on the run; if not, none can before this transaction ends."""
    row = tx.row(_DIGEST, run_id)
    return row is not None and is_held(tx, name_of(row[0]))


def must_be_open(tx: Tx, run_id: int) -> None:
    """Raise `NotReady` when the run has ended; else it cannot end before this transaction does.

    What is added to a run after its events were folded would never be seen.
    """
    row = tx.row(_OPEN, run_id)
    if row is None:
        raise NotFound(f"there is no import {run_id}")
    if row[0] is not None:
        raise NotReady(f"import {run_id} has ended; nothing can be added to it any more")


def withheld_until(tx: Tx, customer_ids: Iterable[int]) -> dict[int, datetime]:
    """When the newest import without effects ended that brought events of each customer.

    Messages planned before then are withheld. A customer without such events is not in the answer.
    """
    return {row[0]: tx.from_db(row[1]) for row in tx.rows(_WITHHELD, tx.ids(customer_ids))}


def ended(tx: Tx, run_ids: Iterable[int]) -> dict[int, datetime]:
    """When each of these ended; one that has not is not in the answer."""
    return {row[0]: tx.from_db(row[1]) for row in tx.rows(_ENDED, tx.ids(run_ids))}


_UNFINISHED = both(
    "SELECT id FROM import_run WHERE digest = ? AND ended_at IS NULL ORDER BY id LIMIT 1"
)
_DIGEST = both("SELECT digest FROM import_run WHERE id = ?")
_BEGIN = both(
    "INSERT INTO import_run (name, digest, effects, started_at) VALUES (?, ?, ?, ?) RETURNING id"
)
_END = both(
    "UPDATE import_run SET ended_at = ?, effects = coalesce(?, effects)"
    " WHERE id = ? AND ended_at IS NULL"
)
_ENDED = both(
    "SELECT id, ended_at FROM import_run WHERE id IN [ids] AND ended_at IS NOT NULL", columns=2
)
_OPEN_BESIDES = both("SELECT 1 FROM import_run WHERE ended_at IS NULL AND id <> ? LIMIT 1")
_OPEN = either(
    sqlite="SELECT ended_at FROM import_run WHERE id = ?",
    # Many may add at once, but `end` waits for them.
    postgresql="SELECT ended_at FROM import_run WHERE id = ? FOR SHARE",
)
_WITHHELD = both(
    "SELECT i.customer_id, max(r.ended_at) FROM identity AS i"
    " JOIN imported AS m ON m.identity_id = i.id"
    " JOIN import_run AS r ON r.id = m.run_id AND r.ended_at IS NOT NULL AND NOT r.effects"
    " WHERE i.customer_id IN [ids] GROUP BY i.customer_id"
)
