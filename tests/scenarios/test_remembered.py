"""What is remembered of a customer between two folds does not grow with the length of her history."""

from __future__ import annotations

from lifecycle.domain.event import Event
from lifecycle.domain.fold import facts_at, fold
from lifecycle.domain.instant import BEGINNING
from lifecycle.domain.policy import PolicyVersion
from lifecycle.domain.snapshot import load
from lifecycle.domain.timeline import Timeline
from lifecycle.policy import loads
from tests.policies import scenario_policy
from tests.scenarios.driver import day, happened, moved, order

POLICY = scenario_policy(
    facts=["names: {distinct: told.name, within: 10d}"],
    transitions=["{name: rests, after: 12h, since: last_seen_at, from: loyal, to: deal}"],
    outreach=["{name: bye, on: {after: 12h, since: last_order_at}, channels: [email]}"],
).replace("events:\n", "events:\n  told: {properties: {name: text}}\n")


def timeline() -> Timeline:
    policy = loads(POLICY).policy
    return Timeline([PolicyVersion(number=1, hash="", effective_at=BEGINNING, policy=policy)])


def remembered(events: list[Event], days: int) -> int:
    """How many bytes are kept of her after so many days."""
    return len(fold(timeline(), None, events, day(days)).snapshot.dump())


def lived(days: int) -> list[Event]:
    """An order a day, each followed by two checks that are spent, and a name never told before."""
    daily = [
        (order(on), moved("loyal", on + 0.1), happened("told", on + 0.2, name=f"{on:04}"))
        for on in range(days)
    ]
    return [event for events in daily for event in events]


def test_what_checks_have_spent_and_windows_have_seen_is_let_go() -> None:
    assert remembered(lived(400), 400) - remembered(lived(40), 40) < 100  # longer numbers, no more


def test_what_is_let_go_is_still_spent_and_still_counted() -> None:
    """Each check fired once for each anchor, and of the names those of ten days count."""
    folded = fold(timeline(), None, lived(40), day(40))
    causes = [message.cause for message in folded.messages if message.rule == "bye"]
    assert len(set(causes)) == len(causes) == 40
    assert [step.rule for step in folded.steps].count("rests") == 40
    assert facts_at(timeline(), folded.snapshot, day(40))["names"] == 10


def test_a_value_that_comes_again_is_remembered_for_its_newest_time() -> None:
    """In whatever order the values were first seen, and wherever the fold stopped in between."""
    names = "zyxzwvutsrqzyponmlk"
    told = [happened("told", on, name=name) for on, name in enumerate(names)]
    last = len(told) - 1
    once = fold(timeline(), None, told, day(last))
    kept = once.snapshot.cells[timeline().versions[0].facts()["names"]]
    assert set(kept) == {f'"{name}"' for name in names[-10:]}
    for stop in range(last):
        first = fold(timeline(), None, told[: stop + 1], day(stop))
        stored = load(first.snapshot.dump(), timeline())
        again = fold(timeline(), stored, told[stop + 1 :], day(last))
        assert again.snapshot.dump() == once.snapshot.dump()
