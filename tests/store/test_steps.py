"""Steps are kept, revoked in place, and told to whoever follows the log, each exactly once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lifecycle.errors import Problem
from lifecycle.store import steps
from lifecycle.store.database import Database
from lifecycle.store.sql import Tx
from lifecycle.store.steps import Entry, Filters, StepRow
from tests.store.made import RECEIVED, add, customer, day, new, step


@pytest.fixture
def ann(db: Database) -> int:
    add(db, new("1", "ann"), new("2", "bob"))
    return customer(db, "ann")


@pytest.fixture
def bob(db: Database, ann: int) -> int:
    return customer(db, "bob")


def inserted(db: Database, *rows: StepRow) -> None:
    db.run(lambda tx: steps.insert(tx, rows))


def live(db: Database, customer_id: int) -> list[StepRow]:
    with db.read() as tx:
        return steps.live(tx, [customer_id]).get(customer_id, [])


def causes(rows: list[StepRow]) -> list[str]:
    return [row.step.cause for row in rows]


def lines(entries: list[Entry]) -> list[str]:
    return [f"{'-' if each.revoked else '+'}{each.row.step.cause}" for each in entries]


def test_a_step_comes_back_as_it_was_recorded(db: Database, ann: int) -> None:
    """All of it: what the guard said and read, and by whom and why of an operator's move."""
    given = step(
        ann,
        1,
        "event:shop|1",
        at=1.5,
        guard="orders >= 3",
        read={"orders": 3, "revenue": "12.50", "tags": ["a"], "none": None},
        by="ops",
        why='she "called" 顾客',
    )
    inserted(db, given)

    [row] = live(db, ann)
    assert row == given._replace(row_id=row.row_id)


def test_steps_are_live_in_their_order(db: Database, ann: int, bob: int) -> None:
    """By place, and each customer's own."""
    inserted(db, step(ann, 2, "b"), step(bob, 1, "x"), step(ann, 1, "a"), step(ann, 3, "c"))

    with db.read() as tx:
        found = steps.live(tx, [bob, ann])
    assert {each: causes(rows) for each, rows in found.items()} == {
        ann: ["a", "b", "c"],
        bob: ["x"],
    }


def test_a_customer_without_steps_is_not_in_the_answer(db: Database, ann: int) -> None:
    with db.read() as tx:
        assert steps.live(tx, [ann]) == {}


def test_a_revoked_step_is_kept_with_what_overturned_it(db: Database, ann: int) -> None:
    """It leaves the live ones and stays visible."""
    inserted(db, step(ann, 1, "a"), step(ann, 2, "b", at=2))
    first, second = live(db, ann)

    db.run(lambda tx: steps.revoke(tx, [(second.row_id, 77, None)], day(3)))

    assert live(db, ann) == [first]
    with db.read() as tx:
        assert steps.all_of(tx, ann) == [
            first,
            second._replace(seq=None, revoked_by=77, revoked_at=day(3)),
        ]


def test_revoking_twice_keeps_the_first_reason(db: Database, ann: int) -> None:
    inserted(db, step(ann, 1, "a"))
    [row] = live(db, ann)
    db.run(lambda tx: steps.revoke(tx, [(row.row_id, 77, None)], day(3)))

    db.run(lambda tx: steps.revoke(tx, [(row.row_id, 88, None)], day(4)))

    with db.read() as tx:
        [kept] = steps.all_of(tx, ann)
        entries, _ = steps.log(tx, None, 10)
    assert (kept.revoked_by, kept.revoked_at) == (77, day(3))
    assert lines(entries) == ["+a", "-a"]


