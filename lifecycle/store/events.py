"""Which events were accepted, which of them wait to be folded, and what is a customer's history?

An event waits in one of two ways: singly, as a row of `pending`; or, when an import stored it,
together with the run's other events of the same identity, counted in one row of `imported`, which
waits once the run has ended. Nobody outside the store need know the difference.

Records are named tuples here, because millions are made: a frozen dataclass costs several times more.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import orjson

from lifecycle.domain.event import Event
from lifecycle.store import runs
from lifecycle.store.identities import Named, find_or_make
from lifecycle.store.sql import Row, Tx, as_records, both, bulk, either

BY_IMPORT = "import-"
"""How the request ids of what imports stored begin, and nobody else's."""


class NewEvent(NamedTuple):
    """A valid event to be accepted."""

    event: Event
    body_hash: bytes  # of the content that a repetition is compared with; 16 bytes suffice
    dated: bool  # the poster said when; otherwise `occurred_at` is no part of that content
    request_id: str | None = None  # by which it came; of a repetition nothing is kept


class StoredEvent(NamedTuple):
    """An accepted event, and whose it is today."""

    row_id: int
    customer_id: int
    event: Event
    identity_id: int
    held_by: int | None = None  # the import run with whose events it waits
    request_id: str | None = None  # by which it came first; `import-7`: by that import run

    @property
    def by_import(self) -> bool:
        return self.request_id is not None and self.request_id.startswith(BY_IMPORT)

    @property
    def run_id(self) -> int | None:
        """The import run that brought it; None where none did."""
        if self.request_id is None or not self.by_import:
            return None
        return int(self.request_id.removeprefix(BY_IMPORT))


class Added(NamedTuple):
    """The event is new, and stored when the transaction commits."""

    row_id: int
    customer_id: int


class Known(NamedTuple):
    """An event of that source and id was there before, or earlier in the same batch."""

    row_id: int
    customer_id: int
    body_hash: bytes
    dated: bool
    event: Event  # as it was first accepted
    dead: str | None = None  # quarantined or discarded: it is outside the fold


def add(
    tx: Tx,
    news: Sequence[NewEvent],
    *,
    initial: str,
    run_id: int | None = None,
    too_late: Mapping[int, str] | None = None,
) -> list[Added | Known]:
    """Store what is new, as pending, and tell for each, in order, whether it was.

    Customers named for the first time begin in the state `initial`. What `run_id` adds is held
    until that run ends. Indexes in `too_late` (with the reason in words) never enter the fold:
    they are stored as dead.

    Call it once a transaction: rows are written in the order of their keys, so that concurrent
    batches never wait for each other in a circle.
    """
    if run_id is not None:
        runs.must_be_open(tx, run_id)
    first: dict[_Key, int] = {}
    for index, new in enumerate(news):
        first.setdefault((new.event.source, new.event.id), index)
    named = _named(tx, news, first, initial)
    inserted = _insert(tx, news, first, named, run_id)
    _wait(tx, news, first, inserted, named, run_id, too_late or {})
    stored = known(tx, first.keys() - inserted.keys())
    results: list[Added | Known] = []
    for index, new in enumerate(news):
        event = new.event
        key = (event.source, event.id)
        row_id = inserted.get(key)
        if row_id is None:
            results.append(stored[key])
        elif first[key] == index:
            results.append(Added(row_id=row_id, customer_id=named[event.customer][1]))
        else:
            results.append(_repeated(news[first[key]], row_id, named))
    return results


def pending_of(tx: Tx, customer_ids: Iterable[int]) -> dict[int, list[StoredEvent]]:
    """The events of each customer that wait to be folded, in the order of events.

    A customer for whom nothing waits is not in the answer.
    """
    ids = tx.ids(customer_ids)
    rows = tx.rows(_PENDING, ids) + tx.rows(_HELD, ids)
    return _by_customer(tx, rows)


def histories(
    tx: Tx,
    customer_ids: Iterable[int],
    pending: Mapping[int, Sequence[StoredEvent]] | None = None,
    *,
    at_once: int = 20_000,
) -> Iterator[tuple[int, list[StoredEvent]]]:
    """Everything that belongs in each customer's fold, in the order of events.

    That is what was folded before and the `pending` events given, which were read earlier in this
    transaction: an event that intake adds meanwhile has a pending row that was not read, so it is
    in no history until it is claimed. Dead events are left out.

    About `at_once` events are in memory at a time, or one customer's when she has more. Customers
    without any event are not in the answer; the others come in the order of their ids.
    """
    waiting = pending or {}
    for ids in _portions(tx, customer_ids, at_once):
        settled = _by_customer(tx, tx.rows(_SETTLED, tx.ids(ids)))
        for customer_id in ids:
            history = settled.pop(customer_id, [])
            more = waiting.get(customer_id)
            if more:
                history = sorted([*history, *more], key=_order) if history else list(more)
            if history:
                yield customer_id, history


