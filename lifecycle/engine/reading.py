"""What do the interfaces show: of one customer, of everybody's steps, of the work that waits?

Only reads. Facts and the next timed check are those of this moment, computed from the snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lifecycle.domain.fold import facts_at, fold
from lifecycle.domain.snapshot import Snapshot
from lifecycle.domain.timeline import Timeline, Version
from lifecycle.engine.current import usable
from lifecycle.engine.explain.ahead import Ahead, ahead
from lifecycle.engine.explain.words import Vocabulary
from lifecycle.engine.filters import LogFilters, first_filters, store_filters
from lifecycle.engine.history import TimelinePage, timeline
from lifecycle.engine.identities import find
from lifecycle.engine.installation import Installation
from lifecycle.store import backlog, customers, events, reading, steps
from lifecycle.store.customers import CustomerRow
from lifecycle.store.reading import Counts
from lifecycle.store.sql import Tx
from lifecycle.store.steps import Cursor, Entry

__all__ = [
    "Customer",
    "Health",
    "LogEntry",
    "LogFilters",
    "Next",
    "TimelinePage",
    "customer",
    "earlier",
    "health",
    "key_of",
    "latest",
    "log_end",
    "snapshot_of",
    "timeline",
    "transitions",
]

OVERDUE = timedelta(seconds=60)  # what is pending longer needs a person: are workers running?


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """The earliest timed check or calendar slot that stands armed; an event may come before it."""

    name: str  # of the rule
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    key: str  # the first identifier under which something was posted
    number: int  # by which the log of the processes calls her
    identifiers: tuple[str, ...]  # all of them, the key included
    state: str
    label: str  # of the state, in English where the policy has it
    entered_at: datetime | None  # None: she never moved
    first_event_at: datetime | None  # this and what follows: None or empty until she is folded
    facts: Mapping[str, Any]  # canonical JSON values
    attributes: Mapping[str, Any]
    tags: tuple[str, ...]
    consents: Mapping[str, bool]  # "purpose/channel" → given
    refused: Mapping[str, int]  # by rule: how often its guard said no
    next: Next | None  # None: nothing happens without a new event
    ahead: tuple[Ahead, ...]  # everything that stands armed, and what would change it
    counts: Counts
    zone: str  # hers, else that of the policy
    version: Version  # of the policy, that judges now
    as_of: datetime  # the engine's clock


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One line of the log, with what overturned a revoked step."""

    entry: Entry
    overturned_by: str | None  # `event:source|id`, or `policy:` and the number of a version


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    pending: int  # events that wait to be applied
    oldest: timedelta | None  # for how long the first of them has waited, in real time
    due: int  # customers for whom a check or a waiting event has come due and not fired yet
    dead: int  # quarantined events that wait for a person
    policy_version: int  # that judges now
    schema: str  # revision of the database's tables
    clock: datetime  # the engine's

    @property
    def overdue(self) -> bool:
        return self.oldest is not None and self.oldest > OVERDUE


def key_of(inst: Installation, number: int) -> str:
    """The key of the customer whom the log calls by a number; raises NotFound where there is none."""
    with inst.db.read() as tx:
        return customers.key_of(tx, number)


def customer(inst: Installation, key: str) -> Customer:
    """Raises NotFound where no identifier is written like that."""
    with inst.db.read() as tx:
        customer_id = find(tx, key)
        row = customers.rows(tx, [customer_id])[customer_id]
        now, policies = inst.now(tx), inst.timeline(tx)
        version = policies.at(now)
        found = snapshot_of(tx, policies, row)
        following = ahead(policies, found, now)
        return Customer(
            key=row.key,
            number=row.id,
            identifiers=tuple(customers.identifiers(tx, customer_id)),
            state=row.state,
            label=Vocabulary(version.policy).state(row.state),
            entered_at=row.entered_at,
            first_event_at=found.began_at,
            facts=facts_at(policies, found, now) if found.began_at else {},
            attributes=found.attributes,
            tags=found.tags,
            consents=found.consents,
            refused=found.refused,
            next=Next(name=following[0].name, at=following[0].at) if following else None,
            ahead=following,
            counts=reading.counts_of(tx, customer_id),
            zone=found.attributes.get("timezone") or version.zone_name,
            version=version,
            as_of=now,
        )


