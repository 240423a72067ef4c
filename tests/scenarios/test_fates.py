"""The worked examples, where they tell of arrival: what is refused, revoked, cancelled, overtaken."""

from __future__ import annotations

from datetime import timedelta

from lifecycle.engine.accept import Accepted, Conflict
from lifecycle.errors import Problem
from tests.scenarios.conftest import BeginOnEngine
from tests.scenarios.driver import order, page
from tests.scenarios.policies import EXAMPLES, WITH_BYE

MINUTES_10 = timedelta(minutes=10)


def test_02_a_win_back_settles_before_it_is_sent(begin_engine: BeginOnEngine) -> None:
    anna = begin_engine(EXAMPLES)
    anna.post(order(0), at=0)
    anna.reach(60)
    assert anna.fates() == [("win-back", 60, "queued", None)]
    assert anna.not_before("win-back") == timedelta(days=60) + MINUTES_10


def test_04_a_message_that_was_never_sent_in_time_expires(begin_engine: BeginOnEngine) -> None:
    anna = begin_engine(EXAMPLES)
    anna.post(order(0), at=0)
    anna.reach(200)
    assert anna.fates() == [("win-back", 60, "expired", None)]


def test_07_an_event_from_the_future_is_refused_alone(begin_engine: BeginOnEngine) -> None:
    anna = begin_engine(EXAMPLES)
    anna.post(order(0), at=0)
    accepted, refused = anna.try_to_post(page(58), page(70), at=59)
    assert isinstance(accepted, Accepted)
    assert isinstance(refused, Problem)
    assert (refused.code, refused.pointer) == ("timestamp_in_future", "/events/1/occurred_at")
    assert refused.got == '"2026-03-12T00:00:00Z"'
    assert anna.steps() == [("first", 0)]
    assert anna.fact("last_seen_at") == "2026-02-28T00:00:00Z"


def test_08_the_win_back_of_a_disproved_dormancy_is_cancelled(begin_engine: BeginOnEngine) -> None:
    anna = begin_engine(EXAMPLES)
    anna.post(order(0), at=0)
    anna.reach(61)
    assert anna.fates() == [("win-back", 60, "queued", None)]
    anna.post(order(40), at=61)
    assert anna.revoked() == [("quiet", 60, "order_paid-40")]
    assert anna.fates() == [("win-back", 60, "cancelled", "superseded")]


def test_09_a_win_back_that_was_sent_is_overtaken(begin_engine: BeginOnEngine) -> None:
    anna = begin_engine(EXAMPLES)
    anna.post(order(0), at=0)
    anna.reach(61)
    anna.send()
    anna.post(order(40), at=61)
    assert anna.steps() == [("first", 0)]
    assert anna.state() == "deal"
    assert anna.next_check() == ("quiet", 100)
    assert anna.revoked() == [("quiet", 60, "order_paid-40")]
    assert [fate[:3] for fate in anna.fates()] == [("win-back", 60, "overtaken")]
    anna.send()
    assert [fate[:3] for fate in anna.fates()] == [("win-back", 60, "overtaken")]


def test_a_cancelled_message_is_queued_for_the_new_day(begin_engine: BeginOnEngine) -> None:
    """`lost` fires at d120, is disproved, and fires again for the same order at d237."""
    anna = begin_engine(WITH_BYE)
    anna.post(order(0), at=0)
    anna.reach(121)
    assert ("bye", 120, "queued", None) in anna.fates()
    anna.post(page(59), page(118), page(177), at=200)
    assert ("bye", 120, "cancelled", "superseded") in anna.fates()
    anna.reach(238)
    assert ("bye", 237, "queued", None) in anna.fates()
    assert anna.not_before("bye") == timedelta(days=238)


def test_an_expired_message_is_queued_for_the_new_day(begin_engine: BeginOnEngine) -> None:
    anna = begin_engine(WITH_BYE)
    anna.post(order(0), at=200)
    assert ("bye", 120, "expired", None) in anna.fates()
    anna.post(page(59), page(118), page(177), at=200)
    anna.reach(238)
    assert ("bye", 237, "queued", None) in anna.fates()


def test_a_queued_message_moves_with_its_check(begin_engine: BeginOnEngine) -> None:
    anna = begin_engine(WITH_BYE)
    anna.post(order(0), page(50), at=50)
    anna.reach(126)
    assert ("bye", 120, "queued", None) in anna.fates()
    anna.post(page(65), at=130)
    assert ("bye", 125, "queued", None) in anna.fates()


def test_a_message_that_left_does_not_leave_again_for_a_new_day(
    begin_engine: BeginOnEngine,
) -> None:
    """Customer, rule, cause and number are one message, whenever its cause turns out to fall."""
    anna = begin_engine(WITH_BYE)
    anna.post(order(0), at=0)
    anna.reach(121)
    anna.send()
    anna.post(page(59), page(118), page(177), at=200)
    assert ("bye", 120, "overtaken", "superseded") in anna.fates()
    anna.reach(238)
    assert ("bye", 237, "sent", None) in anna.fates()


def test_11_another_content_under_a_known_id_changes_nothing(begin_engine: BeginOnEngine) -> None:
    anna = begin_engine(EXAMPLES)
    anna.post(order(0, "A", amount="10"), at=0)
    before = anna.digest()
    (conflict,) = anna.try_to_post(order(0, "A", amount="12"), at=0)
    assert isinstance(conflict, Conflict)
    assert (conflict.source, conflict.id) == ("shop", "A")
    assert conflict.differing == ("properties.amount",)
    assert anna.steps() == [("first", 0)]
    assert anna.digest() == before


def test_16_after_an_overtaken_message_was_sent_a_new_one_waits_its_turn(
    begin_engine: BeginOnEngine,
) -> None:
    anna = begin_engine(EXAMPLES)
    anna.post(order(0), at=0)
    anna.reach(61)
    anna.send()
    anna.post(page(5), at=61)
    anna.reach(66)
    assert anna.steps() == [("first", 0), ("quiet", 65)]
    assert anna.revoked() == [("quiet", 60, "page_viewed-5")]
    (overtaken, suppressed) = anna.fates()
    assert overtaken[:3] == ("win-back", 60, "overtaken")
    assert suppressed == ("win-back", 65, "suppressed", "sent_recently")


def test_what_overtakes_a_message_and_causes_a_new_one_at_once_suppresses_it(
    begin_engine: BeginOnEngine,
) -> None:
    """As 16, but the page comes only when the new dormancy has begun: one piece of work does both."""
    anna = begin_engine(EXAMPLES)
    anna.post(order(0), at=0)
    anna.reach(61)
    anna.send()
    anna.post(page(5), at=66)
    (overtaken, suppressed) = anna.fates()
    assert overtaken[:3] == ("win-back", 60, "overtaken")
    assert suppressed == ("win-back", 65, "suppressed", "sent_recently")