def clear_pending(tx: Tx, events: Iterable[StoredEvent]) -> None:
    """Say that exactly these events have been folded; whatever else waits goes on waiting."""
    single: list[int] = []
    held: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for event in events:
        if event.held_by is None:
            single.append(event.row_id)
        else:
            held[event.identity_id, event.held_by].append(event.row_id)
    if single:
        tx.run(_CLEAR, tx.ids(single))
    if held:
        _clear_held(tx, held)


def release(tx: Tx, identity_ids: Iterable[int]) -> None:
    """Let what ended imports left of these identities wait singly from now on, event by event."""
    ids = tx.ids(identity_ids)
    tx.run(_RELEASE, ids)
    tx.run(_RELEASED, ids)


def all_of(tx: Tx, customer_id: int) -> list[StoredEvent]:
    """Every event of the customer in the order of events, whatever became of it."""
    return _by_customer(tx, tx.rows(_ALL_OF, customer_id)).get(customer_id, [])


def get(tx: Tx, source: str, event_id: str) -> StoredEvent | None:
    """The event of that name, whatever became of it."""
    row = tx.row(_BY_KEY, source, event_id)
    return None if row is None else _stored(tx, row)


def by_row_ids(tx: Tx, row_ids: Iterable[int]) -> dict[int, StoredEvent]:
    """The events of these rows; a row that is not there is not in the answer."""
    return {row[0]: _stored(tx, row) for row in tx.rows(_BY_ROW, tx.ids(row_ids))}


def known(tx: Tx, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], Known]:
    """Those of these sources and ids that were accepted before, whatever became of them."""
    if not keys:
        return {}
    found = {}
    for row in tx.rows(_KNOWN, as_records(("source", "event_id"), keys)):
        found[row[2], row[3]] = Known(
            row_id=row[0],
            customer_id=row[1],
            event=_event(tx, row),
            body_hash=bytes.fromhex(row[11]),
            dated=bool(row[12]),
            dead=row[13],
        )
    return found


def origins(
    tx: Tx, keys: Collection[tuple[str, str]]
) -> dict[tuple[str, str], tuple[int, str | None]]:
    """Row and request of those of these sources and ids that are there."""
    if not keys:
        return {}
    rows = tx.rows(_ORIGINS, as_records(("source", "event_id"), keys))
    return {(source, id): (row_id, request_id) for source, id, row_id, request_id in rows}


def holders(tx: Tx, keys: Collection[tuple[str, str]]) -> set[int]:
    """The imports that have not ended and hold any of the events of these sources and ids."""
    return {row[0] for row in tx.rows(_HOLDERS, as_records(("source", "event_id"), keys))}


# --- adding ------------------------------------------------------------------------------------

_Key = tuple[str, str]  # source, id

_TYPES = (
    "s text, e text, n bigint, t text, o timestamptz, r timestamptz, d boolean, p text, h text,"
    " run bigint, q text, id bigint"
)
_INTO = (
    "source, event_id, identity_id, type, occurred_at, received_at, dated, properties, body_hash,"
    " run_id, request_id"
)
_FROM = "s, e, n, t, o, r, d, p, h, nullif(run, 0), nullif(q, '')"
_INSERT_RETURNING = bulk(
    _TYPES,
    f"INSERT INTO event ({_INTO}) SELECT {_FROM} FROM [rows]"
    " ON CONFLICT (source, event_id) DO NOTHING RETURNING source, event_id, id",
)
_INSERT_NUMBERED = bulk(
    _TYPES,
    f"INSERT INTO event ({_INTO}, id) SELECT {_FROM}, id FROM [rows] WHERE true"
    " ON CONFLICT (source, event_id) DO NOTHING",
)
_LAST_ROW = both("SELECT coalesce(max(id), 0) FROM event")
_ROWS_AFTER = both("SELECT source, event_id, id FROM event WHERE id > ?", columns=3)
_WAIT = bulk(
    "event_id bigint, identity_id bigint",
    "INSERT INTO pending (event_id, identity_id) SELECT * FROM [rows]",
)
_HOLD = bulk(
    "identity_id bigint, run_id bigint, waiting integer",
    "INSERT INTO imported AS m (identity_id, run_id, waiting) SELECT * FROM [rows] WHERE true"
    " ON CONFLICT (identity_id, run_id) DO UPDATE SET waiting = m.waiting + excluded.waiting",
)
_TOO_LATE = bulk(
    "event_id bigint, identity_id bigint, detail text, at timestamptz",
    "INSERT INTO dead (event_id, identity_id, detail, at, status, reason, attempts)"
    " SELECT event_id, identity_id, detail, r.at, 'quarantined', 'too_late', 0 FROM [rows]",
)


