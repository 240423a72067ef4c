"""What is counted of customers' lives, told by lives so short that the answer can be seen."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lifecycle.insight.passages import BEFORE, NEW, RECENT, Ages, Passages, Span, note
from lifecycle.insight.rates import rates

AGES = Ages(single=5)
SPAN = Span(held_back=0)
BOTH = RECENT | BEFORE


def counted(
    *lives: Sequence[tuple[int, str]],
    letters: Sequence[tuple[int, str]] = (),
    span: Span = SPAN,
) -> Passages:
    """`letters` are the first one's."""
    counts = Passages()
    for number, life in enumerate(lives):
        note(counts, life, letters if number == 0 else (), AGES, span)
    return counts


def test_a_day_belongs_to_the_state_in_which_it_began() -> None:
    """She came on day 3 (four days before the end), went to b on day 1, and is there since."""
    counts = counted([(3, "a"), (1, "b")])
    assert counts.exposed == {("a", 0, 0): 1, ("a", 1, 0): 1, ("b", 0, 0): 1}
    assert counts.moves == {(NEW, 0, "a", BOTH): 1, ("a", 1, "b", BOTH): 1}
    assert counts.present == {("b", 1): 1}
    assert counts.days == 4


def test_of_several_states_on_one_day_the_last_counts() -> None:
    counts = counted([(3, "a"), (3, "b"), (1, "a"), (1, "b")])
    assert counts.moves == {(NEW, 0, "b", BOTH): 1, ("b", 1, "b", BOTH): 1}
    assert counts.present == {("b", 1): 1}, "who came back the same day begins anew"


def test_a_letter_belongs_to_how_she_began_the_day() -> None:
    counts = counted([(3, "a"), (1, "b")], letters=[(3, "hello"), (1, "bye"), (0, "miss")])
    assert counts.letters == {
        ("hello", NEW, 0, BOTH): 1,
        ("bye", "a", 1, BOTH): 1,
        ("miss", "b", 0, BOTH): 1,
    }


def test_sizes_go_back_day_by_day() -> None:
    counts = counted([(3, "a"), (1, "b")], [(2, "a")])
    assert [dict(size) for size in counts.sizes(4)] == [
        {"a": 1, "b": 1},
        {"a": 1, "b": 1},
        {"a": 2},
        {"a": 1},
        {},
    ]


def test_what_is_held_back_is_not_in_the_rates_before_it() -> None:
    """Ten days are held back: she moved after that, and the others before."""
    span = Span(held_back=10)
    counts = counted([(20, "a"), (5, "b")], [(20, "a"), (15, "b")], span=span)
    before = rates(counts, span, span.before, BEFORE, AGES.cells)
    after = rates(counts, span, span.recent, RECENT, AGES.cells)
    assert (sum(before.leaving["a"].counts[0]), sum(after.leaving["a"].counts[0])) == (1, 2)
    assert counts.earlier == {("a", 5): 1, ("b", 5): 1}, "ten and five days old: taken together"
    assert span.week(9) == 1
    assert span.days(1) == range(7, 10), "the week that is cut short"
    assert span.week(10) == 2


def test_counts_of_parts_are_those_of_the_whole_in_any_order() -> None:
    lives = [[(30 + n, "a"), (n, "b")] for n in range(20)]
    whole = counted(*lives)
    parts = [counted(*lives[:7]), counted(*lives[7:])]
    for order in (parts, parts[::-1]):
        total = Passages()
        for part in order:
            total.merge(part)
        assert total == whole


def test_hazards_are_the_shares_that_moved_at_each_age() -> None:
    """Of four who began a day at age 1, one went; of three at age 2, all went."""
    lives = [[(9, "a"), (7, "b")], *([(9, "a"), (6, "b")] for _ in range(3))]
    known = rates(counted(*lives), SPAN, SPAN.recent, RECENT, AGES.cells)
    leaving = known.leaving["a"]
    assert leaving.to == ("b",)
    assert list(leaving.exposed[:4]) == [4, 4, 3, 0]
    assert list(leaving.counts[0][:4]) == [0, 1, 3, 0]
    usual = 4 / 11
    assert leaving.expected()[0][:4] == pytest.approx(
        [(0 + usual) / 5, (1 + usual) / 5, (3 + usual) / 4, usual]
    ), "with a prior worth one customer-day of the state's mean"
    assert known.entering == {"a": 4}
    assert known.days == 10


@pytest.mark.parametrize(("age", "cell"), [(0, 0), (4, 4), (5, 5), (64, 5), (65, 6), (245, 7)])
def test_older_ages_are_taken_together(age: int, cell: int) -> None:
    assert AGES.cell(age) == cell
    assert cell < AGES.cells
