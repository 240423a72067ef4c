"""The worked examples of the fold, row by row.

Each runs on the oracle, on the fold and on the engine over both databases; the fates of messages,
refusals at the door and revocations are the engine's alone: `test_fates`.
"""

from __future__ import annotations

from itertools import permutations

import pytest

from tests.scenarios.driver import Begin, closed, moved, order, page, refund
from tests.scenarios.policies import EXAMPLES, WITH_CARE, WITH_UNDO, WITH_WINDOW


def test_01_the_third_order_makes_her_loyal(begin: Begin) -> None:
    anna = begin(EXAMPLES)
    anna.post(order(0), order(10), order(20), at=30)
    assert anna.steps() == [("first", 0), ("loyal", 20)]
    assert anna.state() == "loyal"
    assert anna.next_check() == ("quiet", 80)


def test_02_sixty_days_of_silence_make_her_dormant_and_plan_a_win_back(begin: Begin) -> None:
    anna = begin(EXAMPLES)
    anna.post(order(0), at=0)
    anna.reach(60)
    assert anna.steps() == [("first", 0), ("quiet", 60)]
    assert anna.state() == "dormant"
    assert anna.messages() == [("win-back", 60)]
    assert anna.next_check() == ("lost", 120)


def test_03_at_one_instant_the_check_comes_before_the_event(begin: Begin) -> None:
    anna = begin(EXAMPLES)
    anna.post(order(0), at=0)
    anna.post(order(60), at=61)
    assert anna.steps() == [("first", 0), ("quiet", 60), ("back", 60)]
    assert anna.state() == "reactivated"


def test_04_two_checks_fire_each_at_its_own_time(begin: Begin) -> None:
    anna = begin(EXAMPLES)
    anna.post(order(0), at=0)
    anna.reach(200)
    assert anna.steps() == [("first", 0), ("quiet", 60), ("lost", 120)]
    assert anna.state() == "churned"
    assert anna.messages() == [("win-back", 60)]


@pytest.mark.parametrize("page_arrives", [100, 130, 170])
def test_05_a_page_interacts_but_buys_nothing(begin: Begin, page_arrives: float) -> None:
    anna = begin(EXAMPLES)
    anna.post(order(0), at=0)
    anna.post(page(100), at=page_arrives)
    anna.reach(170)
    assert anna.steps() == [("first", 0), ("quiet", 60), ("lost", 120)]
    assert anna.state() == "churned"
    assert anna.not_applicable() == [("page_viewed", 100)]


def test_06_an_interaction_moves_dormancy_but_not_churn(begin: Begin) -> None:
    anna = begin(EXAMPLES)
    anna.post(order(0), page(50), at=50)
    anna.reach(115)
    assert anna.steps() == [("first", 0), ("quiet", 110)]
    assert anna.state() == "dormant"
    assert anna.next_check() == ("lost", 120)


def test_08_a_late_order_undoes_the_dormancy_that_it_disproves(begin: Begin) -> None:
    anna = begin(EXAMPLES)
    anna.post(order(0), at=0)
    anna.reach(61)
    assert anna.steps() == [("first", 0), ("quiet", 60)]
    anna.post(order(40), at=61)
    assert anna.steps() == [("first", 0)]
    assert anna.state() == "deal"
    assert anna.messages() == []
    assert anna.next_check() == ("quiet", 100)


def test_10_no_order_of_arrival_and_no_repetition_changes_anything(begin: Begin) -> None:
    timely = begin(EXAMPLES)
    timely.post(order(0), order(10), order(20), at=30)
    for first, second, third in permutations([order(20), order(0), order(10)]):
        anna = begin(EXAMPLES)
        anna.post(first, at=30)
        anna.post(second, first, second, at=30)
        anna.post(third, at=30)
        anna.post(third, at=30)
        assert anna.steps() == [("first", 0), ("loyal", 20)]
        assert anna.digest() == timely.digest()


