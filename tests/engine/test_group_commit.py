"""Posts that wait together are committed together, and each gets its own results."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from lifecycle.engine.accept import Accepted, Result
from lifecycle.engine.group_commit import GroupCommit
from lifecycle.errors import Unavailable
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


@contextmanager
def committing(store: Store, **limits: int) -> Iterator[GroupCommit]:
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


def test_a_full_queue_makes_the_next_post_wait() -> None:
    """Back-pressure: memory does not grow with the number of posts."""
    store = Store()
    with committing(store, waiting=1) as commits:
        commits.submit(drafts("a"))
        assert store.begun.acquire(timeout=30)
        commits.submit(drafts("b"))
        entered = threading.Event()
        late: list[str] = []

        def post() -> None:
            entered.set()
            late.extend(ids(commits.submit(drafts("c")).result(30)))

        thread = threading.Thread(target=post)
        thread.start()
        assert entered.wait(30)
        store.may_end.release()  # a ends, b begins, and there is room
        assert store.begun.acquire(timeout=30)
        store.may_end.release(2)
        thread.join(30)
    assert late == ["c"]
    assert store.commits == [["a"], ["b"], ["c"]], "c never shared a commit with what it waited for"


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
