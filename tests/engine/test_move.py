"""An operator moves a customer by hand: an event of ours, with who and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lifecycle.domain.event import MOVED, OUR_SOURCE
from lifecycle.engine import apply
from lifecycle.engine.digest import digest
from lifecycle.engine.installation import Installation
from lifecycle.engine.move import move
from lifecycle.engine.rebuild import rebuild
from lifecycle.engine.verify import verify
from lifecycle.errors import NotFound, Problem
from lifecycle.store import customers, events, steps
from lifecycle.store.sql import Tx
from tests.scenarios.driver import day, order, page
from tests.support.engine import arrive, installation, made, pending, post, reach, set_clock, state


@pytest.fixture
def inst(database_url: str) -> Iterator[Installation]:
    with installation(database_url) as found:
        arrive(found, order(0))
        reach(found, day(10))
        yield found


def test_a_move_is_an_event_of_ours_and_a_step_with_who_and_why(inst: Installation) -> None:
    done = move(inst, "anna", "loyal", by="olga", why="a partner")
    assert (done.events, done.steps) == (1, 1)
    assert made(inst) == [("first", 0), ("moved", 10)]
    with inst.db.read() as tx:
        step = steps.live(tx, [1])[1][-1].step
        event = events.all_of(tx, 1)[-1].event
    assert (step.from_state, step.to_state, step.by, step.why) == (
        "deal",
        "loyal",
        "olga",
        "a partner",
    )
    assert (event.source, event.type, event.occurred_at) == (OUR_SOURCE, MOVED, day(10))
    assert event.properties == {"to": "loyal", "by": "olga", "why": "a partner"}
    assert step.cause == event.cause


def test_a_moved_customer_gets_the_full_time_again(inst: Installation) -> None:
    """Sixty days of quiet count from the move, of which the sale ten days before is no part."""
    move(inst, "anna", "loyal", by="olga", why="a partner")
    reach(inst, day(69.9))
    assert state(inst) == "loyal"
    reach(inst, day(70))
    assert made(inst) == [("first", 0), ("moved", 10), ("quiet", 70)]


def test_a_move_is_part_of_the_history_whatever_comes_late(inst: Installation) -> None:
    """A late event before it changes from where she was moved; a rebuild changes nothing."""
    move(inst, "anna", "loyal", by="olga", why="a partner")
    arrive(inst, order(1), order(2))
    assert made(inst) == [("first", 0), ("loyal", 2)]
    assert verify(inst) == []
    before = digest(inst)
    assert rebuild(inst).steps == 0
    assert digest(inst) == before


def test_a_state_that_the_policy_does_not_have_is_refused(inst: Installation) -> None:
    with pytest.raises(Problem) as refused:
        move(inst, "anna", "asleep", by="olga", why="")
    assert (refused.value.code, refused.value.pointer, refused.value.got) == (
        "unknown_state",
        "/to",
        "asleep",
    )
    assert refused.value.expected == "potential, deal, loyal, dormant, churned, reactivated"
    assert refused.value.detail == "the policy has no state 'asleep'; nothing was changed"
    assert untouched(inst)


def test_a_move_to_where_she_is_already_is_refused(inst: Installation) -> None:
    with pytest.raises(
        Problem, match="the customer is 'deal' already; nothing was changed"
    ) as told:
        move(inst, "anna", "deal", by="olga", why="")
    assert told.value.code == "already_there"
    assert untouched(inst)


def test_a_customer_whom_nobody_knows_is_not_found(inst: Installation) -> None:
    with pytest.raises(NotFound, match="no customer is known as 'zoe'"):
        move(inst, "zoe", "deal", by="olga", why="")
    with inst.db.read() as tx:
        assert customers.ids_after(tx, 0, 10) == [1]


def untouched(inst: Installation) -> bool:
    with inst.db.read() as tx:
        return len(events.all_of(tx, 1)) == 1 and made(inst) == [("first", 0)]


def test_a_move_comes_after_what_was_waiting_for_her(inst: Installation) -> None:
    """Events that were accepted before it are folded before it, in the same work."""
    post(inst, page(9), order(9.5))
    done = move(inst, "anna", "loyal", by="olga", why="a partner")
    assert done.events == 3
    assert pending(inst) == []
    assert state(inst) == "loyal"


def test_a_move_that_was_overtaken_by_an_event_is_in_the_log_and_changes_nothing(
    inst: Installation,
) -> None:
    """She had just become what the operator was about to make her."""
    post(inst, order(5), order(6))
    done = move(inst, "anna", "loyal", by="olga", why="a partner")
    assert (done.events, done.steps) == (3, 1)
    assert made(inst) == [("first", 0), ("loyal", 6)]
    with inst.db.read() as tx:
        assert events.all_of(tx, 1)[-1].event.type == MOVED


@pytest.mark.postgres
def test_a_move_of_a_customer_whom_another_does_not_let_go_waits_like_any_event(
    postgres_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is accepted, the answer says that she was left, and whoever comes next applies it."""
    monkeypatch.setattr(apply, "PATIENCE_SECONDS", 0)
    with installation(postgres_database_url) as inst:
        arrive(inst, order(0))
        set_clock(inst, day(10))
        with inst.db.write() as worker:
            assert customers.lock(worker, [1]) == [1]
            done = move(inst, "anna", "loyal", by="olga", why="a partner")
            assert (done.events, done.left) == (0, 1)
        assert state(inst) == "deal"
        arrive(inst)
        assert state(inst) == "loyal"


def test_a_move_whose_commit_lost_its_answer_is_still_one_move(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection broke at COMMIT, so the store runs the unit again; it had been committed."""
    run = inst.db.run
    lost: list[object] = []

    def losing_the_first_answer(unit: Callable[[Tx], Any], **more: Any) -> Any:
        if not lost:
            lost.append(run(unit, **more))
        return run(unit, **more)

    monkeypatch.setattr(inst.db, "run", losing_the_first_answer)
    move(inst, "anna", "loyal", by="olga", why="asked by phone")
    assert state(inst) == "loyal"
    with inst.db.read() as tx:
        told = [stored.event.type for stored in events.all_of(tx, customers.find(tx, "anna"))]
    assert told == ["order_paid", MOVED]
