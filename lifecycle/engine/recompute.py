"""How do all customers come to know a version that was published? Page by page, behind everything else.

Each is folded on, or from her beginning where what is remembered of her does not serve any more; so
she is looked at again when the version makes it necessary, and facts that it defines are there.
Whoever publishes asks for it in the same transaction. The cursor is in the database, moves on after
the page it covers, and is leased: a process that dies is followed by another, which sees to that page
once more, and finds it done. Nothing waits for it: a customer of whom an event comes, a check is due or
a message is to go is folded on before.
"""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass
from datetime import timedelta

from lifecycle.engine.apply import apply_customers
from lifecycle.engine.installation import Installation
from lifecycle.killpoints import Point, killpoint
from lifecycle.logs.lines import Teller
from lifecycle.store import attempts, recomputations
from lifecycle.store.recomputations import Recomputation
from lifecycle.store.sql import Tx

tell = Teller("lifecycle.engine")

# Of real time. Short, as nobody goes on before it is over where a process died, and where it is over too
# early a page is done twice and counted once; yet longer than a page waits for those who are locked.
LEASE = timedelta(seconds=30)
PAGE = 200  # customers at most: some have long histories, and others wait for who is locked
TELL_EVERY = 20  # pages


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    open: Recomputation
    ids: tuple[int, ...]  # of all customers that it covers
    behind: tuple[int, ...]  # those who do not know the version, or whom nobody has folded yet
    last: bool


class Recomputing:
    """The recomputation of an installation; `work` may be called by as many processes as one likes."""

    def __init__(self, inst: Installation) -> None:
        self._inst = inst
        self._stopping = threading.Event()

    def work(self) -> int:
        """Until every customer was seen to, or it is to stop; how many were folded."""
        folded, pages = 0, 0
        while not self._stopping.is_set() and (page := self._claim()) is not None:
            folded += self._fold(page)
            pages += 1
            if page.last:
                break
            if pages % TELL_EVERY == 0:
                _tell_of_progress(page)
        return folded

    def page(self) -> int:
        """One page alone; how many of it had to be folded."""
        page = self._claim()
        return 0 if page is None else self._fold(page)

    def stop(self) -> None:
        """The page that is under way is ended, and none begins."""
        self._stopping.set()

    def _claim(self) -> _Page | None:
        """The next page; None: there is nothing to recompute, or somebody else is at it."""
        with self._inst.db.read() as tx:
            if recomputations.unfinished(tx) is None:
                return None
        return self._inst.db.run(self._claimed)

    def _claimed(self, tx: Tx) -> _Page | None:
        found = recomputations.unfinished(tx)
        now = self._inst.db.clock(tx)
        if found is None or not recomputations.claim(
            tx, found.version, worker=_worker(), now=now, lease_until=now + LEASE
        ):
            return None
        limit = min(self._inst.pace.limit, PAGE)
        rows = recomputations.page(tx, found.after, limit)
        return _Page(
            open=found,
            ids=tuple(customer_id for customer_id, _ in rows),
            behind=tuple(
                customer_id
                for customer_id, knew in rows
                # her first fold may be under way, by a process that has not heard of the version
                if knew is None or knew < found.version
            ),
            last=len(rows) < limit,
        )

    def _fold(self, page: _Page) -> int:
        killpoint(Point.RECOMPUTE_CLAIMED)
        applied = apply_customers(self._inst, page.behind) if page.behind else None
        killpoint(Point.RECOMPUTE_FOLDED)
        if self._inst.db.run(lambda tx: self._end_page(tx, page)) and page.last:
            tell.info(
                "recomputed",
                "all customers know version {version} of the policy",
                version=page.open.version,
            )
        return 0 if applied is None else applied.customers

    def _end_page(self, tx: Tx, page: _Page) -> bool:
        """What others held, or nothing can fold, is due now: the sweep knows how to deal with both."""
        recomputations.make_due(tx, page.behind, page.open.version, self._inst.now(tx))
        version, worker = page.open.version, _worker()
        after = page.ids[-1] if page.ids else page.open.after
        held = recomputations.advance(tx, page.open, worker=worker, after=after, done=len(page.ids))
        if held and page.last:
            recomputations.end(tx, version, worker=worker, now=self._inst.db.clock(tx))
        killpoint(Point.RECOMPUTE_BEFORE_COMMIT)
        return held


def _worker() -> str:
    """Asked anew each time, as a process may have been forked."""
    return f"{socket.gethostname()}-{attempts.TOKEN}"


def _tell_of_progress(page: _Page) -> None:
    tell.info(
        "recomputing",
        "{done} of {customers} customers know version {version} of the policy",
        done=page.open.done + len(page.ids),
        customers=page.open.customers,
        version=page.open.version,
    )
