"""The parts of back pressure: budgets, shares, lanes and the bound on what waits to be applied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.engine.backlog import LOOK_EVERY, Backlog
from lifecycle.engine.budget import Bucket
from lifecycle.engine.lanes import Lanes
from lifecycle.engine.shares import Shares
from lifecycle.errors import Overloaded
from lifecycle.store import backlog
from lifecycle.store.sql import both
from tests.engine.test_group_commit import Time
from tests.scenarios.driver import order
from tests.support.engine import installation, of, post, work

# -- a budget


def test_a_burst_may_be_used_at_once_and_comes_back_with_time() -> None:
    time = Time()
    bucket = Bucket(2.0, 10, monotonic=time)
    bucket.take(10)
    assert bucket.wait() == 0.5
    time.now += 0.5
    assert bucket.wait() == 0
    time.now += 1000
    bucket.take(10)
    assert bucket.wait() == 0.5, "no more is saved than the burst"


def test_what_a_post_takes_beyond_the_budget_is_owed() -> None:
    """So a large batch gets through, and the rate holds all the same."""
    time = Time()
    bucket = Bucket(100.0, 50, monotonic=time)
    bucket.take(2_500)
    assert bucket.wait() == pytest.approx(24.51)
    time.now += 24.51
    assert bucket.wait() == pytest.approx(0, abs=1e-9)


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 40)), max_size=60))
def test_over_any_time_no_more_is_taken_than_rate_and_burst_allow(
    posts: list[tuple[float, int]],
) -> None:
    """But for one post, which is never split."""
    time = Time()
    begun, taken, largest = time.now, 0, 0
    bucket = Bucket(5.0, 20, monotonic=time)
    for pause, events in posts:
        time.now += pause
        if not bucket.wait():
            bucket.take(events)
            taken, largest = taken + events, max(largest, events)
        assert taken <= 20 + 5.0 * (time.now - begun) + largest + 1e-6


# -- shares


def test_one_alone_may_hold_half_and_two_a_third_each() -> None:
    shares = Shares(90)
    assert sum(shares.take("a", 1) for _ in range(90)) == 45
    assert sum(shares.take("b", 1) for _ in range(90)) == 22
    assert shares.free == 23
    assert shares.take("c", 5), "something is always free for whoever comes next"


def test_what_is_given_back_is_free_for_everybody() -> None:
    shares = Shares(10)
    assert shares.take("a", 5)
    assert not shares.take("a", 1)
    shares.give_back("a", 5)
    assert (shares.free, shares.held("a")) == (10, 0)
    assert shares.take("b", 5)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 30)), max_size=100))
def test_no_key_ever_holds_more_than_is_free(asked: list[tuple[str, int]]) -> None:
    shares, held = Shares(100), Counter[str]()
    for key, units in asked:
        if shares.take(key, units):
            held[key] += units
            assert held[key] <= shares.free
        assert shares.free == 100 - held.total() >= 0
        assert shares.held(key) == held[key]


# -- lanes


def taken(lanes: Lanes[str], units: int) -> list[str]:
    return [item for _, item, _ in lanes.take(units)]


def test_turns_go_round_and_a_lane_is_served_in_its_order() -> None:
    lanes: Lanes[str] = Lanes(quantum=2)
    for name in ("a1", "a2", "a3", "b1", "b2", "a4", "c1"):
        lanes.add(name[0], name, 1)
    assert taken(lanes, 4) == ["a1", "a2", "b1", "b2"]
    assert taken(lanes, 9) == ["c1", "a3", "a4"]
    assert not lanes


def test_what_does_not_fit_beside_others_is_first_the_next_time() -> None:
    """And keeps nobody else out: the small ones behind it go along."""
    lanes: Lanes[str] = Lanes(quantum=10)
    lanes.add("a", "small", 2)
    lanes.add("b", "large", 9)
    lanes.add("c", "tiny", 1)
    assert taken(lanes, 10) == ["small", "tiny"]
    lanes.add("a", "next", 1)
    assert taken(lanes, 10) == ["large", "next"]


def test_an_item_that_is_larger_than_allowed_is_taken_alone() -> None:
    lanes: Lanes[str] = Lanes(quantum=10)
    lanes.add("a", "huge", 2_500)
    lanes.add("a", "after", 1)
    assert taken(lanes, 100) == ["huge"]
    assert taken(lanes, 100) == ["after"]


def test_large_items_bring_a_key_no_more_than_small_ones() -> None:
    """Small ones a little more, as they fill what room a large one leaves."""
    lanes: Lanes[int] = Lanes()
    for number in range(3_000):
        lanes.add("small", number, 1)
        lanes.add("large", number, 70)
    got: Counter[str] = Counter()
    for _ in range(20):
        for key, _, size in lanes.take(250):
            got[key] += size
    assert got["large"] <= got["small"] <= 1.5 * got["large"]


ITEMS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 400)), max_size=60)


@given(ITEMS, st.integers(1, 500))
def test_whatever_waits_is_taken_once_in_the_order_of_its_lane(
    items: list[tuple[str, int]], units: int
) -> None:
    lanes: Lanes[int] = Lanes()
    for number, (key, size) in enumerate(items):
        lanes.add(key, number, size)
    got: list[tuple[str, int, int]] = []
    while some := lanes.take(units):
        assert sum(size for _, _, size in some) <= units or len(some) == 1
        got += some
    assert not lanes
    assert Counter(number for _, number, _ in got) == Counter(range(len(items)))
    for key in "abcd":
        mine = [number for lane, number, _ in got if lane == key]
        assert mine == sorted(mine)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=40), st.integers(200, 1_000))
def test_a_light_key_waits_for_two_turns_whatever_the_other_has_waiting(
    noisy: Sequence[int], units: int
) -> None:
    lanes: Lanes[str] = Lanes()
    for size in noisy:
        lanes.add("noisy", "noise", size)
    lanes.take(units)
    lanes.add("light", "light", 1)
    assert "light" in taken(lanes, units) + taken(lanes, units)


# -- the backlog


def test_beyond_the_bound_nothing_is_taken_in_until_some_is_applied(database_url: str) -> None:
    time = Time()
    with installation(database_url) as inst:
        bound = Backlog(inst, 3, monotonic=time)
        post(inst, *(order(day) for day in range(3)))
        bound.refuse_if_full()
        post(inst, order(3))
        bound.refuse_if_full()  # it looks every few seconds, whoever asks how often
        time.now += LOOK_EVERY
        with pytest.raises(Overloaded, match="more than 3 events") as raised:
            bound.refuse_if_full()
        assert (raised.value.limit, raised.value.retry_after) == ("backlog", 5)
        work(inst)
        with pytest.raises(Overloaded):
            bound.refuse_if_full()
        time.now += LOOK_EVERY
        bound.refuse_if_full()


def test_a_process_that_has_just_begun_knows_of_the_backlog_at_once(database_url: str) -> None:
    """Or one that is started again and again would let it grow for ever."""
    with installation(database_url) as inst:
        post(inst, *(order(day) for day in range(4)))
        with pytest.raises(Overloaded):
            Backlog(inst, 3, monotonic=Time()).refuse_if_full()


def test_one_event_that_waits_since_long_is_no_long_backlog(database_url: str) -> None:
    """However many have come and been applied since: what waits is counted, not its age."""
    with installation(database_url) as inst:
        post(inst, order(0))
        others = of("ben", *(order(day) for day in range(9)))
        post(inst, *others)
        with inst.db.write() as tx:
            tx.run(both("DELETE FROM pending WHERE event_id IN (3, 4, 5, 6, 7, 8)"))
        with inst.db.read() as tx:
            assert backlog.is_longer_than(tx, 3)
            assert not backlog.is_longer_than(tx, 4)
