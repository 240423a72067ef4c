"""Posts that wait together are committed together, and each gets its own results."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

from lifecycle.engine.accept import Accepted, Result
from lifecycle.engine.group_commit import COMPANY_SECONDS, PATIENCE, GroupCommit
from lifecycle.engine.once import Answer, Keyed, Name, Outcome, Post
from lifecycle.errors import Overloaded, Problem, Unavailable
from lifecycle.intake.native import Draft, read_batch
from tests.intake.bad_input import NOW, body, event, policy


class Store:
    """Takes one commit at a time, each only when the test lets it."""

    def __init__(self) -> None:
        self.commits: list[list[str]] = []
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)
        self.fails: dict[str, Exception] = {}  # by id

    def accept(self, drafts: Sequence[Draft]) -> list[Result]:
        ids = [draft.event.id for draft in drafts]
        self.commits.append(ids)
        self.begun.release()
        assert self.may_end.acquire(timeout=30)
        for name in ids:
            if name in self.fails:
                raise self.fails[name]
        return [Accepted(source=draft.event.source, id=draft.event.id) for draft in drafts]


class Time:
    """Passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@contextmanager
def committing(store: Store, **limits: Any) -> Iterator[GroupCommit]:
    commits = GroupCommit(store.accept, **limits)
    commits.start()
    try:
        yield commits
    finally:
        store.may_end.release(1000)
        commits.stop()


def drafts(*ids: str) -> list[Draft]:
    items = read_batch(body(*(event(id=name) for name in ids)), policy(), NOW, "http").items
    return [item for item in items if isinstance(item, Draft)]


def ids(results: Sequence[Result]) -> list[str]:
    return [result.id for result in results]


def test_what_comes_during_a_commit_shares_the_next_one() -> None:
    store = Store()
    with committing(store) as commits:
        first = commits.submit(drafts("a"))
        assert store.begun.acquire(timeout=30)
        second, third = commits.submit(drafts("b", "c")), commits.submit(drafts("d"))
        store.may_end.release(2)
        assert ids(first.result(30)) == ["a"]
        assert ids(second.result(30)) == ["b", "c"]
        assert ids(third.result(30)) == ["d"]
    assert store.commits == [["a"], ["b", "c", "d"]]


def test_a_commit_takes_no_more_than_its_limit_but_never_splits_a_post() -> None:
    store = Store()
    with committing(store, at_once=2) as commits:
        posts = [commits.submit(drafts("a"))]
        assert store.begun.acquire(timeout=30)
        posts += [commits.submit(drafts(*post)) for post in ("b", "cd", "efg", "h")]
        store.may_end.release(10)
        assert [ids(post.result(30)) for post in posts] == [
            ["a"], ["b"], ["c", "d"], ["e", "f", "g"], ["h"],
        ]  # fmt: skip
    assert store.commits == [["a"], ["b"], ["c", "d"], ["e", "f", "g"], ["h"]]


def test_a_defect_of_one_post_is_told_to_that_one_alone() -> None:
    store = Store()
    store.fails["bad"] = ValueError("this one")
    with committing(store) as commits:
        commits.submit(drafts("first"))
        assert store.begun.acquire(timeout=30)
        good, bad = commits.submit(drafts("good")), commits.submit(drafts("bad"))
        store.may_end.release(10)
        assert ids(good.result(30)) == ["good"]
        with pytest.raises(ValueError, match="this one"):
            bad.result(30)
    assert store.commits == [["first"], ["good", "bad"], ["good"], ["bad"]]


def test_a_database_that_is_away_is_asked_once_for_everybody() -> None:
    store = Store()
    store.fails["b"] = Unavailable("the database does not answer")
    with committing(store) as commits:
        commits.submit(drafts("a"))
        assert store.begun.acquire(timeout=30)
        waiting = [commits.submit(drafts("b")), commits.submit(drafts("c"))]
        store.may_end.release(10)
        for post in waiting:
            with pytest.raises(Unavailable):
                post.result(30)
    assert store.commits == [["a"], ["b", "c"]]


# -- keys of the senders


def keyed(name: str) -> Keyed:
    return Keyed(name=Name("", "POST /v1/events", name), request_sha256="", answer=lambda _: None)


def test_a_post_with_a_key_shares_its_commit_and_gets_its_own_outcome() -> None:
    """And a commit without any goes the way it went: whoever sends no key pays for none."""
    store = Store()
    kept, refusal = Answer("", 200, "{}"), Problem("in_progress", "a twin", status=409)
    posts: list[list[str | None]] = []

    def accept_posts(given: Sequence[Post]) -> list[Outcome]:
        posts.append([post.keyed.name.key if post.keyed else None for post in given])
        fresh: Outcome = store.accept([draft for post in given for draft in post.drafts][:1])
        return [fresh, kept, refusal]

    with committing(store, accept_posts=accept_posts) as commits:
        commits.submit(drafts("first"))
        assert store.begun.acquire(timeout=30)
        plain = commits.submit(drafts("a"))
        before = commits.submit_keyed(drafts("b"), keyed("old"), lane="", size=1)
        twin = commits.submit_keyed(drafts("c"), keyed("twin"), lane="", size=1)
        store.may_end.release(10)
        assert ids(plain.result(30)) == ["a"]
        assert before.result(30) == kept
        with pytest.raises(Problem, match="a twin"):
            twin.result(30)
    assert posts == [[None, "old", "twin"]]


# -- lanes


