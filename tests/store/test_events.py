"""What is accepted stays, waits until it was folded, and is part of the history from then on."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from lifecycle.errors import NotFound, NotReady
from lifecycle.store import customers, dead, events, reading, runs
from lifecycle.store.database import Database
from lifecycle.store.events import Added, Known, NewEvent, StoredEvent
from tests.store.made import (
    RECEIVED,
    add,
    begun_run,
    customer,
    day,
    end_run,
    fold_all,
    history,
    kinds,
    names,
    new,
    pending,
)


def test_what_is_new_is_stored_and_waits(db: Database) -> None:
    """An accepted event waits to be folded; its customer begins in the initial state."""
    results = add(db, new("1", "ann", at=1, amount="12.50"))

    assert kinds(results) == ["Added"]
    assert pending(db, "ann") == ["1"]
    with db.read() as tx:
        row = customers.rows(tx, [customer(db)])[customer(db)]
    assert (row.key, row.state, row.snapshot, row.folded_until) == ("ann", "potential", None, None)


def test_an_event_comes_back_as_it_was_given(db: Database) -> None:
    """Every part survives: instants to the microsecond, properties with all of JSON, any text."""
    properties: dict[str, Any] = {
        "amount": "12.50",
        "n": 9_007_199_254_740_993,
        "nested": {"list": [1, 2.5, None, True, "x"]},
        "text": '日本語 ñ \U0001f600 \u0001 "quoted" \\ %s ? $1',
    }
    given = new("é", "顧客 ?%s", at=1.000001, source="s'hop", **properties)
    add(db, given)

    with db.read() as tx:
        stored = events.get(tx, "s'hop", "é")
    assert stored is not None
    assert stored.event == given.event
    assert stored.event.occurred_at.tzinfo is UTC


@pytest.mark.parametrize(
    "instant",
    [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2026, 3, 29, 3, 30, 0, 1, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    ],
    ids=str,
)
def test_every_instant_is_kept_exactly_and_read_in_utc(db: Database, instant: datetime) -> None:
    """Neither database loses a microsecond, a century or the zone."""
    given = new("1")
    add(db, given._replace(event=given.event._replace(occurred_at=instant)))

    with db.read() as tx:
        stored = events.get(tx, "shop", "1")
    assert stored is not None
    assert stored.event.occurred_at == instant
    assert stored.event.occurred_at.utcoffset() == timedelta(0)


def test_a_naive_instant_is_refused_and_nothing_is_stored(db: Database) -> None:
    """Nobody guesses a zone."""
    given = new("2")
    naive = given._replace(event=given.event._replace(occurred_at=datetime(2026, 1, 1)))  # noqa: DTZ001

    with pytest.raises(TypeError):
        add(db, new("1"), naive)
    with db.read() as tx:
        assert events.get(tx, "shop", "1") is None


def test_the_same_id_again_changes_nothing_and_tells_what_was_first(db: Database) -> None:
    """A repetition, with whatever content, leaves the first event; the caller compares."""
    first = new("1", "ann", at=1, amount="10")
    [added] = add(db, first)
    fold_all(db)

    [known] = add(db, new("1", "ann", at=2, amount="12"))

    assert isinstance(added, Added)
    assert known == Known(
        row_id=added.row_id,
        customer_id=customer(db),
        body_hash=first.body_hash,
        dated=True,
        event=first.event,
    )
    assert pending(db, "ann") == []
    assert history(db) == ["1"]


def test_the_first_of_two_in_one_batch_wins(db: Database) -> None:
    """Also within a batch an id has one content: that of its first occurrence."""
    first, second = new("1", "ann", amount="10"), new("1", "bob", amount="12")

    results = add(db, first, new("2", "ann"), second)

    assert kinds(results) == ["Added", "Added", "Known"]
    assert results[2] == Known(
        row_id=results[0].row_id,
        customer_id=customer(db, "ann"),
        body_hash=first.body_hash,
        dated=True,
        event=first.event,
    )
    with db.read() as tx, pytest.raises(NotFound, match="bob"):
        customers.find(tx, "bob")


def test_a_repetition_makes_no_customer(db: Database) -> None:
    """The same id under a new customer is a conflict; that customer does not come to exist."""
    add(db, new("1", "ann"))

    results = add(db, new("1", "zoe"), new("2", "bob"))

    assert kinds(results) == ["Known", "Added"]
    with db.read() as tx, pytest.raises(NotFound, match="zoe"):
        customers.find(tx, "zoe")


def test_results_are_in_the_order_of_the_batch(db: Database) -> None:
    """Whatever the order of writing, result and event stand at the same place."""
    add(db, new("b"), new("d"))

    results = add(db, new("e", "zoe"), new("b"), new("a", "bob"), new("d"), new("c"))

    assert kinds(results) == ["Added", "Known", "Added", "Known", "Added"]
    with db.read() as tx:
        stored = events.by_row_ids(tx, [each.row_id for each in results])
    assert names(stored[each.row_id] for each in results) == ["e", "b", "a", "d", "c"]
    assert [each.customer_id for each in results] == [
        stored[each.row_id].customer_id for each in results
    ]


def test_a_large_batch_with_repetitions_of_all_kinds(db: Database) -> None:
    """More rows than one statement takes, a third of them known before or twice in the batch."""
    draw = random.Random(7)
    add(db, *(new(f"{n}", f"c{n % 40}", at=n) for n in range(0, 400, 3)))
    batch = [new(f"{n}", f"c{n % 40}", at=n) for n in range(400)] + [new("17", "c17", at=17)] * 5
    draw.shuffle(batch)

    results = add(db, *batch)

    assert kinds(results).count("Added") == 400 - 134
    fold_all(db)
    seen = [name for n in range(40) for name in history(db, f"c{n}")]
    assert sorted(seen, key=int) == [str(n) for n in range(400)]


def test_an_empty_batch_is_answered_by_nothing(db: Database) -> None:
    assert add(db) == []


def test_events_are_ordered_by_instant_then_source_then_id_by_code_point(db: Database) -> None:
    """As Python compares texts, not as a dictionary: capitals first, accents after z."""
    keys = [
        ("a", "2"),
        ("B", "1"),
        ("a", "10"),
        ("é", "1"),
        ("z", "1"),
        ("a", "1"),
        ("\U0001f600", "1"),
    ]
    add(db, new("late", at=1), *(new(id_, source=source) for source, id_ in keys), new("x", at=-1))
    expected = ["x", *(id_ for _, id_ in sorted(keys)), "late"]

    assert pending(db, "ann") == expected
    fold_all(db)
    assert history(db) == expected


def test_too_late_events_are_dead_from_the_start(db: Database) -> None:
    """They are kept with their reason, and are in no fold."""
    results = add(db, new("1"), new("2"), too_late=[1])

    assert kinds(results) == ["Added", "Added"]
    assert pending(db, "ann") == ["1"]
    fold_all(db)
    assert history(db) == ["1"]
    with db.read() as tx:
        [letter] = dead.letters(tx)
    assert (letter.stored.event.id, letter.reason, letter.detail) == ("2", "too_late", "too late")
    assert (letter.status, letter.at) == (dead.Status.QUARANTINED, RECEIVED)


def test_a_too_late_mark_on_a_repetition_touches_nothing(db: Database) -> None:
    """What was in time when it first came stays in the fold."""
    add(db, new("1"))

    add(db, new("1"), too_late=[0])

    assert pending(db, "ann") == ["1"]
    with db.read() as tx:
        assert dead.count(tx) == 0


def test_a_history_holds_what_was_folded_and_the_pending_events_that_were_read(
    db: Database,
) -> None:
    """An event that comes between reading and folding is in no history: nobody would clear it."""
    add(db, new("1", at=1), new("5", at=5))
    fold_all(db)
    add(db, new("3", at=3))
    ann = customer(db)
    with db.read() as tx:
        read = events.pending_of(tx, [ann])
    add(db, new("2", at=2))

    with db.read() as tx:
        [(whose, found)] = events.histories(tx, [ann], read)

    assert whose == ann
    assert names(found) == ["1", "3", "5"]


def test_a_history_of_pending_events_alone(db: Database) -> None:
    """A customer who was never folded has no other history."""
    add(db, new("2", at=2), new("1", at=1))
    ann = customer(db)
    with db.read() as tx:
        read = events.pending_of(tx, [ann])
        assert [names(found) for _, found in events.histories(tx, [ann], read)] == [["1", "2"]]
        assert list(events.histories(tx, [ann])) == []


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_histories_come_in_portions_but_complete(db: Database, at_once: int) -> None:
    """However many events are read at a time, everybody's history comes once, and whole."""
    add(db, *(new(f"{n}-{c}", f"c{c}", at=n) for c in range(4) for n in range(c + 1)))
    fold_all(db)
    with db.read() as tx:
        ids = [customers.find(tx, f"c{c}") for c in range(4)]
        found = list(events.histories(tx, reversed(ids), at_once=at_once))

    assert [whose for whose, _ in found] == sorted(ids)
    assert {whose: names(each) for whose, each in found} == {
        ids[c]: [f"{n}-{c}" for n in range(c + 1)] for c in range(4)
    }


