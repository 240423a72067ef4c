"""How much may one key ask of this process at once, and over time? What is beyond it is refused.

A budget of events, as the key was made with; a share of the memory for bodies that are being read; and
a turn for its bodies to be taken apart, so that whoever sends many waits behind itself.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from lifecycle.engine.budget import Bucket
from lifecycle.engine.keyring import Caller
from lifecycle.engine.shares import Shares
from lifecycle.errors import Problem
from lifecycle.intake.strict_json import KIB

BODIES = 32 * 1024 * KIB  # bytes of all bodies that are being read, before their events are queued
OVERHEAD = 16 * KIB  # bytes that a request costs whatever is in it
HELD_SECONDS = 1.0  # that a post waits for its budget, or a refusal before it is told

Pause = Callable[[float], Awaitable[object]]


class Allowance:
    """Of one key. Used on the event loop alone."""

    def __init__(
        self,
        caller: Caller,
        bodies: Shares,
        turns: int,
        monotonic: Callable[[], float],
        pause: Pause,
    ) -> None:
        self._caller = caller
        self._bodies = bodies
        self._monotonic = monotonic
        self._pause = pause
        self._bucket: Bucket | None = None
        if caller.events_per_second is not None and caller.burst is not None:
            self._bucket = Bucket(caller.events_per_second, caller.burst, monotonic=monotonic)
        self._usual = 1  # events a post
        self.turns = asyncio.Semaphore(turns)

    async def begin(self) -> int:
        """A post begins: how many events are taken for it, as many as the last one had.

        Where nothing of its budget is left it waits for a moment, and then raises Problem. Whoever
        heeds no Retry-After is slowed down by that, and costs others nothing meanwhile.
        """
        if self._bucket is None:
            return 0
        until = self._monotonic() + HELD_SECONDS
        while wait := self._bucket.wait():
            left = until - self._monotonic()
            await self._pause(min(wait, left))
            if wait > left:
                raise _over_budget(self._caller, self._bucket.wait())
        self._bucket.take(self._usual)
        return self._usual

    def charge(self, events: int, taken: int) -> None:
        """A post for which so many were taken when it was begun turned out to have so many events."""
        if self._bucket is not None:
            self._bucket.take(events - taken)
            self._usual = events

    def charge_unread(self, taken: int) -> None:
        """One for which so many were taken could not be read, or was no news: it costs one event.

        How large posts usually are is not learnt from it: else whoever sends garbage between them
        could begin a hundred large ones on one event.
        """
        if self._bucket is not None:
            self._bucket.take(1 - taken)

    def give_back(self, taken: int) -> None:
        """One for which so many were taken is refused for now; it is paid for when it comes again."""
        if self._bucket is not None:
            self._bucket.take(-taken)

    async def hold_back(self) -> None:
        """Before a refusal is told to whoever would come again at once."""
        await self._pause(HELD_SECONDS)

    @contextmanager
    def holding(self) -> Iterator[Callable[[int], None]]:
        """While the block runs a body may be in memory: it is told how many bytes came in.

        Raises Problem, at the beginning or when it is told, where the key holds its share already.
        """
        with holding(self._bodies, self._caller.key_id, _too_much_in_hand) as hold:
            yield hold


@contextmanager
def holding(
    bodies: Shares, key: str, refused: Callable[[int], Problem]
) -> Iterator[Callable[[int], None]]:
    """While the block runs a body is held against the share of that key, which is told what came in.

    Raises what `refused` makes of the bytes in hand already, where there is no room for more.
    """
    held = 0

    def hold(size: int) -> None:
        nonlocal held
        if not bodies.take(key, size):
            raise refused(bodies.held(key))
        held += size

    try:
        hold(OVERHEAD)
        yield hold
    finally:
        bodies.give_back(key, held)


class Allowances:
    """Of all keys that have posted to this process; there are no more than keys."""

    def __init__(
        self,
        *,
        bodies: int | None = None,
        turns: int,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._bodies = Shares(BODIES if bodies is None else bodies)
        self._turns = turns
        self._monotonic = monotonic
        self._pause = pause
        self._of: dict[str, Allowance] = {}  # by id of the key

    def of(self, caller: Caller) -> Allowance:
        found = self._of.get(caller.key_id)
        if found is None:
            found = Allowance(caller, self._bodies, self._turns, self._monotonic, self._pause)
            self._of[caller.key_id] = found
        return found


def _over_budget(caller: Caller, wait: float) -> Problem:
    return Problem(
        "rate_limited",
        f"the key {caller.name} has used up its budget of events",
        status=429,
        expected=f"{caller.events_per_second:g} events a second, and {caller.burst} at once",
        hint="post the same events again when Retry-After says",
        limit="events_per_second",
        retry_after=max(1, math.ceil(wait)),
    )


def _too_much_in_hand(held: int) -> Problem:
    return Problem(
        "rate_limited",
        "bodies come faster than they can be read, and as many are in hand as may be",
        status=429,
        got=f"{held // KIB} KiB in hand already",
        expected="at most as much as is left free for others",
        hint="post the same events again a little later",
        limit="bodies",
        retry_after=1,
    )
