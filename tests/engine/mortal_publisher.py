"""A worker and a publisher that die where they are told to: `python -m tests.engine.mortal_publisher …`.

As `tests.engine.mortal`, but in the middle of the history one policy is published and then another, which
restates it; pages of the recomputations lie between the events that go on arriving.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from lifecycle import killpoints
from lifecycle.engine import apply
from lifecycle.engine.installation import Installation
from lifecycle.engine.policies import newest
from lifecycle.engine.recompute import Recomputing
from lifecycle.killpoints import Point
from tests.engine import mortal
from tests.engine.histories import RICH_POLICY, Arrival
from tests.scenarios.driver import day
from tests.support.engine import post, set_clock, work
from tests.support.publishing import published, recompute

PUBLISHED_AT, RESTATED_AT = 12, 24  # which arrival
SECOND = RICH_POLICY.replace("after: 60d", "after: 45d").replace("spent >= 50.0", "spent >= 30.0")
THIRD = SECOND.replace("orders >= 3", "orders >= 2").replace("delay: 1h", "delay: 2h")


def play(inst: Installation, history: Sequence[Arrival]) -> None:
    """From wherever an earlier life has stopped; whoever publishes looks first whether it was done."""
    for index, arrival in enumerate(history):
        with inst.db.read() as tx:
            now, known = inst.now(tx), newest(tx)
        set_clock(inst, max(now, day(arrival.day)))
        post(inst, *arrival.events)
        killpoints.killpoint(Point.INTAKE_AFTER_COMMIT)
        if index == PUBLISHED_AT and known == 1:
            published(inst, SECOND)
        if index == RESTATED_AT and known == 2:
            published(inst, THIRD, restates=True)
        if index >= PUBLISHED_AT:
            inst.pace._limit = inst.pace._most = 20
            Recomputing(inst).page()
        apply.apply_pending(inst)
        apply.fire_due(inst)
    work(inst)
    recompute(inst)


if __name__ == "__main__":
    mortal.HISTORY = {**mortal.HISTORY, "customers": 60}
    mortal.play = play
    mortal.main(*sys.argv[1:])
