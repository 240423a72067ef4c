"""What do the interfaces show: of one customer, of everybody's steps, of the work that waits?

Only reads. Facts and the next timed check are those of this moment, computed from the snapshot.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from lifecycle.domain import snapshot as snapshots
from lifecycle.domain.fold import armed, facts_at
from lifecycle.domain.snapshot import Snapshot
from lifecycle.domain.timeline import Timeline
from lifecycle.engine.installation import Installation
from lifecycle.errors import Problem
from lifecycle.store import backlog, customers, events, reading, steps
from lifecycle.store.customers import CustomerRow
from lifecycle.store.events import StoredEvent
from lifecycle.store.messages import MessageRow
from lifecycle.store.sql import Tx
from lifecycle.store.steps import Cursor, Entry, StepRow

OVERDUE = timedelta(seconds=60)  # what is pending longer needs a person: are workers running?


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """The earliest timed check or calendar slot that stands armed; an event may come before it."""

    name: str  # of the rule
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    key: str  # the first identifier under which something was posted
    identifiers: tuple[str, ...]  # all of them, the key included
    state: str
    entered_at: datetime | None  # None: she never moved
    first_event_at: datetime | None  # this and what follows: None or empty until she is folded
    facts: Mapping[str, Any]  # canonical JSON values
    attributes: Mapping[str, Any]
    tags: tuple[str, ...]
    consents: Mapping[str, bool]  # "purpose/channel" → given
    next: Next | None  # None: nothing happens without a new event
    as_of: datetime  # the engine's clock


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelinePage:
    """Of a customer's events, steps and planned messages, the latest first."""

    entries: tuple[StoredEvent | StepRow | MessageRow, ...]
    cursor: str | None  # where the page before it in time begins; None: there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One line of the log, with the event named that overturned a revoked step."""

    entry: Entry
    overturned_by: str | None  # `event:source|id`


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilters:
    """Which lines of the log are wanted; None wants all."""

    customer: str | None = None  # any identifier of hers
    state: str | None = None  # entered or left
    rule: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    pending: int  # events that wait to be applied
    oldest: timedelta | None  # for how long the first of them has waited, in real time
    dead: int  # quarantined events that wait for a person

    @property
    def overdue(self) -> bool:
        return self.oldest is not None and self.oldest > OVERDUE


def customer(inst: Installation, key: str) -> Customer:
    """Raises NotFound where no identifier is written like that."""
    with inst.db.read() as tx:
        customer_id = customers.find(tx, key)
        row = customers.rows(tx, [customer_id])[customer_id]
        now, policies = inst.now(tx), inst.timeline(tx)
        found = _snapshot(policies, row)
        return Customer(
            key=row.key,
            identifiers=tuple(customers.identifiers(tx, customer_id)),
            state=row.state,
            entered_at=row.entered_at,
            first_event_at=found.began_at if found else None,
            facts=facts_at(policies, found, now) if found else {},
            attributes=found.attributes if found else {},
            tags=found.tags if found else (),
            consents=found.consents if found else {},
            next=_next(policies, found, now) if found else None,
            as_of=now,
        )


def timeline(inst: Installation, key: str, limit: int, cursor: str | None) -> TimelinePage:
    """Raises NotFound, or Problem for a cursor that is not one of this customer's."""
    with inst.db.read() as tx:
        customer_id = customers.find(tx, key)
        before = None if cursor is None else _read_cursor(cursor, customer_id)
        whole = reading.timeline(tx, customer_id)
    placed = sorted(_placed(whole), key=lambda each: each[0], reverse=True)
    left = [each for each in placed if before is None or each[0] < before]
    page = left[:limit]
    return TimelinePage(
        entries=tuple(entry for _, entry in page),
        cursor=_cursor(customer_id, page[-1][0]) if len(left) > limit else None,
    )


def transitions(
    inst: Installation, cursor: Cursor | None, limit: int, filters: LogFilters
) -> tuple[list[LogEntry], Cursor]:
    """The next lines of the log, the oldest first, and from where to go on.

    Following from cursor to cursor misses nothing and repeats nothing. Raises NotFound for a
    customer that there is not, and Problem for a cursor of another query.
    """
    with inst.db.read() as tx:
        found, after = steps.log(tx, cursor, limit, _store_filters(tx, filters))
        return _named(tx, found), after


