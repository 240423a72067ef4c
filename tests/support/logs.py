"""How does a test set up the log of its own process, and leave it as it was?"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator

from lifecycle.logs.stderr import CHATTY

_SET = ("", "lifecycle", "pika", *CHATTY)  # loggers whose levels are set


@contextlib.contextmanager
def as_it_was() -> Iterator[None]:
    """Whatever the block does to the log of this process is undone."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    levels = {name: logging.getLogger(name).level for name in _SET}
    hooks = threading.excepthook, sys.excepthook, sys.unraisablehook
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        root.handlers[:] = handlers
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        threading.excepthook, sys.excepthook, sys.unraisablehook = hooks
