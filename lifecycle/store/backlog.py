"""What waits to be done, how long has it waited, and where does the history end?"""

from __future__ import annotations

from datetime import datetime, timedelta

from lifecycle.store.sql import Tx, both


def last_event_at(tx: Tx) -> datetime | None:
    """Event time of the last event that is not dead; None where there is none."""
    with tx.whole_tables():
        return tx.from_db_or_none(tx.value(_LAST))


def pending_until(tx: Tx, at: datetime) -> int:
    """How many events up to an instant wait to be folded, those of unfinished imports included."""
    with tx.whole_tables():
        instant = tx.to_db(at)
        count: int = tx.value(_PENDING, instant) + tx.value(_HELD, instant)
        return count


def held_until(tx: Tx, at: datetime) -> int:
    """How many of these wait for the end of an import, which may have been broken off."""
    with tx.whole_tables():
        count: int = tx.value(_UNENDED, tx.to_db(at))
        return count


def customers_waiting(tx: Tx) -> int:
    """How many customers have events that may be folded now."""
    with tx.whole_tables():
        count: int = tx.value(_CUSTOMERS)
        return count


def is_longer_than(tx: Tx, count: int) -> bool:
    """Whether more events than that wait singly; told without counting, as long as they are few.

    Where even the span of their row ids is no longer, they cannot be more; else so many are counted.
    """
    if tx.value(_SPAN) <= count:
        return False
    with tx.whole_tables():
        found: int = tx.value(_AT_MOST, count + 1)
        return found > count


def oldest_pending(tx: Tx, now: datetime) -> timedelta | None:
    """For how long the event has waited that waits longest; None where none does."""
    received = tx.from_db_or_none(tx.value(_OLDEST))
    return None if received is None else max(now - received, timedelta(0))


def oldest_due(tx: Tx, now: datetime) -> timedelta | None:
    """For how long, on the engine's clock, the longest overdue check has been due; None: none is."""
    row = tx.row(_FIRST_WAKE, tx.to_db(now))
    return None if row is None else now - tx.from_db(row[0])


_LAST = both(
    "SELECT max(occurred_at) FROM event AS e"
    " WHERE NOT EXISTS (SELECT 1 FROM dead AS d WHERE d.event_id = e.id)"
)
_PENDING = both(
    "SELECT count(*) FROM pending AS p JOIN event AS e ON e.id = p.event_id"
    " WHERE e.occurred_at <= ?"
)
_HELD = both(
    "SELECT count(*) FROM imported AS m"
    " JOIN event AS e ON e.identity_id = m.identity_id AND e.run_id = m.run_id"
    " WHERE m.waiting > 0 AND e.occurred_at <= ?"
)
_UNENDED = both(
    "SELECT count(*) FROM import_run AS r JOIN imported AS m ON m.run_id = r.id"
    " JOIN event AS e ON e.identity_id = m.identity_id AND e.run_id = m.run_id"
    " WHERE r.ended_at IS NULL AND m.waiting > 0 AND e.occurred_at <= ?"
)
_CUSTOMERS = both(
    "SELECT count(*) FROM (SELECT i.customer_id FROM imported AS m"
    " JOIN import_run AS r ON r.id = m.run_id AND r.ended_at IS NOT NULL"
    " JOIN identity AS i ON i.id = m.identity_id WHERE m.waiting > 0"
    " UNION SELECT i.customer_id FROM pending AS p JOIN identity AS i ON i.id = p.identity_id) AS c"
)
_SPAN = both(
    "SELECT coalesce((SELECT max(event_id) FROM pending) - (SELECT min(event_id) FROM pending) + 1, 0)"
)
_AT_MOST = both("SELECT count(*) FROM (SELECT 1 FROM pending LIMIT ?) AS p")
_OLDEST = both(
    "SELECT e.received_at FROM"
    " (SELECT min(event_id) AS first FROM pending) AS p"
    " LEFT JOIN event AS e ON e.id = p.first"
)
_FIRST_WAKE = both("SELECT wake_at FROM customer WHERE wake_at <= ? ORDER BY wake_at LIMIT 1")
