"""What `explain` tells of a customer: the whole story, in words that somebody on call can act on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from lifecycle.domain.event import Event
from lifecycle.engine.accept import accept
from lifecycle.engine.dead import discard
from lifecycle.engine.explain.chapters import Happened
from lifecycle.engine.explain.explanation import Explanation
from lifecycle.engine.explain.gather import explain
from lifecycle.engine.explain.retold import Happening
from lifecycle.engine.installation import Installation
from lifecycle.errors import NotFound
from lifecycle.policy import loads
from lifecycle.store import messages, runs
from tests.conftest import ROOT
from tests.policies import scenario_policy
from tests.scenarios.driver import ANNA, asked, closed, day, happened, moved, order, page, refund
from tests.scenarios.policies import EXAMPLES, WITH_CARE, WITH_UNDO, WITH_WINDOW
from tests.support.engine import (
    arrive,
    draft,
    installation,
    post,
    publish,
    reach,
    send,
    set_clock,
)
from tests.support.publishing import published, recompute

Install = Callable[[str], Installation]


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    """An installation on a fresh SQLite file, under a policy."""
    with ExitStack() as stack:
        yield lambda policy: stack.enter_context(
            installation(f"sqlite:///{tmp_path / 'explained.db'}", policy)
        )


def arriving(event: Event, on: float) -> Event:
    """The event, received on a later day than it happened."""
    return event._replace(received_at=day(on))


def told(inst: Installation) -> list[str]:
    return explain(inst, ANNA).lines()


def section(inst: Installation, title: str) -> list[str]:
    """The lines under one heading."""
    lines = told(inst)
    start = lines.index(title) + 1
    end = lines.index("", start) if "" in lines[start:] else len(lines)
    return lines[start:end]


def past(inst: Installation) -> list[str]:
    return section(inst, "What happened")


def ahead(inst: Installation) -> list[str]:
    return section(inst, "What happens next")


# -- the worked examples -----------------------------------------------------------------------


def test_a_disproved_dormancy_is_told_from_the_belief_to_the_cancelled_message(
    install: Install,
) -> None:
    """Row 8: what was believed, which late event overturned it, and what became of the win-back."""
    inst = install(EXAMPLES)
    arrive(inst, order(0))
    reach(inst, day(61))
    arrive(inst, arriving(order(40, "A-17"), 61))
    assert told(inst) == [
        "anna has been in deal since 2026-01-01 00:00, for 61 days.",
        "Told at 2026-03-03 00:00 UTC, under policy version 1; other times are UTC.",
        "",
        "What happened",
        "2026-01-01 00:00  order_paid order_paid-0 of shop, with amount 10.",
        "    It changed orders from 0 to 1, and set last_order_at and last_seen_at to its own time.",
        "    She moved from potential to deal (first).",
        "2026-02-10 00:00  order_paid A-17 of shop, with amount 10, which arrived on 2026-03-03 00:00, 21 days later.",
        "    It changed orders from 1 to 2, and set last_order_at and last_seen_at to its own time.",
        "    She stayed in deal: loyal needs orders >= 3, but orders = 2.",
        "    It overturned quiet of 2026-03-02 00:00.",
        "2026-03-02 00:00  It was believed that she went from deal to dormant (quiet; no interaction for 60 days since 2026-01-01 00:00).",
        "    Overturned by order_paid A-17 of 2026-02-10 00:00, which arrived on 2026-03-03 00:00.",
        "    win-back (email), queued for it, was cancelled on 2026-03-03 00:00 (superseded).",
        "",
        "What happens next",
        "2026-04-11 00:00 UTC  quiet, 60 days after last_seen_at = 2026-02-10 00:00.",
        "    If nothing arrives before, it moves her to dormant, and plans win-back (email).",
        "    A new interaction (order_paid, page_viewed or survey_answered) would move it.",
        "    Leaving deal, loyal or reactivated, as by account_closed (left, to churned), would disarm it.",
        "",
        "What is known",
        "last_order_at = 2026-02-10 00:00",
        "last_seen_at = 2026-02-10 00:00",
        "orders = 2",
        "guards that said no: loyal once",
    ]


def test_a_message_that_had_been_sent_is_told_to_be_overtaken(install: Install) -> None:
    """Row 9: as row 8, but the win-back had left already."""
    inst = install(EXAMPLES)
    arrive(inst, order(0))
    reach(inst, day(61))
    send(inst, day(61))
    arrive(inst, arriving(order(40), 61))
    assert (
        "    win-back (email) had been sent for it on 2026-03-03 00:00: it is overtaken, and not sent twice."
        in past(inst)
    )


def test_a_hand_moved_customer_has_her_time_counted_from_the_move(install: Install) -> None:
    """Row 15: who moved her and why, and that the next check counts from the move."""
    inst = install(EXAMPLES)
    arrive(inst, order(0))
    reach(inst, day(70))
    arrive(inst, moved("loyal", 70, by="olga", why="called us"))
    reach(inst, day(131))
    assert past(inst)[3:] == [
        "2026-03-02 00:00  quiet came due: no interaction for 60 days since 2026-01-01 00:00.",
        "    She moved from deal to dormant (quiet).",
        "    win-back (email) was planned for 2026-03-02 00:00 but had expired on 2026-03-09 00:00, before it could be queued.",
        "2026-03-12 00:00  An operator's move, move-70.",
        "    olga moved her from dormant to loyal, because “called us”.",
        "2026-05-11 00:00  quiet came due: 60 days since she was moved by hand on 2026-03-12 00:00.",
        "    She moved from loyal to dormant (quiet).",
        "    win-back (email) was planned for 2026-05-11 00:00 and is queued, to be sent from 2026-05-12 00:10 until 2026-05-18 00:00.",
    ]
    assert ahead(inst)[0] == (
        "2026-07-10 00:00 UTC  lost, 120 days after she was moved by hand on 2026-03-12 00:00."
    )


def test_a_move_that_a_late_event_lets_begin_elsewhere_is_told_by_who_made_it(
    install: Install,
) -> None:
    """And not by the name that the rule of such steps has inside."""
    inst = install(EXAMPLES)
    arrive(inst, order(0))
    reach(inst, day(10))
    arrive(inst, moved("loyal", 10, by="olga", why="called us"))
    arrive(inst, arriving(closed(5), on=10))
    assert "    It overturned the move by olga of 2026-01-11 00:00." in past(inst)
    assert (
        "2026-01-11 00:00  It was believed that she went from deal to loyal"
        " (moved by olga; because “called us”)."
    ) in past(inst)


def test_a_second_message_is_told_to_be_suppressed_because_of_the_first(install: Install) -> None:
    """Row 16: the dormancy moved, its first win-back had been sent, so the new one is not."""
    inst = install(EXAMPLES)
    arrive(inst, order(0))
    reach(inst, day(61))
    send(inst, day(61))
    arrive(inst, arriving(page(5), 61))
    reach(inst, day(66))
    assert past(inst)[-3:] == [
        "2026-03-07 00:00  quiet came due: no interaction for 60 days since 2026-01-06 00:00.",
        "    She moved from deal to dormant (quiet).",
        "    win-back (email) was planned for 2026-03-07 00:00 but is suppressed (sent_recently): one was sent on 2026-03-03 00:00 for what has since been overturned, and it is not sent again within 30 days.",
    ]


def test_a_check_whose_guard_said_no_is_told_to_be_spent_and_what_arms_it_again(
    install: Install,
) -> None:
    """Row 20: the values that the guard read, and that nothing is due until an interaction."""
    inst = install(WITH_WINDOW)
    arrive(inst, order(0), order(20))
    reach(inst, day(90))
    assert past(inst)[-3:] == [
        "2026-03-22 00:00  quiet came due: no interaction for 60 days since 2026-01-21 00:00.",
        "    She stayed in deal: quiet needs orders_30d >= 2, but orders_30d = 0.",
        "    With that the check is spent, as if it had fired.",
    ]
    assert ahead(inst) == [
        "Nothing, by time alone.",
        "quiet had its turn on 2026-03-22 00:00 for last_seen_at = 2026-01-21 00:00. A new interaction (order_paid, page_viewed or survey_answered) would arm it again, and so would entering a state of its anew.",
    ]


def test_what_a_guard_will_read_is_forecast(install: Install) -> None:
    """Row 20, before the check comes due: as things stand, the window will be empty by then."""
    inst = install(WITH_WINDOW)
    reach(inst, day(21))
    arrive(inst, order(0), order(20))
    assert ahead(inst)[:2] == [
        "2026-03-22 00:00 UTC  quiet, 60 days after last_seen_at = 2026-01-21 00:00.",
        "    If nothing arrives before, it does nothing and is spent: quiet needs orders_30d >= 2, but orders_30d = 0.",
    ]


def test_an_event_that_no_rule_leaves_her_state_on_is_told_with_what_it_counted(
    install: Install,
) -> None:
    """Row 18: a refund of a customer who never bought anything."""
    inst = install(WITH_UNDO)
    reach(inst, day(6))
    arrive(inst, refund(5))
    assert past(inst) == [
        "2026-01-06 00:00  order_refunded order_refunded-5 of shop.",
        "    It changed orders from 0 to -1.",
        "    She stayed in potential, which no rule leaves on order_refunded.",
    ]


def test_a_check_that_was_due_before_its_state_was_entered_says_so(install: Install) -> None:
    """Row 14: lost was due since day 120, but she only became dormant on day 237."""
    inst = install(EXAMPLES)
    reach(inst, day(177))
    arrive(inst, order(0), page(59), page(118), page(177))
    reach(inst, day(238))
    assert past(inst)[-2:] == [
        "2026-08-26 00:00  lost came due: no order_paid for 120 days since 2026-01-01 00:00, over on 2026-05-01 00:00, but not before she came to this state.",
        "    She moved from dormant to churned (lost).",
    ]


def test_a_check_without_a_target_tells_its_message_and_its_next_turn(install: Install) -> None:
    """Row 19: care fires once for an order; only another order arms it again."""
    inst = install(WITH_CARE)
    arrive(inst, order(0))
    reach(inst, day(45))
    assert past(inst)[-2:] == [
        "2026-01-31 00:00  care came due: no order_paid for 30 days since 2026-01-01 00:00.",
        "    care (email) was planned for 2026-01-31 00:00 and is queued, to be sent from 2026-02-15 00:00.",
    ]
    assert ahead(inst)[-1] == (
        "care had its turn on 2026-01-31 00:00 for last_order_at = 2026-01-01 00:00. A new order_paid would arm it again."
    )


STUCK = "{name: stuck, on: {state: deal, stayed: 14d}, channels: [email]}"


def test_a_stay_tells_when_it_is_due_and_what_would_end_it(install: Install) -> None:
    inst = install(scenario_policy(outreach=[STUCK]))
    arrive(inst, order(0))
    reach(inst, day(3))
    lines = ahead(inst)
    start = next(n for n, line in enumerate(lines) if "stuck" in line)
    assert lines[start : start + 3] == [
        "2026-01-15 00:00 UTC  stuck, 14 days after she came to deal on 2026-01-01 00:00.",
        "    If nothing arrives before, it plans stuck (email).",
        "    Leaving deal, as by order_paid (loyal, to loyal, when orders >= 3) or account_closed (left, to churned), would disarm it.",
    ]


def test_a_message_of_a_stay_is_told_when_the_version_that_planned_it_judges_no_more(
    install: Install,
) -> None:
    """It was cancelled as history was restated; in whose words it was planned is told all the same."""
    inst = install(scenario_policy(outreach=[STUCK]))
    arrive(inst, order(0))
    reach(inst, day(20))
    published(inst, scenario_policy(), restates=True)
    recompute(inst)
    told = past(inst)
    assert any("stuck (email)" in line and "cancelled" in line for line in told), told
    assert any("14 days in deal since 2026-01-01 00:00" in line for line in told), told


def test_a_stay_that_had_its_turn_tells_why_it_came_due_and_what_arms_it_again(
    install: Install,
) -> None:
    inst = install(scenario_policy(outreach=[STUCK]))
    arrive(inst, order(0))
    reach(inst, day(20))
    assert past(inst)[-2] == (
        "2026-01-15 00:00  stuck came due: 14 days in deal since 2026-01-01 00:00."
    )
    assert ahead(inst)[-1] == (
        "stuck had its turn on 2026-01-15 00:00 in this stay, which began on 2026-01-01 00:00."
        " Entering a state of its anew would arm it again."
    )


def test_a_message_of_a_stay_that_never_lasted_is_told_with_what_it_waited_for(
    install: Install,
) -> None:
    """The first state is entered without a step; the late order shows that she had left it."""
    rule = "{name: hello, on: {state: potential, stayed: 3d}, channels: [email]}"
    inst = install(scenario_policy(outreach=[rule]))
    arrive(inst, page(0))
    reach(inst, day(4))
    arrive(inst, arriving(order(1), 5))
    dropped = next(line for line in past(inst) if "no longer follows" in line)
    assert "hello (email) was planned (3 days in potential since 2026-01-01 00:00)" in dropped


def test_a_request_is_told_by_who_made_it_and_for_what(install: Install) -> None:
    inst = install(scenario_policy(outreach=["{name: news, on: request, channels: [email]}"]))
    arrive(inst, page(0))
    reach(inst, day(2))
    arrive(inst, asked("news", 2))
    headline, followed = past(inst)[-2:]
    assert headline == "2026-01-03 00:00  olga asked for news."
    assert "news (email) was planned for 2026-01-03 00:00" in followed


def test_a_day_of_the_chinese_calendar_is_told_by_its_name_there(install: Install) -> None:
    rule = "{name: spring, on: {calendar: 'lunar 01-01', at: '09:00'}, channels: [email]}"
    inst = install(scenario_policy(outreach=[rule]))
    arrive(inst, page(0))
    assert ahead(inst)[0] == (
        "2026-02-17 09:00 UTC  spring, on 2026-02-17 by her own clock (lunar 01-01)."
    )


def test_as_json_a_stay_says_from_when_it_counts(install: Install) -> None:
    inst = install(scenario_policy(outreach=[STUCK]))
    arrive(inst, order(0))
    stuck = next(one for one in explain(inst, ANNA).to_json()["ahead"] if one["name"] == "stuck")
    assert (stuck["state"], stuck["anchor"], stuck["wait_seconds"], stuck["stands_in"]) == (
        "deal",
        "2026-01-01T00:00:00Z",
        1_209_600,
        ["deal"],
    )


# -- what was believed -------------------------------------------------------------------------


def test_a_step_that_read_other_values_is_corrected_not_overturned(install: Install) -> None:
    """The dormancy still follows; only the number of orders that its guard read was wrong."""
    inst = install(scenario_policy(quiet_when="orders >= 1"))
    arrive(inst, order(0), page(20))
    reach(inst, day(85))
    arrive(inst, arriving(order(10, "A-9"), 85))
    assert past(inst)[-4:] == [
        "2026-03-22 00:00  quiet came due: no interaction for 60 days since 2026-01-21 00:00.",
        "    She moved from deal to dormant (quiet: orders >= 1, with orders = 2).",
        "    win-back (email) was planned for 2026-03-22 00:00 and is queued, to be sent from 2026-03-27 00:10 until 2026-03-29 00:00.",
        "    On 2026-03-27 00:00 this step was recorded with orders = 1. Corrected because of order_paid A-9 of 2026-01-11 00:00, which arrived on 2026-03-27 00:00.",
    ]


def test_a_belief_about_an_event_names_the_event(install: Install) -> None:
    """The third order was believed to be the one of day 20; a late one came before it."""
    inst = install(EXAMPLES)
    reach(inst, day(30))
    arrive(inst, order(0), order(10), order(20))
    arrive(inst, arriving(order(5, "A-5"), 30))
    assert past(inst)[-2:] == [
        "2026-01-21 00:00  It was believed that she went from deal to loyal (loyal: orders >= 3, with orders = 3; on order_paid order_paid-20).",
        "    Overturned by order_paid A-5 of 2026-01-06 00:00, which arrived on 2026-01-31 00:00.",
    ]


def test_what_became_of_a_message_whose_cause_stands_is_told(install: Install) -> None:
    """Withheld by an import, sent, not sent in time: three win-backs, three fates."""
    inst = install(EXAMPLES)
    reach(inst, day(70))
    with inst.db.write() as tx:
        run = runs.begin(tx, name="orders.csv", digest="d", effects=False, now=inst.now(tx))
    post(inst, order(0), order(65), run_id=run)
    with inst.db.write() as tx:
        runs.end(tx, run, inst.now(tx))
    for quiet in (125, 190):
        reach(inst, day(quiet))
        if quiet == 125:
            send(inst, day(126))
            reach(inst, day(130))
            arrive(inst, order(130))
    set_clock(inst, day(200))
    with inst.db.write() as tx:
        assert len(messages.expire(tx, inst.now(tx))) == 1
    assert [line for line in past(inst) if "win-back" in line] == [
        "    win-back (email) was planned for 2026-03-02 00:00 and is withheld: its time was over when the import ended that told of this.",
        "    win-back (email) was planned for 2026-05-06 00:00 and sent on 2026-05-07 00:00.",
        "    win-back (email) was planned for 2026-07-10 00:00 but was not sent and expired on 2026-07-20 00:00.",
    ]


def test_a_message_without_a_step_is_told_when_its_cause_falls_away(install: Install) -> None:
    """Care had come due for the first order, until it turned out that she had ordered since."""
    inst = install(WITH_CARE)
    arrive(inst, order(0))
    reach(inst, day(31))
    arrive(inst, arriving(order(20), 31))
    assert past(inst)[-2:] == [
        "2026-01-31 00:00  care (email) was planned (no order_paid for 30 days since 2026-01-01 00:00); that no longer follows.",
        "    care (email), queued for it, was cancelled on 2026-02-01 00:00 (superseded).",
    ]


# -- what is waiting ---------------------------------------------------------------------------


def test_what_has_arrived_but_is_not_applied_is_listed_as_waiting(install: Install) -> None:
    """Pending, in the future, held by an import, dead: each says why it does not count yet."""
    inst = install(EXAMPLES)
    reach(inst, day(20))
    arrive(inst, order(0), order(30, "A-30")._replace(received_at=day(20)))
    too_late = draft(arriving(order(1, "A-1"), 20))._replace(too_late=True)
    accept(inst, [too_late])
    post(inst, arriving(page(19), 20))
    with inst.db.write() as tx:
        run = runs.begin(tx, name="orders.csv", digest="d", effects=False, now=inst.now(tx))
    post(inst, order(2), order(3), run_id=run)
    assert section(inst, "What is waiting") == [
        "page_viewed page_viewed-19 of 2026-01-20 00:00 arrived on 2026-01-21 00:00, 1 day later; it is not applied yet.",
        "order_paid A-30 of 2026-01-31 00:00 lies ahead; it is applied when its time comes.",
        "2 events of an import that has not ended; applied when it ends.",
        "order_paid A-1 of 2026-01-02 00:00 has been left out since 2026-01-21 00:00: too_late (received 19 days, 0:00:00 after it occurred, at 2026-01-21T00:00:00Z).",
    ]
    assert ahead(inst)[-1] == "What is waiting to be applied may change this."
    assert not any("page_viewed" in line for line in past(inst))


def test_what_was_discarded_waits_for_nothing(install: Install) -> None:
    """It is told by itself, with the time of the discard."""
    inst = install(EXAMPLES)
    reach(inst, day(20))
    arrive(inst, order(0))
    accept(inst, [draft(arriving(order(1, "A-1"), 20))._replace(too_late=True)])
    reach(inst, day(22))
    discard(inst, "shop", "A-1", by="olga", why=None)
    assert "What is waiting" not in told(inst)
    assert section(inst, "What was discarded") == [
        "order_paid A-1 of 2026-01-02 00:00 was discarded on 2026-01-23 00:00, and counts for nothing: too_late (received 19 days, 0:00:00 after it occurred, at 2026-01-21T00:00:00Z).",
    ]
    assert explain(inst, ANNA).to_json()["dead"][0]["since"] == "2026-01-23T00:00:00Z"


def test_a_customer_of_whom_nothing_was_applied_is_told_as_such(install: Install) -> None:
    inst = install(EXAMPLES)
    post(inst, order(0))
    assert told(inst) == [
        "anna is in potential; none of her events has been applied.",
        "Told at 2026-01-01 00:00 UTC, under policy version 1; other times are UTC.",
        "",
        "What happened",
        "Nothing yet.",
        "",
        "What is waiting",
        "order_paid order_paid-0 of 2026-01-01 00:00 arrived on 2026-01-01 00:00; it is not applied yet.",
        "",
        "What happens next",
        "Nothing, by time alone.",
        "What is waiting to be applied may change this.",
    ]


def test_a_record_that_a_new_policy_has_not_reached_yet_is_told_to_be_behind(
    install: Install,
) -> None:
    """What is told follows from the policies in force; that the record differs is said first."""
    inst = install(EXAMPLES)
    arrive(inst, order(0))
    reach(inst, day(61))
    slower = loads(EXAMPLES.replace("after: 60d", "after: 90d"))
    publish(inst, slower.policy, number=2, effective_at=day(30))
    assert told(inst)[:3] == [
        "anna has been in deal since 2026-01-01 00:00, for 61 days.",
        "Told at 2026-03-03 00:00 UTC, under policy version 2; other times are UTC.",
        "Her record is behind: 1 recorded step no longer follows. Her next fold puts that right.",
    ]
    assert ahead(inst)[0] == (
        "2026-04-01 00:00 UTC  quiet, 90 days after last_seen_at = 2026-01-01 00:00."
    )


# -- words -------------------------------------------------------------------------------------


def test_states_have_their_english_labels_and_dates_the_customers_own_clock(
    install: Install,
) -> None:
    """Under the shipped policy: labels, her zone, a series, and what guards of outreach read."""
    inst = install((ROOT / "config" / "policy.yaml").read_text(encoding="utf-8"))
    reach(inst, day(4))
    profile = {"name": "Anna Li", "birthday": "1990-05-04", "timezone": "Europe/Berlin"}
    arrive(
        inst,
        happened("lead_captured", 1, "L-1", campaign="spring"),
        happened("profile_changed", 2, "P-1", attributes=profile),
        happened("tag_added", 2, "T-1", tag="vip"),
        happened("consent_given", 2, "C-1", purpose="marketing", channel="email"),
        happened("order_paid", 3, "O-1", amount="19.90", currency="CNY"),
    )
    assert told(inst)[:2] == [
        "anna has been in Deal (deal) since 2026-01-04 00:00, for 1 day.",
        "Told at 2026-01-05 00:00 UTC (2026-01-05 01:00 in Europe/Berlin), under policy version 1; other times are UTC.",
    ]
    assert past(inst) == [
        "2026-01-02 00:00  lead_captured L-1 of shop, with campaign spring.",
        "    It set last_seen_at to its own time.",
        "    nurture (email, 1 of 3) was planned for 2026-01-02 01:00 but had expired on 2026-01-04 01:00, before it could be queued.",
        "    nurture (email, 2 of 3) was planned for 2026-01-05 00:00 and is queued, to be sent from 2026-01-05 00:00 until 2026-01-07 00:00.",
        "    nurture (email, 3 of 3) was planned for 2026-01-09 00:00 and is queued, to be sent from 2026-01-09 00:00 until 2026-01-11 00:00.",
        "2026-01-03 00:00  consent_given C-1 of shop, with purpose marketing, channel email.",
        "    She gave consent to marketing/email.",
        "2026-01-03 00:00  profile_changed P-1 of shop.",
        "    It set birthday to 1990-05-04, name to “Anna Li” and timezone to Europe/Berlin.",
        "2026-01-03 00:00  tag_added T-1 of shop, with tag vip.",
        "    It added the tag vip.",
        "2026-01-04 00:00  order_paid O-1 of shop, with amount 19.90, currency CNY.",
        "    It changed orders from 0 to 1, orders_365d from 0 to 1, revenue from 0 to 19.9 and revenue_365d from 0 to 19.9, and set largest_order to 19.9 and first_order_at, last_order_at and last_seen_at to its own time.",
        "    She moved from Potential to Deal (first-purchase).",
        "    thanks (email or sms) was planned for 2026-01-04 01:00 and is queued, to be sent from 2026-01-05 00:10 until 2026-01-07 01:00.",
    ]
    lines = ahead(inst)
    assert [line for line in lines if not line.startswith(" ")] == [
        "2026-01-15 09:00 UTC (2026-01-15 10:00 in Europe/Berlin)  points-statement, on 2026-01-15 by her own clock (a fixed date).",
        "2026-01-18 00:00 UTC (2026-01-18 01:00 in Europe/Berlin)  survey, 14 days after first_order_at = 2026-01-04 00:00.",
        "2026-02-03 00:00 UTC (2026-02-03 01:00 in Europe/Berlin)  care-after-30-days, 30 days after last_order_at = 2026-01-04 00:00.",
        "2026-02-03 00:00 UTC (2026-02-03 01:00 in Europe/Berlin)  strategic-rhythm, 30 days after last_order_at = 2026-01-04 00:00.",
        "2026-02-17 08:00 UTC (2026-02-17 09:00 in Europe/Berlin)  spring-festival, on 2026-02-17 by her own clock (lunar 01-01).",
        "2026-02-18 00:00 UTC (2026-02-18 01:00 in Europe/Berlin)  cross-sell, 45 days after last_order_at = 2026-01-04 00:00.",
        "2026-03-05 00:00 UTC (2026-03-05 01:00 in Europe/Berlin)  goes-quiet, 60 days after last_seen_at = 2026-01-04 00:00.",
        "2026-05-04 07:00 UTC (2026-05-04 09:00 in Europe/Berlin)  birthday, on 2026-05-04 by her own clock (birthday).",
        "2026-07-01 07:00 UTC (2026-07-01 09:00 in Europe/Berlin)  strategic-executive, on 2026-07-01 by her own clock (a fixed date).",
        "2026-09-25 07:00 UTC (2026-09-25 09:00 in Europe/Berlin)  mid-autumn, on 2026-09-25 by her own clock (lunar 08-15).",
        "2027-01-01 09:00 UTC (2027-01-01 10:00 in Europe/Berlin)  new-year, on 2027-01-01 by her own clock (a fixed date).",
        "2027-01-04 00:00 UTC (2027-01-04 01:00 in Europe/Berlin)  anniversary, 365 days after first_order_at = 2026-01-04 00:00.",
    ]
    quiet = lines.index(
        "2026-03-05 00:00 UTC (2026-03-05 01:00 in Europe/Berlin)  goes-quiet, 60 days after last_seen_at = 2026-01-04 00:00."
    )
    assert lines[quiet + 1 : quiet + 4] == [
        "    If nothing arrives before, it moves her to Dormant, and plans activation (email).",
        "    A new interaction (cart_started, complaint_made, enquiry_made, lead_captured, …) would move it.",
        "    Leaving Deal, Loyal or Reactivated, as by order_refunded or order_returned (undo-purchase, to Potential, when orders <= 0 || revenue <= 0.0) or account_closed (leaves, to Churned), would disarm it.",
    ]


def test_a_guard_that_could_not_be_judged_is_told_with_its_error(install: Install) -> None:
    """An empty fact makes the comparison fail, which counts as a no and is never an accident."""
    hello = "{name: hello, on: {event: page_viewed}, channels: [email], when: 'last_order_at < timestamp(\"2030-01-01T00:00:00Z\")'}"
    inst = install(scenario_policy(outreach=[hello]))
    arrive(inst, page(0))
    (line,) = [line for line in past(inst) if "planned nothing" in line]
    assert line.startswith(
        "    It planned nothing: hello could not be judged, which counts as no:"
        ' last_order_at < timestamp("2030-01-01T00:00:00Z") with last_order_at = empty ('
    )


OVERDUE = "{name: overdue, after: {fact: usual_gap, at_least: 5d, at_most: 40d, otherwise: 30d}, since: last_order_at, from: deal, to: dormant}"
WITH_RHYTHM = scenario_policy(
    facts=["usual_gap: {gap: order_paid, quantile: 0.9}"], transitions=[OVERDUE]
)


def test_her_own_rhythm_is_named_where_a_check_waits_by_it(install: Install) -> None:
    inst = install(WITH_RHYTHM)
    reach(inst, day(8))
    arrive(inst, order(0), order(7))
    assert ahead(inst)[0] == (
        "2026-01-15 00:00 UTC  overdue, 7 days after last_order_at = 2026-01-08 00:00, by her own rhythm (usual_gap)."
    )
    reach(inst, day(15))
    assert past(inst)[-2] == (
        "2026-01-15 00:00  overdue came due: no order_paid for 7 days since 2026-01-08 00:00, longer than her own rhythm."
    )


def test_without_a_rhythm_a_check_waits_by_the_default_of_the_rule_and_says_so(
    install: Install,
) -> None:
    """It said "by her own rhythm" of a customer who had bought once; a late event corrects that."""
    inst = install(WITH_RHYTHM)
    reach(inst, day(8))
    arrive(inst, order(7))
    assert ahead(inst)[0] == (
        "2026-02-07 00:00 UTC  overdue, 30 days after last_order_at = 2026-01-08 00:00,"
        " the rule's default, because she has no rhythm yet (usual_gap is empty)."
    )
    assert explain(inst, ANNA).to_json()["ahead"][0]["wait_by_default"] is True
    reach(inst, day(37))
    assert past(inst)[-2] == (
        "2026-02-07 00:00  overdue came due: no order_paid for 30 days since 2026-01-08 00:00,"
        " the rule's default, because she has no rhythm yet."
    )
    arrive(inst, arriving(order(0), 38))
    true = "2026-01-15 00:00  overdue came due: no order_paid for 7 days since 2026-01-08 00:00, longer than her own rhythm."
    believed = "2026-02-07 00:00  It was believed that she went from deal to dormant (overdue; no order_paid for 30 days since 2026-01-08 00:00, the rule's default, because she has no rhythm yet)."
    assert {true, believed} <= set(past(inst))


def test_a_window_that_only_moved_on_is_no_change_by_an_event(install: Install) -> None:
    """The order left the window long before the page was viewed; the page has nothing to do with it."""
    inst = install(WITH_WINDOW)
    reach(inst, day(40))
    arrive(inst, order(0), page(40))
    assert past(inst)[-1] == "    It set last_seen_at to its own time."


def test_a_move_that_does_nothing_says_so(install: Install) -> None:
    inst = install(EXAMPLES)
    arrive(inst, moved("potential", 0))
    assert past(inst)[-1] == (
        "    The move did nothing: she was there already, or the policy has no such state."
    )


# -- much, little, nobody ----------------------------------------------------------------------


def test_of_a_long_story_the_newest_is_told_and_the_rest_is_counted(install: Install) -> None:
    inst = install(EXAMPLES)
    reach(inst, day(30))
    arrive(inst, *(page(hour / 24) for hour in range(24)), order(1))
    lines = explain(inst, ANNA).lines(limit=2)
    start = lines.index("What happened")
    assert lines[start + 1] == "(23 older entries are left out.)"
    assert [line for line in lines[start + 2 : start + 7] if line.startswith("2026")] == [
        "2026-01-01 23:00  page_viewed page_viewed-0.958333 of shop.",
        "2026-01-02 00:00  order_paid order_paid-1 of shop, with amount 10.",
    ]
    written = explain(inst, ANNA).to_json(limit=2)
    assert (len(written["chapters"]), written["chapters_left_out"]) == (2, 23)


def test_looking_closely_at_few_events_or_many_tells_the_same_story(install: Install) -> None:
    """Only what each event changed is left out of the older ones; the fold is the same."""
    inst = install(WITH_WINDOW)
    arrive(inst, order(0), page(3), order(20), order(20, "B"), closed(30), order(31), page(31))
    reach(inst, day(200))
    closely, roughly = explain(inst, ANNA), explain(inst, ANNA, detailed=2)
    assert [one.changes is None for one in happenings(roughly)] != [False] * 9
    assert [replace(one, changes=None) for one in happenings(closely)] == [
        replace(one, changes=None) for one in happenings(roughly)
    ]
    assert closely.ahead == roughly.ahead
    assert closely.standing == roughly.standing


def test_nobody_is_explained_under_an_unknown_name(install: Install) -> None:
    with pytest.raises(NotFound, match="nobody"):
        explain(install(EXAMPLES), "nobody")


def test_as_json_it_says_the_same_in_values(database_url: str) -> None:
    """Row 8 on both databases: outcomes, the overturned step, its message, the next check."""
    with installation(database_url, EXAMPLES) as inst:
        arrive(inst, order(0))
        reach(inst, day(61))
        arrive(inst, arriving(page(40), 61))
        explained = explain(inst, ANNA)
        written = orjson.loads(orjson.dumps(explained.to_json()))
    assert {name: written[name] for name in ("customer", "state", "label", "since", "held")} == {
        "customer": "anna",
        "state": "deal",
        "label": "deal",
        "since": "2026-01-01T00:00:00Z",
        "held": 0,
    }
    assert written["facts"] == {
        "last_order_at": "2026-01-01T00:00:00Z",
        "last_seen_at": "2026-02-10T00:00:00Z",
        "orders": 1,
    }
    ordered, viewed, believed = written["chapters"]
    assert ordered["outcome"] == {
        "outcome": "moved",
        "rule": "first",
        "from": "potential",
        "to": "deal",
        "guard": None,
        "read": {},
        "refusals": [],
    }
    assert viewed["late"] is True
    assert viewed["overturned"] == ["check:quiet@2026-01-01T00:00:00Z#1"]
    assert viewed["outcome"] == {
        "outcome": "no_transition",
        "state": "deal",
        "leaves_on": ["account_closed", "order_paid", "quiet"],
    }
    assert viewed["changes"] == [
        {
            "kind": "fact",
            "name": "last_seen_at",
            "before": "2026-01-01T00:00:00Z",
            "after": "2026-02-10T00:00:00Z",
        }
    ]
    assert believed["kind"] == "believed"
    assert believed["step"]["revoked_at"] == "2026-03-03T00:00:00Z"
    assert believed["step"]["revoked_by"]["id"] == "page_viewed-40"
    (message,) = believed["messages"]
    assert (message["rule"], message["fate"], message["reason"], message["live"]) == (
        "win-back",
        "cancelled",
        "superseded",
        False,
    )
    (next_check,) = written["ahead"]
    assert (next_check["name"], next_check["at"]) == ("quiet", "2026-04-11T00:00:00Z")
    assert next_check["expected"]["to"] == "dormant"
    assert next_check["moved_by"] == ["order_paid", "page_viewed", "survey_answered"]
    assert next_check["disarmed_by"] == [
        {"event": "account_closed", "rule": "left", "to": "churned", "guard": None}
    ]


def happenings(explained: Explanation) -> list[Happening]:
    return [one.happening for one in explained.chapters if isinstance(one, Happened)]
