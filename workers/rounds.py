"""How is a ring answered? Batch after batch until nothing is left, and with company if there is much."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from dramatiq.middleware import Interrupt

from lifecycle.bootstrap import Complaints, Engine
from workers.bells import APPLY, DELIVER, DUE

LONGEST_SECONDS = 20.0  # at one ring; then the next one is answered, by whoever is free

Batch = Callable[[], bool]
"""Does one batch of work, and says whether more is waiting."""


def batches_of(engine: Engine) -> dict[str, Batch]:
    """What each bell is rung for: one use case of the engine."""
    batches: dict[str, Batch] = {
        APPLY: lambda: engine.apply_batch().more,
        DUE: lambda: engine.fire_batch().more,
    }
    if engine.sends:
        batches[DELIVER] = engine.deliver_batch
    return batches


class Rounds:
    """The work behind every bell, for whoever answers or looks without having been rung for."""

    def __init__(
        self,
        batches: Mapping[str, Batch],
        *,
        ring: Callable[[str], object],
        complaints: Complaints,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._batches = batches
        self._ring = ring
        self._complaints = complaints
        self._monotonic = monotonic
        self._stopping = threading.Event()

    def answer(self, bell: str) -> None:
        """Until nothing is left. From the second batch on there is enough for two, and it rings on.

        A batch that raises is logged and tried again at the next ring or sweep: it is the engine
        that counts attempts and puts a culprit aside.
        """
        begun, done = self._monotonic(), 0
        while self._batch(bell):
            done += 1
            if done > 1:
                self._ring(bell)
                if self._monotonic() - begun > LONGEST_SECONDS:
                    return

    def look(self) -> None:
        """Answers every bell, although none has rung."""
        for bell in self._batches:
            self.answer(bell)

    def stop(self) -> None:
        """The batches that are running finish, and no other begins."""
        self._stopping.set()

    def _batch(self, bell: str) -> bool:
        if self._stopping.is_set():
            return False
        try:
            return self._batches[bell]()
        except (Exception, Interrupt) as error:  # noqa: BLE001 - the thread must live
            self._complaints.about("work_failed", f"work {bell!r}", error)
            return False