def test_exactly_what_was_folded_is_cleared(db: Database) -> None:
    """What came meanwhile goes on waiting."""
    add(db, new("1", at=1), new("2", at=2))
    with db.read() as tx:
        read = events.pending_of(tx, [customer(db)])[customer(db)]
    add(db, new("3", at=3))

    db.run(lambda tx: events.clear_pending(tx, [read[1]]))

    assert pending(db, "ann") == ["1", "3"]
    assert history(db) == ["2"]


def test_a_customer_for_whom_nothing_waits_is_not_in_the_answer(db: Database) -> None:
    add(db, new("1"))
    fold_all(db)

    with db.read() as tx:
        assert events.pending_of(tx, [customer(db)]) == {}
        assert events.pending_of(tx, []) == {}


def test_all_of_a_customer_shows_the_dead_and_the_waiting_too(db: Database) -> None:
    add(db, new("1", at=1))
    fold_all(db)
    add(db, new("3", at=3), new("2", at=2), too_late=[1])

    with db.read() as tx:
        assert names(events.all_of(tx, customer(db))) == ["1", "2", "3"]


# --- imports -----------------------------------------------------------------------------------


def test_an_import_is_held_until_it_has_ended(db: Database) -> None:
    """No half of a file is ever folded."""
    run = begun_run(db)
    add(db, new("1", at=1), new("2", at=2), run_id=run)
    add(db, new("9", at=9))

    assert pending(db, "ann") == ["9"]
    fold_all(db)
    assert history(db) == ["9"]

    add(db, new("3", at=3), run_id=run)
    end_run(db, run)

    assert pending(db, "ann") == ["1", "2", "3"]
    fold_all(db)
    assert pending(db, "ann") == []
    assert history(db) == ["1", "2", "3", "9"]


