"""From HTTP to applied, with the whole system in one process, beside the straightforward design.

Events arrive as they happen; also measured is a past of 600 days that is posted in order: time has
passed for each customer when her next event comes, which is then late, and folds her again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks import databases, straightforward
from benchmarks.material import as_if_live, bodies, default_policy, simulated
from benchmarks.measure import Result, percentile
from benchmarks.served import Load, lifecycle_up, post_all, running
from lifecycle.bootstrap import Access
from lifecycle.domain.event import Event
from lifecycle.store import reading

FLOORS = {"sqlite": (8_000, 15_000), "postgresql": (5_000, 10_000)}
WARMING = 1_000  # events before the clock runs


def run(scale: float) -> list[Result]:
    results = []
    for kind in databases.KINDS:
        plain = _plain(kind, int(3_000 * scale))
        ours = _ours(f"HTTP → applied, {kind}", kind, live(int(60_000 * scale)))
        ours.floor, ours.goal = FLOORS[kind]
        ours.beside = plain.name
        past = _ours(f"HTTP → applied, the past, {kind}", kind, _past(int(20_000 * scale)))
        results += [ours, plain, past]
    return results


def _ours(name: str, kind: str, events: list[Event]) -> Result:
    with databases.empty(kind) as url:
        command, environment = lifecycle_up(), {"LIFECYCLE_DATABASE_URL": url}
        load = _load(command, environment, events, lambda: nothing_pending(url))
    return result_of(name, load, len(events) - WARMING)


def _plain(kind: str, count: int) -> Result:
    with databases.empty(kind) as url:
        own = straightforward.own_database(url)
        command = [sys.executable, "-m", "benchmarks.straightforward", own]
        load = _load(command, {}, live(count), lambda: straightforward.nothing_pending(own))
    return result_of(f"straightforward, {kind}", load, count)


def _past(count: int) -> list[Event]:
    return simulated(default_policy(), count + WARMING)


def live(count: int) -> list[Event]:
    return as_if_live(_past(count))


def _load(
    command: list[str],
    environment: dict[str, str],
    events: list[Event],
    is_done: Callable[[], bool],
) -> Load:
    warm, measured = bodies(events[:WARMING], "warm"), bodies(events[WARMING:], "run")
    with running(command, environment) as (pid, port):
        post_all([pid], port, warm, is_done)
        return post_all([pid], port, measured, is_done)


def nothing_pending(url: str) -> bool:
    with databases.engine(url, access=Access.READ) as engine, engine.db.read() as tx:
        return reading.backlog(tx).pending == 0


def result_of(name: str, load: Load, count: int) -> Result:
    p99 = percentile(load.latencies, 0.99) * 1000
    return Result(
        name=name,
        what="ev/s",
        rate=count / load.seconds,
        count=count,
        seconds=load.seconds,
        cpu_seconds=load.cpu_seconds,
        load_cpu_seconds=load.load_cpu_seconds,
        notes=[
            (
                f"{count:,} events in batches of 100 over four connections, until nothing is pending;"
                f" p99 of a request {p99:.0f} ms; {load.cpu_seconds / count * 1e6:.0f} µs CPU an event"
            )
        ],
    )
