"""What does `dramatiq workers` find? The workers of the installation that the environment names."""

from __future__ import annotations

import logging
import sys

import dramatiq

from lifecycle.errors import LifecycleError
from lifecycle.logs.lines import Teller
from lifecycle.logs.stderr import is_json_only, log_to_stderr
from lifecycle.settings import read_settings

tell = Teller("lifecycle")

CANNOT_RUN = 78  # as `lifecycle work` ends


def set_up() -> None:
    """Hands dramatiq's command our broker, or ends this process with one line that says why not.

    From then on this process writes its log as `lifecycle work` does, with dramatiq's own lines in it.
    """
    from workers.processes import workers_of

    try:
        settings = read_settings()
        log_to_stderr(settings, logging.INFO, serving=True)
        logging.getLogger("dramatiq").setLevel(logging.INFO)
        dramatiq.set_broker(workers_of(settings))
    except LifecycleError as error:
        if is_json_only():
            tell.error("ended", "{why}", why=str(error), code=CANNOT_RUN)
        else:
            sys.stderr.write(f"error: {error}\n")
        sys.exit(CANNOT_RUN)