def test_12_an_explicit_leave_ends_a_dormancy_and_an_order_reactivates(begin: Begin) -> None:
    anna = begin(EXAMPLES)
    anna.post(order(0), page(100), closed(105), order(110), at=111)
    assert anna.steps() == [("first", 0), ("quiet", 60), ("left", 105), ("back", 110)]
    assert anna.state() == "reactivated"


PAGES = (order(0), page(59), page(118), page(177))


def test_13_each_interaction_gives_the_full_time_again(begin: Begin) -> None:
    anna = begin(EXAMPLES)
    anna.post(*PAGES, at=177)
    anna.reach(236)
    assert anna.steps() == [("first", 0)]
    assert anna.state() == "deal"
    assert anna.next_check() == ("quiet", 237)


def test_14_a_check_is_never_due_before_the_state_it_leaves_was_entered(begin: Begin) -> None:
    anna = begin(EXAMPLES)
    anna.post(*PAGES, at=177)
    anna.reach(238)
    assert anna.steps() == [("first", 0), ("quiet", 237), ("lost", 237)]
    assert anna.state() == "churned"


def test_15_a_hand_moved_customer_gets_the_full_time_again(begin: Begin) -> None:
    anna = begin(EXAMPLES)
    anna.post(order(0), at=0)
    anna.post(moved("loyal", 70, by="olga", why="called us"), at=70)
    anna.reach(131)
    assert anna.steps() == [("first", 0), ("quiet", 60), ("moved", 70), ("quiet", 130)]
    move = anna.told()[2]
    assert (move["from_state"], move["to_state"]) == ("dormant", "loyal")
    assert (move["by"], move["why"]) == ("olga", "called us")
    assert anna.state() == "dormant"
    assert anna.next_check() == ("lost", 190)


def test_16_an_early_page_moves_the_dormancy_that_had_fired(begin: Begin) -> None:
    anna = begin(EXAMPLES)
    anna.post(order(0), at=0)
    anna.reach(61)
    assert anna.steps() == [("first", 0), ("quiet", 60)]
    anna.post(page(5), at=61)
    assert anna.steps() == [("first", 0)]
    anna.reach(66)
    assert anna.steps() == [("first", 0), ("quiet", 65)]
    assert anna.state() == "dormant"
    assert anna.messages() == [("win-back", 65)]


def test_17_a_refund_takes_back_the_first_order(begin: Begin) -> None:
    anna = begin(WITH_UNDO)
    anna.post(order(0), refund(5), at=6)
    assert anna.steps() == [("first", 0), ("undo", 5)]
    assert anna.state() == "potential"
    assert anna.fact("orders") == 0


def test_18_a_refund_before_any_order_is_counted_and_moves_nobody(begin: Begin) -> None:
    anna = begin(WITH_UNDO)
    anna.post(refund(5), at=6)
    assert anna.steps() == []
    assert anna.not_applicable() == [("order_refunded", 5)]
    assert anna.state() == "potential"
    assert anna.fact("orders") == -1


def test_19_a_check_without_a_target_fires_once_whatever_moves_follow(begin: Begin) -> None:
    anna = begin(WITH_CARE)
    anna.post(order(0), at=0)
    anna.post(moved("loyal", 10), at=10)
    anna.reach(45)
    assert anna.steps() == [("first", 0), ("moved", 10)]
    assert anna.messages() == [("care", 30)]
    assert anna.state() == "loyal"
    assert anna.next_check() == ("quiet", 70)


def test_20_a_check_whose_guard_is_false_is_spent(begin: Begin) -> None:
    anna = begin(WITH_WINDOW)
    anna.post(order(0), order(20), at=20)
    anna.reach(90)
    assert anna.steps() == [("first", 0)]
    assert ("quiet", 80) in anna.refused()
    assert anna.state() == "deal"
    assert anna.next_check() is None
    anna.post(page(91), at=91)
    assert anna.next_check() == ("quiet", 151)
