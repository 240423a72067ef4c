"""One database for thousands of made-up histories: emptied in between, never made anew."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlmodel import SQLModel

from lifecycle.clock import ClockSpec
from lifecycle.domain.policy import PolicyVersion
from lifecycle.engine.apply import apply_pending, fire_due
from lifecycle.engine.digest import truths
from lifecycle.engine.installation import Installation
from lifecycle.policy import to_canonical
from lifecycle.store import customers, messages, policies
from lifecycle.store.database import Database
from lifecycle.store.messages import MessageRow
from lifecycle.store.sql import both
from tests.properties.arrivals import Told
from tests.support import engine

CLOCK = ClockSpec.parse(engine.DAY_0_CLOCK)


def emptied(db: Database, versions: list[PolicyVersion]) -> Installation:
    """An installation without any event, under these policies."""
    with db.write() as tx:
        for table in reversed(SQLModel.metadata.sorted_tables):
            tx.run(both(f'DELETE FROM "{table.name}"'))
        for version in versions:
            row = policies.PolicyRow(
                number=version.number,
                hash=version.hash,
                effective_at=version.effective_at,
                content=to_canonical(version.policy).decode(),
                published_at=datetime(2025, 1, 1, tzinfo=UTC),
                by="a test",
            )
            assert policies.add(tx, row)
    return Installation(db, CLOCK)


def live_through(inst: Installation, told: Told) -> None:
    """Everything arrives as told; in the end all is applied and has fired."""
    for arrival in told.arrivals:
        engine.set_clock(inst, arrival.clock)
        engine.post(inst, *arrival.events)
        if arrival.applied:
            apply_pending(inst)
        if arrival.fired:
            fire_due(inst)
        if arrival.sent:
            send_queued(inst, arrival.clock)
    engine.reach(inst, told.until)


def arrive_timely(inst: Installation, told: Told) -> None:
    """The same events, all at once, sorted, when all has happened."""
    engine.set_clock(inst, told.until)
    engine.post(inst, *sorted(told.events, key=lambda event: event.key))
    engine.work(inst)


def send_queued(inst: Installation, at: datetime) -> None:
    with inst.db.read() as tx:
        keys = [row.key for row in customers.after_key(tx, "", 100)]
    for key in keys:
        engine.send(inst, at, key)


def truth_at(inst: Installation, at: datetime) -> list[dict[str, Any]]:
    """What the digest is made of."""
    with inst.db.read() as tx:
        return list(truths(inst, tx, at))


def all_messages(inst: Installation) -> list[MessageRow]:
    with inst.db.read() as tx:
        ids = customers.ids_after(tx, 0, 100)
        return [row for rows in messages.of(tx, ids).values() for row in rows]