def test_nothing_is_added_to_an_import_that_has_ended(db: Database) -> None:
    """It would never be folded, as the customer's import counts as folded."""
    run = begun_run(db)
    end_run(db, run)

    with pytest.raises(NotReady, match="has ended"):
        add(db, new("1"), run_id=run)
    with pytest.raises(NotFound, match="no import 999"):
        add(db, new("1"), run_id=999)
    with db.read() as tx:
        assert events.get(tx, "shop", "1") is None


def test_the_same_file_again_holds_nothing(db: Database) -> None:
    run = begun_run(db)
    add(db, new("1"), run_id=run)
    end_run(db, run)
    fold_all(db)

    again = begun_run(db)
    results = add(db, new("1"), run_id=again)
    end_run(db, again)

    assert again != run
    assert kinds(results) == ["Known"]
    assert pending(db, "ann") == []


def test_what_an_import_holds_of_a_customer_adds_up_over_its_batches(db: Database) -> None:
    """It is how many of her events a claim of her brings, and how many are told to be held."""
    run = begun_run(db)
    add(db, new("1", at=1), new("2", at=2), run_id=run)
    add(db, new("3", at=3), new("b", "bob"), run_id=run)
    with db.read() as tx:
        assert reading.backlog(tx).held == 4
    end_run(db, run)

    with db.write() as tx:
        assert customers.claim_pending(tx, 3) == [customer(db, "ann")]
    with db.write() as tx:
        assert len(customers.claim_pending(tx, 4)) == 2


