"""A whole backtest: real invoices on one core, and generated customers on all of them in constant memory."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.material import INVOICES, default_policy, mapped
from benchmarks.measure import Result, peak_megabytes, watched
from lifecycle.domain.builtin import CONSENT_GIVEN, PAGE_VIEWED, PROFILE_CHANGED
from lifecycle.domain.event import Event
from lifecycle.engine.backtest.asking import Candidate, Period, backtest
from lifecycle.engine.backtest.course import Ways
from lifecycle.engine.backtest.histories import History, Read, filed

SECONDS = 3.0  # in which the invoices are to be read and tried
CUSTOMERS = 1_000_000
EVENTS = 20  # of each
AT_ONCE = 1_000  # customers in a part
SHARES = (0.01, 0.04)  # of the customers, in a usual run; with --scale 25 the larger one is all
MORE_MEMORY = 1.1  # times as much, at most, for four times as many customers
WAYS = Ways(addresses={"email": "email", "sms": "phone", "task": None})
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
END = BEGIN + timedelta(days=730)


def run(scale: float) -> list[Result]:
    found = []
    if INVOICES.exists():
        found = [_invoices(everybody=False), _invoices(everybody=True)]
    few, many = (_alone(int(CUSTOMERS * share * scale)) for share in SHARES)
    return [*found, few.result, many.result, _memory(few, many)]


def _candidate() -> Candidate:
    return Candidate.of(default_policy(), "", "config/policy.yaml")


def _invoices(*, everybody: bool) -> Result:
    """From the file to the report, in this process; the best of three, as other work only ever slows."""
    candidate = _candidate()
    ways = Ways(addresses=WAYS.addresses, everybody=everybody)
    tries = []
    for _ in range(3):
        with watched() as watch, filed(mapped(candidate.newest)) as history:
            told = backtest(candidate, history, ways, Period(), processes=1)
        tries.append((watch.seconds, watch.cpu_seconds, told))
    best, cpu, told = min(tries, key=lambda each: each[0])
    return Result(
        name=f"backtest, Online Retail II{', everybody reached' if everybody else ''}",
        what="s",
        rate=best,
        latency=True,
        floor=SECONDS,
        count=told.events,
        seconds=best,
        cpu_seconds=cpu,
        notes=[
            (
                f"{told.events:,} invoices read and tried on one core, {told.events / best:,.0f} ev/s:"
                f" {told.letters.planned:,} messages judged, {told.letters.sent:,} would have left;"
                f" digest {told.digest}"
            )
        ],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    result: Result
    customers: int
    megabytes: float  # the most that any of its processes has held


def _alone(customers: int) -> _Measured:
    """In a process of its own: one that held more before would tell that of every measurement.

    Forked by a small one, as a process that is begun by a large one tells the most that this has held.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("forkserver")) as pool:
        return pool.submit(_generated, customers).result()


def _generated(customers: int) -> _Measured:
    """Customers of whom nothing is kept: each process makes those of its part."""
    histories = Generated(customers=customers)
    begun = time.perf_counter()
    told = backtest(_candidate(), histories, WAYS, Period(until=END))
    seconds = time.perf_counter() - begun
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    result = Result(
        name=f"backtest, {customers:,} customers",
        what="ev/s",
        rate=told.events / seconds,
        count=told.events,
        seconds=seconds,
        cpu_seconds=None,
        notes=[
            (
                f"{customers:,} customers with {EVENTS} events each in {seconds:,.1f} s on"
                f" {os.cpu_count()} cores: {told.letters.planned:,} messages judged,"
                f" {told.letters.sent:,} would have left; most memory: {peak_megabytes():,.0f} MB here,"
                f" {largest:,.0f} MB in the largest process; a million would take"
                f" {CUSTOMERS / customers * seconds / 60:,.1f} min; digest {told.digest}"
            )
        ],
    )
    return _Measured(result=result, customers=customers, megabytes=max(largest, peak_megabytes()))


def _memory(few: _Measured, many: _Measured) -> Result:
    return Result(
        name="backtest, memory of 4 × the customers",
        what="×",
        rate=many.megabytes / few.megabytes,
        latency=True,
        floor=MORE_MEMORY,
        count=many.customers,
        seconds=many.result.seconds,
        notes=[
            (
                f"the largest process held {few.megabytes:,.0f} MB with {few.customers:,} customers"
                f" and {many.megabytes:,.0f} MB with {many.customers:,}"
            )
        ],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """Customers who are made from their numbers, wherever they are asked for."""

    customers: int

    @property
    def last_at(self) -> datetime:
        return END

    @property
    def rows_left_out(self) -> int:
        return 0

    @property
    def is_small(self) -> bool:
        return False

    def parts(self) -> Iterator[range]:
        for first in range(0, self.customers, AT_ONCE):
            yield range(first, min(first + AT_ONCE, self.customers))

    def reader(self) -> Generated:
        return self

    @contextmanager
    def reading(self) -> Iterator[Read]:
        yield lambda numbers: map(_history, numbers)


def _history(number: int) -> History:
    """She tells how she is reached, mostly agrees to letters, and buys and looks at her own pace."""
    drawn = random.Random(number)
    customer = f"c{number:07}"
    at = BEGIN + timedelta(seconds=drawn.randrange(86_400 * 300))
    pace = drawn.choice((5, 15, 30, 60)) * 86_400
    known = {"attributes": {"email": f"{customer}@example.org"}}
    told: list[tuple[str, str, dict[str, Any]]] = [("profile", PROFILE_CHANGED, known)]
    if drawn.random() < 0.8:
        agreed = {"purpose": "marketing", "channel": "all"}
        told.append(("agrees", CONSENT_GIVEN, agreed))
    while len(told) < EVENTS:
        if drawn.random() < 0.4:
            paid = {"amount": str(drawn.randrange(5, 400)), "currency": "CNY"}
            told.append((f"o{len(told)}", "order_paid", paid))
        else:
            told.append((f"p{len(told)}", PAGE_VIEWED, {}))
    events = []
    for name, kind, properties in told:
        events.append(Event("bench", f"{customer}-{name}", customer, kind, at, at, properties))
        at += timedelta(seconds=1 + int(drawn.expovariate(1 / pace)))
    return customer, events
