"""How far have all customers been folded on to a version of the policy, and who is at it?

One row a version. It is made in the transaction that publishes the version, so whoever sees the version
sees that the customers are not all folded on to it yet. The lease is real time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from lifecycle.store.customers import wait_for_all
from lifecycle.store.sql import Row, Tx, both


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputation:
    version: int
    customers: int  # when it began, and those who came before it had reached its end
    done: int
    after: int  # the id of the last customer that was seen to
    worker: str | None  # who was at it last
    began_at: datetime
    ended_at: datetime | None  # of one that a later version has overtaken, when that was published


def begin(tx: Tx, version: int, now: datetime) -> None:
    """All customers are to be folded on to the version, and so to none before it any more."""
    instant = tx.to_db(now)
    tx.run(_OVERTAKE, instant, version)
    with tx.whole_tables():
        tx.run(_BEGIN, version, instant)


def unfinished(tx: Tx) -> Recomputation | None:
    """The one that has not ended, if any."""
    row = tx.row(_UNFINISHED)
    return None if row is None else _recomputation(tx, row)


def all_of(tx: Tx) -> dict[int, Recomputation]:
    """By version."""
    with tx.whole_tables():
        return {row[0]: _recomputation(tx, row) for row in tx.rows(_ALL)}


def claim(tx: Tx, version: int, *, worker: str, now: datetime, lease_until: datetime) -> bool:
    """Take it, or keep it; false: it has ended, or another is at it.

    An embedded database has one process that works, so that any other is gone.
    """
    return bool(
        tx.run(
            _CLAIM,
            worker,
            tx.to_db(lease_until),
            version,
            worker,
            tx.to_db(now),
            tx.dialect == "sqlite",
        )
    )


def page(tx: Tx, after: int, limit: int) -> list[tuple[int, int | None]]:
    """The next customers, each with the newest version known to whoever folded her; None: nobody has."""
    return [(row[0], row[1]) for row in tx.rows(_PAGE, after, limit)]


def advance(tx: Tx, page: Recomputation, *, worker: str, after: int, done: int) -> bool:
    """So many behind `page.after` were seen to; false where they were before, or the lease was lost."""
    return bool(tx.run(_ADVANCE, after, done, done, done, page.version, worker, page.after))


def end(tx: Tx, version: int, *, worker: str, now: datetime) -> bool:
    return bool(tx.run(_END, tx.to_db(now), version, worker))


def make_due(tx: Tx, customer_ids: Iterable[int], version: int, now: datetime) -> int:
    """Have the sweep fold those of the customers who still do not know the version; how many they are.

    Waits for whoever works on them, whose result is what is looked at.
    """
    ids = list(customer_ids)
    if not ids:
        return 0
    wait_for_all(tx, ids)
    instant = tx.to_db(now)
    return tx.run(_MAKE_DUE, instant, tx.ids(ids), version, instant)


_COLUMNS = "version, customers, done, after_id, worker, began_at, ended_at"
_OVERTAKE = both("UPDATE recomputation SET ended_at = ? WHERE version < ? AND ended_at IS NULL")
_BEGIN = both(
    "INSERT INTO recomputation (version, customers, done, after_id, began_at)"
    " SELECT ?, count(*), 0, 0, ? FROM customer"
)
_UNFINISHED = both(
    f"SELECT {_COLUMNS} FROM recomputation WHERE ended_at IS NULL ORDER BY version DESC LIMIT 1"
)
_ALL = both(f"SELECT {_COLUMNS} FROM recomputation ORDER BY version", columns=7)
_CLAIM = both(
    "UPDATE recomputation SET worker = ?, lease_until = ? WHERE version = ? AND ended_at IS NULL"
    " AND (worker IS NULL OR worker = ? OR lease_until <= ? OR ?)"
)
_PAGE = both(
    "SELECT id, CASE WHEN folded_until IS NULL THEN NULL ELSE coalesce(policy_version, 0) END"
    " FROM customer WHERE id > ? ORDER BY id LIMIT ?",
    columns=2,
)
# Those who came meanwhile are seen to as well.
_ADVANCE = both(
    "UPDATE recomputation SET after_id = ?, done = done + ?,"
    " customers = CASE WHEN customers < done + ? THEN done + ? ELSE customers END"
    " WHERE version = ? AND worker = ? AND after_id = ? AND ended_at IS NULL"
)
_END = both(
    "UPDATE recomputation SET ended_at = ?, customers = done"
    " WHERE version = ? AND worker = ? AND ended_at IS NULL"
)
_MAKE_DUE = both(
    "UPDATE customer SET wake_at = ? WHERE id IN [ids] AND folded_until IS NOT NULL"
    " AND coalesce(policy_version, 0) < ? AND (wake_at IS NULL OR wake_at > ?)"
)


def _recomputation(tx: Tx, row: Row) -> Recomputation:
    return Recomputation(
        version=row[0],
        customers=row[1],
        done=row[2],
        after=row[3],
        worker=row[4],
        began_at=tx.from_db(row[5]),
        ended_at=tx.from_db_or_none(row[6]),
    )
