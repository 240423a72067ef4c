"""`python scheduler.py`: the ticks of an installation in a process of its own, until it is told to stop.

It applies what waits and fires what is due by itself. `lifecycle up` has this clockwork inside.
"""

import logging
import signal
import sys
import threading

from lifecycle.bootstrap import build
from lifecycle.cli import exits, opening
from lifecycle.settings import read_settings
from workers.clockwork import run_alone


def main() -> int:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    opening.log_to_stderr(logging.INFO, serving=True)
    try:
        with build(read_settings()) as engine:
            run_alone(engine, stop)
    except Exception as error:  # noqa: BLE001 - told as every command tells it
        return exits.tell(error)
    return exits.Code.OK


if __name__ == "__main__":
    sys.exit(main())
