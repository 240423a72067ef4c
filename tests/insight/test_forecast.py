"""Does a forecast hold what it says? Asked of worlds of which the truth is known."""

from __future__ import annotations

import math
from collections import Counter
from functools import cache
from random import Random

import pytest

from lifecycle.insight.cohorts import Ahead, Dated
from lifecycle.insight.days import Exits, scaled
from lifecycle.insight.forecast import Forecast, forecast
from lifecycle.insight.hindsight import Hindsight, hindsight, hits, sentences
from lifecycle.insight.passages import BEFORE, RECENT, Ages, Passages, Span, note
from lifecycle.insight.rates import rates
from lifecycle.insight.swings import swing

AGES = Ages(single=30)
AHEAD = Ahead(days=28, every=7, level=0.8)
STATES = ("a", "b", "c")
TIMED = 20  # days after which b ends


@cache  # several tests ask about the same worlds, and none changes them
def world(
    seed: int, *, days: int = 300, new: float = 3.0, busy: float = 1.0, held_back: int = 28
) -> Passages:
    """Customers come to a, go to b by chance, from there back to a, or after 20 days to c.

    In every other stretch of four weeks, `busy` times as many come. Each gets a letter on her tenth
    day in a, if she is still there.
    """
    chance = Random(seed)
    counts, span = Passages(), Span(held_back=held_back)
    for day in range(days - 1, -1, -1):
        rate = new * (busy if day // 28 % 2 else 1.0)
        for _ in range(poisson(rate, chance)):
            note(counts, *life(day, chance), AGES, span)
    return counts


def life(day: int, chance: Random) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    entered, letters = [(day, "a")], []
    state = "a"
    while True:
        if state == "a":
            stay = waited(0.03, chance)
            if stay > 10 and day - 10 >= 0:
                letters.append((day - 10, "hello"))
            to = "b"
        elif state == "b":
            stay = min(waited(0.04, chance), TIMED)
            to = "c" if stay == TIMED else "a"
        else:
            stay, to = waited(0.01, chance), "a"
        day, state = day - stay, to
        if day < 0:
            return entered, letters
        entered.append((day, state))


def waited(probability: float, chance: Random) -> int:
    """Days until it happens, at least one."""
    return 1 + int(math.log(1.0 - chance.random()) / math.log(1.0 - probability))


def poisson(mean: float, chance: Random) -> int:
    """By counting exponential times (Knuth)."""
    count, rest = 0, chance.expovariate(1.0)
    while rest < mean:
        count += 1
        rest += chance.expovariate(1.0)
    return count


def made(counts: Passages, *, draws: int = 60, held_back: int = 28) -> Forecast:
    """From what was known before the days that are held back."""
    span = Span(held_back=held_back)
    known = rates(counts, span, span.before, BEFORE, AGES.cells)
    return forecast(
        counts.earlier,
        known,
        AHEAD,
        states=STATES,
        rules=["hello"],
        timed=frozenset({("b", "c")}),
        draws=draws,
    )


def judged(counts: Passages, **how: int) -> Hindsight:
    return hindsight(made(counts, **how), counts, 28)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """40 worlds, each forecast with what was known four weeks before its end.

    The figures of one world hang together, so 480 sizes are worth fewer. The seeds are fixed; seen
    were 405 sizes, and 135 of 160 letters. With chance left out of moves and letters: 230 and 56.
    """
    inside: Counter[str] = Counter()
    figures: Counter[str] = Counter()
    for seed in range(40):
        found = judged(world(seed))
        for what, known in (("sizes", found.sizes), ("letters", found.letters)):
            assert known is not None
            inside[what] += known.inside
            figures[what] += known.figures
    assert figures == {"sizes": 480, "letters": 160}
    assert 0.72 <= inside["sizes"] / figures["sizes"] <= 0.92, inside
    assert 0.72 <= inside["letters"] / figures["letters"] <= 0.92, inside


def test_the_expected_course_is_not_biased() -> None:
    """Over 40 worlds, what followed lies above what was expected about as often as below it."""
    off: Counter[str] = Counter()
    for seed in range(40):
        counts = world(seed)
        told = made(counts, draws=2)
        now = next(counts.sizes(0))
        for state in STATES:
            off[state] += round(told.sizes[state][-1].expected - now[state])
    assert all(abs(off[state]) / 40 < 3.0 for state in STATES), off


def test_nobody_is_lost_and_new_ones_come() -> None:
    counts = world(9)
    then = sum(counts.earlier.values())
    span = Span(held_back=28)
    known = rates(counts, span, span.before, BEFORE, AGES.cells)
    told = made(counts, draws=2)
    for number, day in enumerate(told.readings):
        total = sum(told.sizes[state][number].expected for state in STATES)
        assert total == pytest.approx(then + day * known.entering["a"] / known.days, abs=0.2)


def test_weeks_that_swing_widen_the_intervals() -> None:
    """Where in every other month four times as many come, next month may be either."""
    calm = made(world(1, new=5.0)).sizes["a"][-1]
    wild = made(world(1, new=2.0, busy=4.0)).sizes["a"][-1]
    assert wild.high - wild.low > 1.7 * (calm.high - calm.low)


def test_the_same_history_gives_the_same_forecast_to_the_byte() -> None:
    counts = world(3)
    assert repr(made(counts)) == repr(made(counts))
    other = Passages()
    for name in ("exposed", "moves", "flows", "letters", "sent", "earlier", "change"):
        turned = dict(reversed(list(getattr(counts, name).items())))
        setattr(other, name, Counter(turned))
    other.oldest, other.present = counts.oldest, counts.present
    assert repr(made(other)) == repr(made(counts)), "in whatever order it was counted"


def test_a_timed_check_strikes_on_its_day() -> None:
    """Ten are 15 days in b when the forecast begins: after seven days some went, and all the rest."""
    counts = world(4, new=20.0)
    span = Span(held_back=28)
    known = rates(counts, span, span.before, BEFORE, AGES.cells)
    told = forecast(
        {("b", 15): 1000},
        known,
        Ahead(days=6, every=1, level=0.8),
        states=STATES,
        rules=(),
        draws=2,
    )
    c = [band.expected for band in told.sizes["c"]]
    stayed = 1000 * 0.96**4
    assert c[3] < 15, "only those who came to b since then, which is nobody yet"
    assert c[4] == pytest.approx(stayed, rel=0.06)


def test_a_short_history_is_not_enough() -> None:
    told = made(world(5, days=80))
    assert told.sizes == {}
    assert told.letters == {}
    assert told.missing["a"] == "the history has 52 days, and 56 are needed"
    assert set(told.missing) == {"a", "b", "c", "rule:hello"}


def test_states_at_ages_that_nobody_had_are_not_known_nor_what_time_makes_of_them() -> None:
    """All began 70 days ago; nobody has been in `a` for longer, so nobody knows what comes then."""
    counts, span = Passages(), Span(held_back=0)
    ages = Ages(single=100)
    for number in range(100):
        note(counts, [(70, "a"), *([(30, "c")] if number < 10 else [])], (), ages, span)
    known = rates(counts, span, span.recent, RECENT, ages.cells)
    told = forecast(
        counts.present,
        known,
        AHEAD,
        states=("a", "b", "c"),
        rules=["hello"],
        timed=frozenset({("a", "b")}),
        draws=2,
    )
    assert told.missing["a"].endswith(
        "% of the days ahead are at ages in this state that nobody had yet"
    )
    assert told.missing["b"] == "who comes from a by time alone is not known yet"
    assert "rule:hello" in told.missing
    assert "a" not in told.sizes


def test_letters_of_a_date_come_on_the_date_and_only_then() -> None:
    """Half of those who were there got one; ten days ahead is the next date."""
    counts = world(6)
    span = Span(held_back=28)
    known = rates(counts, span, span.before, BEFORE, AGES.cells)

    def told(dated: Dated) -> Forecast:
        return forecast(
            {("c", 5): 400},
            known,
            AHEAD,
            states=STATES,
            rules=["greeting"],
            dated={"greeting": dated},
            draws=50,
        )

    greeting = told(Dated(letters=100, present=200, ahead=(10,))).letters["greeting"]
    assert [band.expected > 0 for band in greeting.periods] == [False, True, False, False]
    assert 200 < greeting.total.expected < 230, "half of 400 and of those who came meanwhile"
    assert greeting.total.high - greeting.total.low > 20, "about 2.6 times the root of 100 at least"
    missing = told(Dated(letters=0, present=0, ahead=(10,))).missing
    assert missing["rule:greeting"] == "no date of it lies in the history"
    none = told(Dated(letters=0, present=0, ahead=()))
    assert none.letters["greeting"].total.high == 0, "none is due, which is known"


def test_letters_that_follow_an_age_are_as_many_as_reach_it() -> None:
    """About 3 a day come and 0.97^10 of them are still there on their tenth day; others come back."""
    counts = world(7, days=400)
    told = made(counts).letters["hello"].total
    fact = sum(counts.sent["hello", day] for day in range(28))
    assert told.low <= fact <= told.high
    assert told.high - told.low < 0.7 * told.expected


def test_weeks_that_differ_by_chance_alone_do_not_swing() -> None:
    assert swing([9, 11, 10, 10], [10.0] * 4, [10.0] * 4).weekly == (1.0,) * 4


def test_what_chance_does_is_taken_off_a_swing() -> None:
    """±50 around 100, of which ±10 are chance: the deviations that are left have the variance between."""
    weekly = swing([50, 150, 50, 150], [100.0] * 4, [100.0] * 4).weekly
    assert weekly == pytest.approx([1 - math.sqrt(0.24), 1 + math.sqrt(0.24)] * 2)
    assert weekly[1] < 1.5


@pytest.mark.parametrize("factor", [0.2, 1.0, 3.0, 50.0])
def test_scaled_hazards_stay_probabilities(factor: float) -> None:
    leaving = [[0.001, 0.02, 0.3, 0.999, 0.0], [0.0, 0.02, 0.3, 0.001, 0.0]]
    rows, stays = scaled(Exits.of(leaving), [factor, 1.0])
    first, second = (
        [dict(zip(row.cells, row.figures, strict=True)).get(cell, 0.0) for cell in range(5)]
        for row in rows
    )
    for one, other, stay in zip(first, second, stays, strict=True):
        assert one + other + stay == pytest.approx(1.0)
        assert min(one, other, stay) >= 0.0
    assert first[3] + second[3] == pytest.approx(1.0), "a check that strikes everybody still does"
    assert (first[0], second[0]) == pytest.approx((0.001 * factor, 0.0), rel=0.05)


def test_the_verdict_says_so_when_the_guess_was_better() -> None:
    counts = world(8)
    told = made(counts)
    found = hindsight(told, counts, 28)
    assert found.sizes is not None
    said = list(sentences(found, 0.8))
    word = "better than" if found.sizes.is_better else "not better than"
    assert f", {word} the guess that sizes stay as they are" in said[0]
    good = hits(told.sizes["a"], [round(each.expected) for each in told.sizes["a"]], [0.0] * 4)
    assert good.inside == good.figures == 4
    assert good.is_better
    bad = hits(told.sizes["a"], [9999] * 4, [9999.0] * 4)
    assert (bad.inside, bad.is_better) == (0, False)
    only = Hindsight(sizes=bad, letters=None, volume=None, by_state={}, by_rule={})
    assert "\n".join(sentences(only, 0.8)) == (
        "Sizes of states: 0 of 4 figures (0%) lay within their 80% interval; the intervals were too narrow."
        f" They were off by {bad.error:,.1f} customers on average,"
        " not better than the guess that sizes stay as they are, which was off by 0.0.\n"
        "Letters of each rule: there was nothing to compare.\n"
        "Letters of all rules: there was nothing to compare."
    )
