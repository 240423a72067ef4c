"""Who is worked on next, and what is kept of a customer."""

from __future__ import annotations

import pytest

from lifecycle.errors import NotFound
from lifecycle.store import customers, events
from lifecycle.store.customers import CustomerRow
from lifecycle.store.database import Database
from tests.store.made import add, begun_run, customer, day, end_run, fold_all, new


def claimed(db: Database, max_events: int) -> list[str]:
    with db.write() as tx:
        ids = customers.claim_pending(tx, max_events)
        found = customers.rows(tx, ids)
    return [found[each].key for each in ids]


def row_of(db: Database, key: str = "ann") -> CustomerRow:
    with db.read() as tx:
        return customers.rows(tx, [customers.find(tx, key)])[customers.find(tx, key)]


def saved(db: Database, row: CustomerRow, now: float | None = None) -> CustomerRow:
    db.run(lambda tx: customers.save(tx, [row], None if now is None else day(now)))
    return row_of(db, row.key)


def test_those_who_wait_longest_are_claimed_first(db: Database) -> None:
    """By arrival, whatever the event times and the names."""
    for key, at in (("zoe", 9), ("ann", 5), ("bob", 1), ("zoe", 0)):
        add(db, new(f"{key}{at}", key, at=at))

    assert claimed(db, 100) == ["zoe", "ann", "bob"]


def test_a_claim_stops_at_about_so_many_events(db: Database) -> None:
    """A customer is taken whole or not at all, so that her events are folded once."""
    for n in range(6):
        add(db, new(f"a{n}", "ann"), new(f"b{n}", "bob"), new(f"c{n}", "cid"))

    assert claimed(db, 13) == ["ann", "bob"]
    assert claimed(db, 18) == ["ann", "bob", "cid"]


def test_whoever_is_to_be_passed_over_takes_no_place_in_a_claim(db: Database) -> None:
    """Not in what waits singly, nor in what an import left; who is behind them is found."""
    add(db, *(new(f"{key}{n}", key) for key in ("ann", "bob", "cid") for n in range(3)))
    run = begun_run(db)
    add(db, *(new(key, key) for key in ("dan", "eve")), run_id=run)
    end_run(db, run)
    busy = [customer(db, key) for key in ("ann", "bob", "dan")]

    with db.write() as tx:
        assert customers.claim_pending(tx, 2, passing_over=busy) == [customer(db, "cid")]
        both = [customer(db, "cid"), customer(db, "eve")]
        assert customers.claim_pending(tx, 10, passing_over=busy) == both


def test_whoever_is_to_be_passed_over_may_be_due_first(db: Database) -> None:
    add(db, *(new(f"{n}", f"c{n}") for n in range(4)))
    with db.write() as tx:
        ids = customers.ids_after(tx, 0, 10)
        rows = customers.rows(tx, ids)
        due = [rows[each]._replace(wake_at=day(n)) for n, each in enumerate(ids)]
        customers.save(tx, due)

    with db.write() as tx:
        assert customers.claim_due(tx, day(9), 2, passing_over=ids[:2]) == ids[2:]
        assert customers.claim_due(tx, day(9), 2) == ids[:2]


def test_a_customer_with_more_events_than_that_is_claimed_alone(db: Database) -> None:
    """Otherwise nobody would ever take her."""
    add(db, *(new(f"a{n}", "ann") for n in range(30)), new("b", "bob"))

    assert claimed(db, 10) == ["ann"]


def test_events_beyond_the_head_of_the_queue_count(db: Database) -> None:
    """The first event of each is old, their others are at the end: all are read with them."""
    add(db, new("a0", "ann"), new("b0", "bob"), new("c0", "cid"))
    add(db, *(new(f"{key}{n}", key) for n in range(1, 9) for key in ("ann", "bob")))

    assert claimed(db, 10) == ["ann"]


def test_ended_imports_are_claimed_after_what_came_live(db: Database) -> None:
    """And by customers whole, counted without looking at the events."""
    run = begun_run(db)
    add(db, *(new(f"{key}{n}", key) for key in ("ann", "bob", "cid") for n in range(4)), run_id=run)
    add(db, new("z", "zoe"))
    assert claimed(db, 100) == ["zoe"]
    end_run(db, run)

    assert claimed(db, 9) == ["zoe", "ann", "bob"]
    assert claimed(db, 100) == ["zoe", "ann", "bob", "cid"]
    fold_all(db)
    assert claimed(db, 100) == []


def test_a_customer_with_live_and_imported_events_is_claimed_once(db: Database) -> None:
    run = begun_run(db)
    add(db, new("1", "ann"), run_id=run)
    end_run(db, run)
    add(db, new("2", "ann"))

    assert claimed(db, 100) == ["ann"]


def test_nothing_waits_so_nobody_is_claimed(db: Database) -> None:
    add(db, new("1"))
    fold_all(db)

    assert claimed(db, 100) == []


def test_the_due_are_claimed_longest_overdue_first(db: Database) -> None:
    """Due is `wake_at` at or before now; who sleeps for good is never due."""
    for key, wake in (("ann", 5.0), ("bob", 3.0), ("cid", 7.0), ("dan", None), ("eve", 9.0)):
        add(db, new(key, key))
        wake_at = None if wake is None else day(wake)
        saved(db, row_of(db, key)._replace(wake_at=wake_at))

    with db.write() as tx:
        due = customers.claim_due(tx, day(7), 10)
        two = customers.claim_due(tx, day(7), 2)
        keys = {each: row.key for each, row in customers.rows(tx, due).items()}
        assert customers.due_count(tx, day(7)) == 3
        assert customers.due_count(tx, day(2)) == 0
    assert [keys[each] for each in due] == ["bob", "ann", "cid"]
    assert two == due[:2]


