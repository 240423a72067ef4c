"""What `explain` tells of a past moment: what was known then, and what is known of it today."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lifecycle.domain.event import Event
from lifecycle.engine.explain.asked import Asked
from lifecycle.engine.explain.chapters import Believed, Happened
from lifecycle.engine.explain.explanation import Explanation
from lifecycle.engine.explain.gather import explain
from lifecycle.engine.installation import Installation
from lifecycle.errors import Problem
from lifecycle.policy import loads
from lifecycle.store import runs
from tests.policies import SCENARIO_POLICY, scenario_policy
from tests.scenarios.driver import ANNA, day, order, page, refund
from tests.support.engine import (
    arrive,
    installation,
    post,
    publish,
    reach,
    send,
    set_clock,
)

Install = Callable[[str], Installation]

THANKS = scenario_policy(
    facts=["spent: {sum: order_paid.amount, less: order_refunded.amount}"],
    outreach=["{name: thanks, on: {event: order_paid}, when: spent >= 50.0, channels: [sms]}"],
)


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    """An installation on a fresh SQLite file, under a policy."""
    with ExitStack() as stack:
        yield lambda policy: stack.enter_context(
            installation(f"sqlite:///{tmp_path / 'explained.db'}", policy)
        )


def late(event: Event, on: float) -> Event:
    """The event, received on a later day than it happened."""
    return event._replace(received_at=day(on))


def then(inst: Installation, on: float) -> Explanation:
    return explain(inst, ANNA, Asked(at=day(on)))


def today(inst: Installation, on: float) -> Explanation:
    return explain(inst, ANNA, Asked(at=day(on), late_events=True))


@pytest.fixture
def disproved(install: Install) -> Installation:
    """Believed dormant from day 60 on, until an order of day 40 arrived on day 70."""
    inst = install(SCENARIO_POLICY)
    arrive(inst, order(0))
    reach(inst, day(61))
    reach(inst, day(70))
    arrive(inst, late(order(40, "A-17"), 70))
    return inst


def test_what_was_believed_then_is_told_without_the_event_that_disproved_it(
    disproved: Installation,
) -> None:
    assert then(disproved, 61).lines() == [
        "This is anna at 2026-03-03 00:00 UTC, as it was known then: from the 1 event that had occurred and arrived by then, under the policies published by then.",
        "Left out: 1 event that had occurred by then and arrived later: order_paid A-17 of 2026-02-10 00:00 (known since 2026-03-12 00:00).",
        "Today it is known that she was in deal: `--late-events included` tells that.",
        "",
        "anna had been in dormant since 2026-03-02 00:00, for 1 day.",
        "Told as of 2026-03-03 00:00 UTC, under policy version 1; other times are UTC.",
        "",
        "What had happened",
        "2026-01-01 00:00  order_paid order_paid-0 of shop, with amount 10.",
        "    It changed orders from 0 to 1, and set last_order_at and last_seen_at to its own time.",
        "    She moved from potential to deal (first).",
        "2026-03-02 00:00  quiet came due: no interaction for 60 days since 2026-01-01 00:00.",
        "    She moved from deal to dormant (quiet).",
        "    win-back (email) was planned for 2026-03-02 00:00 and had not left by then.",
        "",
        "What was to happen next",
        "2026-05-01 00:00 UTC  lost, 120 days after last_order_at = 2026-01-01 00:00.",
        "    If nothing arrives before, it moves her to churned.",
        "    A new order_paid would move it.",
        "    Leaving dormant, as by order_paid (back, to reactivated) or account_closed (left, to churned), would disarm it.",
        "",
        "What was known",
        "last_order_at = 2026-01-01 00:00",
        "last_seen_at = 2026-01-01 00:00",
        "orders = 1",
    ]


def test_what_is_known_today_of_a_moment_counts_what_arrived_since(disproved: Installation) -> None:
    told = today(disproved, 61)
    assert told.standing.state == "deal"
    assert told.lines()[:5] == [
        "This is anna at 2026-03-03 00:00 UTC, as it is known today: from the 2 events that had occurred by then, whenever they arrived, under the policies published to this day.",
        "1 of them arrived after that moment: order_paid A-17 of 2026-02-10 00:00 (known since 2026-03-12 00:00).",
        "At that moment she was believed to be in dormant: `--late-events excluded` tells that.",
        "",
        "anna had been in deal since 2026-01-01 00:00, for 61 days.",
    ]
    assert any(isinstance(chapter, Believed) for chapter in told.chapters)
    assert told.ahead[0].at == day(100)


def test_once_a_late_event_has_arrived_both_tellings_are_one(disproved: Installation) -> None:
    reach(disproved, day(75))
    known, now = then(disproved, 72), today(disproved, 72)
    assert known.lines()[1] == "Nothing that had occurred by then has arrived since."
    assert known.to_json()["chapters"] == now.to_json()["chapters"]
    assert "    It overturned quiet of 2026-03-02 00:00." in known.lines()


def test_a_late_event_that_moves_nobody_is_left_out_and_said_to_change_no_state(
    install: Install,
) -> None:
    inst = install(SCENARIO_POLICY)
    arrive(inst, order(0))
    reach(inst, day(20))
    arrive(inst, late(page(5), 20))
    assert then(inst, 10).lines()[2] == "What is known today says the same of her state."
    assert today(inst, 10).lines()[2] == "What was known at that moment said the same of her state."


def test_only_the_first_few_late_events_are_named(install: Install) -> None:
    inst = install(SCENARIO_POLICY)
    arrive(inst, order(0))
    reach(inst, day(20))
    arrive(inst, *(late(page(on), 20) for on in (1, 2, 3, 4, 5)))
    told = then(inst, 10)
    assert told.lines()[1].startswith("Left out: 5 events that had occurred by then")
    assert told.lines()[1].endswith("and 2 more.")
    assert len(told.to_json()["moment"]["late"]) == 5


def test_a_message_that_had_left_by_then_is_told_as_sent_though_it_was_overtaken_since(
    install: Install,
) -> None:
    inst = install(SCENARIO_POLICY)
    arrive(inst, order(0))
    reach(inst, day(61))
    send(inst, day(61))
    reach(inst, day(70))
    arrive(inst, late(order(40), 70))
    sent = "    win-back (email) was planned for 2026-03-02 00:00 and sent on 2026-03-03 00:00."
    assert sent in then(inst, 65).lines()
    [message] = _messages(then(inst, 65))
    assert (message["fate"], message["reason"], message["live"]) == ("sent", None, True)


def test_a_message_of_a_cause_that_fell_and_came_back_had_not_left_in_between(
    install: Install,
) -> None:
    """Cancelled on day 20, queued again on day 30: on day 25 the cause did not stand."""
    inst = install(THANKS)
    arrive(inst, order(0, amount="60"))
    reach(inst, day(20))
    arrive(inst, late(refund(-1)._replace(properties={"amount": "20"}), 20))
    reach(inst, day(30))
    arrive(inst, late(order(-2, amount="20"), 30))
    assert "thanks (sms), planned for it, had not left by then." in [
        line.strip() for line in then(inst, 25).lines()
    ]
    assert _messages(then(inst, 25)) == []
    assert [message["live"] for message in _messages(then(inst, 10))] == [True]


def test_a_message_that_a_later_arrival_planned_was_not_there_then(install: Install) -> None:
    inst = install(THANKS)
    arrive(inst, order(0))
    reach(inst, day(20))
    arrive(inst, late(order(5, amount="60"), 20))
    assert [chapter.at for chapter in then(inst, 10).chapters] == [day(0)]
    assert [message["rule"] for message in _messages(today(inst, 10))] == ["thanks"]


def test_what_waits_to_be_applied_did_not_wait_before_it_arrived(install: Install) -> None:
    inst = install(SCENARIO_POLICY)
    arrive(inst, order(0))
    set_clock(inst, day(20))
    post(inst, late(page(5), 20))
    assert then(inst, 10).pending == ()
    assert [stored.event.id for stored in then(inst, 20).pending] == ["page_viewed-5"]
    assert [stored.event.id for stored in today(inst, 10).pending] == ["page_viewed-5"]


def _messages(told: Explanation) -> list[dict[str, object]]:
    return [
        message
        for chapter in told.to_json()["chapters"]
        if chapter["kind"] != "dropped"
        for message in chapter["messages"]
    ]


def test_events_that_lie_ahead_of_the_moment_wait_where_they_had_arrived(install: Install) -> None:
    inst = install(SCENARIO_POLICY)
    arrive(inst, order(0), late(page(9), 0))
    reach(inst, day(20))
    arrive(inst, page(19))
    told = then(inst, 5)
    assert [stored.event.id for stored in told.waiting] == ["page_viewed-9"]
    assert "What was waiting" in told.lines()
    assert [stored.event.id for stored in today(inst, 5).waiting] == ["page_viewed-9"]


def test_the_events_of_an_import_count_from_its_end(database_url: str) -> None:
    """Until then `explain` says that they are held, whatever they will say once they count."""
    with installation(database_url) as inst:
        _imported(inst)


def _imported(inst: Installation) -> None:
    arrive(inst, page(0))
    reach(inst, day(10))
    with inst.db.write() as tx:
        run = runs.begin(tx, name="history.csv", digest="d", effects=False, now=day(10))
    post(inst, late(order(1), 10), run_id=run)
    reach(inst, day(12))
    with inst.db.write() as tx:
        runs.end(tx, run, day(12))
    reach(inst, day(20))
    told = then(inst, 11)
    assert (told.standing.state, told.held) == ("potential", 1)
    assert "(known since 2026-01-13 00:00)" in told.lines()[1]
    assert (then(inst, 12).standing.state, then(inst, 12).held) == ("deal", 0)


def test_of_what_had_been_imported_later_nothing_was_known_then(install: Install) -> None:
    inst = install(SCENARIO_POLICY)
    set_clock(inst, day(100))
    arrive(inst, *(late(order(on), 100) for on in (0, 1, 2)))
    told = then(inst, 50)
    assert told.standing.since is None
    assert told.lines()[4] == "anna was in potential; none of her events had been applied."
    assert today(inst, 50).standing.state == "loyal"


def test_a_policy_that_was_published_later_did_not_judge_then(install: Install) -> None:
    inst = install(SCENARIO_POLICY)
    arrive(inst, order(0))
    reach(inst, day(50))
    quicker = loads(SCENARIO_POLICY.replace("after: 60d", "after: 20d")).policy
    publish(inst, quicker, number=2, effective_at=day(30))
    reach(inst, day(55))
    told = then(inst, 40)
    assert told.standing.state == "deal"
    assert told.lines()[2:4] == [
        "Policy version 2, in force by then, was only published later: left out.",
        "Today it is known that she was in dormant: `--late-events included` tells that.",
    ]
    assert today(inst, 40).standing.state == "dormant"
    assert then(inst, 50).standing.state == "dormant"


def test_a_policy_that_was_published_and_not_yet_in_force_was_to_come(install: Install) -> None:
    inst = install(SCENARIO_POLICY)
    arrive(inst, order(0))
    reach(inst, day(10))
    publish(inst, loads(SCENARIO_POLICY).policy, number=2, effective_at=day(30))
    reach(inst, day(40))
    coming = "Policy version 2 was to take effect on 2026-01-31 00:00."
    assert coming in then(inst, 20).lines()
    assert coming not in then(inst, 5).lines()


def test_a_version_that_made_steps_by_then_counts_whatever_clock_it_was_published_by(
    install: Install,
) -> None:
    """Where the clock is made up, the instant of publishing may be of real time."""
    inst = install(SCENARIO_POLICY)
    arrive(inst, order(0))
    set_clock(inst, day(5000))
    quicker = loads(SCENARIO_POLICY.replace("after: 60d", "after: 20d")).policy
    publish(inst, quicker, number=2, effective_at=day(10))
    reach(inst, day(30))
    arrive(inst, order(30))
    reach(inst, day(40))
    assert then(inst, 29).standing.state == "deal"
    told = then(inst, 35)
    assert (told.standing.state, told.timeline.at(day(35)).number) == ("reactivated", 2)


def test_what_was_recorded_too_late_for_the_moment_says_so(install: Install) -> None:
    """The workers were away: the event had arrived, and nobody had folded it."""
    inst = install(SCENARIO_POLICY)
    arrive(inst, page(0))
    reach(inst, day(1))
    post(inst, order(1))
    reach(inst, day(9))
    told = then(inst, 5)
    assert told.standing.state == "deal"
    assert (
        "Her record was behind at that moment, which was put right since:"
        " 1 step below is not recorded yet."
    ) in told.lines()


@pytest.mark.parametrize(
    ("on", "code", "expected"),
    [
        (-1, "instant_before_first_event", "an instant from 2026-01-01T00:00:00Z on"),
        (71, "instant_ahead", "an instant up to now, 2026-03-12T00:00:00Z"),
    ],
)
def test_a_moment_that_she_does_not_have_is_refused_with_those_that_she_has(
    disproved: Installation, on: float, code: str, expected: str
) -> None:
    with pytest.raises(Problem) as caught:
        then(disproved, on)
    assert (caught.value.code, caught.value.expected) == (code, expected)
    assert "nothing was changed" in caught.value.detail


def test_who_has_no_applied_event_has_no_past(install: Install) -> None:
    inst = install(SCENARIO_POLICY)
    post(inst, order(0))
    with pytest.raises(Problem, match="no event of anna has been applied"):
        then(inst, 0)


def test_the_json_says_what_was_asked_and_what_differs(disproved: Installation) -> None:
    form = then(disproved, 61).to_json()
    assert form["asked"] == {
        "at": "2026-03-03T00:00:00Z",
        "late_events": "excluded",
        "policy": None,
    }
    moment = form["moment"]
    assert [one["event"]["id"] for one in moment["late"]] == ["A-17"]
    assert (moment["state_as_known_then"], moment["state_as_known_today"]) == ("dormant", "deal")
    assert form["what_if"] is None
    now = explain(disproved, ANNA).to_json()
    assert now["asked"] == {"at": None, "late_events": None, "policy": None}
    assert (now["moment"], now["what_if"]) == (None, None)


def test_asking_of_a_moment_changes_nothing(disproved: Installation) -> None:
    before = explain(disproved, ANNA).to_json()
    then(disproved, 61)
    today(disproved, 61)
    assert explain(disproved, ANNA).to_json() == before
    assert not any(isinstance(one, Happened) and one.late for one in then(disproved, 61).chapters)
