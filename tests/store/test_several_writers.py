"""Several processes at once on PostgreSQL: nothing lost, nothing doubled, nobody waits for long.

Each test here fails under one of the traps that such a design can step into; the docstring names
it. Two transactions that are open at once stand for two processes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import psycopg
import pytest

from lifecycle.errors import NotReady
from lifecycle.store import customers, events, messages, policies, runs, steps
from lifecycle.store.database import Database
from lifecycle.store.postgresql import CONNECTIONS
from lifecycle.store.sql import Tx, both
from tests.store.made import (
    add,
    begun_run,
    customer,
    day,
    end_run,
    fold_all,
    history,
    kinds,
    message,
    names,
    new,
    pending,
    step,
)
from tests.support.waiting import until_waiting

pytestmark = pytest.mark.postgres

_ME = both("SELECT pg_backend_pid()")
_END = both("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid = ?")
_END_OTHERS = both(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.fixture
def db(postgres_db: Database) -> Database:
    return postgres_db


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def watched(postgres_database_url: str, db: Database, waits: list[float]) -> Iterator[Database]:
    """Another process's connections; what it would wait before trying again goes to `waits`."""
    opened = Database.open(postgres_database_url, wait=waits.append)
    yield opened
    opened.close()


# --- claiming ----------------------------------------------------------------------------------


def test_what_one_has_claimed_the_others_pass_over(db: Database) -> None:
    """Trap: waiting for a locked customer instead of working on the next."""
    for n in range(6):
        add(db, new(f"{n}", f"c{n}"))

    with db.write() as one, db.write() as two, db.write() as three:
        first = customers.claim_pending(one, 2)
        second = customers.claim_pending(two, 2)
        third = customers.claim_pending(three, 10)
    assert [len(first), len(second), len(third)] == [2, 2, 2]
    assert len({*first, *second, *third}) == 6


def test_work_is_found_behind_a_long_claimed_head(db: Database) -> None:
    """Trap: looking only at the oldest events, all of which somebody else is working on."""
    add(db, *(new(f"a{n}", f"a{n}") for n in range(20)))
    add(db, new("z", "zoe"))

    with db.write() as one, db.write() as two:
        assert len(customers.claim_pending(one, 20)) == 20
        assert customers.claim_pending(two, 20) == [customer(db, "zoe")]


def test_due_customers_are_shared_out(db: Database) -> None:
    add(db, *(new(f"{n}", f"c{n}") for n in range(4)))
    with db.write() as tx:
        rows = customers.rows(tx, customers.ids_after(tx, 0, 10)).values()
        customers.save(tx, [row._replace(wake_at=day(1)) for row in rows])

    with db.write() as one, db.write() as two:
        first = customers.claim_due(one, day(2), 3)
        second = customers.claim_due(two, day(2), 3)
    assert len(first) == 3
    assert len({*first, *second}) == 4


def test_a_locked_customer_is_passed_over(db: Database) -> None:
    add(db, new("1", "ann"), new("2", "bob"))
    ann, bob = customer(db, "ann"), customer(db, "bob")

    with db.write() as one, db.write() as two:
        assert customers.lock(one, [ann]) == [ann]
        assert customers.lock(two, [bob, ann]) == [bob]


def test_intake_never_waits_for_a_fold(db: Database) -> None:
    """Trap: a foreign key from event to customer waits behind the lock of whoever folds her."""
    add(db, new("1"))

    with db.write() as tx:
        [ann] = customers.claim_pending(tx, 10)
        waiting = events.pending_of(tx, [ann])
        assert kinds(add(db, new("2"), new("3", "bob"))) == ["Added", "Added"]
        events.clear_pending(tx, waiting[ann])

    assert history(db) == ["1"]
    assert pending(db, "ann", "bob") == ["2", "3"]


def test_what_comes_between_reading_and_folding_is_folded_later(db: Database) -> None:
    """Traps: clearing all that waits instead of what was read; folding events that nobody clears,
    because the history was read after the pending rows."""
    add(db, new("0", at=0))
    fold_all(db)
    add(db, new("2", at=2))

    with db.write() as tx:
        [ann] = customers.claim_pending(tx, 10)
        waiting = events.pending_of(tx, [ann])
        add(db, new("1", at=1))
        [(_, found)] = events.histories(tx, [ann], waiting)
        events.clear_pending(tx, waiting[ann])

    assert names(found) == ["0", "2"]
    assert pending(db, "ann") == ["1"]
    assert history(db) == ["0", "2"]


