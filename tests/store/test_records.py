"""The small tables: attempts, dead letters, policies, imports, the clock, and what is counted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from lifecycle.clock import Origin
from lifecycle.store import attempts, backlog, clock, dead, events, policies, reading, runs, steps
from lifecycle.store.attempts import Attempt, Level
from lifecycle.store.database import Database
from lifecycle.store.events import StoredEvent
from lifecycle.store.policies import PolicyRow
from tests.store.made import (
    RECEIVED,
    add,
    begun_run,
    customer,
    day,
    end_run,
    fold_all,
    history,
    new,
    pending,
    step,
)

# --- attempts ----------------------------------------------------------------------------------


def tried(db: Database, customer_id: int, event_id: int | None = None) -> tuple[int, int]:
    level = Level.CUSTOMER if event_id is None else Level.EVENT
    return db.run(
        lambda tx: attempts.begin_alone(
            tx,
            token="me",
            level=level,
            customer_id=customer_id,
            event_id=event_id,
            started_at=day(1),
        )
    )


def unfinished(db: Database) -> list[Attempt]:
    with db.read() as tx:
        return attempts.unfinished(tx)


def test_an_attempt_stays_until_it_is_ended(db: Database) -> None:
    """It is committed before the work, so a crash leaves it behind."""
    begun = db.run(
        lambda tx: attempts.begin(
            tx, token="me", level=Level.BATCH, customers=[3, 1], started_at=day(1)
        )
    )
    [left] = unfinished(db)
    assert left == Attempt(
        id=begun,
        token="me",
        level=Level.BATCH,
        customers=(3, 1),
        event_id=None,
        count=1,
        started_at=day(1),
    )

    db.run(lambda tx: attempts.end(tx, [begun]))

    assert unfinished(db) == []


def test_lone_attempts_are_counted_each_for_itself(db: Database) -> None:
    """A customer, and each event of hers, have counts of their own."""
    assert [tried(db, 1)[1] for _ in range(3)] == [1, 2, 3]
    assert tried(db, 2)[1] == 1
    assert [tried(db, 1, event_id=9)[1] for _ in range(2)] == [1, 2]
    assert tried(db, 1, event_id=8)[1] == 1
    assert tried(db, 11)[1] == 1


def test_a_batch_that_died_becomes_suspicions_of_its_customers(db: Database) -> None:
    """Not yet tried alone; twice does nothing more."""
    tried(db, 2)
    db.run(
        lambda tx: attempts.begin(
            tx, token="dead", level=Level.BATCH, customers=[1, 2], started_at=day(1)
        )
    )
    batch = unfinished(db)[-1]

    assert [db.run(lambda tx: attempts.dissolve(tx, batch)) for _ in range(2)] == [True, False]

    assert [(each.level, each.customers, each.count) for each in unfinished(db)] == [
        (Level.CUSTOMER, (2,), 1),
        (Level.CUSTOMER, (1,), 0),
    ]
    assert unfinished(db)[-1].started_at == day(1)  # as old as the crash
    assert tried(db, 1)[1] == 1


def test_a_large_batch_that_died_becomes_suspicions_of_a_few_at_once(db: Database) -> None:
    tried(db, 2)
    many = range(1, 2 * attempts.A_FEW + 1)
    db.run(
        lambda tx: attempts.begin(
            tx, token="dead", level=Level.BATCH, customers=many, started_at=day(1)
        )
    )
    batch = unfinished(db)[-1]

    assert db.run(lambda tx: attempts.dissolve(tx, batch))

    _, *few = unfinished(db)
    assert [(each.level, each.count, each.started_at) for each in few] == [
        (Level.BATCH, 0, day(1))
    ] * 2
    assert [who for each in few for who in each.customers] == [1, *many[2:]]


def test_ending_a_customer_ends_her_events_and_no_batch(db: Database) -> None:
    tried(db, 1)
    tried(db, 1, event_id=9)
    tried(db, 2)
    db.run(
        lambda tx: attempts.begin(
            tx, token="me", level=Level.BATCH, customers=[1], started_at=day(1)
        )
    )

    db.run(lambda tx: attempts.end_alone(tx, 1))

    assert [(each.level, each.customers) for each in unfinished(db)] == [
        (Level.CUSTOMER, (2,)),
        (Level.BATCH, (1,)),
    ]


# --- dead letters ------------------------------------------------------------------------------


@pytest.fixture
def culprit(db: Database) -> StoredEvent:
    add(db, new("1", at=1), new("2", at=2))
    with db.read() as tx:
        stored = events.get(tx, "shop", "2")
    assert stored is not None
    return stored


def quarantined(db: Database, stored: StoredEvent, at: float = 3) -> None:
    db.run(
        lambda tx: dead.quarantine(
            tx, stored, reason="fold_failed", detail="boom", attempts=5, at=day(at)
        )
    )


def test_a_quarantined_event_leaves_the_fold_alone(db: Database, culprit: StoredEvent) -> None:
    """Her other events go on."""
    quarantined(db, culprit)

    assert pending(db, "ann") == ["1"]
    fold_all(db)
    assert history(db) == ["1"]
    with db.read() as tx:
        letter = dead.find(tx, culprit)
        assert letter is not None
        assert (letter.reason, letter.detail, letter.attempts) == ("fold_failed", "boom", 5)
        assert dead.of_customer(tx, customer(db)) == [letter] == dead.letters(tx)
        assert reading.backlog(tx).dead == 1


def test_an_event_that_had_been_folded_may_die_too(db: Database, culprit: StoredEvent) -> None:
    fold_all(db)

    quarantined(db, culprit)

    assert history(db) == ["1"]


def test_a_second_quarantine_changes_nothing(db: Database, culprit: StoredEvent) -> None:
    quarantined(db, culprit, at=3)
    quarantined(db, culprit, at=9)

    with db.read() as tx:
        [letter] = dead.letters(tx)
    assert letter.at == day(3)


def test_a_replayed_event_waits_again(db: Database, culprit: StoredEvent) -> None:
    """And who replayed it stays known; replaying it twice does nothing."""
    quarantined(db, culprit)
    fold_all(db)

    for expected in (True, False):
        done = db.run(lambda tx: dead.replay(tx, culprit, by="ops", why="fixed", at=day(4)))
        assert done is expected

    assert pending(db, "ann") == ["2"]
    fold_all(db)
    assert history(db) == ["1", "2"]
    with db.read() as tx:
        assert dead.find(tx, culprit) is None
        [action] = dead.actions(tx, culprit)
    assert (action.action, action.by, action.why, action.at) == ("replay", "ops", "fixed", day(4))


def test_a_discarded_event_stays_out_and_may_still_be_replayed(
    db: Database, culprit: StoredEvent
) -> None:
    quarantined(db, culprit)

    for expected in (True, False):
        done = db.run(lambda tx: dead.discard(tx, culprit, by="ops", why=None, at=day(4)))
        assert done is expected

    with db.read() as tx:
        assert dead.count(tx) == 0
        assert dead.count(tx, dead.Status.DISCARDED) == 1
        assert dead.letters(tx, status=dead.Status.QUARANTINED) == []
    assert pending(db, "ann") == ["1"]
    assert db.run(lambda tx: dead.replay(tx, culprit, by="ops", why=None, at=day(5)))
    assert pending(db, "ann") == ["1", "2"]


def test_what_is_not_dead_is_neither_replayed_nor_discarded(
    db: Database, culprit: StoredEvent
) -> None:
    assert not db.run(lambda tx: dead.replay(tx, culprit, by="ops", why=None, at=day(4)))
    assert not db.run(lambda tx: dead.discard(tx, culprit, by="ops", why=None, at=day(4)))

    assert pending(db, "ann") == ["1", "2"]
    with db.read() as tx:
        assert dead.actions(tx, culprit) == []


# --- policies, imports, clock ------------------------------------------------------------------


def version(number: int, hash: str = "abc") -> PolicyRow:  # noqa: A002 - its name
    return PolicyRow(
        number=number,
        hash=hash,
        effective_at=day(0).replace(year=1),
        content='{"states": ["新"]}',
        published_at=RECEIVED,
        by="first start",
    )


def test_a_version_is_published_once(db: Database) -> None:
    """Of two who publish under one number, one is told that somebody was faster."""
    with db.read() as tx:
        assert (policies.newest(tx), policies.all_versions(tx)) == (0, [])

    assert db.run(lambda tx: policies.add(tx, version(1)))
    assert not db.run(lambda tx: policies.add(tx, version(1, hash="other")))
    assert db.run(lambda tx: policies.add(tx, version(2)))

    with db.read() as tx:
        assert policies.newest(tx) == 2
        assert policies.all_versions(tx) == [version(1), version(2)]


def test_an_import_that_was_broken_off_is_gone_on_with(db: Database) -> None:
    """The same content finds its unfinished run; once ended, the next is a new one."""
    first = begun_run(db, digest="x")
    assert begun_run(db, digest="x") == first
    assert begun_run(db, digest="y") != first
    end_run(db, first)
    assert begun_run(db, digest="x") != first


def test_an_import_ends_once(db: Database) -> None:
    """Ending it again does not move the instant until which its messages are withheld."""
    run = begun_run(db)
    add(db, new("1"), run_id=run)
    end_run(db, run, at=101)
    end_run(db, run, at=202)

    with db.read() as tx:
        assert runs.withheld_until(tx, [customer(db)]) == {customer(db): day(101)}


def test_the_clock_has_one_origin_or_none(db: Database) -> None:
    origin = Origin(
        spec="2026-01-01T00:00:00Z*60",
        real_origin=RECEIVED,
        virtual_origin=day(0),
        seen=day(0) + timedelta(minutes=3),
    )
    with db.read() as tx:
        assert clock.read(tx) is None

    for written in (origin, replace(origin, seen=day(2)), None, origin):
        db.run(lambda tx, written=written: clock.write(tx, written))  # type: ignore[misc]
        with db.read() as tx:
            assert clock.read(tx) == written


# --- what waits, and one customer --------------------------------------------------------------


def test_the_backlog_counts_what_waits_and_what_is_held(db: Database) -> None:
    with db.read() as tx:
        assert reading.backlog(tx) == reading.Backlog(
            pending=0, held=0, oldest_received_at=None, dead=0
        )
    ended, running = begun_run(db), begun_run(db, digest="other")
    add(db, new("1"), new("2", "bob"), run_id=ended)
    add(db, new("3"), run_id=running)
    add(db, new("4"))
    end_run(db, ended)

    with db.read() as tx:
        assert reading.backlog(tx) == reading.Backlog(
            pending=3, held=1, oldest_received_at=RECEIVED, dead=0
        )
        assert reading.held_of(tx, customer(db)) == 1
        assert reading.count_events(tx) == 4
        waited = backlog.oldest_pending(tx, RECEIVED + timedelta(seconds=90))
    assert waited == timedelta(seconds=90)
    fold_all(db)
    with db.read() as tx:
        assert reading.backlog(tx).pending == 0
        assert backlog.oldest_pending(tx, day(200)) is None


def test_events_up_to_an_instant_that_are_not_folded(db: Database) -> None:
    """Held ones too: a digest at that instant would not be the final one."""
    run = begun_run(db)
    add(db, new("1", at=1), new("5", at=5), run_id=run, too_late=[])
    add(db, new("2", at=2), new("6", at=6))

    with db.read() as tx:
        assert [backlog.pending_until(tx, day(n)) for n in (0, 1, 2, 5, 9)] == [0, 1, 2, 3, 4]
        assert backlog.last_event_at(tx) == day(6)
    end_run(db, run)
    fold_all(db)
    with db.read() as tx:
        assert backlog.pending_until(tx, day(9)) == 0


def test_the_last_event_is_the_last_that_counts(db: Database) -> None:
    add(db, new("1", at=1), new("9", at=9), too_late=[1])

    with db.read() as tx:
        assert backlog.last_event_at(tx) == day(1)


def test_a_timeline_has_everything_of_one_customer(db: Database) -> None:
    add(db, new("2", at=2), new("1", at=1), new("x", "bob"))
    ann = customer(db)
    db.run(lambda tx: steps.insert(tx, [step(ann, 1, "event:shop|1", at=1)]))

    with db.read() as tx:
        told = reading.timeline(tx, ann)
    assert [each.event.id for each in told.events] == ["1", "2"]
    assert [each.step.cause for each in told.steps] == ["event:shop|1"]
    assert told.messages == []
