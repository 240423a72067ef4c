"""`python -m tests.backtest.endless`: a backtest whose two processes count for ever."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lifecycle.engine.backtest.histories import Again, Filed, History
from lifecycle.engine.backtest.run import run
from lifecycle.engine.backtest.tally import Tally


@dataclass(frozen=True)
class Endless:
    def empty(self) -> Tally:
        return Tally()

    def begin(self) -> Callable[[Iterable[History]], Tally]:
        return _count


def _count(_: Iterable[History]) -> Tally:
    sys.stdout.write("counting\n")
    sys.stdout.flush()
    threading.Event().wait()
    return Tally()


if __name__ == "__main__":
    history = Filed(
        drawers=[[("anna", [])], [("berta", [])]],
        customers=2,
        last_at=None,
        again=Again(),
        is_small=False,
    )
    run(Endless(), history, processes=2)
