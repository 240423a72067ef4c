"""What one key may ask of a process: its budget over time, and its share of what is in hand."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from lifecycle.engine.keyring import NOBODY, Caller
from lifecycle.errors import Problem
from lifecycle.intake.strict_json import KIB
from lifecycle.web.allowance import HELD_SECONDS, OVERHEAD, Allowance, Allowances


class Time:
    """Passes when somebody pauses, or when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def caller(name: str = "shop", rate: float | None = 10.0, burst: int = 20) -> Caller:
    return Caller(
        key_id=name,
        name=name,
        scopes=frozenset(),
        events_per_second=rate,
        burst=None if rate is None else burst,
    )


def allowances(time: Time, bodies: int = 1024 * KIB) -> Allowances:
    return Allowances(bodies=bodies, turns=2, monotonic=time, pause=time.pause)


async def post(allowance: Allowance, events: int) -> None:
    allowance.charge(events, await allowance.begin())


# -- the budget


def test_within_its_budget_nobody_waits() -> None:
    time = Time()
    shop = allowances(time).of(caller())

    async def posts() -> None:
        for _ in range(20):
            await post(shop, 1)

    run(posts())
    assert time.pauses == []


def test_a_post_waits_for_a_little_that_is_missing() -> None:
    """A sender that is a little too fast is slowed down to its rate, and need not know why."""
    time = Time()
    shop = allowances(time).of(caller())

    async def posts() -> None:
        await post(shop, 25)  # five are owed
        await post(shop, 1)

    run(posts())
    assert sum(time.pauses) == pytest.approx(0.6)


def test_a_post_that_misses_much_is_refused_after_a_moment() -> None:
    """Row 29: which limit, and when to come again. Who heeds neither is slowed down, and costs nothing."""
    time = Time()
    shop = allowances(time).of(caller())

    async def posts() -> None:
        await post(shop, 100)
        with pytest.raises(Problem) as raised:
            await post(shop, 1)
        problem = raised.value
        assert (problem.status, problem.code) == (429, "rate_limited")
        assert (problem.limit, problem.retry_after) == (
            "events_per_second",
            8,
        )  # of 8.1 s, one is over
        assert problem.expected == "10 events a second, and 20 at once"
        assert "shop" in problem.detail

    run(posts())
    assert time.pauses == [HELD_SECONDS]


@pytest.mark.parametrize(("events", "waits"), [(29, True), (30, False)])
def test_a_post_waits_for_a_second_and_not_for_more(events: int, waits: bool) -> None:
    """Of ten events a second and twenty at once, one is left after 1.0 s, and after 1.1 s."""
    time = Time()
    shop = allowances(time).of(caller())

    async def posts() -> None:
        await post(shop, events)
        if waits:
            await shop.begin()
        else:
            with pytest.raises(Problem) as raised:
                await shop.begin()
            assert raised.value.retry_after == 1

    run(posts())
    assert sum(time.pauses) == pytest.approx(1.0)


def test_what_was_refused_is_not_charged() -> None:
    time = Time()
    shop = allowances(time).of(caller())

    async def posts() -> None:
        await post(shop, 100)
        for _ in range(5):
            with pytest.raises(Problem):
                await shop.begin()
        time.now += 3.1
        await post(shop, 1)

    run(posts())
    assert time.now == pytest.approx(1000 + 5 * HELD_SECONDS + 3.1)


def test_posts_that_are_begun_together_are_taken_for_as_large_as_the_last_one() -> None:
    """Or a hundred could begin while one event is left, and all of them be owed afterwards."""
    time = Time()
    shop = allowances(time).of(caller(burst=20))

    async def posts() -> None:
        await post(shop, 10)
        first = await shop.begin()
        assert (first, time.pauses) == (10, [])
        second = await shop.begin()
        assert sum(time.pauses) == pytest.approx(0.1)
        shop.charge(2, first)
        shop.charge(2, second)
        await shop.begin()

    run(posts())
    assert sum(time.pauses) == pytest.approx(0.1), "what was taken for nothing was given back"


def test_what_is_refused_for_now_costs_nothing_and_teaches_nothing() -> None:
    """It is paid for when it comes again; and posts are still taken for as large as they were."""
    time = Time()
    shop = allowances(time).of(caller(burst=20))

    async def posts() -> None:
        await post(shop, 10)
        for _ in range(5):
            shop.give_back(await shop.begin())
        assert await shop.begin() == 10
        assert time.pauses == []

    run(posts())


def test_what_cannot_be_read_costs_one_event_and_teaches_nothing() -> None:
    """Or garbage between large posts would let a hundred of them begin on one event."""
    time = Time()
    shop = allowances(time).of(caller(burst=20))

    async def posts() -> None:
        await post(shop, 10)
        for _ in range(9):
            shop.charge_unread(await shop.begin())
        assert time.pauses == []
        assert await shop.begin() == 10, "of the one that is left"
        await shop.begin()
        assert sum(time.pauses) == pytest.approx(1.0)

    run(posts())


def test_without_a_budget_nothing_is_charged_or_given_back() -> None:
    shop = allowances(Time()).of(caller(rate=None))
    shop.charge_unread(0)
    shop.give_back(0)


def test_each_key_has_a_budget_of_its_own_and_keeps_it() -> None:
    time = Time()
    all_ = allowances(time)

    async def posts() -> None:
        await post(all_.of(caller("a")), 1_000)
        await post(all_.of(caller("b")), 1)
        await post(all_.of(replace(caller("a"), key_id="c")), 1)
        with pytest.raises(Problem):
            await post(all_.of(caller("a")), 1)

    run(posts())


@pytest.mark.parametrize("who", [NOBODY, caller(rate=None)])
def test_without_a_rate_there_is_no_budget(who: Caller) -> None:
    time = Time()

    async def posts() -> None:
        for _ in range(3):
            await post(allowances(time).of(who), 10**9)

    run(posts())
    assert time.pauses == []


# -- what is in hand


def test_a_key_may_have_half_of_the_memory_for_bodies_in_hand() -> None:
    time = Time()
    all_ = allowances(time, bodies=10 * OVERHEAD)
    shop, crm = all_.of(caller("shop")), all_.of(caller("crm"))
    with shop.holding() as hold:
        hold(4 * OVERHEAD)
        with pytest.raises(Problem) as raised, shop.holding():
            pass
        assert (raised.value.status, raised.value.limit) == (429, "bodies")
        with crm.holding() as other:
            other(OVERHEAD)
    with shop.holding() as hold:
        hold(4 * OVERHEAD)


def test_a_body_that_grows_too_large_is_let_go_of() -> None:
    """In the middle of being read: what it held is free again."""
    time = Time()
    shop = allowances(time, bodies=10 * OVERHEAD).of(caller())

    def read(chunks: int) -> None:
        with shop.holding() as hold:
            for _ in range(chunks):
                hold(OVERHEAD)

    for _ in range(10):
        with pytest.raises(Problem):
            read(100)
    read(4)


def test_a_request_without_a_body_counts_too() -> None:
    """Or a hundred thousand small ones would fit."""
    time = Time()
    shop = allowances(time, bodies=100 * OVERHEAD).of(caller())
    held = [shop.holding() for _ in range(50)]
    for each in held:
        each.__enter__()
    with pytest.raises(Problem), shop.holding():
        pass
    for each in held:
        each.__exit__(None, None, None)
