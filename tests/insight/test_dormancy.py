"""What is counted of silences, on histories whose answers were worked out by hand.

The horizon is 100 days and the end day 400, unless a test says otherwise: what began up to day 300 is
judged. Tried are 60 days (in force), 30 days, and the median of her gaps: 10 to 100 days, else 50.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from lifecycle.domain.event import Event
from lifecycle.insight.dormancy import Tally, Whose
from lifecycle.insight.thresholds import Figures, Verdict
from tests.insight.listening import (
    ASKED,
    OWN,
    SIXTY,
    THIRTY,
    letter,
    made_up,
    part,
    said,
    tallied,
    work_of,
)
from tests.policies import scenario_policy
from tests.scenarios.driver import ANNA, closed, order, page, refund

# Silences of 20, 40 and 90 days that ended, of 140 that ended, of 110 that goes on. Her median gap is
# unknown, 20, 20, 40 and 40 days as they begin.
ANNAS = [order(0), order(20), order(60), order(150), order(290)]


def test_every_figure_of_one_history_is_the_one_worked_out_by_hand() -> None:
    found = part(ANNAS)
    assert [row.threshold for row in found.rows] == [SIXTY, THIRTY, OWN]
    assert (found.judged, found.lulls, found.lost, found.left) == (5, 3, 2, 0)
    # 60: the silence of 90 days is a false alarm; both lost come after the 50 days that are in time
    # 30: those of 40 and 90 are false. Own: 50 has not passed of the 20; 20 passes of 40 and of 90
    assert [said(row) for row in found.rows] == [
        (3, 1, 0, 2, 2, 60.0),
        (4, 2, 0, 2, 0, 30.0),
        (4, 2, 0, 2, 0, 40.0),
    ]
    assert [row.gained for row in found.rows] == [0.0, 30.0, 20.0]
    assert [row.ahead for row in found.rows] == [40.0, 70.0, 60.0]
    assert [row.declared_median for row in found.rows] == [60, 30, 40]
    (compared,) = found.comparisons
    # two false of four: up to 20 days three of five are, from 21 on two of four
    assert (compared.fixed, compared.earlier) == (21.0, -19.0)
    assert compared.verdict is Verdict.NOT_ENOUGH


def test_those_with_a_rhythm_and_those_without_are_told_apart_by_what_was_known_then() -> None:
    """Her first silence has no rhythm, although she came back five times."""
    without, with_one = (part(ANNAS, whose=whose) for whose in (Whose.NO_RHYTHM, Whose.RHYTHM))
    assert (without.judged, without.lulls, without.lost) == (1, 1, 0)
    assert (with_one.judged, with_one.lulls, with_one.lost) == (4, 2, 2)
    assert [said(row) for row in without.rows] == [(0, 0, 0, 0, 0, None)] * 3
    assert without.comparisons == ()


def test_a_customer_who_was_seen_once_waits_as_long_as_otherwise_says() -> None:
    found = part([order(0)], [order(0), order(10)])
    tally, _ = tallied([order(0)], [order(0), order(10)])
    assert tally.seen_once == 1
    assert said(found.rows[2]) == (2, 0, 0, 2, 0, 30.0)  # 50, and 10 from the gap of 10
    bought_once = scenario_policy(facts=["usual_gap: {gap: order_paid, quantile: 0.5}"])
    assert tallied([order(0), page(10)], text=bought_once)[0].seen_once == 0


def test_what_happens_at_one_instant_is_one_interaction() -> None:
    assert part([order(0, "a"), order(0, "b"), order(50)]).judged == 2


@pytest.mark.parametrize(
    ("until", "judged", "unjudged", "ended"),
    [
        (400, 5, 0, 0),
        (390, 5, 0, 0),
        (389, 4, 1, 0),
        (290, 4, 1, 0),
        (289, 4, 0, 0),
        (245, 3, 1, 0),
        (150, 2, 2, 1),
    ],
)
def test_a_silence_is_judged_only_if_a_whole_horizon_of_it_could_be_seen(
    until: float, judged: int, unjudged: int, ended: int
) -> None:
    """One that ended is left out with those that go on, or only short ones would be counted."""
    tally, grid = tallied(ANNAS, until=until)
    assert (tally.unjudged, tally.unjudged_ended) == (unjudged, ended)
    assert Figures(tally, grid, Whose.ALL).part().judged == judged


def test_a_check_fires_before_what_happens_at_the_same_instant() -> None:
    exactly, sooner = part([order(0), order(60)]), part([order(0), order(59.99)])
    assert [found.rows[0].false.count for found in (exactly, sooner)] == [1, 0]


def test_who_is_back_at_the_very_horizon_was_lost() -> None:
    for on, lost in ((100, 2), (99.99, 1)):
        assert part([order(0), order(on)]).lost == lost
    tally, _ = tallied([order(0), order(100)])
    assert tally.back_later == 1


def test_who_came_back_after_a_letter_is_counted_apart() -> None:
    """Nobody knows whether she came by herself; the threshold is not to blame before that is known."""
    before, within, afterwards = (
        part([order(0), order(70)]),
        part([order(0), letter(5), order(70)]),
        part([order(0), order(70), letter(70.5)]),
    )
    assert [said(found.rows[0])[:3] for found in (before, within, afterwards)] == [
        (2, 1, 0),
        (2, 0, 1),
        (2, 1, 0),
    ]
    assert within.after_letter == 1
    rates = [(row.false.rate, row.at_most.rate) for row in (before.rows[0], within.rows[0])]
    assert rates == [(0.5, 0.5), (0.0, 0.5)]


def test_thresholds_are_compared_as_if_no_letter_had_brought_anybody_back() -> None:
    told = sorted([*ANNAS, letter(5)], key=lambda event: event.key)
    assert part(told).after_letter == 1
    assert part(told).comparisons == part(ANNAS).comparisons


def test_half_of_the_lost_are_declared_by_the_median() -> None:
    """After 20 and 40 days by their gaps, and after 50 without one."""
    found = part([order(0), order(20)], [order(0), order(40)], [order(0)])
    assert found.rows[2].declared_median == 40


def test_a_customer_who_left_the_states_of_the_check_is_neither_declared_nor_missed() -> None:
    """An account that was closed on day 40: 30 days had passed, 60 never did while she was there."""
    found = part([order(0), closed(40)])
    assert (found.lost, found.left) == (0, 1)
    assert [row.false.of for row in found.rows] == [0, 1, 0]
    assert [row.missed.of for row in found.rows] == [0, 0, 0]


def test_a_silence_that_began_where_the_check_does_not_look_is_left_out() -> None:
    tally, grid = tallied([page(0), order(70)], [page(0)], [order(0), refund(1), page(80)])
    assert tally.elsewhere == 3
    assert Figures(tally, grid, Whose.ALL).part().judged == 2


def test_where_she_is_does_not_depend_on_the_threshold_in_force() -> None:
    """A page wakes nobody who is dormant, so under the check itself she would be silent but once."""
    assert part([order(0), page(70), page(140)]).judged == 3


def test_a_rhythm_is_of_the_events_of_its_fact_and_a_silence_of_any_interaction() -> None:
    """Pages between the orders shorten no gap: 40 days, while the pages are 20 apart."""
    text = scenario_policy(facts=["usual_gap: {gap: order_paid, quantile: 0.5}"])
    histories = [order(0), page(20), order(40), page(60)]
    asked = replace(ASKED, quantiles=(Decimal("0.5"),))
    tally, grid = tallied(histories, text=text, asked=asked)
    found = Figures(tally, grid, Whose.ALL).part()
    assert (found.lulls, found.lost) == (3, 1)
    assert found.rows[2].declared_mean == 40.0
    assert Figures(tally, grid, Whose.RHYTHM).part().judged == 2


def test_a_rhythm_that_changes_within_a_silence_is_followed_as_the_fold_does() -> None:
    """Calls are what the check waits from; the order of day 50 makes 10 days of 40: overdue at once."""
    text = scenario_policy(
        facts=[
            "usual_gap: {gap: order_paid, quantile: 0.5}",
            "called_at: {last: called}",
        ],
        transitions=[
            "{name: unheard, after: {fact: usual_gap, at_least: 10d, at_most: 99d, otherwise: 50d}, since: called_at, from: [deal, loyal], to: dormant}"
        ],
    ).replace("events:\n", "events:\n  called: {interaction: true}\n")
    text = text.replace(
        "after: 60d", "after: 600d"
    )  # or she would leave those states by that check
    told = [order(0, "a"), order(40, "b"), *(_called(on) for on in (0, 30)), order(50, "c")]
    told.append(order(200, "d"))  # too late to change what was due
    told.sort(key=lambda event: event.key)
    asked = replace(ASKED, check="unheard", quantiles=())
    tally, _ = tallied(told, text=text, asked=asked)
    # at day 30 there is no gap: 50 days. On day 40 the gap is 40: due on day 70. On day 50 it is 10,
    # which had passed: due then, 20 days into the silence.
    lost = {key[1:]: value for key, value in tally.waited.items() if key[2] == 0}
    assert lost == {(False, 0): timedelta(days=20) // timedelta(microseconds=1)}


def _called(on: float) -> Event:
    return order(on)._replace(type="called", id=f"called-{on:g}", properties={})


def test_counts_of_parts_add_up_whatever_their_order() -> None:
    histories = made_up(customers=40, seed=1)
    whole, grid = tallied(*histories)
    people = [(f"{ANNA}-{number}", own) for number, own in enumerate(histories)]
    work = work_of()
    pieces = [work.begin()(cut) for cut in (people[:7], people[7:8], people[8:])]
    for some_order in itertools.permutations(pieces):
        total = Tally()
        for piece in some_order:
            total.merge(piece)
        assert total == whole
        assert Figures(total, grid, Whose.ALL).part() == Figures(whole, grid, Whose.ALL).part()


def test_own_rhythm_is_better_where_customers_have_one() -> None:
    """Some come every 5 days and some every 45: no number of days for all fits both."""
    (compared,) = part(*made_up(customers=150, seed=2, regular=True)).comparisons
    assert compared.verdict is Verdict.BETTER
    assert compared.interval is not None
    assert compared.fixed is not None
    assert 40 < compared.fixed < 50
    assert 0 < compared.interval.low < (compared.earlier or 0) < compared.interval.high


@pytest.mark.parametrize(
    ("customers", "verdict"), [(150, Verdict.NOT_BETTER), (600, Verdict.WORSE)]
)
def test_own_rhythm_is_not_better_where_chance_alone_says_when_they_come(
    customers: int, verdict: Verdict
) -> None:
    """A median of her gaps tells nothing then; that it is even worse, only many customers can show."""
    (compared,) = part(*made_up(customers=customers, seed=3)).comparisons
    assert compared.verdict is verdict


def test_the_same_history_gives_the_same_interval_every_time() -> None:
    histories = made_up(customers=80, seed=4)
    assert part(*histories) == part(*histories)
    assert part(*histories) != part(*made_up(customers=80, seed=5))
