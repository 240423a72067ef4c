"""What do the interfaces show of the whole installation, and of one customer?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from lifecycle.domain.event import OUR_SOURCE
from lifecycle.domain.fate import Fate
from lifecycle.store import events, messages, steps
from lifecycle.store.events import StoredEvent
from lifecycle.store.messages import MessageRow
from lifecycle.store.sql import Tx, both
from lifecycle.store.steps import StepRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What was accepted and is not folded yet."""

    pending: int  # events that may be folded now
    held: int  # events of imports that have not ended
    oldest_received_at: datetime | None  # of the single events that are pending
    dead: int  # quarantined events, waiting for a person


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Everything of one customer, each part by its own instant."""

    events: list[StoredEvent]  # also those that are pending, held or dead
    steps: list[StepRow]  # also the revoked ones
    messages: list[MessageRow]


def backlog(tx: Tx) -> Backlog:
    with tx.whole_tables():
        single, oldest = tx.rows(_PENDING)[0]
        ended, held = tx.rows(_IMPORTED)[0]
        return Backlog(
            pending=single + ended,
            held=held,
            oldest_received_at=tx.from_db_or_none(oldest),
            dead=tx.value(_QUARANTINED),
        )


def timeline(tx: Tx, customer_id: int) -> Timeline:
    return Timeline(
        events=events.all_of(tx, customer_id),
        steps=steps.all_of(tx, customer_id),
        messages=messages.of(tx, [customer_id]).get(customer_id, []),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much there is of one customer."""

    events: int  # ever accepted
    pending: int  # of these, events that may be folded now
    held: int  # of these, events of imports that have not ended
    dead: int  # of these, events that left the fold
    steps: int  # that stand
    revoked: int  # steps that no longer follow
    messages: Mapping[Fate, int]  # by what became of them


def counts_of(tx: Tx, customer_id: int) -> Counts:
    events_, single, ended, dead, steps_, revoked = tx.rows(_COUNTS_OF, *[customer_id] * 6)[0]
    return Counts(
        events=events_,
        pending=single + ended,
        held=held_of(tx, customer_id),
        dead=dead,
        steps=steps_,
        revoked=revoked,
        messages={Fate(row[0]): row[1] for row in tx.rows(_FATES_OF, customer_id)},
    )


def held_of(tx: Tx, customer_id: int) -> int:
    """How many of the customer's events wait for the end of their import."""
    count: int = tx.value(_HELD_OF, customer_id)
    return count


def schema_revision(tx: Tx) -> str:
    """By which migration the tables are as they are."""
    revision: str = tx.value(_REVISION)
    return revision


def count_events(tx: Tx) -> int:
    """How many events were ever accepted; nothing deletes one."""
    with tx.whole_tables():
        count: int = tx.value(_EVENTS)
        return count


def has_events_beside(tx: Tx, source: str) -> bool:
    """Whether anybody but this source, and we ourselves, ever posted an event."""
    return tx.row(_BESIDE, source, OUR_SOURCE) is not None


def has_step_by(tx: Tx, rule: str) -> bool:
    """Whether any step, revoked or not, was ever made by this rule; may look at all of them."""
    with tx.whole_tables():
        return tx.row(_STEP_BY, rule) is not None


def has_step_of_state(tx: Tx, state: str) -> bool:
    """Whether any step, revoked or not, led into or out of this state; may look at all of them."""
    with tx.whole_tables():
        return tx.row(_STEP_OF_STATE, state, state) is not None


_BESIDE = both("SELECT 1 FROM event WHERE source NOT IN (?, ?) LIMIT 1")
_STEP_BY = both("SELECT 1 FROM step WHERE rule = ? LIMIT 1")
_STEP_OF_STATE = both("SELECT 1 FROM step WHERE from_state = ? OR to_state = ? LIMIT 1")
_PENDING = both(
    "SELECT count(*), (SELECT e.received_at FROM event AS e"
    " WHERE e.id = (SELECT min(event_id) FROM pending)) FROM pending"
)
_IMPORTED = both(
    "SELECT coalesce(sum(CASE WHEN r.ended_at IS NULL THEN 0 ELSE m.waiting END), 0),"
    " coalesce(sum(CASE WHEN r.ended_at IS NULL THEN m.waiting ELSE 0 END), 0)"
    " FROM imported AS m JOIN import_run AS r ON r.id = m.run_id WHERE m.waiting > 0"
)
_QUARANTINED = both("SELECT count(*) FROM dead WHERE status = 'quarantined'")
_HELD_OF = both(
    "SELECT CAST(coalesce(sum(m.waiting), 0) AS bigint) FROM imported AS m"
    " JOIN import_run AS r ON r.id = m.run_id AND r.ended_at IS NULL"
    " JOIN identity AS i ON i.id = m.identity_id WHERE i.customer_id = ?"
)
_OF_HER = "AS x JOIN identity AS i ON i.id = x.identity_id WHERE i.customer_id = ?"
_COUNTS_OF = both(
    f"SELECT (SELECT count(*) FROM event {_OF_HER}), (SELECT count(*) FROM pending {_OF_HER}),"
    " (SELECT CAST(coalesce(sum(m.waiting), 0) AS bigint) FROM imported AS m"
    " JOIN import_run AS r ON r.id = m.run_id AND r.ended_at IS NOT NULL"
    " JOIN identity AS i ON i.id = m.identity_id WHERE i.customer_id = ?),"
    f" (SELECT count(*) FROM dead {_OF_HER}),"
    " (SELECT count(*) FROM step WHERE customer_id = ? AND seq IS NOT NULL),"
    " (SELECT count(*) FROM step WHERE customer_id = ? AND seq IS NULL)"
)
_FATES_OF = both(
    "SELECT fate, count(*) FROM message WHERE customer_id = ? GROUP BY fate ORDER BY fate"
)
_REVISION = both("SELECT version_num FROM alembic_version")
_EVENTS = both("SELECT count(*) FROM event")
