"""What does production code meet in a world? Its time, the ends of its processes, and intake amid its reads.

The points at which a process may end are production's own. What is replaced besides is its clock, and
what lets a deadly event end a process; all of that is put back when the world is over.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from lifecycle import killpoints
from lifecycle.clock import begin
from lifecycle.domain.event import Event
from lifecycle.engine import alone, apply
from lifecycle.engine import work as unit
from lifecycle.engine.accept import accept_within
from lifecycle.killpoints import Point
from lifecycle.store import clock as clock_row
from lifecycle.store import events
from lifecycle.store.sql import Tx
from tests.simulation.world import CLOCK, World
from tests.support.engine import draft

ENDS = 12  # of processes in one world at the most, those by a deadly event apart
DEADLY = "fold of a deadly event"

POINTS = [
    point for point in Point if not point.startswith(("send.", "bounce.", "publish.", "recompute."))
]
"""Where processes of these worlds may end; sending and publishing have lives of their own."""

# Here a process has nothing open, so that others may have their turn.
BETWEEN = frozenset(
    {
        Point.INTAKE_AFTER_COMMIT,
        Point.INTAKE_AFTER_RING,
        Point.WORKER_CLAIMED,
        Point.WORKER_AFTER_COMMIT,
        Point.TIMER_CLAIMED,
    }
)


@contextmanager
def meeting(world: World) -> Iterator[None]:
    """Within the block production code lives in this world."""
    met = _Encounters(world)
    before = random.getstate()
    with ExitStack() as stack:
        stack.callback(random.setstate, before)
        random.seed(world.seed)  # how long `Database` waits before it tries again
        stack.callback(killpoints.arm, None)
        killpoints.arm(met.point)
        stack.callback(world.loop.close)
        time = SimpleNamespace(monotonic=lambda: world.loop.now, sleep=world.loop.sleep)
        stack.enter_context(patch.object(apply, "time", time))
        for module in (apply, alone):
            stack.enter_context(patch.object(module, "work", met.watched(module.work)))
        stack.enter_context(patch.object(unit, "fold", met.choking(unit.fold)))  # type: ignore[attr-defined]
        stack.enter_context(patch.object(events, "pending_of", met.amid(events.pending_of)))
        with world.store.sqlite.write() as tx:
            clock_row.write(tx, begin(CLOCK, None, world.real_now(), alone=True, lived_until=None))
        yield


class _Encounters:
    def __init__(self, world: World) -> None:
        self._world = world
        self._likely = world.chance.choice(POINTS)  # to be the end of a process
        self._amid = False  # another process is at work within the transaction of this one

    def point(self, point: Point) -> None:
        """A process passes a point: it may end there, or others may have their turn."""
        world = self._world
        if self._amid:
            return
        if world.ends.total() - world.ends[DEADLY] < ENDS and (
            world.happens("ended") or (point is self._likely and world.happens("ended_there"))
        ):
            world.end(point)
        if point in BETWEEN:
            world.pause()

    def choking(self, fold: Callable[..., Any]) -> Callable[..., Any]:
        def choked(timeline: Any, snapshot: Any, history: Sequence[Event], *given: Any) -> Any:
            if any(event.id == self._world.history.deadly for event in history):
                self._world.end(DEADLY)
            return fold(timeline, snapshot, history, *given)

        return choked

    def watched(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Whatever work raises is dealt with by trying again, and so would never be seen."""

        def seen(*given: Any, **named: Any) -> Any:
            try:
                return work(*given, **named)
            except Exception as error:
                self._world.expect(error, "work")
                raise

        return seen

    def amid(self, pending_of: Callable[..., Any]) -> Callable[..., Any]:
        """Intake commits between two reads of a worker's, as on PostgreSQL it may.

        A worker holds its customers there, but new events of theirs may come at any time.
        """

        def then_others(tx: Tx, customer_ids: Any) -> Any:
            pending = pending_of(tx, customer_ids)
            if not self._world.embedded and self._world.happens("interrupted"):
                self._take_in(tx)
            return pending

        return then_others

    def _take_in(self, tx: Tx) -> None:
        world = self._world
        arrival = world.chance.choice(world.history.arrivals)
        with world.store.between(tx) as possible:
            if possible:
                world.loop.tell(f"goes on after others took in {[e.id for e in arrival.events]}")
                self._amid = True
                accept_within(world.installation(), tx, [draft(event) for event in arrival.events])
                self._amid = False
