"""What would have become of each message, told by histories in which the answer can be seen."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lifecycle.domain.builtin import CONSENT_WITHDRAWN
from lifecycle.domain.event import BOUNCED, OUR_SOURCE, SENT, Event
from lifecycle.engine.backtest.course import Ways
from lifecycle.outreach.verdict import Reason
from tests.backtest.lives import MINUTE, Left, agreed, known, left, tried
from tests.policies import scenario_policy
from tests.scenarios.driver import ANNA, day, happened, order, page
from tests.support.folding import counted_takes

OFFER = "{name: offer, on: {event: order_paid}, channels: [email, sms], holdout: 0%"


def policy(*rules: str, sending: str = "", facts: Sequence[str] = ()) -> str:
    text = scenario_policy(outreach=rules, facts=facts)
    return (
        text.replace(
            "channels: [email], settle: 10m", "channels: [email], holdout: 0%, settle: 10m"
        )
        + sending
    )


def test_a_message_goes_at_its_own_instant_after_its_settle() -> None:
    """The check fires at d60, so its message may go ten minutes later."""
    course = tried(policy(), [known(), agreed(), order(0)], 61)
    assert left(course) == [Left("win-back", round(60 + 10 * MINUTE, 6), "sent")]
    assert [step.rule for step in course.steps] == ["first", "quiet"]


def test_what_is_not_due_by_the_end_waits() -> None:
    course = tried(policy(), [known(), agreed(), order(0)], 60)
    assert left(course) == [Left("win-back", round(60 + 10 * MINUTE, 6), "waiting")]


@pytest.mark.parametrize(
    ("before", "why"),
    [
        ([agreed()], "no_address"),
        ([known()], "no_consent"),
        (
            [
                known(),
                agreed(),
                happened(CONSENT_WITHDRAWN, 59, purpose="marketing", channel="all"),
            ],
            "no_consent",
        ),
    ],
)
def test_consent_and_address_are_those_of_the_instant(before: list[Event], why: str) -> None:
    course = tried(policy(), [*before, order(0)], 61)
    assert left(course)[0][2:] == ("suppressed", why)


def test_a_consent_that_comes_too_late_brings_nothing_back() -> None:
    course = tried(policy(), [known(), order(0), agreed(60.5)], 90)
    assert left(course)[0][2:] == ("suppressed", "no_consent")


def test_everybody_is_reached_where_the_history_says_nothing_of_it() -> None:
    ways = Ways(addresses={"email": "email"}, everybody=True)
    assert left(tried(policy(), [order(0)], 61, ways))[0].became == "sent"
    no = happened(CONSENT_WITHDRAWN, 1, purpose="marketing", channel="email")
    assert left(tried(policy(), [order(0), no], 61, ways))[0][2:] == ("suppressed", "no_consent")


def test_a_channel_that_is_not_described_is_none() -> None:
    ways = Ways(addresses={"sms": "phone"})
    course = tried(policy(), [known(), agreed(), order(0)], 61, ways)
    assert left(course)[0][2:] == ("suppressed", "no_channel")


def test_the_first_channel_by_which_she_is_reached_is_taken() -> None:
    rules = policy(f"{OFFER}}}")
    phone = happened("profile_changed", 0, "phone", attributes={"phone": "+8613800138000"})
    course = tried(rules, [phone, agreed(), order(1)], 2)
    assert [letter.channel for letter in course.letters] == ["sms"]
    course = tried(rules, [phone, known(), agreed(), order(1)], 2)
    assert [letter.channel for letter in course.letters] == ["email"]


CAPPED = "sending: {caps: [{most: 1, within: 7d}]}\n"


def test_a_cap_holds_back_what_would_be_one_too_many_until_it_fits() -> None:
    course = tried(
        policy(f"{OFFER}}}", sending=CAPPED), [known(), agreed(), order(1), order(3)], 30
    )
    assert left(course) == [Left("offer", 1, "sent"), Left("offer", 8, "sent")]
    assert [letter.put_off for letter in course.letters] == [None, Reason.CAP]


def test_the_higher_priority_goes_where_a_cap_leaves_room_for_one() -> None:
    rules = policy(
        f"{OFFER}, expires: 2d}}",
        "{name: urgent, on: {event: order_paid}, channels: [email], holdout: 0%, priority: 90}",
        sending=CAPPED,
    )
    course = tried(rules, [known(), agreed(), order(1)], 30)
    assert left(course) == [Left("offer", 8, "expired", "expired"), Left("urgent", 1, "sent")]


def test_quiet_hours_put_marketing_off_to_the_morning_where_she_lives() -> None:
    quiet = 'sending: {quiet: {since: "21:00", until: "09:00"}}\n'
    shanghai = known(0, timezone="Asia/Shanghai")
    course = tried(policy(f"{OFFER}}}", sending=quiet), [shanghai, agreed(), order(1)], 30)
    assert left(course) == [Left("offer", round(1 + 1 / 24, 6), "sent")]  # 08:00 → 09:00 there
    assert course.letters[0].put_off is Reason.QUIET_HOURS


def test_who_is_held_out_of_a_rule_gets_none_of_it() -> None:
    rules = policy("{name: offer, on: {event: order_paid}, channels: [email], holdout: 99.99%}")
    assert left(tried(rules, [known(), agreed(), order(1)], 2))[0][2:] == ("held_out", "holdout")


def test_a_goal_that_is_reached_cancels_the_rest() -> None:
    series = policy(
        "{name: nurture, on: {event: page_viewed}, channels: [email], holdout: 0%,"
        " steps: [1h, 3d], goal: {event: order_paid, within: 14d}}"
    )
    course = tried(series, [known(), agreed(), page(1), order(2)], 10)
    assert [each[2:] for each in left(course)] == [("sent", None), ("cancelled", "goal_reached")]


def test_unless_is_asked_when_the_message_would_go() -> None:
    rules = policy(
        "{name: nudge, on: {event: page_viewed}, channels: [email], holdout: 0%, delay: 2d,"
        " unless: orders >= 1}"
    )
    assert left(tried(rules, [known(), agreed(), page(1)], 9))[0].became == "sent"
    bought = tried(rules, [known(), agreed(), page(1), order(2)], 9)
    assert left(bought)[0][2:] == ("cancelled", "unwanted")


# -- what really was sent ----------------------------------------------------------------------


def outcome(kind: str, on: float) -> Event:
    """What the history of an installation tells of a letter that really left."""
    return Event(
        OUR_SOURCE,
        f"{kind}-{on:g}",
        ANNA,
        kind,
        day(on),
        day(on),
        {"rule": "offer", "step": 1, "channel": "email", "message": "m"},
    )


COUNTING = ["letters: {count: lifecycle.sent}"]


def test_what_really_was_sent_is_left_out_and_what_would_have_been_is_counted() -> None:
    """Three letters really left; under this policy one does, and the guard reads that one."""
    rules = policy(
        f"{OFFER}}}",
        "{name: second, on: {event: page_viewed}, channels: [email], holdout: 0%, when: letters == 1}",
        facts=COUNTING,
    )
    real = [outcome(SENT, on) for on in (0.1, 0.2, 0.3)] + [outcome(BOUNCED, 0.4)]
    course = tried(rules, [known(), agreed(), *real, page(0.5), order(1), page(1.5)], 2)
    assert left(course) == [Left("offer", 1, "sent"), Left("second", 1.5, "sent")]


def test_a_letter_has_left_just_after_it_was_claimed() -> None:
    """So an event of the same instant does not yet know of it, as it would not in an installation."""
    rules = policy(
        f"{OFFER}}}",
        "{name: second, on: {event: page_viewed}, channels: [email], holdout: 0%, when: letters == 0}",
        facts=COUNTING,
    )
    course = tried(rules, [known(), agreed(), order(1), page(1)], 2)
    assert [each.rule for each in left(course)] == ["offer", "second"]


def test_an_event_that_cannot_be_folded_is_put_aside_and_told() -> None:
    rules = policy(facts=["spent: {sum: order_paid.amount}"])
    broken = happened("order_paid", 1, "broken", amount="ten")
    course = tried(rules, [known(), agreed(), broken, order(2), order(3)], 10)
    assert [event.id for event, _ in course.unfolded] == ["broken"]
    assert "InvalidOperation" in course.unfolded[0][1]
    assert [step.rule for step in course.steps] == ["first"]


def test_however_many_events_of_a_kind_cannot_be_folded_the_rest_is_folded_twice_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A policy may read a property otherwise than that under which a whole history was accepted."""
    taken = counted_takes(monkeypatch)
    rules = policy(f"{OFFER}}}", facts=["spent: {sum: order_paid.amount}"])
    good = [known(), agreed(), *(order(1 + number / 8) for number in range(40))]
    broken = [happened("order_paid", 1.01 + n / 8, f"broken-{n}", amount="ten") for n in range(40)]
    course = tried(rules, [*good, *broken], 100)
    assert [event.id for event, _ in course.unfolded] == [event.id for event in broken]
    assert course.events == 82
    assert taken.total() <= 2 * len(good) + 1
    without = tried(rules, good, 100)
    assert (course.steps, course.letters) == (without.steps, without.letters)


def test_what_lies_after_the_end_has_not_happened() -> None:
    course = tried(policy(), [order(0), order(10)], 5)
    assert course.snapshot.cells != tried(policy(), [order(0), order(10)], 15).snapshot.cells
    assert [step.rule for step in course.steps] == ["first"]
