"""The design that one would write first, decently, for comparison: never used by the product.

Each event of a request is validated by the same rules, stored by an ORM transaction of its own, and
rung for by a dramatiq message of its own; a worker loads the customer by the ORM, asks a state
machine made for her, and commits. Event by event, in order of arrival, durable as ours is.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import dramatiq
import uvicorn
from dramatiq.brokers.stub import StubBroker
from dramatiq.worker import Worker
from fastapi import FastAPI, Request
from sqlalchemy import Engine, event, func
from sqlalchemy.orm import registry
from sqlmodel import Field, Session, SQLModel, create_engine, select
from transitions import Machine

from benchmarks.material import default_policy
from lifecycle.intake.draft import Draft
from lifecycle.intake.native import read_batch

STATES = ["potential", "intent", "deal", "loyal", "dormant", "churned", "reactivated"]
THREADS = 4


class Plain(SQLModel, registry=registry()):
    """Apart from the product's own tables, should one process know both."""


class PlainCustomer(Plain, table=True):
    key: str = Field(primary_key=True)
    state: str = "potential"
    orders: int = 0
    revenue: Decimal = Decimal(0)
    last_seen_at: datetime | None = None


class PlainEvent(Plain, table=True):
    id: int | None = Field(default=None, primary_key=True)
    source: str = Field(index=True)
    event_id: str = Field(index=True, unique=True)
    customer: str = Field(index=True)
    type: str
    occurred_at: datetime
    properties: str
    applied: bool = Field(default=False, index=True)


class PlainTransition(Plain, table=True):
    id: int | None = Field(default=None, primary_key=True)
    customer: str = Field(index=True)
    from_state: str
    to_state: str
    at: datetime


def own_database(url: str) -> str:
    """The same database with the driver's name that SQLAlchemy wants."""
    return url.replace("postgresql://", "postgresql+psycopg://")


def nothing_pending(url: str) -> bool:
    engine = _open(url)
    with Session(engine) as session:
        waiting = session.exec(
            select(func.count()).select_from(PlainEvent).where(PlainEvent.applied == False)  # noqa: E712 - SQL
        ).one()
    engine.dispose()
    return waiting == 0


def _open(url: str) -> Engine:
    engine = create_engine(url, pool_size=16)
    if url.startswith("sqlite"):

        @event.listens_for(engine, "connect")
        def _pragmas(connection: Any, _record: Any) -> None:
            connection.isolation_level = None
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000"):
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(engine, "begin")
        def _begin(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def apply_one(engine: Engine, event_id: int) -> None:
    """One event: load, decide, store, commit."""
    with Session(engine) as session:
        stored = session.get(PlainEvent, event_id)
        if stored is None or stored.applied:
            return
        customer = session.get(PlainCustomer, stored.customer, with_for_update=True)
        if customer is None:
            customer = PlainCustomer(key=stored.customer)
            session.add(customer)
        if stored.type == "order_paid":
            customer.orders += 1
        customer.last_seen_at = stored.occurred_at
        before = customer.state
        _machine(customer).trigger(stored.type)
        if customer.state != before:
            session.add(
                PlainTransition(
                    customer=customer.key,
                    from_state=before,
                    to_state=customer.state,
                    at=stored.occurred_at,
                )
            )
        stored.applied = True
        session.commit()


class _Model:
    """What the machine moves: the customer's row."""

    def __init__(self, customer: PlainCustomer) -> None:
        self.customer = customer


def _machine(customer: PlainCustomer) -> Any:
    machine = Machine(
        model=None, states=STATES, initial=customer.state, auto_transitions=False, send_event=True
    )
    for source in ("potential", "intent"):
        machine.add_transition("order_paid", source, "deal")
    machine.add_transition(
        "order_paid", "deal", "loyal", conditions=[lambda _: customer.orders >= 3]
    )
    for source in ("dormant", "churned"):
        machine.add_transition("order_paid", source, "reactivated")
    machine.add_transition("account_closed", "*", "churned")

    class Trigger:
        def trigger(self, kind: str) -> None:
            if kind in machine.events and machine.get_triggers(customer.state).count(kind):
                machine.events[kind].trigger(customer)

    return Trigger()


def main(url: str, port: int) -> None:
    engine = _open(url)
    Plain.metadata.create_all(engine)
    broker = StubBroker()
    policy = default_policy()

    @dramatiq.actor(broker=broker, max_retries=10)
    def apply_event(event_id: int) -> None:
        apply_one(engine, event_id)

    app = FastAPI()

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    def store(body: bytes) -> int:
        batch = read_batch(body, policy, datetime.now(UTC), "http")
        for draft in batch.items:
            if not isinstance(draft, Draft):
                raise draft
            with Session(engine) as session:
                row = PlainEvent(
                    source=draft.event.source,
                    event_id=draft.event.id,
                    customer=draft.event.customer,
                    type=draft.event.type,
                    occurred_at=draft.event.occurred_at,
                    properties=str(draft.event.properties),
                )
                session.add(row)
                session.commit()
                assert row.id is not None
                apply_event.send(row.id)
        return len(batch.items)

    @app.post("/v1/events")
    async def post(request: Request) -> dict[str, int]:
        body = await request.body()
        return {"accepted": await _in_thread(store, body)}

    worker = Worker(broker, worker_threads=THREADS)
    worker.start()
    try:
        uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")
    finally:
        worker.stop()


async def _in_thread(work: Any, *arguments: Any) -> Any:
    from starlette.concurrency import run_in_threadpool

    return await run_in_threadpool(work, *arguments)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[sys.argv.index("--port") + 1]))
