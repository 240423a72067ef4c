"""A whole installation in one process: engine, workers and clockwork, started and stopped in order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial

from lifecycle.bootstrap import Access, Complaints, Engine, build
from lifecycle.metrics import Metrics
from lifecycle.settings import Settings
from workers.bells import APPLY, DELIVER, DUE
from workers.broker import examine, line_of
from workers.clockwork import Clockwork, ticks
from workers.inprocess import InProcessWorkers
from workers.intake import intake_of
from workers.rounds import batches_of


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[Engine]:
    """Everything works while the block runs; at its end, running batches finish and no other begins.

    What an earlier process left behind is taken up at once. It needs no broker; where one is named,
    events that systems post to it are taken in.
    """
    complaints = Complaints()
    examine(settings)
    line = line_of(settings, "what systems post to it waits there")
    workers = InProcessWorkers(complaints)
    ring_apply = partial(workers.ring, APPLY)
    with build(
        settings,
        access=Access.RUN,
        sends=True,
        ring=ring_apply,
        observer=Metrics(),
        complaints=complaints,
    ) as engine:
        needed = ticks(
            engine,
            apply=ring_apply,
            fire=partial(workers.ring, DUE),
            deliver=partial(workers.ring, DELIVER),
        )
        clockwork = Clockwork(needed, complaints)
        intake = intake_of(engine, settings, line)
        try:
            workers.start(batches_of(engine))
            clockwork.start()
            intake.start()
            yield engine
        finally:
            intake.stop()
            engine.stop_work_of_the_night()
            engine.stop_recomputing()
            clockwork.stop()
            workers.stop()
            engine.stop_sending()
