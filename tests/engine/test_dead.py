"""What a person can do about an event that left the fold."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from lifecycle.engine.accept import TooLate, accept
from lifecycle.engine.dead import (
    AlreadyDone,
    Discarded,
    Replayed,
    Status,
    discard,
    list_dead,
    replay,
    show,
)
from lifecycle.engine.installation import Installation
from lifecycle.engine.verify import verify
from lifecycle.errors import NotFound
from lifecycle.intake.draft import Draft
from lifecycle.intake.native import read_batch
from tests.policies import SCENARIO_POLICY
from tests.scenarios.driver import day, order
from tests.support.engine import arrive, draft, installation, made, post, set_clock, work


@pytest.fixture
def inst(database_url: str) -> Iterator[Installation]:
    with installation(database_url) as found:
        set_clock(found, day(30))
        yield found


def too_late(inst: Installation, *names: str) -> None:
    """Orders of day 0 that the policy's limit of lateness kept out of the fold, as time goes by."""
    for number, name in enumerate(names):
        event = order(0, name)._replace(received_at=day(30) + timedelta(hours=number))
        results = accept(inst, [draft(event)._replace(too_late=True)])
        assert results == [TooLate(source="shop", id=name)]


def listed(inst: Installation, limit: int = 100, status: Status | None = None) -> list[str]:
    return [letter.stored.event.id for letter in list_dead(inst, limit, status)]


def test_the_newest_dead_letters_are_listed_first(inst: Installation) -> None:
    too_late(inst, "a", "b", "c")
    discard(inst, "shop", "b", by="olga", why=None)
    assert listed(inst) == ["c", "b", "a"]
    assert listed(inst, limit=2) == ["c", "b"]
    assert listed(inst, status=Status.QUARANTINED) == ["c", "a"]
    assert listed(inst, status=Status.DISCARDED) == ["b"]


def test_a_discarded_event_tells_when_it_left_the_fold_and_when_it_was_discarded(
    inst: Installation,
) -> None:
    """The time of the quarantine was told as that of the discard."""
    too_late(inst, "a")
    set_clock(inst, day(33))
    discard(inst, "shop", "a", by="olga", why=None)
    for letter in (show(inst, "shop", "a").letter, *list_dead(inst)):
        assert letter is not None
        assert (letter.at, letter.discarded_at, letter.since) == (day(30), day(33), day(33))


def test_an_event_that_came_too_late_is_kept_with_its_reason_and_counts_for_nothing(
    inst: Installation,
) -> None:
    arrive(inst, order(10))
    too_late(inst, "a")
    work(inst)
    shown = show(inst, "shop", "a")
    assert shown.letter is not None
    assert shown.letter.reason == "too_late"
    assert shown.letter.detail == (
        "received 30 days, 0:00:00 after it occurred, at 2026-01-31T00:00:00Z"
    )
    assert shown.letter.attempts == 0
    assert shown.actions == ()
    assert made(inst) == [("first", 10)]
    assert verify(inst) == []


def test_the_limit_of_lateness_is_the_policys_and_backfill_is_exempt(database_url: str) -> None:
    """Judged once, at intake, by the time of receipt."""
    body = b"""{"events": [
      {"id": "a", "customer_id": "anna", "type": "order_paid", "occurred_at": "2026-01-23T00:00:00Z"},
      {"id": "b", "customer_id": "anna", "type": "order_paid", "occurred_at": "2026-01-24T00:00:00Z"}
    ]%s}"""
    with installation(database_url, SCENARIO_POLICY + "lateness: 7d\n") as inst:
        set_clock(inst, day(30))
        for flag, late in [(b"", [True, False]), (b', "backfill": true', [False, False])]:
            batch = read_batch(body % flag, inst.policy(), day(30), "http")
            assert [isinstance(item, Draft) and item.too_late for item in batch.items] == late


def test_a_replayed_event_is_a_late_event(inst: Installation) -> None:
    """It is folded in its own time, before what was folded already."""
    arrive(inst, order(10))
    too_late(inst, "a")
    done = replay(inst, "shop", "a", by="olga", why="the shop was offline")
    assert isinstance(done, Replayed)
    assert done.letter.reason == "too_late"
    assert done.applied.events == 1
    assert made(inst) == [("first", 0)]
    assert listed(inst) == []
    assert verify(inst) == []


def test_what_was_done_is_on_record_also_when_the_event_is_alive_again(inst: Installation) -> None:
    too_late(inst, "a")
    discard(inst, "shop", "a", by="olga", why="a test order")
    set_clock(inst, day(31))
    replay(inst, "shop", "a", by="pavel", why=None)
    shown = show(inst, "shop", "a")
    assert shown.letter is None
    assert shown.stored.event == order(0, "a")._replace(received_at=day(30))
    assert [(one.action, one.by, one.why, one.at) for one in shown.actions] == [
        ("discard", "olga", "a test order", day(30)),
        ("replay", "pavel", None, day(31)),
    ]


def test_a_second_replay_changes_nothing_and_names_the_first(inst: Installation) -> None:
    too_late(inst, "a")
    replay(inst, "shop", "a", by="olga", why=None)
    again = replay(inst, "shop", "a", by="pavel", why=None)
    assert isinstance(again, AlreadyDone)
    assert (again.action.action, again.action.by) == ("replay", "olga")
    assert len(show(inst, "shop", "a").actions) == 1


def test_a_second_discard_changes_nothing_and_names_the_first(inst: Installation) -> None:
    too_late(inst, "a")
    assert isinstance(discard(inst, "shop", "a", by="olga", why=None), Discarded)
    again = discard(inst, "shop", "a", by="pavel", why=None)
    assert isinstance(again, AlreadyDone)
    assert (again.action.action, again.action.by) == ("discard", "olga")
    assert len(show(inst, "shop", "a").actions) == 1


def test_what_was_replayed_cannot_be_discarded_any_more(inst: Installation) -> None:
    """It counts; the answer names the replay."""
    too_late(inst, "a")
    replay(inst, "shop", "a", by="olga", why=None)
    answer = discard(inst, "shop", "a", by="pavel", why=None)
    assert isinstance(answer, AlreadyDone)
    assert answer.action.action == "replay"
    assert made(inst) == [("first", 0)]


@pytest.mark.parametrize("act", [replay, discard])
def test_of_two_who_ask_at_once_one_acts_and_the_other_is_told(
    inst: Installation, act: Callable[..., object]
) -> None:
    too_late(inst, "a")
    together = threading.Barrier(2)
    answers: list[object] = []

    def ask(by: str) -> None:
        together.wait()
        answers.append(act(inst, "shop", "a", by=by, why=None))

    people = [threading.Thread(target=ask, args=(by,)) for by in ("olga", "pavel")]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert sorted(type(answer) is AlreadyDone for answer in answers) == [False, True]
    assert len(show(inst, "shop", "a").actions) == 1


@pytest.mark.parametrize("ask", ["show", "replay", "discard"])
def test_an_event_that_is_unknown_or_never_died_is_not_found(inst: Installation, ask: str) -> None:
    post(inst, order(0, "alive"))
    asks: dict[str, Callable[[str], object]] = {
        "show": lambda name: show(inst, "shop", name),
        "replay": lambda name: replay(inst, "shop", name, by="olga", why=None),
        "discard": lambda name: discard(inst, "shop", name, by="olga", why=None),
    }
    with pytest.raises(NotFound, match="there is no event 'unheard-of' of 'shop'"):
        asks[ask]("unheard-of")
    with pytest.raises(NotFound, match="event 'alive' of 'shop' is no dead letter"):
        asks[ask]("alive")
