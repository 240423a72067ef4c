"""How does a test set up the log of its own process, and leave it as it was?"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Callable, Iterator

from lifecycle.logs.lines import Field, Line, Said
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


class Heard(logging.Handler):
    """Every line that was said, with its level and its error."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[tuple[int, Line, BaseException | None]] = []
        self.meanwhile: Callable[[], object] = lambda: None  # done while it is told

    def emit(self, record: logging.LogRecord) -> None:
        assert isinstance(record.msg, Said)
        error = record.exc_info[1] if record.exc_info else None
        self.records += [(record.levelno, line, error) for line in record.msg.lines]
        self.meanwhile()

    def of(self, *events: str) -> list[dict[str, Field]]:
        """The fields of every line of these names, and the name."""
        return [
            {"event": line.event, **line.fields}
            for _, line, _ in self.records
            if line.event in events
        ]

    @property
    def events(self) -> list[str]:
        return [line.event for _, line, _ in self.records]

    def clear(self) -> None:
        self.records.clear()


@contextlib.contextmanager
def heard(level: int = logging.INFO, logger: str = "lifecycle") -> Iterator[Heard]:
    """What this process says from here on, at this level and above."""
    hearing, of = Heard(), logging.getLogger(logger)
    with as_it_was():
        of.setLevel(level)
        of.addHandler(hearing)
        try:
            yield hearing
        finally:
            of.removeHandler(hearing)