def _named(
    tx: Tx, news: Sequence[NewEvent], first: Mapping[_Key, int], initial: str
) -> dict[str, Named]:
    """The identities of the batch, made where they are new.

    An event that is already known makes no customer, whatever customer this repetition names.
    """
    since: dict[str, datetime] = {}
    for index in first.values():
        event = news[index].event
        since.setdefault(event.customer, event.received_at)

    def of_new_events(keys: set[str]) -> set[str]:
        of_theirs = {
            key: index for key, index in first.items() if news[index].event.customer in keys
        }
        there = known(tx, of_theirs)
        return {news[index].event.customer for key, index in of_theirs.items() if key not in there}

    return find_or_make(tx, since, initial, only=of_new_events)


def _insert(
    tx: Tx,
    news: Sequence[NewEvent],
    first: Mapping[_Key, int],
    named: Mapping[str, Named],
    run_id: int | None,
) -> dict[_Key, int]:
    """The row ids of what was not known before."""
    numbered = tx.dialect == "sqlite"  # its one writer may give the ids, and so knows them
    last: int = tx.value(_LAST_ROW) if numbered else 0
    rows = _rows(tx, news, first, named, run_id, last)
    if not rows:
        return {}
    if not numbered:
        found = tx.bulk_rows(_INSERT_RETURNING, rows)
    elif tx.bulk(_INSERT_NUMBERED, rows) == len(rows):
        return {(row[0], row[1]): row[-1] for row in rows}
    else:
        found = tx.rows(_ROWS_AFTER, last)
    return {(source, event_id): row_id for source, event_id, row_id in found}


def _rows(
    tx: Tx,
    news: Sequence[NewEvent],
    first: Mapping[_Key, int],
    named: Mapping[str, Named],
    run_id: int | None,
    last: int,
) -> list[Row]:
    """One row an event that may be new, in the order of their keys; the most frequent of loops."""
    to_db, dumps = tx.to_db, orjson.dumps
    rows: list[Row] = []
    received_at, received = None, None  # most often one instant for the whole batch
    for key in sorted(first):
        event, body_hash, dated, request_id = news[first[key]]
        name = named.get(event.customer)
        if name is None:
            continue
        if event.received_at is not received_at:
            received_at, received = event.received_at, to_db(event.received_at)
        rows.append(
            (
                event.source,
                event.id,
                name[0],
                event.type,
                to_db(event.occurred_at),
                received,
                int(dated),  # the driver is slow with bool and None
                dumps(event.properties).decode(),
                body_hash.hex(),
                run_id or 0,
                request_id or "",
                last + len(rows) + 1,
            )
        )
    return rows


def _wait(
    tx: Tx,
    news: Sequence[NewEvent],
    first: Mapping[_Key, int],
    inserted: Mapping[_Key, int],
    named: Mapping[str, Named],
    run_id: int | None,
    too_late: Mapping[int, str],
) -> None:
    """What was inserted waits to be folded, except for what came too late."""
    waiting: list[Row] = []
    late: list[Row] = []
    for key, row_id in inserted.items():
        index = first[key]
        event = news[index].event
        identity_id = named[event.customer][0]
        if index in too_late:
            late.append((row_id, identity_id, too_late[index], tx.to_db(event.received_at)))
        else:
            waiting.append((row_id, identity_id))
    if run_id is None:
        tx.bulk(_WAIT, waiting)
    else:
        counts = Counter(identity_id for _, identity_id in waiting)
        tx.bulk(_HOLD, [(identity, run_id, counts[identity]) for identity in sorted(counts)])
    tx.bulk(_TOO_LATE, late)