def test_after_a_claim_everything_is_as_the_last_holder_left_it(db: Database) -> None:
    """Trap: reading in the statement that locks, or in a view that began before it, gives the
    customer's old state together with her new lock. Counting in her row, an increment would be lost."""
    add(db, new("1"))
    ann = customer(db)
    increments = 60
    done = threading.Semaphore(0)

    def count_up() -> None:
        made = 0
        while made < increments:
            with db.write() as tx:
                if customers.lock(tx, [ann]):
                    row = customers.rows(tx, [ann])[ann]
                    count = int(row.snapshot or b"0") + 1
                    customers.save(tx, [row._replace(snapshot=str(count).encode())])
                    made += 1
        done.release()

    threads = [threading.Thread(target=count_up) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(done.acquire(blocking=False) for _ in threads)
    with db.read() as tx:
        assert customers.rows(tx, [ann])[ann].snapshot == b"180"


def test_a_view_is_not_frozen_before_the_lock(db: Database) -> None:
    """Trap: in a transaction with one view from its beginning, the lock would show the past."""
    add(db, new("1"))
    ann = customer(db)

    with db.write() as tx:
        before = customers.rows(tx, [ann])[ann]
        db.run(lambda other: customers.save(other, [before._replace(state="deal")]))
        assert customers.lock(tx, [ann]) == [ann]
        assert customers.rows(tx, [ann])[ann].state == "deal"


# --- intake ------------------------------------------------------------------------------------


def test_the_same_event_from_two_sides_is_stored_once(
    postgres_database_url: str, db: Database
) -> None:
    """The second waits for the first and is told that it is known."""
    with db.write() as one:
        assert kinds(events.add(one, [new("1"), new("2")], initial="potential")) == [
            "Added",
            "Added",
        ]
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(add, db, new("2"), new("3"))
            until_waiting(postgres_database_url, other)
            one.connection.execute("COMMIT")
            one.connection.execute("BEGIN")
            assert kinds(other.result()) == ["Known", "Added"]
    fold_all(db)
    assert history(db) == ["1", "2", "3"]


def test_the_same_new_customer_from_two_sides_is_one(db: Database) -> None:
    barrier = threading.Barrier(4)

    def post(number: int) -> None:
        for n in range(20):
            barrier.wait()
            add(db, new(f"{number}-{n}", f"c{n}"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(post, range(4)))

    with db.read() as tx:
        assert len(customers.ids_after(tx, 0, 1000)) == 20
    assert all(len(pending(db, f"c{n}")) == 4 for n in range(20))


def test_batches_in_opposite_order_do_not_deadlock(
    postgres_database_url: str, watched: Database, db: Database, waits: list[float]
) -> None:
    """Trap: each holds what the other wants next.

    Both batches are stopped in their middle by a third, so without an order of their own one would
    hold "a" and want "z", the other the reverse. A deadlock would be tried again, after a wait.
    """
    add(db, new("0", "ann"), new("00", "bob"))
    batch = [new("a", "ann"), new("m", "ann"), new("z", "ann")]
    reverse = [new("z", "bob"), new("m", "bob"), new("a", "bob")]

    with ThreadPoolExecutor(2) as pool:
        with db.write() as third:
            events.add(third, [new("m", "ann")], initial="potential")
            posted = [pool.submit(add, watched, *each) for each in (batch, reverse)]
            until_waiting(postgres_database_url, *posted)
        results = [kinds(each.result()) for each in posted]

    assert waits == []
    assert sum(each.count("Added") for each in results) == 2
    assert sum(each.count("Known") for each in results) == 4


def test_an_import_ends_only_when_everything_is_stored(
    postgres_database_url: str, db: Database
) -> None:
    """Trap: events added while the run ends would count as folded without having been."""
    run = begun_run(db)
    with db.write() as tx:
        events.add(tx, [new("1")], initial="potential", run_id=run)
        with ThreadPoolExecutor(1) as pool:
            ended = pool.submit(end_run, db, run)
            until_waiting(postgres_database_url, ended)
            tx.connection.execute("COMMIT")
            tx.connection.execute("BEGIN")
            ended.result()
    assert pending(db, "ann") == ["1"]
    with pytest.raises(NotReady):
        add(db, new("2"), run_id=run)
    with db.read() as reader:
        assert runs.withheld_until(reader, [customer(db)]) == {customer(db): day(101)}


def test_of_two_who_publish_the_first_policy_one_is_faster(db: Database) -> None:
    """And the other sees it, instead of an error about a key."""
    barrier = threading.Barrier(2)

    def publish(number: int) -> bool:
        def unit(tx: Tx) -> bool:
            barrier.wait()
            return policies.add(
                tx,
                policies.PolicyRow(
                    number=policies.newest(tx) + 1,
                    hash=f"{number}",
                    effective_at=day(0),
                    content="{}",
                    published_at=day(0),
                    by="start",
                ),
            )

        return db.run(unit)

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(publish, range(2))) in ([False, True], [True, True])
    with db.read() as tx:
        hashes = [row.hash for row in policies.all_versions(tx)]
    assert len(hashes) == len(set(hashes)) >= 1


# --- the log -----------------------------------------------------------------------------------


def test_transactions_that_commit_in_reverse_order_lose_no_line(db: Database) -> None:
    """Trap: reading on from the highest number seen skips a smaller one that commits later.

    Nor does a line wait for transactions that are still open: the log is live.
    """
    add(db, new("1", "ann"), new("2", "bob"))
    ann, bob = customer(db, "ann"), customer(db, "bob")
    seen: list[str] = []

    def follow(after: str | None) -> str:
        with db.read() as tx:
            entries, cursor = steps.log(tx, after, 100)
        seen.extend(lines(entries))
        return cursor

    with db.write() as slow:
        steps.insert(slow, [step(ann, 1, "slow")])
        db.run(lambda tx: steps.insert(tx, [step(bob, 1, "quick")]))
        cursor = follow(None)
        assert seen == ["+quick"]
    follow(cursor)

    assert seen == ["+quick", "+slow"]


def test_a_revocation_that_commits_late_is_not_lost_either(db: Database) -> None:
    add(db, new("1", "ann"), new("2", "bob"))
    ann, bob = customer(db, "ann"), customer(db, "bob")
    db.run(lambda tx: steps.insert(tx, [step(ann, 1, "a")]))
    with db.read() as tx:
        [row] = steps.live(tx, [ann])[ann]
        _, cursor = steps.recent(tx, 0)

    with db.write() as slow:
        steps.revoke(slow, [(row.row_id, 7, None)], day(1))
        steps.insert(slow, [step(ann, 1, "b")])
        db.run(lambda tx: steps.insert(tx, [step(bob, 1, "quick")]))
        with db.read() as tx:
            entries, cursor = steps.log(tx, cursor, 100)
    with db.read() as tx:
        later, _ = steps.log(tx, cursor, 100)

    assert lines(entries) == ["+quick"]
    assert lines(later) == ["-a", "+b"]


def lines(entries: list[steps.Entry]) -> list[str]:
    return [f"{'-' if each.revoked else '+'}{each.row.step.cause}" for each in entries]


def test_following_while_many_write_tells_each_line_once(db: Database) -> None:
    """Whatever the interleaving."""
    add(db, *(new(f"{n}", f"c{n}") for n in range(4)))
    ids = [customer(db, f"c{n}") for n in range(4)]
    writing = threading.Event()
    seen: list[str] = []

    def follow() -> None:
        cursor = None
        while True:
            ended = writing.is_set()
            with db.read() as tx:
                entries, cursor = steps.log(tx, cursor, 7)
            seen.extend(each.row.step.cause for each in entries)
            if ended and not entries:
                return

    def write(n: int) -> None:
        for k in range(1, 31):
            with db.write() as tx:
                steps.insert(tx, [step(ids[n], 2 * k, f"{n}.{k}a")])
                steps.insert(tx, [step(ids[n], 2 * k + 1, f"{n}.{k}b")])

    reader = threading.Thread(target=follow)
    reader.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))
    finally:
        writing.set()
        reader.join()

    assert sorted(seen) == sorted(
        f"{n}.{k}{x}" for n in range(4) for k in range(1, 31) for x in "ab"
    )


