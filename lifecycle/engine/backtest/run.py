"""A whole backtest: every customer of a history, on all cores, in constant memory.

Each process takes one part after the other and counts it; what it counted is added up here. So the
figures do not depend on how many processes there are, nor on which was faster.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeVar

from lifecycle.domain.policy import PolicyVersion
from lifecycle.domain.timeline import Timeline
from lifecycle.engine.backtest.course import Courses, Ways
from lifecycle.engine.backtest.histories import Histories, History, Read, Reader
from lifecycle.engine.backtest.tally import Counting, Tally, count
from lifecycle.errors import Unavailable
from lifecycle.policy import from_canonical, to_canonical

AHEAD = 4  # parts a process that are told it before it asks


OnCustomers = Callable[[int, int], None]
"""Hears how many customers are done, and of how many."""


class Counts(Protocol):
    """What one process counts; the counts of all are added up."""

    customers: int

    def merge(self, other: Any) -> None: ...


C = TypeVar("C", bound=Counts)
Made_co = TypeVar("Made_co", bound=Counts, covariant=True)


class Work(Protocol[Made_co]):
    """What is done with each part; told to every process, so it holds nothing that is open."""

    def begin(self) -> Callable[[Iterable[History]], Made_co]:
        """Compile what is needed once a process."""

    def empty(self) -> Made_co: ...


class _Written(NamedTuple):
    number: int
    hash: str
    effective_at: datetime
    content: bytes  # canonical


@dataclass(frozen=True, slots=True)
class Policies:
    """Versions of a policy, as they can be told to another process."""

    written: tuple[_Written, ...]

    @classmethod
    def of(cls, versions: Iterable[PolicyVersion]) -> Policies:
        return cls(
            tuple(
                _Written(one.number, one.hash, one.effective_at, to_canonical(one.policy))
                for one in versions
            )
        )

    def timeline(self) -> Timeline:
        return Timeline(
            [
                PolicyVersion(
                    number=one.number,
                    hash=one.hash,
                    effective_at=one.effective_at,
                    policy=from_canonical(one.content),
                )
                for one in self.written
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """One policy, or the versions of one, over a history."""

    policies: Policies
    ways: Ways
    counting: Counting

    def empty(self) -> Tally:
        return Tally()

    def begin(self) -> Callable[[Iterable[History]], Tally]:
        courses = Courses(self.policies.timeline(), self.ways, self.counting.until)

        def counted(histories: Iterable[History]) -> Tally:
            tally = Tally()
            for customer, history in histories:
                count(tally, courses.of(customer, history), self.counting)
            return tally

        return counted


def run(
    work: Work[C],
    histories: Histories,
    *,
    processes: int | None = None,
    on_customers: OnCustomers = lambda _, __: None,
) -> C:
    """The answer is the same for any `processes`."""
    total = work.empty()
    at_once = processes or (1 if histories.is_small else cores())
    for counted in _here(work, histories) if at_once == 1 else _apart(work, histories, at_once):
        total.merge(counted)
        on_customers(total.customers, histories.customers)
    return total


def cores() -> int:
    """On which this process may run; a container, or whoever started it, may allow fewer than there are."""
    allowed = getattr(os, "sched_getaffinity", None)  # Linux has it
    return len(allowed(0)) if allowed else os.cpu_count() or 1


PORTION = 250  # customers after which progress is told


def _here(work: Work[C], histories: Histories) -> Iterator[C]:
    counted = work.begin()
    with histories.reader().reading() as read:
        for part in histories.parts():
            people = iter(read(part))
            while portion := list(islice(people, PORTION)):
                yield counted(portion)


def _apart(work: Work[C], histories: Histories, processes: int) -> Iterator[C]:
    context = multiprocessing.get_context("spawn")  # threads of the parent are not inherited
    with ProcessPoolExecutor(processes, context, _begin, (work, histories.reader())) as pool:
        parts = iter(histories.parts())
        running: set[Future[C]] = set()
        try:
            while True:
                with _deaf_to_interrupts():  # which processes that start now inherit
                    for part in islice(parts, AHEAD * processes - len(running)):
                        running.add(pool.submit(_count, part))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for each in done:
                    yield each.result()
        except BrokenProcessPool as error:
            raise Unavailable(
                "a process that counted customers was ended from outside, perhaps for lack of memory;"
                " nothing was changed. Fewer at once need less: --processes 1"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Ctrl-C is this process's, which ends the others; only its main thread has a say in that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass(slots=True)
class _Process:
    """What one of the processes holds open."""

    counted: Callable[[Iterable[History]], Counts]
    read: Read
    stack: ExitStack


_process: list[_Process] = []


def _begin(work: Work[Any], reader: Reader) -> None:
    """In a process of its own, once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    stack = ExitStack()
    _process.append(
        _Process(
            counted=work.begin(),
            read=stack.enter_context(reader.reading()),
            stack=stack,
        )
    )


def _end_with_parent() -> None:
    """Who asked was killed: nobody would ever take an answer, and this process would wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "it was started by another"
    parent.join()
    os._exit(1)


def _count(part: object) -> Any:
    (mine,) = _process
    return mine.counted(mine.read(part))
