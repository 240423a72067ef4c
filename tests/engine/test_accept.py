"""How an event gets in: once, durably, and told apart from what was seen before."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from lifecycle.domain.event import Event
from lifecycle.engine.accept import Accepted, Conflict, Duplicate, TooLate, accept
from lifecycle.engine.digest import digest
from lifecycle.engine.installation import Installation
from lifecycle.errors import NotFound, NotReady
from lifecycle.intake.draft import Draft
from lifecycle.store import customers, runs
from lifecycle.store.database import Database
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
)


@pytest.fixture
def inst(database_url: str) -> Iterator[Installation]:
    with installation(database_url) as found:
        set_clock(found, day(30))
        yield found


ACCEPTED = Accepted(source="shop", id="A")
DUPLICATE = Duplicate(source="shop", id="A", first_seen=day(0))


def test_a_repetition_is_a_duplicate_however_late_it_comes(inst: Installation) -> None:
    """It is told when the event was first seen, and nothing happens twice."""
    assert post(inst, order(0, "A")) == [ACCEPTED]
    assert post(inst, order(0, "A")) == [DUPLICATE]
    arrive(inst)
    before = digest(inst)
    assert post(inst, order(0, "A")._replace(received_at=day(30))) == [DUPLICATE]
    assert pending(inst) == []
    assert digest(inst) == before


def test_repetitions_in_one_batch_are_judged_as_if_they_came_one_after_the_other(
    inst: Installation,
) -> None:
    answers = post(inst, order(0, "A"), order(0, "A", amount="12"), order(1, "B"), order(0, "A"))
    assert [type(answer) for answer in answers] == [Accepted, Conflict, Accepted, Duplicate]
    assert pending(inst) == ["A", "B"]


CHANGES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "customer": ({"customer": "bob"}, ("customer_id",)),
    "type": ({"type": "page_viewed"}, ("type",)),
    "instant": ({"occurred_at": day(0) + timedelta(microseconds=1)}, ("occurred_at",)),
    "property": ({"properties": {"amount": "12"}}, ("properties.amount",)),
    "more and less": (
        {"properties": {"currency": "CNY"}},
        ("properties.amount", "properties.currency"),
    ),
    "everything": (
        {"customer": "bob", "type": "page_viewed", "occurred_at": day(1), "properties": {}},
        ("customer_id", "type", "occurred_at", "properties.amount"),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_content_under_a_known_id_is_a_conflict_that_names_what_differs(
    inst: Installation, change: str
) -> None:
    """Nothing is changed by it: neither the event, nor is a customer made whom only it names."""
    changed, differing = CHANGES[change]
    post(inst, order(0, "A"))
    (answer,) = post(inst, order(0, "A")._replace(**changed))
    assert answer == Conflict(source="shop", id="A", first_seen=day(0), differing=differing)
    arrive(inst)
    assert made(inst) == [("first", 0)]
    with inst.db.read() as tx, pytest.raises(NotFound):
        customers.find(tx, "bob")


def test_the_same_id_of_another_source_is_another_event(inst: Installation) -> None:
    answers = post(inst, order(0, "A"), order(1, "A")._replace(source="till"))
    assert [type(answer) for answer in answers] == [Accepted, Accepted]


def undated(received_at: datetime) -> Draft:
    """Its sender did not say when: that is the time of receipt, and no part of the content."""
    event = order(0, "A")._replace(occurred_at=received_at, received_at=received_at)
    return draft(event)._replace(dated=False)


def test_an_undated_event_happened_when_it_was_first_received(inst: Installation) -> None:
    assert accept(inst, [undated(day(1))]) == [ACCEPTED]
    assert accept(inst, [undated(day(2))]) == [Duplicate(source="shop", id="A", first_seen=day(1))]
    arrive(inst)
    assert made(inst) == [("first", 1)]


def test_a_date_that_is_said_only_the_second_time_is_a_conflict(inst: Installation) -> None:
    accept(inst, [undated(day(1))])
    (answer,) = post(inst, order(1, "A"))
    assert isinstance(answer, Conflict)
    assert answer.differing == ("occurred_at",)


def test_what_comes_too_late_is_kept_beside_the_fold(inst: Installation) -> None:
    late = draft(order(0, "A"))._replace(too_late=True)
    assert accept(inst, [late, draft(order(1, "B"))]) == [
        TooLate(source="shop", id="A"),
        Accepted(source="shop", id="B"),
    ]
    assert accept(inst, [late]) == [replace(DUPLICATE, dead="quarantined")]
    assert pending(inst) == ["B"]


def test_what_was_accepted_is_there_for_whoever_comes_next(
    inst: Installation, database_url: str
) -> None:
    """Durable on return: another process sees it, and needs nothing else to apply it."""
    post(inst, order(0), page(1))
    with opened(database_url) as other:
        assert pending(other) == ["order_paid-0", "page_viewed-1"]
        arrive(other)
    assert made(inst) == [("first", 0)]


def test_a_batch_that_fails_leaves_nothing_behind(inst: Installation) -> None:
    """Here a time without a zone, which intake would have refused."""
    naive = order(5)._replace(received_at=day(5).replace(tzinfo=None))
    with pytest.raises((ValueError, TypeError)):
        post(inst, order(0), naive, *of("bob", order(0)))
    assert pending(inst) == []
    with inst.db.read() as tx:
        assert customers.ids_after(tx, 0, 10) == []


def test_the_same_batch_from_many_at_once_is_accepted_once(inst: Installation) -> None:
    """Each event by one of them; the others are told that it is a duplicate."""
    batch: list[Event] = [event for n in range(20) for event in of(f"c{n}", order(n), page(n))]
    together = threading.Barrier(4)

    def once(number: int) -> list[type]:
        together.wait()
        mine = batch if number % 2 else batch[::-1]
        return [type(answer) for answer in post(inst, *mine)]

    with ThreadPoolExecutor(4) as pool:
        answers = [answer for told in pool.map(once, range(4)) for answer in told]
    assert (answers.count(Accepted), answers.count(Duplicate)) == (40, 120)
    assert len(pending(inst)) == 40


def test_nothing_is_accepted_into_an_import_that_has_ended(inst: Installation) -> None:
    with inst.db.write() as tx:
        run_id = runs.begin(tx, name="a", digest="a", effects=False, now=day(30))
        runs.end(tx, run_id, day(30))
    with pytest.raises(NotReady, match=f"import {run_id} has ended"):
        post(inst, order(0), run_id=run_id)
    assert pending(inst) == []


def test_without_a_policy_nothing_is_accepted(database_url: str) -> None:
    """Nobody could say in which state a new customer begins."""
    db = Database.open(database_url)
    try:
        with pytest.raises(NotReady, match="no policy is in force yet"):
            post(Installation(db), order(0))
    finally:
        db.close()