def test_a_step_in_between_pushes_the_later_ones_on(db: Database, ann: int) -> None:
    """Revoke, renumber, insert: places and causes that are given up may be taken again."""
    inserted(db, *(step(ann, n, cause, at=n) for n, cause in enumerate("abcd", 1)))
    _, b, c, d = live(db, ann)

    def unit(tx: Tx) -> None:
        steps.revoke(tx, [(b.row_id, 77, None)], day(9))
        steps.renumber(tx, [(c.row_id, 4), (d.row_id, 3)])
        steps.insert(tx, [step(ann, 2, "b", at=2, rule="other")])

    db.run(unit)

    found = live(db, ann)
    assert causes(found) == ["a", "b", "d", "c"]
    assert [row.seq for row in found] == [1, 2, 3, 4]
    assert found[1].step.rule == "other"


@pytest.mark.parametrize("twice", [(2, "a"), (1, "b")], ids=["cause", "place"])
def test_no_cause_and_no_place_is_live_twice(
    db: Database, ann: int, twice: tuple[int, str]
) -> None:
    """The database itself refuses what would be a doubled transition."""
    inserted(db, step(ann, 1, "a"))

    with pytest.raises(Exception, match=r"(?i)unique"):
        inserted(db, step(ann, *twice))
    assert causes(live(db, ann)) == ["a"]


def test_the_same_cause_may_stand_again_after_its_revocation(db: Database, ann: int) -> None:
    inserted(db, step(ann, 1, "a"))
    [row] = live(db, ann)
    db.run(lambda tx: steps.revoke(tx, [(row.row_id, 7, None)], day(1)))

    inserted(db, step(ann, 1, "a"))

    assert len(live(db, ann)) == 1
    with db.read() as tx:
        assert len(steps.all_of(tx, ann)) == 2


# --- the log -----------------------------------------------------------------------------------


def test_the_log_tells_what_was_made_and_what_was_revoked(db: Database, ann: int, bob: int) -> None:
    """In the order in which it became known, with the customer's own key."""
    inserted(db, step(ann, 1, "a"), step(bob, 1, "x"))
    [row] = live(db, ann)
    db.run(lambda tx: steps.revoke(tx, [(row.row_id, 7, None)], day(1)))
    inserted(db, step(ann, 1, "b"))

    with db.read() as tx:
        entries, _ = steps.log(tx, None, 10)
    assert lines(entries) == ["+a", "+x", "-a", "+b"]
    assert [each.customer for each in entries] == ["ann", "bob", "ann", "ann"]
    assert entries[0].row.revoked_at == day(1)  # seen from now, that step stands no more


def test_following_the_log_misses_and_repeats_nothing(db: Database, ann: int) -> None:
    """Page by page and across what is written meanwhile."""
    seen: list[str] = []
    cursor = None
    for n in range(7):
        inserted(db, *(step(ann, 3 * n + k, f"{n}.{k}") for k in range(1, 4)))
        with db.read() as tx:
            entries, cursor = steps.log(tx, cursor, 2)
        seen += lines(entries)
    with db.read() as tx:
        while (page := steps.log(tx, cursor, 2))[0]:
            seen += lines(page[0])
            cursor = page[1]

    assert seen == [f"+{n}.{k}" for n in range(7) for k in range(1, 4)]
    with db.read() as tx:
        assert steps.log(tx, cursor, 2) == ([], cursor)


def test_the_latest_lines_newest_first_and_what_comes_after_them(db: Database, ann: int) -> None:
    """`recent` gives the place from which `log` goes on."""
    inserted(db, *(step(ann, n, f"{n}") for n in range(1, 6)))
    with db.read() as tx:
        entries, cursor = steps.recent(tx, 2)
    assert lines(entries) == ["+5", "+4"]

    inserted(db, step(ann, 6, "6"))

    with db.read() as tx:
        entries, _ = steps.log(tx, cursor, 10)
    assert lines(entries) == ["+6"]


