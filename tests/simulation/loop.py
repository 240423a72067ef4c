"""Whose step comes next, and what time is it? One thread, in which actors take turns where they wait.

An actor is a greenlet: production code that waits (for the database, for a ring, for an answer) runs
as it stands, and is left in its middle while others go on. Time is counted, never waited for.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
from collections import deque
from collections.abc import Callable

from greenlet import getcurrent, greenlet

from lifecycle.store import attempts

Body = Callable[[], object]

REMEMBERED = 60  # steps, for whoever has to understand a failure


class Crash(BaseException):
    """The process ends here without a word."""


class Process:
    """What ends as a whole: its actors, and whatever only its memory knew."""

    def __init__(self, name: str, *, again: Body) -> None:
        self.name = name  # also its token, so no two have the same
        self.again = again  # begins the one that comes in its place
        self.alive = True


class Loop:
    """The only clock and the only scheduler of a world; nothing else decides who runs."""

    def __init__(self) -> None:
        self.now = 0.0  # seconds since the beginning; never goes back
        self.trace: deque[str] = deque(maxlen=REMEMBERED)
        self._agenda: list[tuple[float, int, Body]] = []
        self._order = itertools.count()
        self._hub = getcurrent()
        self._running: tuple[str, Process] | None = None
        self._actors: list[tuple[Process, greenlet]] = []

    def start(self, process: Process, name: str, body: Body) -> None:
        """A further actor of the process begins as soon as it is its turn."""
        actor = greenlet(lambda: _until_the_end(body), self._hub)
        self._actors.append((process, actor))
        self.later(0.0, lambda: self._resume(f"{process.name}.{name}", process, actor))

    def later(self, seconds: float, act: Body) -> None:
        """Something happens by itself; it must not wait for anything."""
        heapq.heappush(self._agenda, (self.now + seconds, next(self._order), act))

    def sleep(self, seconds: float) -> None:
        """Let others go on for so long; raises Crash if the process has ended meanwhile."""
        assert self._running is not None
        name, process = self._running
        if process.alive:
            actor = getcurrent()
            self.later(seconds, lambda: self._resume(name, process, actor))
            self._hub.switch()
        if not process.alive:
            raise Crash

    def end(self) -> None:
        """The process that is running ends here, now."""
        assert self._running is not None
        self._running[1].alive = False
        raise Crash

    def tell(self, what: str) -> None:
        """Keep for a failure what the actor that is running does."""
        who = self._running[0] if self._running else "world"
        self.trace.append(f"{self.now:9.3f} {who:24} {what}")

    @property
    def process(self) -> Process:
        """Whose actor is running."""
        assert self._running is not None
        return self._running[1]

    def run(self, done: Callable[[], bool], until: float) -> bool:
        """Step after step, until it is done; False where time is up before that."""
        while not done():
            when, _, act = heapq.heappop(self._agenda)
            if when > until:
                return False
            self.now = max(self.now, when)
            act()
        return True

    def close(self) -> None:
        """Unwinds every actor that still waits."""
        for process, actor in self._actors:
            process.alive = False
            if actor:
                actor.throw(Crash)

    def _resume(self, name: str, process: Process, actor: greenlet) -> None:
        self._running = name, process
        attempts.TOKEN = process.name
        actor.switch()
        self._running = None


def _until_the_end(body: Body) -> None:
    """What else the body raises ends the world, as it is raised where the loop runs."""
    with contextlib.suppress(Crash):
        body()