# --- expiring ----------------------------------------------------------------------------------


def test_expiring_passes_over_what_another_works_on(db: Database) -> None:
    add(db, new("1"))
    ann = customer(db)
    db.run(lambda tx: messages.insert(tx, [message(ann, f"{n}", expires=n) for n in range(3)]))

    with db.write() as one, db.write() as two:
        assert len(messages.expire(one, day(9), limit=2)) == 2
        assert len(messages.expire(two, day(9))) == 1
    with db.read() as tx:
        assert {row.fate.value for row in messages.of(tx, [ann])[ann]} == {"expired"}


# --- connections that break --------------------------------------------------------------------


def test_a_connection_lost_at_work_is_replaced_and_the_unit_run_again(
    watched: Database, db: Database, waits: list[float]
) -> None:
    tries = []

    def unit(tx: Tx) -> list[str]:
        tries.append(tx)
        result = events.add(tx, [new("1")], initial="potential")
        if len(tries) == 1:
            with db.read() as other:
                assert other.value(_END, tx.value(_ME)) == 1
            tx.value(_ME)
        return kinds(result)

    assert watched.run(unit) == ["Added"]
    assert len(waits) == 1
    assert pending(db, "ann") == ["1"]


def test_a_connection_lost_at_commit_leaves_one_event(
    watched: Database, db: Database, waits: list[float]
) -> None:
    """Whether it committed is unknown, so the unit runs again and finds out."""
    tries = []

    def unit(tx: Tx) -> list[str]:
        tries.append(tx)
        result = events.add(tx, [new("1")], initial="potential")
        if len(tries) == 1:
            tx.connection.execute("COMMIT")  # it happened, and nobody will hear of it
            with db.read() as other:
                assert other.value(_END, tx.value(_ME)) == 1
        return kinds(result)

    assert watched.run(unit) == ["Known"]
    assert len(waits) == 1
    fold_all(db)
    assert history(db) == ["1"]


