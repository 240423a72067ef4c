"""Small rows to store, named by what matters in a test."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from lifecycle.domain.event import Event
from lifecycle.domain.fate import Fate
from lifecycle.domain.policy import MessageClass
from lifecycle.domain.step import PlannedMessage, Step
from lifecycle.store import customers, events, runs
from lifecycle.store.database import Database
from lifecycle.store.events import Added, Known, NewEvent, StoredEvent
from lifecycle.store.messages import MessageRow
from lifecycle.store.steps import StepRow

DAY_0 = datetime(2026, 1, 1, tzinfo=UTC)
RECEIVED = datetime(2026, 6, 1, 12, 30, 15, 123456, tzinfo=UTC)


def day(number: float) -> datetime:
    return DAY_0 + timedelta(days=number)


def new(
    id: str,
    customer: str = "ann",
    *,
    at: float = 0,
    source: str = "shop",
    type: str = "order_paid",  # noqa: A002 - an event's type
    dated: bool = True,
    **properties: Any,
) -> NewEvent:
    """An event to be accepted, with a hash of its content."""
    event = Event(
        source=source,
        id=id,
        customer=customer,
        type=type,
        occurred_at=day(at),
        received_at=RECEIVED,
        properties=properties,
    )
    content = repr((customer, type, day(at) if dated else None, properties))
    digest = hashlib.blake2b(content.encode(), digest_size=16).digest()
    return NewEvent(event=event, body_hash=digest, dated=dated)


def add(
    db: Database, *news: NewEvent, run_id: int | None = None, too_late: Iterable[int] = ()
) -> list[Added | Known]:
    """Accept them in a transaction of their own."""
    late = dict.fromkeys(too_late, "too late")
    return db.run(
        lambda tx: events.add(tx, news, initial="potential", run_id=run_id, too_late=late)
    )


def begun_run(db: Database, *, effects: bool = False, digest: str = "digest") -> int:
    return db.run(
        lambda tx: runs.begin(tx, name="file.csv", digest=digest, effects=effects, now=day(100))
    )


def end_run(db: Database, run_id: int, at: float = 101) -> None:
    db.run(lambda tx: runs.end(tx, run_id, day(at)))


def customer(db: Database, key: str = "ann") -> int:
    with db.read() as tx:
        return customers.find(tx, key)


def pending(db: Database, *keys: str) -> list[str]:
    """The ids of the events that wait for these customers, in order."""
    with db.read() as tx:
        ids = [customers.find(tx, key) for key in keys]
        waiting = events.pending_of(tx, ids)
    return names(stored for each in ids for stored in waiting.get(each, []))


def history(db: Database, key: str = "ann") -> list[str]:
    """The ids of what was folded for a customer, in order."""
    with db.read() as tx:
        found = dict(events.histories(tx, [customers.find(tx, key)]))
    return names(stored for each in found.values() for stored in each)


def fold_all(db: Database) -> None:
    """As if everything that waits had been folded."""

    def unit(tx: Any) -> bool:
        ids = customers.claim_pending(tx, 1000)
        waiting = events.pending_of(tx, ids)
        events.clear_pending(tx, [stored for each in waiting.values() for stored in each])
        return bool(ids)

    while db.run(unit):
        pass


def names(stored: Iterable[StoredEvent]) -> list[str]:
    return [each.event.id for each in stored]


def step(
    customer_id: int,
    seq: int | None,
    cause: str,
    *,
    rule: str = "first",
    at: float = 0,
    from_state: str = "potential",
    to_state: str = "deal",
    **rest: Any,
) -> StepRow:
    return StepRow(
        row_id=0,
        customer_id=customer_id,
        seq=seq,
        step=Step(
            rule=rule,
            from_state=from_state,
            to_state=to_state,
            trigger="order_paid",
            cause=cause,
            at=day(at),
            guard=rest.pop("guard", None),
            read=rest.pop("read", {}),
            version=1,
            **rest,
        ),
        recorded_at=RECEIVED,
    )


def message(
    customer_id: int,
    cause: str,
    *,
    rule: str = "win-back",
    number: int = 1,
    fate: Fate = Fate.QUEUED,
    planned: float = 10,
    expires: float | None = 17,
    sent: float | None = None,
    live: bool = True,
    reason: str | None = None,
) -> MessageRow:
    return MessageRow(
        row_id=0,
        customer_id=customer_id,
        message=PlannedMessage(
            rule=rule,
            cause=cause,
            number=number,
            caused_at=day(planned),
            planned_at=day(planned),
            expires_at=None if expires is None else day(expires),
            settle=timedelta(minutes=10),
            again_after=timedelta(days=30),
            message_class=MessageClass.MARKETING,
            channels=("email", "sms"),
            version=1,
        ),
        live=live,
        fate=fate,
        reason=reason,
        fate_at=day(planned),
        not_before=day(planned) + timedelta(minutes=10),
        sent_at=None if sent is None else day(sent),
        recorded_at=RECEIVED,
    )


def kinds(results: Sequence[Added | Known]) -> list[str]:
    return [type(each).__name__ for each in results]