def test_each_commit_takes_from_every_lane_in_turn() -> None:
    """One key has a thousand posts waiting; the one post of another is in the very next commit."""
    store = Store()
    with committing(store) as commits:
        commits.submit(drafts("first"), lane="noisy")
        assert store.begun.acquire(timeout=30)
        posts = [commits.submit(drafts(f"n{n}"), lane="noisy", size=100) for n in range(40)]
        light = commits.submit(drafts("light"), lane="light")
        store.may_end.release(100)
        assert ids(light.result(30)) == ["light"]
        for post in posts:
            post.result(30)
    assert store.commits[1] == ["n0", "light", "n1"]
    assert [name for commit in store.commits for name in commit if name[0] == "n"] == [
        f"n{n}" for n in range(40)
    ], "first come, first served within a lane"


def test_commits_are_small_while_lanes_have_company(time: Time) -> None:
    """Whoever comes next waits for the commit under way: alone, a large one harms nobody."""
    store = Store()
    with committing(store, at_once=4, in_company=2, monotonic=time) as commits:
        commits.submit(drafts("a"), lane="noisy")
        assert store.begun.acquire(timeout=30)
        posts = [commits.submit(drafts(name), lane="noisy") for name in "bcdefghij"]
        store.may_end.release()  # within the second after the first post of this lane
        assert store.begun.acquire(timeout=30)
        time.now += COMPANY_SECONDS
        store.may_end.release(10)
        for post in posts:
            post.result(30)
    assert [len(commit) for commit in store.commits] == [1, 2, 4, 3]


# -- bounds


def test_a_lane_may_fill_half_of_the_queue_and_never_the_rest() -> None:
    """Back-pressure: what is beyond it is refused at once, and another lane finds room all the same."""
    store = Store()
    with committing(store, waiting=10) as commits:
        commits.submit(drafts("a"), lane="noisy")
        assert store.begun.acquire(timeout=30)
        taken = [commits.submit(drafts(name), lane="noisy") for name in "bcdef"]
        with pytest.raises(Problem) as raised:
            commits.submit(drafts("g"), lane="noisy")
        assert (raised.value.status, raised.value.limit) == (429, "waiting")
        assert raised.value.retry_after == 1
        light = commits.submit(drafts("h", "i"), lane="light")
        store.may_end.release(10)
        assert ids(light.result(30)) == ["h", "i"]
        for post in taken:
            post.result(30)
        assert ids(commits.submit(drafts("g"), lane="noisy").result(30)) == ["g"], "room again"
    assert "g" not in store.commits[1]


def test_a_post_with_large_events_takes_room_by_its_size() -> None:
    store = Store()
    with committing(store, waiting=10) as commits:
        commits.submit(drafts("a"))
        assert store.begun.acquire(timeout=30)
        commits.submit(drafts("b"), size=5)
        with pytest.raises(Problem):
            commits.submit(drafts("c"))


def test_nobody_is_let_in_behind_a_post_that_has_waited_for_long(time: Time) -> None:
    """While a commit takes for ever. Another lane has nothing to do with that one's queue."""
    store = Store()
    with committing(store, monotonic=time) as commits:
        first = commits.submit(drafts("a"), lane="noisy")
        assert store.begun.acquire(timeout=30)
        time.now += 100
        second = commits.submit(drafts("b"), lane="noisy")
        time.now += PATIENCE
        third = commits.submit(drafts("c"), lane="noisy")
        time.now += 0.1
        with pytest.raises(Overloaded, match=r"waited for 2\.1 s") as raised:
            commits.submit(drafts("d"), lane="noisy")
        assert (raised.value.limit, raised.value.retry_after) == ("waiting_seconds", 2)
        light = commits.submit(drafts("e"), lane="light")
        store.may_end.release(10)
        for post, name in ((first, "a"), (second, "b"), (third, "c"), (light, "e")):
            assert ids(post.result(30)) == [name], "what was let in is answered"
        assert ids(commits.submit(drafts("d"), lane="noisy").result(30)) == ["d"]


def test_what_waits_stays_bounded_at_ten_times_the_capacity(time: Time) -> None:
    """A store that commits ten units while a hundred are offered: the queue never exceeds its bound,
    every post is either refused at once or answered, and the light key's next post is always taken.
    """
    store = Store()
    taken: list[Future[list[Result]]] = []
    refused = 0
    with committing(store, at_once=10, in_company=10, waiting=40, monotonic=time) as commits:
        commits.submit(drafts("begin"), lane="noisy")
        assert store.begun.acquire(timeout=30)
        for turn in range(50):
            for number in range(10):
                try:
                    post = drafts(f"n{turn}-{number}")
                    taken.append(commits.submit(post, lane="noisy", size=10))
                except Problem:
                    refused += 1
            light = commits.submit(drafts(f"light-{turn}"), lane="light")
            assert commits._shares.free >= 40 / 3
            for _ in range(2):  # the commit under way, and the next one
                store.may_end.release()
                assert store.begun.acquire(timeout=30)
            assert light.done() or f"light-{turn}" in store.commits[-1]
            time.now += 0.1
        store.may_end.release(1000)
        for each in taken:
            each.result(30)
    assert refused > 300
    assert len(taken) + refused == 500


def test_stopping_commits_what_waits_and_takes_no_more() -> None:
    store = Store()
    commits = GroupCommit(store.accept)
    commits.start()
    waiting = [commits.submit(drafts("a")), commits.submit(drafts("b"))]
    store.may_end.release(10)
    commits.stop()
    assert [ids(post.result(0)) for post in waiting] == [["a"], ["b"]]
    with pytest.raises(Unavailable, match="stopping"):
        commits.submit(drafts("c"))


def test_a_caller_that_goes_away_harms_nobody() -> None:
    store = Store()
    with committing(store) as commits:
        gone = commits.submit(drafts("a"))
        assert store.begun.acquire(timeout=30)
        assert gone.cancel()
        store.may_end.release(10)
        assert ids(commits.submit(drafts("b")).result(30)) == ["b"]
    assert store.commits == [["a"], ["b"]]