def test_an_empty_log_is_followed_from_its_beginning(db: Database, ann: int) -> None:
    with db.read() as tx:
        entries, cursor = steps.recent(tx, 5)
        assert (entries, steps.log(tx, None, 5)) == ([], ([], cursor))
    inserted(db, step(ann, 1, "a"))

    with db.read() as tx:
        assert lines(steps.log(tx, cursor, 5)[0]) == ["+a"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), ["+a", "+b", "+x"]),
        (Filters(rule="first"), ["+a", "+x"]),
        (Filters(state="loyal"), ["+b"]),
        (Filters(state="deal"), ["+a", "+b", "+x"]),  # entered or left
        (Filters(state="deal", rule="second"), ["+b"]),
        (Filters(rule="' OR 1=1 --"), []),
        (Filters(state="%"), []),
    ],
    ids=repr,
)
def test_the_log_may_be_filtered(
    db: Database, ann: int, bob: int, filters: Filters, expected: list[str]
) -> None:
    """Values are compared as they are; nothing in them is understood as SQL or as a pattern."""
    inserted(
        db,
        step(ann, 1, "a"),
        step(ann, 2, "b", rule="second", from_state="deal", to_state="loyal"),
        step(bob, 1, "x"),
    )

    with db.read() as tx:
        assert lines(steps.log(tx, None, 10, filters)[0]) == expected
        assert lines(steps.recent(tx, 10, filters)[0]) == expected[::-1]


def test_the_log_of_one_customer(db: Database, ann: int, bob: int) -> None:
    inserted(db, step(ann, 1, "a"), step(bob, 1, "x"))

    with db.read() as tx:
        assert lines(steps.log(tx, None, 10, Filters(customer_id=bob))[0]) == ["+x"]


def test_a_filter_that_finds_nothing_still_moves_on(db: Database, ann: int) -> None:
    """So that following a rare rule does not read the whole log again and again."""
    inserted(db, *(step(ann, n, f"{n}") for n in range(1, 4)))
    rare = Filters(rule="rare")
    with db.read() as tx:
        _, before = steps.log(tx, None, 10, rare)
    inserted(db, step(ann, 4, "4", rule="rare"))

    with db.read() as tx:
        entries, after = steps.log(tx, before, 10, rare)
    assert lines(entries) == ["+4"]
    assert before != after


@pytest.mark.parametrize("bad", ["", "1", "x.y.z", "0.1.00000000", "-1.0.0", "9" * 400])
def test_a_cursor_that_was_not_given_is_refused(db: Database, bad: str) -> None:
    with db.read() as tx, pytest.raises(Problem) as raised:
        steps.log(tx, bad, 10)
    assert (raised.value.code, raised.value.status) == ("cursor_invalid", 422)


def test_a_cursor_of_another_query_is_refused(db: Database, ann: int) -> None:
    """Going on with other filters would leave lines out without a word."""
    with db.read() as tx:
        _, cursor = steps.log(tx, None, 10, Filters(rule="first"))
        with pytest.raises(Problem, match="not one that was given for this query"):
            steps.log(tx, cursor, 10, Filters(rule="second"))


def test_recorded_and_revoked_instants_are_not_event_time(db: Database, ann: int) -> None:
    """`at` is when it was true, `recorded_at` when we knew."""
    inserted(db, step(ann, 1, "a", at=1))
    [row] = live(db, ann)
    assert row.step.at == day(1)
    assert row.recorded_at == RECEIVED
    assert row.recorded_at - row.step.at > timedelta(days=100)


def test_many_steps_at_once(db: Database, ann: int) -> None:
    """More rows than one statement takes, and each has its line."""
    inserted(db, *(step(ann, n, f"{n}") for n in range(1, 334)))

    assert causes(live(db, ann)) == [f"{n}" for n in range(1, 334)]
    with db.read() as tx:
        assert lines(steps.log(tx, None, 1000)[0]) == [f"+{n}" for n in range(1, 334)]


def test_no_steps_at_once(db: Database) -> None:
    inserted(db)
    with db.read() as tx:
        assert steps.log(tx, None, 10)[0] == []
