"""From HTTP to applied, with the whole system in one process, beside the straightforward design."""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks import databases, straightforward
from benchmarks.material import bodies, default_policy, simulated
from benchmarks.measure import Result, percentile
from benchmarks.served import Load, lifecycle_up, post_all, running
from lifecycle.bootstrap import Access
from lifecycle.store import reading

FLOORS = {"sqlite": (8_000, 15_000), "postgresql": (5_000, 10_000)}
WARMING = 1_000  # events before the clock runs


def run(scale: float) -> list[Result]:
    results = []
    for kind in databases.KINDS:
        plain = _plain(kind, int(3_000 * scale))
        ours = _ours(kind, int(60_000 * scale))
        ours.beside = plain.name
        results += [ours, plain]
    return results


def _ours(kind: str, count: int) -> Result:
    floor, goal = FLOORS[kind]
    with databases.empty(kind) as url:
        command, environment = lifecycle_up(), {"LIFECYCLE_DATABASE_URL": url}
        load = _load(url, command, environment, count, lambda: _nothing_pending(url))
    result = _result(f"HTTP → applied, {kind}", load, count)
    result.floor, result.goal = floor, goal
    return result


def _plain(kind: str, count: int) -> Result:
    with databases.empty(kind) as url:
        own = straightforward.own_database(url)
        command = [sys.executable, "-m", "benchmarks.straightforward", own]
        load = _load(own, command, {}, count, lambda: straightforward.nothing_pending(own))
    return _result(f"straightforward, {kind}", load, count)


def _load(
    url: str,
    command: list[str],
    environment: dict[str, str],
    count: int,
    is_done: Callable[[], bool],
) -> Load:
    assert url
    events = simulated(default_policy(), count + WARMING)
    warm, measured = bodies(events[:WARMING], "warm"), bodies(events[WARMING:], "run")
    with running(command, environment) as (pid, port):
        post_all(pid, port, warm, is_done)
        return post_all(pid, port, measured, is_done)


def _nothing_pending(url: str) -> bool:
    with databases.engine(url, access=Access.READ) as engine, engine.db.read() as tx:
        return reading.backlog(tx).pending == 0


def _result(name: str, load: Load, count: int) -> Result:
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
