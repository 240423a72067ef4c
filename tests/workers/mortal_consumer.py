"""A consumer that dies by SIGKILL around its commit: `python -m tests.workers.mortal_consumer …`.

Its arguments are the database, the queue's server, the prefix of the queue's names, and the point:
`before_commit`, within the transaction, or `before_acknowledgement`, right after it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from lifecycle.bootstrap import build
from lifecycle.clock import ClockSpec
from lifecycle.domain.instant import instant_text
from lifecycle.engine import accept
from lifecycle.engine.accept import Result
from lifecycle.intake.draft import Draft
from lifecycle.settings import Settings
from tests.intake.bad_input import NOW
from tests.workers.consumers import consumer_of


def main(database: str, url: str, prefix: str, point: str) -> None:
    clock = ClockSpec.parse(instant_text(NOW))
    settings = Settings(database_url=database, config_dir=Path("unused"), clock=clock)
    with build(settings) as engine:
        whole = engine.accept

        def die_after(drafts: Sequence[Draft]) -> list[Result]:
            whole(drafts)
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError

        if point == "before_commit":
            die_within()
        else:
            engine.accept = die_after  # type: ignore[method-assign]
        consumer_of(engine, url, prefix, threading.Event()).run()


def die_within() -> None:
    """At the end of the transaction, with everything written and nothing committed."""
    whole = accept.accept_within

    def die(*given: object, **more: object) -> list[Result]:
        whole(*given, **more)  # type: ignore[arg-type]
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    accept.accept_within = die


if __name__ == "__main__":
    main(*sys.argv[1:])
