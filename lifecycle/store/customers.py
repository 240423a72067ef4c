"""Which customers have work waiting, who works on them, and what is their truth so far?

A claim locks customers until the transaction ends. On PostgreSQL others skip them, and intake may
go on adding events for them; whatever is read after the claim is as the last holder left it,
because it is read by later statements.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from lifecycle.errors import NotFound
from lifecycle.store.sql import Row, Tx, both, bulk, texts


class CustomerRow(NamedTuple):
    """A customer's derived truth so far."""

    id: int
    key: str  # her own identifier, the first under which an event of hers was posted
    state: str
    entered_at: datetime | None  # when she entered it; None: she never moved
    snapshot: bytes | None  # of the fold; None: fold from the beginning
    folded_until: datetime | None  # the horizon of that fold
    wake_at: datetime | None  # no later than the instant at which time alone may change something
    policy_version: int | None  # the newest that was known to whoever folded her
    read: tuple[str, datetime | None] | None = None  # state and wake_at when it was read


def claim_pending(tx: Tx, max_events: int, *, passing_over: Collection[int] = ()) -> list[int]:
    """Lock customers for whom events wait, those who wait longest first, but none `passing_over`.

    Together they have about `max_events` waiting, or it is one customer with more. Some may turn
    out to have none, when another process was faster. What ended imports left comes last.
    """
    claimed: dict[int, int] = {}
    for waiting in (_waiting_singly, _waiting_held):
        _claim_from(tx, waiting, max_events, claimed, passing_over)
    return list(claimed)


def claim_due(
    tx: Tx, now: datetime, limit: int, *, passing_over: Collection[int] = ()
) -> list[int]:
    """Lock customers whose `wake_at` has come, the longest overdue first, but none `passing_over`."""
    return [row[0] for row in tx.rows(_DUE, tx.to_db(now), tx.ids(passing_over), limit)]


def lock(tx: Tx, customer_ids: Iterable[int]) -> list[int]:
    """Lock those of the customers that nobody else has locked; the answer keeps the order."""
    wanted = list(customer_ids)
    if tx.dialect == "sqlite" or not wanted:
        return wanted  # the one writer has everything
    locked = {row[0] for row in tx.rows(_LOCK, tx.ids(wanted))}
    return [customer_id for customer_id in wanted if customer_id in locked]


def wait_for(tx: Tx, customer_id: int) -> None:
    """Lock one customer, once whoever has her has let go; for changes that cannot be put off.

    What is committed under this lock is seen by every claim of her messages that comes after it.
    """
    if tx.dialect == "postgresql":
        tx.row(_WAIT_FOR, customer_id)


def wait_for_all(tx: Tx, customer_ids: Iterable[int]) -> None:
    """Likewise several, in the order of their ids: of two who do so none waits for ever."""
    if tx.dialect == "postgresql":
        tx.rows(_WAIT_FOR_ALL, tx.ids(customer_ids))


def rows(tx: Tx, customer_ids: Iterable[int]) -> dict[int, CustomerRow]:
    """Each customer as she is recorded; an id that is not there is not in the answer."""
    return {row[0]: _customer_row(tx, row) for row in tx.rows(_ROWS, tx.ids(customer_ids))}


def after_key(tx: Tx, key: str, limit: int) -> list[CustomerRow]:
    """The next customers by key in code-point order; an empty key starts, an empty answer ends."""
    return [_customer_row(tx, row) for row in tx.rows(_AFTER_KEY, key, limit)]


def by_keys(tx: Tx, keys: Iterable[str]) -> dict[str, CustomerRow]:
    """Each customer by her own key; a key that is nobody's is not in the answer."""
    return {row[1]: _customer_row(tx, row) for row in tx.rows(_BY_KEYS, texts(keys))}


def save(tx: Tx, customers: Sequence[CustomerRow], now: datetime | None = None) -> None:
    """Store everything but the key; the customers must be locked by this transaction.

    With `now`, a `wake_at` that moves from one future instant to a later one stays where it is: an
    index entry less to write for nearly every event, for one needless look at her in the end.
    """
    indexed: list[Row] = []
    others: list[Row] = []
    instant = tx.to_db_or_none
    for row in customers:
        snapshot = None if row.snapshot is None else row.snapshot.decode()
        facts = (
            instant(row.entered_at),
            snapshot,
            instant(row.folded_until),
            row.policy_version,
            row.id,
        )
        wake_at = row.read[1] if row.read else None
        if not (now and wake_at and row.wake_at and now < wake_at <= row.wake_at):
            wake_at = row.wake_at
        if row.read == (row.state, wake_at):
            others.append(facts)
        else:
            indexed.append((row.state, instant(wake_at), *facts))
    saved = tx.bulk(_SAVE, others) + tx.bulk(_SAVE_INDEXED, indexed)
    if saved != len(customers):
        raise NotFound(f"{len(customers) - saved} of {len(customers)} customers do not exist")