def test_connections_that_died_while_idle_are_not_noticed(
    watched: Database, db: Database, waits: list[float]
) -> None:
    """The server was restarted over night; the first request of the day is answered, even by a
    process that had as many connections as it may have."""
    with ExitStack() as busy:
        for _ in range(CONNECTIONS):
            busy.enter_context(watched.read())
    with db.read() as tx:
        assert tx.value(_END_OTHERS) >= CONNECTIONS

    with watched.read() as tx:
        assert tx.value(_ME) > 0
    add(watched, new("1"))
    assert waits == []


def test_a_real_deadlock_is_resolved(db: Database) -> None:
    """Two units lock the same rows in opposite order: one is chosen, and runs again."""
    add(db, new("1", "ann"), new("2", "bob"))
    ids = [customer(db, "ann"), customer(db, "bob")]
    change = both(
        "UPDATE customer SET policy_version = coalesce(policy_version, 0) + 1 WHERE id = ?"
    )
    both_hold = threading.Barrier(2)
    first_time = threading.local()

    def unit_of(order: list[int]) -> Callable[[Tx], None]:
        def unit(tx: Tx) -> None:
            tx.run(change, order[0])
            if not getattr(first_time, "over", False):
                first_time.over = True
                both_hold.wait()
            tx.run(change, order[1])

        return unit

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(db.run, unit_of(ids)), pool.submit(db.run, unit_of(ids[::-1]))]:
            done.result()

    with db.read() as tx:
        assert {row.policy_version for row in customers.rows(tx, ids).values()} == {2}


def test_an_error_that_was_swallowed_does_not_pass_for_a_commit(db: Database) -> None:
    """Trap: PostgreSQL answers the COMMIT of a broken transaction by rolling it back, politely."""
    wrong = both("SELECT nonsense")

    def unit(tx: Tx) -> None:
        events.add(tx, [new("1")], initial="potential")
        with suppress(psycopg.Error):
            tx.rows(wrong)

    with pytest.raises(AssertionError, match="nothing was stored"):
        db.run(unit)
    with db.read() as tx:
        assert events.get(tx, "shop", "1") is None


def test_sessions_are_set_for_this_program(db: Database) -> None:
    """Whatever the server's defaults: durable, in UTC, and nobody waits or holds for ever."""
    shown = {
        "timezone": "UTC",
        "synchronous_commit": "on",
        "lock_timeout": "5s",
        "statement_timeout": "30s",
        "idle_in_transaction_session_timeout": "1min",
        "transaction_isolation": "read committed",
    }
    with db.write() as tx:
        assert {name: tx.value(both(f"SHOW {name}")) for name in shown} == shown
    with db.write(long=True) as tx:
        assert tx.value(both("SHOW statement_timeout")) == "0"
    with db.write() as tx:
        assert tx.value(both("SHOW statement_timeout")) == "30s"
