"""What does `dramatiq workers` find? The workers of the installation that the environment names."""

from __future__ import annotations

import logging
import sys

import dramatiq

from lifecycle.errors import LifecycleError
from lifecycle.settings import read_settings

CANNOT_RUN = 78  # as `lifecycle work` ends


def set_up() -> None:
    """Hands dramatiq's command our broker, or ends this process with one line that says why not."""
    from workers.processes import workers_of

    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # it tells of every tick
    try:
        dramatiq.set_broker(workers_of(read_settings()))
    except LifecycleError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(CANNOT_RUN)