def forget(tx: Tx, customer_ids: Iterable[int]) -> None:
    """Drop the snapshots, so that the next fold of each begins at her first event.

    Whoever was never folded counts as folded from now on, so that events of hers that wait for
    nothing, although they should, are looked at too. They are due at once: should whoever forgets
    them crash, the sweep folds them.
    """
    tx.run(_FORGET, tx.ids(customer_ids))


def find(tx: Tx, key: str) -> int:
    """The id of the customer whom any identifier names; `NotFound` if it names none."""
    row = tx.row(_FIND, key)
    if row is None:
        raise NotFound(f"no customer is known as {key!r}")
    customer_id: int = row[0]
    return customer_id


def key_of(tx: Tx, customer_id: int) -> str:
    """The own key of the customer of that number; `NotFound` if there is none."""
    found = rows(tx, [customer_id])
    if customer_id not in found:
        raise NotFound(f"there is no customer of the number {customer_id}")
    return found[customer_id].key


def identifiers(tx: Tx, customer_id: int) -> list[str]:
    """Every identifier that names the customer, in the order in which they were first posted."""
    return [row[0] for row in tx.rows(_IDENTIFIERS, customer_id)]


def ids_after(tx: Tx, customer_id: int, limit: int) -> list[int]:
    """The next ids in order, for a sweep over all customers; 0 starts it, empty ends it."""
    return [row[0] for row in tx.rows(_AFTER, customer_id, limit)]


def count_by_state(tx: Tx) -> dict[str, int]:
    """How many customers are in each state that has any."""
    with tx.whole_tables():
        return {row[0]: row[1] for row in tx.rows(_BY_STATE)}


def due_count(tx: Tx, now: datetime) -> int:
    """For how many customers a timed check or a waiting event has come due."""
    count: int = tx.value(_DUE_COUNT, tx.to_db(now))
    return count


_Waiting = tuple[int, int]  # customer, number of events


def _claim_from(
    tx: Tx,
    waiting: Callable[[Tx, int], tuple[list[_Waiting], bool]],
    max_events: int,
    claimed: dict[int, int],
    passing_over: Collection[int],
) -> None:
    """Add to the claimed, from the head of one queue, and further down where others hold it."""
    tried = {*claimed, *passing_over}
    for window in (max_events, 8 * max_events, 64 * max_events):
        candidates, complete = waiting(tx, window)
        while untried := [each for each in candidates if each[0] not in tried]:
            room = max_events - sum(claimed.values())
            wanted = dict(_fitting(untried, room, even_too_many=not claimed))
            if not wanted:
                return
            tried |= wanted.keys()
            claimed.update((each, wanted[each]) for each in lock(tx, wanted))
        if complete:
            return


_OLDEST = both(
    "SELECT i.customer_id FROM pending AS p JOIN identity AS i ON i.id = p.identity_id"
    " ORDER BY p.event_id LIMIT ?",
    columns=1,
)
_COUNTS = both(
    "SELECT i.customer_id, count(*) FROM identity AS i JOIN pending AS p ON p.identity_id = i.id"
    " WHERE i.customer_id IN [ids] GROUP BY i.customer_id",
    columns=2,
)
_ENDED_HOLDERS = both(
    "SELECT r.id FROM import_run AS r WHERE r.ended_at IS NOT NULL"
    " AND EXISTS (SELECT 1 FROM imported AS m WHERE m.run_id = r.id AND m.waiting > 0)"
    " ORDER BY r.id"
)
_HELD = both(
    "SELECT i.customer_id, m.waiting FROM (SELECT identity_id, waiting FROM imported"
    " WHERE run_id = ? AND waiting > 0 ORDER BY identity_id LIMIT ?) AS m"
    " JOIN identity AS i ON i.id = m.identity_id ORDER BY m.identity_id",
    columns=2,
)