def test_a_customer_is_kept_as_she_was_saved(db: Database) -> None:
    """Snapshots come back to the byte, instants exactly; the key is not to be changed."""
    add(db, new("1"))
    row = row_of(db)._replace(
        state="deal",
        entered_at=day(1.5),
        snapshot='{"orders":3,"名":"✓"}'.encode(),
        folded_until=day(2),
        wake_at=day(61.5),
        policy_version=4,
    )

    assert saved(db, row) == row._replace(read=("deal", day(61.5)))
    emptied = row_of(db)._replace(snapshot=None, wake_at=None, entered_at=None)
    assert saved(db, emptied) == emptied._replace(read=("deal", None))


def test_saving_many_changes_each_as_told(db: Database) -> None:
    """More rows than one statement takes."""
    add(db, *(new(f"{n}", f"c{n:03}") for n in range(230)))
    with db.read() as tx:
        found = customers.rows(tx, customers.ids_after(tx, 0, 1000))
    changed = [
        row._replace(state=f"s{row.id % 3}", snapshot=str(row.id).encode(), wake_at=day(row.id))
        for row in found.values()
    ]

    db.run(lambda tx: customers.save(tx, changed))

    with db.read() as tx:
        again = customers.rows(tx, found)
        assert customers.count_by_state(tx) == {
            f"s{k}": sum(1 for each in found if each % 3 == k) for k in range(3)
        }
    assert {each: (row.state, row.snapshot, row.wake_at) for each, row in again.items()} == {
        row.id: (row.state, row.snapshot, row.wake_at) for row in changed
    }


def test_a_customer_who_does_not_exist_is_not_saved_in_silence(db: Database) -> None:
    """And the others of the same unit are not saved either."""
    add(db, new("1"))
    ann = row_of(db)._replace(state="deal")

    with pytest.raises(NotFound, match="1 of 2 customers"):
        db.run(lambda tx: customers.save(tx, [ann, ann._replace(id=ann.id + 1000)]))
    assert row_of(db).state == "potential"


def test_a_future_waking_that_moves_later_stays_in_the_index(db: Database) -> None:
    """With `now` told: a look too early is cheap, an index entry moved for each event is not."""
    add(db, new("1"))
    sleeping = saved(db, row_of(db)._replace(wake_at=day(60)))

    later = saved(db, sleeping._replace(wake_at=day(70), snapshot=b"1"), now=10)

    assert later.wake_at == day(60)
    assert later.snapshot == b"1"


@pytest.mark.parametrize(
    ("wake", "now", "why"),
    [
        (50, 10, "earlier must be kept exactly, or she would wake too late"),
        (70, 60, "the stored instant has come, so it must make room or she would wake for ever"),
        (70, 65, "the same, long after"),
        (None, 10, "nothing to wake for any more"),
    ],
)
def test_a_waking_moves_when_it_must(
    db: Database, wake: float | None, now: float, why: str
) -> None:
    add(db, new("1"))
    sleeping = saved(db, row_of(db)._replace(wake_at=day(60)))

    moved = saved(db, sleeping._replace(wake_at=None if wake is None else day(wake)), now=now)

    assert moved.wake_at == (None if wake is None else day(wake)), why


def test_a_new_state_is_kept_even_when_the_waking_stays(db: Database) -> None:
    add(db, new("1"))
    sleeping = saved(db, row_of(db)._replace(wake_at=day(60)))

    moved = saved(db, sleeping._replace(state="deal", wake_at=day(70)), now=10)

    assert (moved.state, moved.wake_at) == ("deal", day(60))
    with db.read() as tx:
        assert customers.count_by_state(tx) == {"deal": 1}


def test_a_forgotten_customer_keeps_all_but_the_snapshot_and_is_due_at_once(db: Database) -> None:
    add(db, new("1"))
    row = saved(db, row_of(db)._replace(snapshot=b"{}", folded_until=day(3), wake_at=day(9)))

    db.run(lambda tx: customers.forget(tx, [row.id]))

    forgotten = row._replace(snapshot=None, wake_at=day(3), read=(row.state, day(3)))
    assert row_of(db) == forgotten  # due at once, for the sweep


def test_a_customer_is_found_by_her_identifier(db: Database) -> None:
    add(db, new("1", "ann"))

    with db.read() as tx:
        ann = customers.find(tx, "ann")
        assert customers.identifiers(tx, ann) == ["ann"]
        with pytest.raises(NotFound, match="'Ann'"):
            customers.find(tx, "Ann")


def test_a_sweep_sees_everybody_once(db: Database) -> None:
    add(db, *(new(f"{n}", f"c{n}") for n in range(7)))
    seen: list[int] = []
    with db.read() as tx:
        while portion := customers.ids_after(tx, seen[-1] if seen else 0, 3):
            seen += portion
    assert len(seen) == len(set(seen)) == 7


def test_customers_in_the_order_of_their_keys(db: Database) -> None:
    """By code point, as every digest must have it."""
    keys = ["b", "a", "B", "é", "z", "10", "9"]
    add(db, *(new(key, key) for key in keys))
    seen: list[str] = []
    with db.read() as tx:
        while portion := customers.after_key(tx, seen[-1] if seen else "", 2):
            seen += [row.key for row in portion]
    assert seen == sorted(keys)


def test_a_claimed_customer_can_be_read_in_the_same_transaction(db: Database) -> None:
    """Claim, read and clear belong together."""
    add(db, new("1", "ann"), new("2", "bob"))

    with db.write() as tx:
        ids = customers.claim_pending(tx, 1)
        waiting = events.pending_of(tx, ids)
        events.clear_pending(tx, [stored for each in waiting.values() for stored in each])

    assert claimed(db, 100) == ["bob"]
    assert customer(db, "ann") == ids[0]
