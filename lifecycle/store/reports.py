"""How many customers were where, and when? Counted in the database, over everybody's live steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from lifecycle.store.sql import Row, Tx, both, either


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """How many customers went from one state to another in one period."""

    period: int  # from 0
    from_state: str | None  # None: their first event brought them
    to_state: str
    customers: int


def moves_until(tx: Tx, at: datetime, initial: str) -> list[Moves]:
    """All moves up to an instant, that instant included, as one period."""
    with tx.whole_tables():
        instant = tx.to_db(at)
        begun: int = tx.value(_BEGUN, instant)
        moves = [_moves((0, *row)) for row in tx.rows(_MOVED, instant)]
        return [Moves(period=0, from_state=None, to_state=initial, customers=begun), *moves]


def moves_by_period(tx: Tx, ends: Sequence[datetime], initial: str) -> list[Moves]:
    """The same by period: each lasts from the end of the one before it to its own, half-open.

    What is at or after the last end is counted as a further period.
    """
    with tx.whole_tables():
        bounds = [tx.to_db(end) for end in ends]
        given = orjson.dumps(bounds).decode() if tx.dialect == "sqlite" else bounds
        return [_moves(row) for row in tx.rows(_BY_PERIOD, initial, given)]


def first_and_last(tx: Tx, until: datetime) -> tuple[datetime, datetime] | None:
    """When the first event was, and when the last event or step up to an instant; None: no events."""
    with tx.whole_tables():
        instant = tx.to_db(until)
        first, last = tx.rows(_SPAN, instant)[0]
        if first is None:
            return None
        stepped = tx.from_db_or_none(tx.value(_LAST_STEP, instant))
        last = tx.from_db(last)
        return tx.from_db(first), last if stepped is None else max(last, stepped)


def _moves(row: Row) -> Moves:
    return Moves(period=int(row[0]), from_state=row[1], to_state=row[2], customers=row[3])


_COUNTING = "NOT EXISTS (SELECT 1 FROM dead AS d WHERE d.event_id = e.id)"
_BEGUN = both(
    "SELECT count(*) FROM customer AS c WHERE EXISTS"
    " (SELECT 1 FROM identity AS i JOIN event AS e ON e.identity_id = i.id"
    f" WHERE i.customer_id = c.id AND e.occurred_at <= ? AND {_COUNTING})"
)
_MOVED = both(
    'SELECT from_state, to_state, count(*) FROM step WHERE seq IS NOT NULL AND "at" <= ?'
    " GROUP BY from_state, to_state"
)
_PERIODS = (
    'WITH mark ("at", from_state, to_state, bound) AS ('
    ' SELECT "at", from_state, to_state, 0 FROM step WHERE seq IS NOT NULL'
    " UNION ALL SELECT began, NULL, CAST(? AS text), 0 FROM"
    # the first of each identity by its index, instead of every event
    " (SELECT min((SELECT e.occurred_at FROM event AS e WHERE e.identity_id = i.id"
    f" AND {_COUNTING} ORDER BY e.occurred_at LIMIT 1)) AS began"
    " FROM identity AS i GROUP BY i.customer_id) AS b WHERE began IS NOT NULL"
    " UNION ALL SELECT [bounds]"
    "), placed AS ("
    ' SELECT from_state, to_state, bound, sum(bound) OVER (ORDER BY "at") AS period FROM mark)'
    " SELECT period, from_state, to_state, count(*) FROM placed WHERE bound = 0"
    " GROUP BY period, from_state, to_state ORDER BY period"
)
_BY_PERIOD = either(
    sqlite=_PERIODS.replace("[bounds]", "value, NULL, NULL, 1 FROM json_each(?)"),
    postgresql=_PERIODS.replace("[bounds]", "unnest(?::timestamptz[]), NULL, NULL, 1"),
)
_SPAN = both(
    f"SELECT min(e.occurred_at), max(e.occurred_at) FROM event AS e WHERE e.occurred_at <= ?"
    f" AND {_COUNTING}"
)
_LAST_STEP = both('SELECT max("at") FROM step WHERE seq IS NOT NULL AND "at" <= ?')