def latest(inst: Installation, limit: int, filters: LogFilters) -> tuple[list[LogEntry], Cursor]:
    """The latest lines of the log, the oldest of them first, and from where to follow what comes."""
    with inst.db.read() as tx:
        found, cursor = steps.recent(tx, limit, _store_filters(tx, filters))
        return _named(tx, found[::-1]), cursor


def log_end(inst: Installation, filters: LogFilters) -> Cursor:
    """From where to follow what happens from now on."""
    with inst.db.read() as tx:
        return steps.recent(tx, 0, _store_filters(tx, filters))[1]


def health(inst: Installation) -> Health:
    """A clock that runs faster makes nothing overdue sooner; one that stands still, nothing ever."""
    with inst.db.read() as tx:
        waiting = reading.backlog(tx)
        oldest = backlog.oldest_pending(tx, inst.now(tx))
    return Health(
        pending=waiting.pending,
        oldest=oldest if oldest is None else oldest / (inst.rate or 1.0),
        dead=waiting.dead,
    )


def _snapshot(policies: Timeline, row: CustomerRow) -> Snapshot | None:
    """None until she is folded, and while a new policy's facts are still to be computed."""
    if row.snapshot is None or snapshots.shape_of(row.snapshot) != policies.shape:
        return None
    return snapshots.load(row.snapshot, policies)


def _next(policies: Timeline, found: Snapshot, now: datetime) -> Next | None:
    due = next(iter(armed(policies, found, now)), None)
    return None if due is None else Next(name=due.check.name, at=due.at)


# -- the timeline's order and cursor ------------------------------------------------------------

_Place = tuple[str, int, str, str]  # instant, kind, names: sorts as things happened


def _placed(
    whole: reading.Timeline,
) -> Iterator[tuple[_Place, StoredEvent | StepRow | MessageRow]]:
    """At one instant: the event, the step that it made, the messages planned by it."""
    for stored in whole.events:
        event = stored.event
        yield (_sortable(event.occurred_at), 0, event.source, event.id), stored
    for step in whole.steps:
        yield (_sortable(step.step.at), 1, step.step.cause, str(step.row_id)), step
    for row in whole.messages:
        message = row.message
        at, name = _sortable(message.planned_at), f"{message.rule}/{message.number}"
        yield (at, 2, message.cause, name), row


def _sortable(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")


def _cursor(customer_id: int, place: _Place) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([customer_id, *place])).decode().rstrip("=")


def _read_cursor(cursor: str, customer_id: int) -> _Place:
    try:
        whose, at, kind, first, second = orjson.loads(
            base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        )
    except (ValueError, binascii.Error, TypeError):
        whose, at, kind, first, second = None, "", 0, "", ""
    known = isinstance(at, str) and isinstance(first, str) and isinstance(second, str)
    if whose != customer_id or not known or not isinstance(kind, int):
        raise Problem(
            "cursor_invalid",
            "the cursor is not one that was given for this timeline",
            pointer="cursor",
            got=cursor[:60],
            expected="the `cursor` of an answer about the same customer, unchanged, or none",
        )
    return (at, kind, first, second)


# -- the log ------------------------------------------------------------------------------------


def _store_filters(tx: Tx, filters: LogFilters) -> steps.Filters:
    return steps.Filters(
        state=filters.state,
        rule=filters.rule,
        customer_id=None if filters.customer is None else customers.find(tx, filters.customer),
    )


def _named(tx: Tx, found: Sequence[Entry]) -> list[LogEntry]:
    rows = {each.row.revoked_by for each in found if each.row.revoked_by is not None}
    causes = {row_id: stored.event.cause for row_id, stored in events.by_row_ids(tx, rows).items()}
    return [
        LogEntry(
            entry=each,
            overturned_by=causes.get(each.row.revoked_by) if each.row.revoked_by else None,
        )
        for each in found
    ]