def test_an_import_that_was_folded_in_part_waits_event_by_event(db: Database) -> None:
    """Trying one event alone leaves the import's other events of hers waiting."""
    run = begun_run(db)
    add(db, new("1", at=1), new("2", at=2), new("3", at=3), new("b", "bob"), run_id=run)
    end_run(db, run)
    with db.read() as tx:
        read = events.pending_of(tx, [customer(db)])[customer(db)]

    db.run(lambda tx: events.clear_pending(tx, [read[1]]))

    assert pending(db, "ann") == ["1", "3"]
    assert history(db) == ["2"]
    assert pending(db, "bob") == ["b"]
    fold_all(db)
    assert history(db) == ["1", "2", "3"]


def test_two_imports_and_live_events_of_one_customer(db: Database) -> None:
    """Each ended import counts by itself; an unfinished one stays out of the history."""
    first, second = begun_run(db), begun_run(db, digest="other")
    add(db, new("1", at=1), run_id=first)
    add(db, new("2", at=2), run_id=second)
    add(db, new("3", at=3))
    end_run(db, second)

    assert pending(db, "ann") == ["2", "3"]
    fold_all(db)
    assert history(db) == ["2", "3"]
    end_run(db, first)
    assert pending(db, "ann") == ["1"]
    fold_all(db)
    assert history(db) == ["1", "2", "3"]


def test_what_an_import_left_may_be_released_to_wait_singly(db: Database) -> None:
    """The same events wait before and after; a second time changes nothing."""
    run = begun_run(db)
    add(db, new("1", at=1), new("2", at=2), run_id=run)
    end_run(db, run)
    with db.read() as tx:
        read = events.pending_of(tx, [customer(db)])[customer(db)]
    assert {each.held_by for each in read} == {run}

    for _ in range(2):
        db.run(lambda tx: events.release(tx, [read[0].identity_id]))
        with db.read() as tx:
            again = events.pending_of(tx, [customer(db)])[customer(db)]
        assert [(each.event.id, each.held_by) for each in again] == [("1", None), ("2", None)]


def test_releasing_leaves_an_unfinished_import_held(db: Database) -> None:
    run = begun_run(db)
    [added] = add(db, new("1"), run_id=run)
    with db.read() as tx:
        identity = events.by_row_ids(tx, [added.row_id])[added.row_id].identity_id

    db.run(lambda tx: events.release(tx, [identity]))

    assert pending(db, "ann") == []
    assert history(db) == []


def test_messages_are_withheld_until_the_latest_import_without_effects_ended(
    db: Database,
) -> None:
    """Also long after its events were folded; an import with effects withholds nothing."""
    silent = begun_run(db)
    add(db, new("1", "ann"), new("2", "bob"), run_id=silent)
    end_run(db, silent, at=101)
    loud = begun_run(db, effects=True, digest="loud")
    add(db, new("3", "ann"), new("4", "cid"), run_id=loud)
    end_run(db, loud, at=102)
    later = begun_run(db, digest="later")
    add(db, new("5", "bob"), run_id=later)
    end_run(db, later, at=103)
    fold_all(db)
    add(db, new("6", "dan"))

    ids = {key: customer(db, key) for key in ("ann", "bob", "cid", "dan")}
    with db.read() as tx:
        found = runs.withheld_until(tx, ids.values())

    assert found == {ids["ann"]: day(101), ids["bob"]: day(103)}