_REQUEST = f"coalesce(e.request_id, '{BY_IMPORT}' || e.run_id)"
_COLUMNS = (
    "e.id, i.customer_id, e.source, e.event_id, i.key, e.type, e.occurred_at, e.received_at,"
    f" e.properties, e.identity_id, {_REQUEST}"
)
_KNOWN = either(
    sqlite=(
        f"SELECT {_COLUMNS}, e.body_hash, e.dated, d.status"
        " FROM json_each(?) AS k CROSS JOIN event AS e"
        " ON e.source = json_extract(k.value, '$.source')"
        " AND e.event_id = json_extract(k.value, '$.event_id')"
        " CROSS JOIN identity AS i ON i.id = e.identity_id"
        " LEFT JOIN dead AS d ON d.event_id = e.id"
    ),
    postgresql=(
        f"SELECT {_COLUMNS}, e.body_hash, e.dated, d.status"
        " FROM json_to_recordset(?::json) AS k (source text, event_id text)"
        " JOIN event AS e ON e.source = k.source AND e.event_id = k.event_id"
        " JOIN identity AS i ON i.id = e.identity_id"
        " LEFT JOIN dead AS d ON d.event_id = e.id"
    ),
    columns=14,
)
_ORIGINS = either(
    sqlite=(
        f"SELECT e.source, e.event_id, e.id, {_REQUEST} FROM json_each(?) AS k"
        " CROSS JOIN event AS e ON e.source = json_extract(k.value, '$.source')"
        " AND e.event_id = json_extract(k.value, '$.event_id')"
    ),
    postgresql=(
        f"SELECT e.source, e.event_id, e.id, {_REQUEST}"
        " FROM json_to_recordset(?::json) AS k (source text, event_id text)"
        " JOIN event AS e ON e.source = k.source AND e.event_id = k.event_id"
    ),
    columns=4,
)
_HOLDERS = either(
    sqlite=(
        "SELECT DISTINCT e.run_id FROM json_each(?) AS k CROSS JOIN event AS e"
        " ON e.source = json_extract(k.value, '$.source')"
        " AND e.event_id = json_extract(k.value, '$.event_id')"
        " JOIN import_run AS r ON r.id = e.run_id AND r.ended_at IS NULL"
    ),
    postgresql=(
        "SELECT DISTINCT e.run_id"
        " FROM json_to_recordset(?::json) AS k (source text, event_id text)"
        " JOIN event AS e ON e.source = k.source AND e.event_id = k.event_id"
        " JOIN import_run AS r ON r.id = e.run_id AND r.ended_at IS NULL"
    ),
)


def _repeated(new: NewEvent, row_id: int, named: Mapping[str, Named]) -> Known:
    return Known(
        row_id=row_id,
        customer_id=named[new.event.customer][1],
        body_hash=new.body_hash,
        dated=new.dated,
        event=new.event,
    )


# --- reading -----------------------------------------------------------------------------------

# CROSS JOIN keeps SQLite from looking through all of a customer's events for the few that wait.
_PENDING = both(
    f"SELECT {_COLUMNS}, NULL FROM identity AS i CROSS JOIN pending AS p CROSS JOIN event AS e"
    " WHERE i.customer_id IN [ids] AND p.identity_id = i.id AND e.id = p.event_id",
    columns=12,
)
_HELD = both(
    f"SELECT {_COLUMNS}, m.run_id FROM identity AS i CROSS JOIN imported AS m"
    " CROSS JOIN import_run AS r CROSS JOIN event AS e"
    " WHERE i.customer_id IN [ids] AND m.identity_id = i.id AND m.waiting > 0"
    " AND r.id = m.run_id AND r.ended_at IS NOT NULL"
    " AND e.identity_id = m.identity_id AND e.run_id = m.run_id"
    " AND NOT EXISTS (SELECT 1 FROM dead AS d WHERE d.event_id = e.id)"
    " AND NOT EXISTS (SELECT 1 FROM pending AS p WHERE p.event_id = e.id)",
    columns=12,
)
_SETTLED = both(
    f"SELECT {_COLUMNS}, NULL FROM identity AS i JOIN event AS e ON e.identity_id = i.id"
    " WHERE i.customer_id IN [ids]"
    " AND NOT EXISTS (SELECT 1 FROM pending AS p WHERE p.event_id = e.id)"
    " AND NOT EXISTS (SELECT 1 FROM dead AS d WHERE d.event_id = e.id)"
    " AND (e.run_id IS NULL OR NOT EXISTS (SELECT 1 FROM imported AS m"
    " WHERE m.identity_id = e.identity_id AND m.run_id = e.run_id AND m.waiting > 0))",
    columns=12,
)
_COUNTS = both(
    "SELECT i.customer_id, count(*) FROM identity AS i JOIN event AS e ON e.identity_id = i.id"
    " WHERE i.customer_id IN [ids] GROUP BY i.customer_id ORDER BY i.customer_id",
    columns=2,
)
_ALL_OF = both(
    f"SELECT {_COLUMNS}, NULL FROM identity AS i JOIN event AS e ON e.identity_id = i.id"
    " WHERE i.customer_id = ?",
    columns=12,
)
_BY_KEY = both(
    f"SELECT {_COLUMNS}, NULL FROM event AS e JOIN identity AS i ON i.id = e.identity_id"
    " WHERE e.source = ? AND e.event_id = ?"
)
_BY_ROW = both(
    f"SELECT {_COLUMNS}, NULL FROM event AS e JOIN identity AS i ON i.id = e.identity_id"
    " WHERE e.id IN [ids]",
    columns=12,
)


