"""How do many small posts share one commit? They queue up while the one before them is made durable.

A commit costs the same for one event as for a thousand, so whoever comes while one is under way is
taken along by the next. Nobody waits for company: an idle queue commits at once.

Each key has a lane of its own in the queue, and a commit takes from every lane in turn, so whoever
posts without pause makes its own lane longer and nobody else's. What may wait is bounded, by size and
by time, and whatever comes beyond that is refused at once: what was accepted is answered soon.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from lifecycle.engine.accept import Result
from lifecycle.engine.lanes import Lanes
from lifecycle.engine.once import Answer, Keyed, Outcome, Post
from lifecycle.engine.shares import Shares
from lifecycle.errors import Overloaded, Problem, Unavailable
from lifecycle.intake.draft import Draft

Accept = Callable[[Sequence[Draft]], list[Result]]
AcceptPosts = Callable[[Sequence[Post]], list[Outcome]]

AT_ONCE = 1_000  # units a commit; a single post may be larger
IN_COMPANY = (
    250  # the same while several lanes are in use: none waits long for another's large commit
)
COMPANY_SECONDS = 1.0  # after a post of another lane
WAITING = 10_000  # units in the queue; a unit is an event, or a KiB of a post with large ones
PATIENCE = 2.0  # seconds that the first of a lane may have waited while others are let in behind it


@dataclass(slots=True)
class _Waiting:
    drafts: Sequence[Draft]
    keyed: Keyed | None
    since: float  # when it began to wait
    outcome: Future[Any] = field(default_factory=Future)


class GroupCommit:
    """One thread that commits, from `start` on; any number that submit and wait for their own results.

    A commit in which no post has a key of its sender is `accept`'s, any other `accept_posts`'.
    """

    def __init__(
        self,
        accept: Accept,
        accept_posts: AcceptPosts | None = None,
        *,
        at_once: int = AT_ONCE,
        in_company: int = IN_COMPANY,
        waiting: int = WAITING,
        patience: float = PATIENCE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._accept = accept
        self._accept_posts = accept_posts
        self._at_once = at_once
        self._in_company = min(in_company, at_once)
        self._patience = patience
        self._monotonic = monotonic
        self._lanes: Lanes[_Waiting] = Lanes()
        self._shares = Shares(waiting)
        self._latest = ""  # the lane of the latest post
        self._company_until = -math.inf
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(
        self, drafts: Sequence[Draft], *, lane: str = "", size: int | None = None
    ) -> Future[list[Result]]:
        """The results come when they are durable. `size` in units; left out, the number of events.

        Never waits. The future raises what `accept` raised: then nothing of this post was stored.
        Raises Problem where the lane's share of the queue is used up, Overloaded where it has stood
        still for too long, and Unavailable after `stop`.
        """
        return self._submit(drafts, None, lane, len(drafts) if size is None else size)

    def submit_keyed(
        self, drafts: Sequence[Draft], keyed: Keyed, *, lane: str, size: int
    ) -> Future[list[Result] | Answer]:
        """The same for a post to which its sender gave a key; or what was answered under it before.

        The future raises Problem, too, where the key is in use for another request.
        """
        assert self._accept_posts is not None
        return self._submit(drafts, keyed, lane, size)

    def _submit(
        self, drafts: Sequence[Draft], keyed: Keyed | None, lane: str, units: int
    ) -> Future[Any]:
        with self._changed:
            if self._ended:
                stopping = "the engine is stopping; post the events again in a moment"
                raise Unavailable(stopping, public=stopping)
            now = self._monotonic()
            self._refuse_to_wait_long(lane, now)
            if not self._shares.take(lane, units):
                raise _share_is_used_up(self._shares.held(lane))
            if lane != self._latest:
                self._latest, self._company_until = lane, now + COMPANY_SECONDS
            post = _Waiting(drafts, keyed, now)
            self._lanes.add(lane, post, units)
            self._changed.notify_all()
        return post.outcome

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

    def _refuse_to_wait_long(self, lane: str, now: float) -> None:
        first = self._lanes.first(lane)
        if first is not None and now - first.since > self._patience:
            raise Overloaded(
                "waiting_seconds",
                f"what was posted before has waited for {now - first.since:.1f} s to be stored",
                retry_after=math.ceil(self._patience),
            )

    def _run(self) -> None:
        while self.commit_next():
            pass

    def _next(self) -> list[_Waiting]:
        """Posts for one commit, in turn; none when all is done and over."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._lanes)
            alone = self._monotonic() >= self._company_until
            taken = self._lanes.take(self._at_once if alone else self._in_company)
            for lane, _, units in taken:
                self._shares.give_back(lane, units)
        return [post for _, post, _ in taken]

    def _commit(self, posts: list[_Waiting]) -> None:
        try:
            outcomes = self._outcomes(posts)
        except BaseException as error:  # noqa: BLE001 - whoever waits for the results must hear of it
            self._failed(posts, error)
            return
        for post, outcome in zip(posts, outcomes, strict=True):
            _settle(post, outcome)

    def _outcomes(self, posts: list[_Waiting]) -> Sequence[Outcome]:
        if self._accept_posts is not None and any(post.keyed is not None for post in posts):
            return self._accept_posts([Post(drafts=p.drafts, keyed=p.keyed) for p in posts])
        results = iter(self._accept([draft for post in posts for draft in post.drafts]))
        return [list(islice(results, len(post.drafts))) for post in posts]

    def _failed(self, posts: list[_Waiting], error: BaseException) -> None:
        """A defect of one post must not be told to the others: each gets a commit of its own.

        Not so when the database is away, which would only be asked once more for everybody.
        """
        if len(posts) == 1 or isinstance(error, Unavailable):
            for post in posts:
                _settle(post, error)
            return
        for post in posts:
            self._commit([post])


def _settle(post: _Waiting, outcome: Outcome | BaseException) -> None:
    """A caller that went away has cancelled; its events are stored all the same."""
    if not post.outcome.set_running_or_notify_cancel():
        return
    if isinstance(outcome, BaseException):
        post.outcome.set_exception(outcome)
    else:
        post.outcome.set_result(outcome)


def _share_is_used_up(waiting: int) -> Problem:
    return Problem(
        "rate_limited",
        "events come faster than they can be stored, and as many wait as may",
        status=429,
        got=f"{waiting} events or KiB that wait already",
        expected="at most as much as is left free for others",
        hint="post the same events again a little later",
        limit="waiting",
        retry_after=1,
    )
