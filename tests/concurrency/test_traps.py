"""The traps that a database used as a queue lays for its workers; each test steps on one.

Where two processes must meet at one point, they are two transactions of this one, and meet there
for certain: at a gate in the server, or where one calls the other in the middle of its work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest

from lifecycle.domain.event import Event
from lifecycle.engine import apply
from lifecycle.engine import work as unit
from lifecycle.engine.accept import Accepted, Duplicate, accept, accept_within
from lifecycle.engine.apply import apply_customers, apply_pending
from lifecycle.engine.installation import Installation
from lifecycle.engine.verify import verify
from lifecycle.store import attempts, customers, events, runs
from lifecycle.store.attempts import Attempt
from lifecycle.store.database import Database
from lifecycle.store.sql import Statement, Tx, both
from tests.concurrency.gate import Gate, gate
from tests.scenarios.driver import day, order, page
from tests.support.engine import (
    arrive,
    draft,
    installation,
    made,
    of,
    opened,
    pending,
    post,
    set_clock,
    state,
    work,
)
from tests.support.waiting import until_waiting

ANNA_ID = 1  # of whoever comes first


@pytest.fixture
def inst(postgres_database_url: str) -> Iterator[Installation]:
    with installation(postgres_database_url) as found:
        set_clock(found, day(30))
        yield found


@pytest.fixture
def the_gate(postgres_database_url: str, inst: Installation) -> Iterator[Gate]:
    with gate(postgres_database_url) as found:
        yield found


@pytest.fixture
def gated(the_gate: Gate, inst: Installation) -> Iterator[Installation]:
    """The same installation, seen by another worker, who has to pass the gate."""
    with opened(the_gate.gated_url) as found:
        yield found


def work_on_anna(inst: Installation) -> unit.Applied:
    """The second transaction of a round, in which everything is read and written."""
    return inst.db.run(lambda tx: unit.work(inst, tx, [ANNA_ID]))


# -- the lock and what is read after it --------------------------------------------------------


@pytest.mark.postgres
def test_what_is_read_after_the_lock_is_as_the_last_holder_left_it(
    inst: Installation, gated: Installation, the_gate: Gate, postgres_database_url: str
) -> None:
    """Trap: locking and joining in one statement gives the new customer with what waited before.

    One worker's first statement has begun when another folds everything of hers and commits.
    """
    arrive(inst, order(0), order(10))
    post(inst, order(20))
    with ThreadPoolExecutor(1) as pool:
        with the_gate.closed():
            late = pool.submit(work_on_anna, gated)
            until_waiting(postgres_database_url, late)
            assert work(inst).events == 1
        done = late.result()
    assert (done.events, done.steps) == (0, 0)
    assert made(inst) == [("first", 0), ("loyal", 20)]
    assert verify(inst) == []


@pytest.mark.postgres
def test_the_clock_is_read_after_the_lock(
    postgres_database_url: str,
) -> None:
    """Trap: `now()`, or any clock read before, lags by the wait for the lock.

    What happened while the worker waited has then not happened yet: it would wait for its time,
    and nobody would look before the next sweep.
    """
    with (
        installation(postgres_database_url, clock=None) as inst,
        gate(postgres_database_url) as the_gate,
        opened(the_gate.gated_url) as gated,
        ThreadPoolExecutor(1) as pool,
    ):
        arrive(inst, at(clock(inst) - timedelta(hours=1), page(0)))
        with the_gate.closed():
            late = pool.submit(work_on_anna, gated)
            until_waiting(postgres_database_url, late)
            post(inst, at(clock(inst), order(0)))
        assert late.result().events == 1
        assert state(inst) == "deal"


def clock(inst: Installation) -> datetime:
    with inst.db.read() as tx:
        return inst.now(tx)


def at(instant: datetime, event: Event) -> Event:
    return event._replace(occurred_at=instant, received_at=instant)


# -- what comes while a worker works -----------------------------------------------------------


class Moment:
    """Something that happens once, in the middle of a worker's work."""

    def __init__(self, happening: Callable[[], object]) -> None:
        self._happening = happening
        self.came = False

    def comes(self) -> None:
        if not self.came:
            self.came = True
            self._happening()


def after_the_first_reading(patched: pytest.MonkeyPatch, moment: Moment) -> None:
    """Between pending rows and histories, whichever is read first."""
    _after(patched, events, "pending_of", moment)
    _after(patched, events, "histories", moment)


def before_the_writing(patched: pytest.MonkeyPatch, moment: Moment) -> None:
    write = unit.write  # type: ignore[attr-defined]

    def then(*args: Any) -> Any:
        moment.comes()
        return write(*args)

    patched.setattr(unit, "write", then)


