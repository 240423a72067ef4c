"""A million customers: nothing due, all due at once, and intake meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from benchmarks import databases
from benchmarks.measure import Result, percentile
from lifecycle.bootstrap import Engine
from lifecycle.domain.event import Event
from lifecycle.domain.instant import instant_text
from lifecycle.engine.apply import fire_due
from lifecycle.intake.simulate import draft
from lifecycle.store import customers as store
from lifecycle.store.sql import Tx

FLOORS = {"sqlite": 300, "postgresql": 2_000}
GOAL = 10_000
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
QUIET = "2026-01-02T00:00:00Z"  # everybody has bought, nobody is due
SECONDS = 20.0  # of draining
TICKS = 200
PAUSE = 0.02  # between two posts of the intake beside it


def run(scale: float) -> list[Result]:
    results = []
    for kind in databases.KINDS:
        with databases.empty(kind) as url:
            customers = int(1_000_000 * scale)
            with databases.engine(url, QUIET) as engine:
                due_at = _populate(engine, customers)
                results.append(_idle(kind, engine, customers))
            with databases.engine(url, instant_text(due_at)) as engine:
                results += _drain(kind, engine, customers)
    return results


def _order(customer: str, number: int, at: datetime) -> Event:
    return Event(
        source="bench",
        id=f"{customer}-{number}",
        customer=customer,
        type="order_paid",
        occurred_at=at,
        received_at=at,
        properties={"amount": "120.5"},
    )


def _populate(engine: Engine, customers: int) -> datetime:
    """One real customer, folded by the engine, copied by the database so many times.

    Returns when her first timed check comes due, and with it everybody's.
    """
    engine.accept([draft(_order("due", 1, BEGUN), BEGUN)])
    engine.apply_pending()
    numbers = {
        "sqlite": (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
        ),
        "postgresql": "WITH n AS (SELECT generate_series(1, {count}) AS i)",
    }[engine.db.dialect].format(count=customers)
    with engine.db.write(long=True) as tx:
        for statement in _COPIES:
            _execute(tx, f"{statement[0]} {numbers} {statement[1]}")
    if engine.db.dialect == "postgresql":
        with engine.db.write(long=True) as tx:
            _execute(tx, "ANALYZE")
    with engine.db.read() as tx:
        wake_at = store.rows(tx, [store.find(tx, "due")]).popitem()[1].wake_at
    assert wake_at is not None
    return wake_at


_COPIES = (
    (
        """INSERT INTO customer (id, key, state, entered_at, snapshot, folded_until, wake_at,
           policy_version, created_at)""",
        """SELECT n.i + 1000, 'due-' || n.i, c.state, c.entered_at, c.snapshot, c.folded_until,
           c.wake_at, c.policy_version, c.created_at FROM n, customer AS c WHERE c.key = 'due'""",
    ),
    (
        "INSERT INTO identity (id, key, customer_id)",
        "SELECT n.i + 1000, 'due-' || n.i, n.i + 1000 FROM n",
    ),
    (
        """INSERT INTO event (id, source, event_id, identity_id, type, occurred_at, received_at,
           dated, properties, body_hash)""",
        """SELECT n.i + 1000, e.source, 'copy-' || n.i, n.i + 1000, e.type, e.occurred_at,
           e.received_at, e.dated, e.properties, e.body_hash FROM n, event AS e
           WHERE e.event_id = 'due-1' AND e.id < 1000""",
    ),
)


def _execute(tx: Tx, statement: str) -> None:
    tx.connection.execute(statement)


def _idle(kind: str, engine: Engine, customers: int) -> Result:
    times = []
    for _ in range(TICKS):
        begun = time.perf_counter()
        applied = fire_due(engine.installation)
        times.append((time.perf_counter() - begun) * 1000)
        assert applied.customers == 0, "somebody was due"
    median = percentile(times, 0.5)
    return Result(
        name=f"idle tick, {kind}",
        what="ms",
        rate=median,
        latency=True,
        count=TICKS,
        seconds=sum(times) / 1000,
        floor=5,
        goal=1,
        notes=[f"median of {TICKS}; p99 {percentile(times, 0.99):.2f} ms; {customers:,} customers"],
    )


def _drain(kind: str, engine: Engine, customers: int) -> list[Result]:
    with _intake_beside(engine) as latencies:
        fired, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < SECONDS:
            done = fire_due(engine.installation)
            fired += done.customers
            if not done.more:
                break
        seconds = time.perf_counter() - begun
    p99 = percentile(latencies, 0.99) * 1000
    return [
        Result(
            name=f"due at once, {kind}",
            what="customers/s",
            rate=fired / seconds,
            count=fired,
            seconds=seconds,
            floor=FLOORS[kind],
            goal=GOAL,
            notes=[f"of {customers:,} customers due, {fired:,} in {seconds:.0f} s"],
        ),
        Result(
            name=f"intake meanwhile, {kind}",
            what="ms",
            rate=p99,
            latency=True,
            count=len(latencies),
            seconds=seconds,
            floor=250,
            notes=["p99 of accepting one event while they drain, in the same process"],
        ),
    ]


@contextmanager
def _intake_beside(engine: Engine) -> Iterator[list[float]]:
    latencies: list[float] = []
    stop = threading.Event()
    now = engine.now()

    def post() -> None:
        number = 0
        while not stop.wait(PAUSE):
            number += 1
            begun = time.perf_counter()
            engine.accept([draft(_order(f"new-{number}", 1, now), now)])
            latencies.append(time.perf_counter() - begun)

    thread = threading.Thread(target=post)
    thread.start()
    try:
        yield latencies
    finally:
        stop.set()
        thread.join()
