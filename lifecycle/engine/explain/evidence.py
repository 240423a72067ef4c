"""What is recorded of a customer, from which she is explained? One unchanging view of the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lifecycle.domain.timeline import Timeline
from lifecycle.engine import policies
from lifecycle.engine.identities import find
from lifecycle.engine.installation import Installation
from lifecycle.store import customers, dead, events, messages, reading, runs, steps
from lifecycle.store.customers import CustomerRow
from lifecycle.store.dead import DeadLetter
from lifecycle.store.events import StoredEvent
from lifecycle.store.messages import MessageRow
from lifecycle.store.sql import Tx
from lifecycle.store.steps import StepRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Her events, the policies that judge them, and what was recorded of her."""

    at: datetime  # the instant of which it is told
    until: datetime  # the horizon up to which she is folded
    timeline: Timeline
    history: Sequence[StoredEvent]  # what has been applied, by key; later events wait
    steps: Sequence[StepRow]
    messages: Sequence[MessageRow]
    overturning: Mapping[int, StoredEvent]  # late events, by the rows that revoked steps name
    pending: Sequence[StoredEvent]
    held: int  # events of imports that have not ended
    dead: Sequence[DeadLetter]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Everything that is recorded of her today."""

    row: CustomerRow
    identifiers: tuple[str, ...]
    now: Evidence
    by_then: Timeline | None  # the policies that had been published by the moment asked for
    ended: Mapping[int, datetime]  # by import run: when it ended


def read(inst: Installation, tx: Tx, key: str, at: datetime | None) -> Record:
    """Raises NotFound where nobody is known by that name."""
    customer_id = find(tx, key)
    row = customers.rows(tx, [customer_id])[customer_id]
    now = inst.now(tx)
    if row.folded_until is not None:
        now = max(now, row.folded_until)
    history = dict(events.histories(tx, [customer_id])).get(customer_id, [])
    recorded = steps.all_of(tx, customer_id)
    planned = messages.of(tx, [customer_id]).get(customer_id, [])
    causes = {row.revoked_by for row in recorded if row.revoked_by is not None}
    pending = events.pending_of(tx, [customer_id]).get(customer_id, [])
    brought = {stored.run_id for stored in (*history, *pending)}
    return Record(
        row=row,
        identifiers=tuple(customers.identifiers(tx, customer_id)),
        now=Evidence(
            at=now,
            until=row.folded_until or now,
            timeline=inst.timeline(tx),
            history=history,
            steps=recorded,
            messages=planned,
            overturning=events.by_row_ids(tx, causes),
            pending=pending,
            held=reading.held_of(tx, customer_id),
            dead=dead.of_customer(tx, customer_id),
        ),
        by_then=None if at is None else _by_then(tx, at, recorded, planned),
        ended=runs.ended(tx, (run for run in brought if run is not None)),
    )


def _by_then(
    tx: Tx, at: datetime, recorded: Sequence[StepRow], planned: Sequence[MessageRow]
) -> Timeline:
    """The policies that had been published, or had made steps or planned messages, by an instant."""
    acted = {row.step.version for row in recorded if row.recorded_at <= at}
    acted |= {row.message.version for row in planned if row.recorded_at <= at}
    return policies.timeline_of(policies.published(tx, at, acted))