def test_dead_events_of_an_import_stay_out_and_may_come_back(db: Database) -> None:
    """Quarantined before the import was folded, replayed after: each event is folded once."""
    run = begun_run(db)
    add(db, new("1", at=1), new("2", at=2), new("3", at=3), run_id=run)
    end_run(db, run)
    with db.read() as tx:
        culprit = events.pending_of(tx, [customer(db)])[customer(db)][1]

    db.run(
        lambda tx: dead.quarantine(
            tx, culprit, reason="fold_failed", detail="boom", attempts=5, at=day(102)
        )
    )
    assert pending(db, "ann") == ["1", "3"]
    fold_all(db)
    assert history(db) == ["1", "3"]

    db.run(lambda tx: dead.replay(tx, culprit, by="ops", why="repaired", at=day(103)))
    assert pending(db, "ann") == ["2"]
    fold_all(db)
    assert history(db) == ["1", "2", "3"]


@pytest.mark.parametrize("singly", [False, True])
def test_a_too_late_event_replayed_while_its_import_is_held_comes_once(
    db: Database, singly: bool
) -> None:
    """Also where what the import left is let wait singly, beside it."""
    run = begun_run(db)
    add(db, new("1", at=1), new("2", at=2), run_id=run, too_late=[1])
    with db.read() as tx:
        late = events.get(tx, "shop", "2")
    assert late is not None
    db.run(lambda tx: dead.replay(tx, late, by="ops", why=None, at=day(100)))

    assert pending(db, "ann") == ["2"]
    end_run(db, run)
    if singly:
        db.run(lambda tx: events.release(tx, [late.identity_id]))
    assert pending(db, "ann") == ["1", "2"]
    fold_all(db)
    assert history(db) == ["1", "2"]


def test_any_split_into_batches_stores_the_same(db: Database) -> None:
    """Order, repetition and partners in a batch leave no trace in what is folded."""
    draw = random.Random(20260101)
    all_events: list[NewEvent] = [new(f"{n}", f"c{n % 5}", at=n % 7) for n in range(60)]
    arriving = [*all_events, *draw.sample(all_events, 30)]
    draw.shuffle(arriving)
    while arriving:
        size = draw.randint(1, 12)
        add(db, *arriving[:size])
        del arriving[:size]
        if draw.random() < 0.3:
            fold_all(db)
    fold_all(db)

    for c in range(5):
        expected = sorted(
            (each for each in all_events if each.event.customer == f"c{c}"),
            key=lambda each: each.event.key,
        )
        assert history(db, f"c{c}") == [each.event.id for each in expected]


# --- requests ----------------------------------------------------------------------------------


def test_an_event_says_by_which_request_it_came_first(db: Database) -> None:
    """Wherever it is read; one that came otherwise says nothing."""
    first = new("1")._replace(request_id="r1")
    add(db, first, new("2"))
    add(db, first._replace(request_id="r2"))
    with db.read() as tx:
        ids = [customers.find(tx, "ann")]
        waiting = events.pending_of(tx, ids)
        by_name = events.get(tx, "shop", "1"), events.get(tx, "shop", "2")
        told: dict[str, Iterable[StoredEvent | None]] = {
            "pending": waiting[ids[0]],
            "history": dict(events.histories(tx, ids, waiting))[ids[0]],
            "all": events.all_of(tx, ids[0]),
            "by row": events.by_row_ids(tx, [each.row_id for each in waiting[ids[0]]]).values(),
            "by name": by_name,
        }
    for where, found in told.items():
        assert [stored and stored.request_id for stored in found] == ["r1", None], where


def test_what_an_import_stored_says_by_which_one(db: Database) -> None:
    run = begun_run(db)
    add(db, new("1"), run_id=run)
    end_run(db, run)
    with db.read() as tx:
        [stored] = events.all_of(tx, customers.find(tx, "ann"))
    assert (stored.request_id, stored.by_import) == (f"import-{run}", True)
