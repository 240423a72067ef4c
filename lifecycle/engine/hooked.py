"""The process in which a scoring hook runs: customers come by standard input, scores go by standard output.

A program of its own that imports nothing of the engine: it is started by its path, by `hook`. What the
hook prints goes to standard error, whatever it prints it by.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, BinaryIO, TextIO

NICENESS = 10  # whoever answers requests and folds comes first


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A customer as a hook sees her, as of the night; nothing of it can be changed."""

    key: str
    state: str
    facts: Mapping[
        str, Any
    ]  # by name, as guards see them: int, float, str, bool, datetime, timedelta or None
    attributes: Mapping[str, Any]  # likewise; those that she has
    tags: tuple[str, ...]


Hook = Callable[[Iterator[Customer], datetime], Iterable[tuple[str, Mapping[str, Any]]]]
"""Takes the customers, one by one, and the instant of the night; yields keys, each with its scores."""


class Nonsense(Exception):
    """What the hook answered is no score."""


def main() -> None:
    given = sys.stdin.buffer
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        os.nice(NICENESS)
        name, folder, at, parent = pickle.load(given)  # noqa: S301 - what our own parent wrote
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
        try:
            count = 0
            for key, scores in _scores(_found(name, folder)(_customers(given), at)):
                _say(answers, [key, scores])
                count += 1
            _say(answers, {"scored": count})
        except Nonsense as error:
            _say(answers, {"failed": f"{name} {error}"})
        except BaseException as error:  # noqa: BLE001 - whatever it raises is told, SystemExit included
            _say(answers, {"failed": f"{name} raised {_told(error)}"})


def _end_with(parent: int) -> None:
    """Nobody asks for the answer any more once the process that started this one is gone."""
    while os.getppid() == parent:
        time.sleep(1)
    # This process leads a group of its own, in which is also what the hook has started.
    os.killpg(0, signal.SIGKILL)


def _found(name: str, folder: str) -> Hook:
    """The function, of a module in the config folder or of one that is installed."""
    sys.path.insert(0, folder)
    module, _, function = name.partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise Nonsense(
            f"cannot be found: there is no module {module!r}, neither in {folder} nor installed"
        ) from None
    hook = getattr(found, function, None)
    if not callable(hook):
        raise Nonsense(f"cannot be found: the module {module!r} has no function {function!r}")
    return hook  # type: ignore[no-any-return]


def _customers(given: BinaryIO) -> Iterator[Customer]:
    with contextlib.suppress(EOFError):
        while True:
            for key, state, facts, attributes, tags in pickle.load(given):  # noqa: S301 - as above
                yield Customer(
                    key=key,
                    state=state,
                    facts=MappingProxyType(facts),
                    attributes=MappingProxyType(attributes),
                    tags=tags,
                )


def _scores(answered: object) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(answered, Mapping | str | bytes) or not isinstance(answered, Iterable):
        raise Nonsense(
            f"answered {_short(answered)}; allowed: pairs of a customer's key and her scores,"
            " one after the other"
        )
    for pair in answered:
        if not (isinstance(pair, tuple | list) and len(pair) == 2):
            raise Nonsense(
                f'answered {_short(pair)}; allowed: pairs such as ("C-1", {{"tier": "gold"}})'
            )
        key, scores = pair
        if not isinstance(key, str) or not isinstance(scores, Mapping):
            raise Nonsense(
                f'answered {_short(pair)}; allowed: pairs such as ("C-1", {{"tier": "gold"}})'
            )
        yield key, {_name(key, name): _plain(key, name, value) for name, value in scores.items()}


def _name(key: str, name: object) -> str:
    if not isinstance(name, str):
        raise Nonsense(f"gave {key!r} a score called {_short(name)}; allowed: names of attributes")
    return name


def _plain(key: str, name: str, value: object) -> object:
    """Decimals travel as text, which means the same."""
    if isinstance(value, Decimal) and value.is_finite():
        return format(value, "f")
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    raise Nonsense(
        f"gave {key!r} {name} = {_short(value)}; allowed: text, a finite number, true or false, or None"
        " to take it away"
    )


def _told(error: BaseException) -> str:
    """What it is, and the last place of the hook's own code that it came through."""
    said = "".join(traceback.format_exception_only(error)).strip()
    places = [
        f"{os.path.basename(frame.filename)}:{frame.lineno} {frame.name}"  # noqa: PTH119 - only a name
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__
    ]
    return f"{said} ({places[-1]})" if places else said


def _short(value: object) -> str:
    return f"{repr(value)[:100]} ({type(value).__name__})"


def _say(answers: TextIO, answer: object) -> None:
    answers.write(json.dumps(answer))
    answers.write("\n")


if __name__ == "__main__":
    main()