def _order(stored: StoredEvent) -> tuple[object, str, str]:
    event = stored.event
    return (event.occurred_at, event.source, event.id)


def _row_order(row: Row) -> tuple[object, str, str]:
    return (row[6], row[2], row[3])


def _by_customer(tx: Tx, rows: list[Row]) -> dict[int, list[StoredEvent]]:
    rows.sort(key=_row_order)
    from_db, loads = tx.from_db, orjson.loads
    found: dict[int, list[StoredEvent]] = {}
    for (
        row_id,
        customer_id,
        source,
        event_id,
        key,
        kind,
        at,
        received,
        said,
        identity,
        request_id,
        held,
    ) in rows:
        event = Event(source, event_id, key, kind, from_db(at), from_db(received), loads(said))
        stored = StoredEvent(row_id, customer_id, event, identity, held, request_id)
        mine = found.get(customer_id)
        if mine is None:
            found[customer_id] = [stored]
        else:
            mine.append(stored)
    return found


def _stored(tx: Tx, row: Row) -> StoredEvent:
    return StoredEvent(
        row_id=row[0],
        customer_id=row[1],
        event=_event(tx, row),
        identity_id=row[9],
        held_by=row[11],
        request_id=row[10],
    )


def _event(tx: Tx, row: Row) -> Event:
    return Event(
        source=row[2],
        id=row[3],
        customer=row[4],
        type=row[5],
        occurred_at=tx.from_db(row[6]),
        received_at=tx.from_db(row[7]),
        properties=orjson.loads(row[8]),
    )


def _portions(tx: Tx, customer_ids: Iterable[int], at_once: int) -> Iterator[list[int]]:
    """Customers with events, by id, so many at a time that their events are about `at_once`."""
    portion: list[int] = []
    size = 0
    for customer_id, events in tx.rows(_COUNTS, tx.ids(customer_ids)):
        if portion and size + events > at_once:
            yield portion
            portion, size = [], 0
        portion.append(customer_id)
        size += events
    if portion:
        yield portion


# --- clearing ----------------------------------------------------------------------------------

_CLEAR = both("DELETE FROM pending WHERE event_id IN [ids]")
_WAITING = both(
    "SELECT identity_id, run_id, waiting FROM imported WHERE identity_id IN [ids] AND waiting > 0",
    columns=3,
)
_FOLDED = bulk(
    "identity_id bigint, run_id bigint",
    "UPDATE imported AS m SET waiting = 0 FROM [rows]"
    " WHERE m.identity_id = r.identity_id AND m.run_id = r.run_id",
)
_RELEASE = both(
    "INSERT INTO pending (event_id, identity_id) SELECT e.id, e.identity_id FROM imported AS m"
    " JOIN import_run AS r ON r.id = m.run_id AND r.ended_at IS NOT NULL"
    " JOIN event AS e ON e.identity_id = m.identity_id AND e.run_id = m.run_id"
    " WHERE m.identity_id IN [ids] AND m.waiting > 0"
    " AND NOT EXISTS (SELECT 1 FROM dead AS d WHERE d.event_id = e.id)"
    " AND NOT EXISTS (SELECT 1 FROM pending AS p WHERE p.event_id = e.id)"
)
_RELEASED = both(
    "UPDATE imported SET waiting = 0 WHERE identity_id IN [ids] AND waiting > 0"
    " AND run_id IN (SELECT id FROM import_run WHERE ended_at IS NOT NULL)"
)


def _clear_held(tx: Tx, cleared: Mapping[tuple[int, int], Sequence[int]]) -> None:
    """Most often all that an identity's import left was folded; if not, the others wait singly."""
    complete: list[Row] = []
    partly: list[tuple[int, int]] = []
    for identity_id, run_id, waiting in tx.rows(_WAITING, tx.ids({key[0] for key in cleared})):
        key = (identity_id, run_id)
        if key in cleared:
            (complete if len(cleared[key]) == waiting else partly).append(key)
    tx.bulk(_FOLDED, complete)
    if partly:
        release(tx, {identity_id for identity_id, _ in partly})
        tx.run(_CLEAR, tx.ids(row_id for key in partly for row_id in cleared[key]))