def before_the_clearing(patched: pytest.MonkeyPatch, moment: Moment) -> None:
    clear = events.clear_pending

    def then(*args: Any) -> Any:
        moment.comes()
        return clear(*args)

    patched.setattr(events, "clear_pending", then)


def _after(patched: pytest.MonkeyPatch, module: Any, name: str, moment: Moment) -> None:
    function = getattr(module, name)

    def then(*args: Any) -> Any:
        answer = function(*args)
        answer = answer if isinstance(answer, dict) else iter(list(answer))
        moment.comes()
        return answer

    patched.setattr(module, name, then)


MOMENTS = [after_the_first_reading, before_the_writing, before_the_clearing]


@pytest.mark.postgres
def test_what_others_finish_while_a_worker_chooses_is_left_to_them(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trap: each statement has its own view, so whoever was at the head of the queue in the first
    may be gone in the second. Here another worker does everything between the two."""
    post(inst, order(0), *of("bob", order(0)))
    moment = Moment(lambda: work(inst))
    rows = Tx.rows

    def then(tx: Tx, statement: Statement, *parameters: Any) -> Any:
        answer = rows(tx, statement, *parameters)
        if statement is customers._OLDEST:
            moment.comes()
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(Tx, "rows", then)
        assert apply_pending(inst, max_events=2).events == 0
    assert moment.came
    assert (state(inst), state(inst, "bob")) == ("deal", "deal")


@pytest.mark.postgres
@pytest.mark.parametrize("moment_of", MOMENTS)
@pytest.mark.parametrize("already", [[], [order(20)]], ids=["her first", "late"])
def test_what_comes_while_a_worker_works_is_folded_in_the_next_round(
    inst: Installation,
    monkeypatch: pytest.MonkeyPatch,
    moment_of: Callable[[pytest.MonkeyPatch, Moment], None],
    already: list[Event],
) -> None:
    """Traps: clearing everything that waits, and not what was read; reading the history before
    what waits, so that an event is cleared and was never folded."""
    arrive(inst, *already)
    post(inst, order(10))
    moment = Moment(lambda: post(inst, order(5), page(25)))
    with monkeypatch.context() as patched:
        moment_of(patched, moment)
        assert apply_pending(inst).events == 1
    assert moment.came
    assert pending(inst) == ["order_paid-5", "page_viewed-25"]
    assert apply_pending(inst).events == 2
    assert made(inst)[0] == ("first", 5)
    assert verify(inst) == []


@pytest.mark.postgres
@pytest.mark.parametrize("moment_of", MOMENTS)
def test_an_import_that_ends_while_a_worker_works_is_folded_in_the_next_round(
    inst: Installation,
    monkeypatch: pytest.MonkeyPatch,
    moment_of: Callable[[pytest.MonkeyPatch, Moment], None],
) -> None:
    """What it held waits in one row an identity: none of it may be cleared unseen."""
    arrive(inst, order(20))
    with inst.db.write() as tx:
        run_id = runs.begin(tx, name="a", digest="a", effects=True, now=day(30))
    post(inst, order(0), order(5), run_id=run_id)
    post(inst, order(10))

    def end() -> None:
        with inst.db.write() as tx:
            runs.end(tx, run_id, day(30))

    with monkeypatch.context() as patched:
        moment_of(patched, Moment(end))
        assert apply_pending(inst).events == 1
    assert made(inst) == [("first", 10)]
    assert apply_pending(inst).events == 2
    assert made(inst) == [("first", 0), ("loyal", 10)]
    assert verify(inst) == []


def test_attempts_are_committed_before_the_work(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trap: an attempt recorded within the work is undone by the crash that it should count.

    Whoever looks while the fold is running sees who is being tried.
    """
    with installation(database_url) as inst, opened(database_url) as other:
        seen: list[list[Attempt]] = []
        fold = unit.fold  # type: ignore[attr-defined]

        def seen_while_folding(*args: Any) -> Any:
            with other.db.read() as tx:
                seen.append(attempts.unfinished(tx))
            return fold(*args)

        post(inst, order(0), *of("bob", order(0)))
        monkeypatch.setattr(unit, "fold", seen_while_folding)
        apply_pending(inst)
        assert [set(attempt.customers) for attempt in seen[0]] == [{1, 2}]
        with inst.db.read() as tx:
            assert attempts.unfinished(tx) == []


def test_a_worker_that_was_paused_before_its_work_finds_nothing_left_to_do(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trap: taking what was claimed before the pause for what is still to be done.

    Between attempt and work it stood still for so long that another took it for dead, tried its
    customers one by one, and was through with them when it went on.
    """
    with installation(database_url) as inst:
        set_clock(inst, day(30))
        post(inst, order(0), order(5), *of("bob", order(0)))
        moment = Moment(lambda: work(inst))
        together = apply._together

        def then(*args: Any) -> Any:
            moment.comes()
            return together(*args)

        monkeypatch.setattr(apply, "CRASHED_AFTER", timedelta(0))
        monkeypatch.setattr(apply, "_together", then)
        assert apply_pending(inst).events == 0
        assert moment.came
        assert made(inst) == [("first", 0)]
        assert made(inst, "bob") == [("first", 0)]
        assert verify(inst) == []
        with inst.db.read() as tx:
            assert attempts.unfinished(tx) == []


# -- intake meanwhile --------------------------------------------------------------------------


@pytest.mark.postgres
def test_intake_does_not_wait_for_a_customer_who_is_being_folded(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trap: a lock that keeps those out who only refer to her (`FOR UPDATE` and a foreign key)."""
    arrive(inst, order(0))
    post(inst, order(10))
    refer = both("SELECT id FROM customer FOR KEY SHARE NOWAIT")  # what a foreign key asks for

    def posted() -> None:
        with inst.db.write() as tx:
            tx.run(both("SET LOCAL lock_timeout = '100ms'"))
            results = accept_now(inst, tx, order(11), *of("bob", order(0)))
            assert results == [Accepted, Accepted]
            assert tx.run(refer) == 2

    moment = Moment(posted)
    with monkeypatch.context() as patched:
        before_the_writing(patched, moment)
        apply_customers(inst, [ANNA_ID])
    assert moment.came
    assert work(inst).events == 2
    assert verify(inst) == []


def accept_now(inst: Installation, tx: Tx, *given: Event) -> list[type]:
    return [type(result) for result in accept_within(inst, tx, [draft(event) for event in given])]


@pytest.mark.postgres
@pytest.mark.parametrize("what", ["events", "customers"])
def test_batches_with_the_same_things_in_opposite_order_do_not_deadlock(
    inst: Installation, postgres_database_url: str, what: str
) -> None:
    """Trap: each holds what the other wants next.

    A third writer, who has the thing in the middle, lets both begin and neither end. A deadlock
    would be resolved by the server, and tried again after a wait: there is none.
    """
    names = ["a", "m", "z"]
    if what == "events":
        batch = [order(0, name) for name in names]
        arrive(inst, page(0))
    else:
        batch = [event for name in names for event in of(name, order(0))]
    waits: list[float] = []
    other = Installation(Database.open(postgres_database_url, wait=waits.append), inst._clock)
    drafts = [draft(event) for event in batch]
    posting = partial(accept, other)
    try:
        with ThreadPoolExecutor(2) as pool:
            with inst.db.write() as third:
                accept_now(inst, third, batch[1])
                posted = [pool.submit(posting, each) for each in (drafts, drafts[::-1])]
                until_waiting(postgres_database_url, *posted)
            results = [result for each in posted for result in each.result()]
    finally:
        other.db.close()
    assert waits == []
    told = [type(result) for result in results]
    assert (told.count(Accepted), told.count(Duplicate)) == (2, 4)
    work(inst)
    with inst.db.read() as tx:
        assert len(customers.ids_after(tx, 0, 10)) == (1 if what == "events" else 3)


@pytest.mark.postgres
def test_the_gate_would_catch_whoever_reads_while_locking(
    inst: Installation, gated: Installation, the_gate: Gate, postgres_database_url: str
) -> None:
    """The trap itself, as PostgreSQL lays it: the new customer beside what had waited for her."""
    arrive(inst, order(0))
    post(inst, order(20))
    trap = (
        "SELECT c.folded_until, p.event_id FROM customer AS c"
        " JOIN identity AS i ON i.customer_id = c.id LEFT JOIN pending AS p ON p.identity_id = i.id"
        " FOR NO KEY UPDATE OF c SKIP LOCKED"
    )
    set_clock(inst, day(31))
    with psycopg.connect(the_gate.gated_url) as trapped, ThreadPoolExecutor(1) as pool:
        with the_gate.closed():
            reading = pool.submit(lambda: trapped.execute(trap).fetchall())
            until_waiting(postgres_database_url, reading)
            work(inst)
        ((folded_until, event_id),) = reading.result()
    assert folded_until == day(31)
    assert event_id is not None
    assert pending(inst) == []