def transitions(
    inst: Installation, cursor: Cursor | None, limit: int, filters: LogFilters
) -> tuple[list[LogEntry], Cursor]:
    """The next lines of the log, the oldest first, and from where to go on.

    Following from cursor to cursor misses nothing and repeats nothing. Raises NotFound for a
    customer that there is not, and Problem for a cursor of another query, or for the name of a
    state or rule that there never was.
    """
    with inst.db.read() as tx:
        found, after = steps.log(tx, cursor, limit, _wanted(inst, tx, cursor, filters))
        return _named(tx, found), after


def latest(inst: Installation, limit: int, filters: LogFilters) -> tuple[list[LogEntry], Cursor]:
    """The latest lines of the log, the oldest of them first, and from where to follow what comes."""
    with inst.db.read() as tx:
        found, cursor = steps.recent(tx, limit, first_filters(inst, tx, filters))
        return _named(tx, found[::-1]), cursor


def earlier(
    inst: Installation, cursor: Cursor | None, limit: int, filters: LogFilters
) -> tuple[list[LogEntry], Cursor | None]:
    """The latest lines of the log before a cursor, the newest first, and from where to go on back.

    Without a cursor it begins with the latest; None as the answer's: there is nothing before.
    """
    with inst.db.read() as tx:
        found, before = steps.earlier(tx, cursor, limit, _wanted(inst, tx, cursor, filters))
        return _named(tx, found), before


def log_end(inst: Installation, filters: LogFilters) -> Cursor:
    """From where to follow what happens from now on."""
    with inst.db.read() as tx:
        return steps.recent(tx, 0, first_filters(inst, tx, filters))[1]


def waited(inst: Installation, tx: Tx) -> timedelta | None:
    """For how long the first pending event has waited, in real time; None where none does.

    A clock that runs faster makes nothing overdue sooner; one that stands still, nothing ever.
    """
    oldest = backlog.oldest_pending(tx, inst.now(tx))
    return None if oldest is None else oldest / (inst.rate or 1.0)


def health(inst: Installation) -> Health:
    """What an operator's probe asks for, as of now."""
    with inst.db.read() as tx:
        now = inst.now(tx)
        waiting = reading.backlog(tx)
        return Health(
            pending=waiting.pending,
            oldest=waited(inst, tx),
            due=customers.due_count(tx, now),
            dead=waiting.dead,
            policy_version=inst.timeline(tx).at(now).number,
            schema=reading.schema_revision(tx),
            clock=now,
        )


def snapshot_of(tx: Tx, policies: Timeline, row: CustomerRow) -> Snapshot:
    """What is known of her; folded from her events where the stored facts are not those in force."""
    if row.folded_until is None:
        return policies.blank()
    if (known := usable(policies, row)) is not None:
        return known
    history = dict(events.histories(tx, [row.id])).get(row.id, [])
    return fold(policies, None, [stored.event for stored in history], row.folded_until).snapshot


# -- the log ------------------------------------------------------------------------------------


def _wanted(
    inst: Installation, tx: Tx, cursor: Cursor | None, filters: LogFilters
) -> steps.Filters:
    """A cursor is good for its own filters only, so whoever has one was let through before."""
    return first_filters(inst, tx, filters) if cursor is None else store_filters(tx, filters)


def _named(tx: Tx, found: Sequence[Entry]) -> list[LogEntry]:
    rows = {each.row.revoked_by for each in found if each.row.revoked_by is not None}
    causes = {row_id: stored.event.cause for row_id, stored in events.by_row_ids(tx, rows).items()}
    return [
        LogEntry(
            entry=each,
            overturned_by=_culprit(each, causes),
        )
        for each in found
    ]


def _culprit(line: Entry, causes: Mapping[int, str]) -> str | None:
    row = line.row
    if row.revoked_by:
        return causes.get(row.revoked_by)
    return None if row.revoked_version is None else f"policy:{row.revoked_version}"
