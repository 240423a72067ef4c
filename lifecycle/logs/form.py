"""How is a line written? As text for people, or as one JSON object; of either, one line is one line.

Lines of libraries take the same form. Their words are shown where it is known that they quote nobody,
which is never so beside an exception.
"""

from __future__ import annotations

import json
import logging
import string
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from lifecycle.logs import context
from lifecycle.logs.failure import failure
from lifecycle.logs.lines import Field, Line, Said

LIBRARY = "library"  # what a line of somebody else's is called
HIDDEN = "said something that may quote what was posted, and is not shown"
SPEAKING = frozenset({"alembic", "apscheduler", "dramatiq", "uvicorn"})
"""Libraries whose words are about themselves."""

IN_THE_THREAD = frozenset({"bell", "ring"})  # what the name of the thread says already


class JsonForm(logging.Formatter):
    """One object a line, in ASCII, so that no character of it can end a line or drive a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        head = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        around = context.current()
        tail: dict[str, Any] = {"process": record.process, "thread": record.threadName}
        if (error := _error(record)) is not None:
            tail["error"] = failure(error)
        return "\n".join(
            _dumped(
                {
                    **head,
                    "event": line.event,
                    "message": line.message,
                    **around,
                    **line.fields,
                    **tail,
                },
            )
            for line in _lines(record)
        )


class TextForm(logging.Formatter):
    """A sentence a line; `threads` names the one that said it, `stacks` shows where errors came from."""

    def __init__(self, *, threads: bool, stacks: bool) -> None:
        super().__init__()
        self._threads = threads
        self._stacks = stacks

    def format(self, record: logging.LogRecord) -> str:
        thread = f"[{record.threadName}] " if self._threads else ""
        head = f"{self.formatTime(record)} {thread}{record.levelname} {record.name}"
        error = _error(record)
        more = context.current()
        written = [
            f"{head}{_event(line)}: {_sentence(line, more, error)}" for line in _lines(record)
        ]
        if error is not None and self._stacks:
            written += _stack(failure(error))
        return "\n".join(map(plain, written))


def plain(text: str) -> str:
    """The text with everything escaped that could end its line, or drive a terminal."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def _lines(record: logging.LogRecord) -> Sequence[Line]:
    if isinstance(record.msg, Said):
        return record.msg.lines
    library = record.name.partition(".")[0]
    if library in SPEAKING and record.exc_info is None:
        return [Line(LIBRARY, "{said}", {"said": record.getMessage()})]
    return [Line(LIBRARY, f"{library} {HIDDEN}", {})]


def _error(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


# -- JSON


def _dumped(line: Mapping[str, Any]) -> str:
    """In ASCII; the library that is several times faster cannot escape, so most lines go by it only."""
    try:
        text = orjson.dumps(line).decode()
    except TypeError:  # half a character, as in the name of a file that is no text
        text = ""
    if text and text.isascii() and text.isprintable():
        return text
    return json.dumps(line, separators=(",", ":")).replace("\x7f", "\\u007f")


def _utc(seconds: float) -> str:
    return f"{_second(int(seconds))}.{int(seconds % 1 * 1000):03}Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


# -- text


def _event(line: Line) -> str:
    """Its name, by which it is looked for; what a library says has none."""
    return "" if line.event == LIBRARY else f" {line.event}"


def _sentence(line: Line, more: context.Context, error: BaseException | None) -> str:
    """With what it does not name itself in brackets behind it."""
    left = {name: line.fields[name] for name in line.fields.keys() - _named(line.sentence)}
    left |= {name: more[name] for name in more if name not in IN_THE_THREAD | line.fields.keys()}
    behind = [f"{name}={_value(left[name])}" for name in sorted(left) if left[name] is not None]
    if error is not None:
        behind.append(f"{type(error).__name__} {failure(error)['digest']}")
    return f"{line.message} ({', '.join(behind)})" if behind else line.message


@lru_cache(maxsize=256)
def _named(sentence: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in string.Formatter().parse(sentence) if name)


def _value(value: Field) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}:{count}" for name, count in value.items()) or "none"
    return str(value)


def _stack(found: Mapping[str, Any]) -> Iterator[str]:
    """The cause first, as Python tells it."""
    if "cause" in found:
        yield from _stack(found["cause"])
    yield from (f"    at {place}" for place in found["stack"])
    yield f"    {found['type']}"