def _waiting_singly(tx: Tx, window: int) -> tuple[list[_Waiting], bool]:
    """Whose events are the `window` oldest, how many each has, and whether these are all."""
    head = tx.rows(_OLDEST, window)
    counts = Counter(row[0] for row in head)
    if len(head) < window:
        return list(counts.items()), True
    exact = {row[0]: row[1] for row in tx.rows(_COUNTS, tx.ids(counts))}
    # each statement has its own view: others may have folded some between the two
    return [(each, exact[each]) for each in counts if each in exact], False


def _waiting_held(tx: Tx, window: int) -> tuple[list[_Waiting], bool]:
    """The same of what ended imports left, by identity instead of by age."""
    waiting: dict[int, int] = {}
    left = window
    for (run_id,) in tx.rows(_ENDED_HOLDERS):
        held = tx.rows(_HELD, run_id, left)
        for customer_id, events in held:
            waiting[customer_id] = waiting.get(customer_id, 0) + events
        left -= len(held)
        if left == 0:
            return list(waiting.items()), False
    return list(waiting.items()), True


def _fitting(
    candidates: Iterable[_Waiting], room: int, *, even_too_many: bool
) -> Iterator[_Waiting]:
    """As many as fit; the first even when it alone is too many, or nobody would ever take it."""
    for customer_id, events in candidates:
        if events > room and not even_too_many:
            return
        yield customer_id, events
        room -= events
        even_too_many = False


_DUE = both(
    "SELECT id FROM customer WHERE wake_at <= ? AND NOT id IN [ids]"
    " ORDER BY wake_at LIMIT ? [lock]",
    columns=1,
)
_LOCK = both("SELECT id FROM customer WHERE id IN [ids] [lock]", columns=1)
_WAIT_FOR = both("SELECT id FROM customer WHERE id = ? FOR NO KEY UPDATE")
_WAIT_FOR_ALL = both(
    "SELECT id FROM customer WHERE id IN [ids] ORDER BY id FOR NO KEY UPDATE", columns=1
)
_COLUMNS = "id, key, state, entered_at, snapshot, folded_until, wake_at, policy_version"
_ROWS = both(f"SELECT {_COLUMNS} FROM customer WHERE id IN [ids]", columns=8)
_BY_KEYS = both(f"SELECT {_COLUMNS} FROM customer WHERE key IN [texts]", columns=8)
_AFTER_KEY = both(f"SELECT {_COLUMNS} FROM customer WHERE key > ? ORDER BY key LIMIT ?", columns=8)
_SAVE = bulk(
    "entered_at timestamptz, snapshot text, folded_until timestamptz, policy_version integer,"
    " id bigint",
    "UPDATE customer AS c SET entered_at = r.entered_at, snapshot = r.snapshot,"
    " folded_until = r.folded_until, policy_version = r.policy_version"
    " FROM [rows] WHERE c.id = r.id",
)
_SAVE_INDEXED = bulk(
    "state text, wake_at timestamptz, entered_at timestamptz, snapshot text,"
    " folded_until timestamptz, policy_version integer, id bigint",
    "UPDATE customer AS c SET state = r.state, wake_at = r.wake_at, entered_at = r.entered_at,"
    " snapshot = r.snapshot, folded_until = r.folded_until, policy_version = r.policy_version"
    " FROM [rows] WHERE c.id = r.id",
)
_FORGET = both(
    "UPDATE customer SET snapshot = NULL, folded_until = coalesce(folded_until, created_at),"
    " wake_at = coalesce(folded_until, created_at) WHERE id IN [ids]"
)
_FIND = both("SELECT customer_id FROM identity WHERE key = ?")
_IDENTIFIERS = both("SELECT key FROM identity WHERE customer_id = ? ORDER BY id")
_AFTER = both("SELECT id FROM customer WHERE id > ? ORDER BY id LIMIT ?", columns=1)
_BY_STATE = both("SELECT state, count(*) FROM customer GROUP BY state ORDER BY state")
_DUE_COUNT = both("SELECT count(*) FROM customer WHERE wake_at <= ?")


def _customer_row(tx: Tx, row: Row) -> CustomerRow:
    id_, key, state, entered_at, snapshot, folded_until, wake_at, policy_version = row
    instant = tx.from_db
    wakes = None if wake_at is None else instant(wake_at)
    return CustomerRow(
        id_,
        key,
        state,
        None if entered_at is None else instant(entered_at),
        None if snapshot is None else snapshot.encode(),
        None if folded_until is None else instant(folded_until),
        wakes,
        policy_version,
        (state, wakes),
    )
