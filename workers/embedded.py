"""A whole installation in one process: engine, workers and clockwork, started and stopped in order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial

from lifecycle.bootstrap import Access, Complaints, Engine, build
from lifecycle.settings import Settings
from workers.bells import APPLY, DUE
from workers.clockwork import Clockwork, ticks
from workers.inprocess import InProcessWorkers
from workers.rounds import batches_of


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[Engine]:
    """Everything works while the block runs; at its end, running batches finish and no other begins.

    What an earlier process left behind is taken up at once.
    """
    complaints = Complaints()
    workers = InProcessWorkers(complaints)
    ring_apply, ring_due = partial(workers.ring, APPLY), partial(workers.ring, DUE)
    with build(settings, access=Access.RUN, ring=ring_apply, complaints=complaints) as engine:
        clockwork = Clockwork(ticks(engine, apply=ring_apply, fire=ring_due), complaints)
        try:
            workers.start(batches_of(engine))
            clockwork.start()
            yield engine
        finally:
            clockwork.stop()
            workers.stop()
