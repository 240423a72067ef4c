"""How do many small posts share one commit? They queue up while the one before them is made durable.

A commit costs the same for one event as for a thousand, so whoever comes while one is under way is
taken along by the next. Nobody waits for company: an idle queue commits at once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from lifecycle.engine.accept import Result
from lifecycle.errors import Unavailable
from lifecycle.intake.draft import Draft

Accept = Callable[[Sequence[Draft]], list[Result]]

AT_ONCE = 1_000  # drafts a commit; a single post may be larger
WAITING = 10_000  # drafts in the queue, beyond which `submit` waits


@dataclass(slots=True)
class _Post:
    drafts: Sequence[Draft]
    results: Future[list[Result]] = field(default_factory=Future)


class GroupCommit:
    """One thread that commits, from `start` on; any number that submit and wait for their own results."""

    def __init__(self, accept: Accept, *, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        self._accept = accept
        self._at_once = at_once
        self._waiting = waiting
        self._posts: deque[_Post] = deque()
        self._queued = 0  # drafts
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, drafts: Sequence[Draft]) -> Future[list[Result]]:
        """The results come when they are durable. Waits here while the queue is full.

        The future raises what `accept` raised: then nothing of this post was stored. Raises
        Unavailable after `stop`.
        """
        post = _Post(drafts)
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._queued < self._waiting)
            if self._ended:
                raise Unavailable("the engine is stopping; post the events again in a moment")
            self._posts.append(post)
            self._queued += len(drafts)
            self._changed.notify_all()
        return post.results

    def stop(self) -> None:
        """Commits what is queued, and takes no more; run twice, the second waits for the first."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join()

    def commit_next(self) -> bool:
        """What its thread does, once and again: waits for posts, and commits. False: no more will come."""
        posts = self._next()
        if posts:
            self._commit(posts)
        return bool(posts)

    def _run(self) -> None:
        while self.commit_next():
            pass

    def _next(self) -> list[_Post]:
        """Posts for one commit, the oldest first; none when all is done and over."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._posts)
            posts: list[_Post] = []
            taken = 0
            while self._posts and (
                not posts or taken + len(self._posts[0].drafts) <= self._at_once
            ):
                posts.append(self._posts.popleft())
                taken += len(posts[-1].drafts)
            self._queued -= taken
            self._changed.notify_all()
            return posts

    def _commit(self, posts: list[_Post]) -> None:
        try:
            results = self._accept([draft for post in posts for draft in post.drafts])
        except BaseException as error:  # noqa: BLE001 - whoever waits for the results must hear of it
            self._failed(posts, error)
            return
        start = 0
        for post in posts:
            end = start + len(post.drafts)
            _settle(post, results[start:end])
            start = end

    def _failed(self, posts: list[_Post], error: BaseException) -> None:
        """A defect of one post must not be told to the others: each gets a commit of its own.

        Not so when the database is away, which would only be asked once more for everybody.
        """
        if len(posts) == 1 or isinstance(error, Unavailable):
            for post in posts:
                if post.results.set_running_or_notify_cancel():
                    post.results.set_exception(error)
            return
        for post in posts:
            self._commit([post])


def _settle(post: _Post, results: list[Result]) -> None:
    """A caller that went away has cancelled; its events are stored all the same."""
    if post.results.set_running_or_notify_cancel():
        post.results.set_result(results)
