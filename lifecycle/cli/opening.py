"""How does a command get at the installation, and what does the log say meanwhile?"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lifecycle.settings import DEBUG_VARIABLE, Settings

if TYPE_CHECKING:
    from lifecycle.bootstrap import Access, Engine


@contextlib.contextmanager
def opened(settings: Settings, access: Access) -> Iterator[Engine]:
    """The engine for one command; warnings of the background go to stderr, a line each."""
    from lifecycle.bootstrap import build

    log_to_stderr(logging.WARNING)
    with build(settings, access=access) as engine:
        yield engine


def log_to_stderr(level: int, *, serving: bool = False) -> None:
    """Every message a line; a traceback only in the log of a server, or for `LIFECYCLE_DEBUG`."""
    handler = logging.StreamHandler(sys.stderr)
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    shown = serving or bool(os.environ.get(DEBUG_VARIABLE))
    handler.setFormatter(logging.Formatter(form) if shown else _OneLine(form))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # These tell of every skipped tick and every stopped thread; what matters is told by ours.
    for chatty in ("apscheduler", "dramatiq", "alembic", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.ERROR)


class _OneLine(logging.Formatter):
    def formatException(self, ei) -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001, N802
        return f"    {ei[0].__name__}: {ei[1]} ({DEBUG_VARIABLE}=1 shows where)"
