"""Who writes the lines, and where? This process, to standard error, whoever said them."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from lifecycle.logs.form import JsonForm, TextForm
from lifecycle.logs.lines import Teller
from lifecycle.settings import DEBUG_VARIABLE, LogForm, Settings

tell = Teller("lifecycle.logs")

AT_ONCE = 4096  # bytes that a pipe shared by several processes takes without cutting them up
CHATTY = ("apscheduler", "dramatiq", "alembic", "uvicorn")


def log_to_stderr(settings: Settings, level: int, *, serving: bool = False) -> None:
    """Every line from here on, of this level and above unless the settings name another.

    Of errors the places are shown by a server, and by a command for `LIFECYCLE_DEBUG`. What ends a
    thread of a server, which Python would tell with its text, becomes a line too.
    """
    handler = _Stderr(sys.stderr, serving=serving)
    shown = serving or bool(os.environ.get(DEBUG_VARIABLE))
    json = settings.log is LogForm.JSON
    handler.setFormatter(JsonForm() if json else TextForm(threads=serving, stacks=shown))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    ours = level if settings.log_level is None else settings.log_level.number
    logging.getLogger("lifecycle").setLevel(ours)
    # These tell of every skipped tick and every stopped thread; what matters is told by ours.
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.ERROR)
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # one lost connection is five errors to it
    if serving:
        logging.captureWarnings(capture=True)
        threading.excepthook = _thread_ended
        sys.excepthook = _process_ended
        sys.unraisablehook = _ignored


def is_json_only() -> bool:
    """Whether this is a server whose standard error a program reads, so that all must be said by lines."""
    return any(
        isinstance(handler, _Stderr) and handler.serving and isinstance(handler.formatter, JsonForm)
        for handler in logging.getLogger().handlers
    )


class _Stderr(logging.StreamHandler[Any]):
    """Writes lines whole, so that several processes may share one pipe."""

    def __init__(self, stream: Any, *, serving: bool) -> None:
        super().__init__(stream)
        self.serving = serving

    def emit(self, record: logging.LogRecord) -> None:
        try:
            for some in _together(self.format(record).split("\n")):
                self.stream.write(some)
            self.flush()
        except OSError:
            pass  # nobody reads standard error any more, so there is nobody to be told
        except Exception:  # noqa: BLE001 - what is logged must never break what is done
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - as Python calls it
        """Python would print what was to be said, with every value in it."""
        error = sys.exception()
        if error is not None and record.name != "lifecycle.logs":
            tell.error(
                "log_line_lost", "a line of {of} cannot be written", of=record.name, error=error
            )


def _together(lines: list[str]) -> Iterator[str]:
    some: list[str] = []
    size = 0
    for line in lines:
        if some and size + len(line) >= AT_ONCE:
            yield "".join(some)
            some, size = [], 0
        some.append(f"{line}\n")
        size += len(line) + 1
    yield "".join(some)


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    name = ended.thread.name if ended.thread else "unknown"
    tell.error(
        "thread_ended", "the thread {name} has ended by an error", name=name, error=ended.exc_value
    )


def _process_ended(
    _kind: type[BaseException], error: BaseException, _trace: TracebackType | None
) -> None:
    tell.error("process_ended", "this process ends by an error", error=error)


def _ignored(ignored: sys.UnraisableHookArgs) -> None:
    tell.warning("error_ignored", "Python could tell nobody of an error", error=ignored.exc_value)
