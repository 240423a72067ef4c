"""How does a command get at the installation, and what does the log say meanwhile?"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from lifecycle.cli import output
from lifecycle.errors import PolicyRefused
from lifecycle.settings import DEBUG_VARIABLE, Settings

if TYPE_CHECKING:
    from lifecycle.bootstrap import Access, Engine, Ground
    from lifecycle.store.database import Database


@contextlib.contextmanager
def opened(settings: Settings, access: Access) -> Iterator[Engine]:
    """The engine for one command; warnings of the background go to stderr, a line each."""
    from lifecycle.bootstrap import build

    log_to_stderr(logging.WARNING)
    with build(settings, access=access) as engine:
        yield engine


@contextlib.contextmanager
def looked_over(settings: Settings) -> Iterator[Ground]:
    """By what events would be judged, for a command that changes nothing."""
    from lifecycle import bootstrap

    log_to_stderr(logging.WARNING)
    with bootstrap.looked_over(settings) as ground:
        yield ground


def not_in_force(db: Database, settings: Settings) -> str | None:
    """In words, how the policy file is not the policy in force; None where it is, or where none is."""
    from lifecycle.bootstrap import POLICY_FILE
    from lifecycle.engine import policies

    file = settings.config_dir / POLICY_FILE
    try:
        return policies.differs(db, file)
    except PolicyRefused as refused:
        return f"{file} has errors, and is not in force: {refused}"


def warn_of_policy(db: Database, settings: Settings) -> None:
    """Says on stderr that the events will be judged by another policy than the file's, if so."""
    if differs := not_in_force(db, settings):
        output.err().print(Text(f"warning: {differs}", "yellow"), soft_wrap=True)


def log_to_stderr(level: int, *, serving: bool = False) -> None:
    """Every message a line; a traceback only in the log of a server, or for `LIFECYCLE_DEBUG`."""
    handler = logging.StreamHandler(sys.stderr)
    # A thread that answers a ring is called after it; the main thread of a server says nothing much.
    thread = "[%(threadName)s] " if serving else ""
    form = f"%(asctime)s {thread}%(levelname)s %(name)s: %(message)s"
    shown = serving or bool(os.environ.get(DEBUG_VARIABLE))
    handler.setFormatter(logging.Formatter(form) if shown else _OneLine(form))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # These tell of every skipped tick and every stopped thread; what matters is told by ours.
    for chatty in ("apscheduler", "dramatiq", "alembic", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # one lost connection is five errors to it


class _OneLine(logging.Formatter):
    def formatException(self, ei) -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001, N802
        return f"    {ei[0].__name__}: {ei[1]} ({DEBUG_VARIABLE}=1 shows where)"
