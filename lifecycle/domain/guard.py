"""A guard: a CEL expression over facts and attributes that says yes or no, or why it cannot say.

CEL has no side effects and always ends; what a policy may write is checked by `lifecycle.policy`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from lifecycle.domain.cel_library import cel

_REMEMBERED = 4096  # answers of one guard


class GuardError(Exception):
    """The guard could not be evaluated over these values, or its answer was not a boolean."""


class Guard:
    """Compiled once; the same text is the same guard.

    Raises `GuardError` at construction where the text is not CEL.
    """

    __slots__ = ("_known", "_program", "text", "variables")

    def __init__(self, text: str) -> None:
        try:
            self._program = cel.compile(text)
        except ValueError as error:
            raise GuardError(str(error)) from error
        self.text = text
        self.variables: tuple[str, ...] = tuple(sorted(self._program.variables()))
        self._known: dict[tuple[Any, ...], bool] = {}

    def judge_again(self, told: tuple[Any, ...]) -> bool:
        """As `judge`, where few values differ, so that its answers are worth remembering.

        `told` are the values of `variables`, then the class of each: True is 1 to a dictionary.
        """
        answer = self._known.get(told)
        if answer is None:
            answer = self.judge(dict(zip(self.variables, told, strict=False)))
            if len(self._known) < _REMEMBERED:
                self._known[told] = answer
        return answer

    def judge(self, values: dict[str, Any]) -> bool:
        """Whether it holds; `values` must have every one of `variables`.

        Counts are int, sums float, instants aware datetime, durations timedelta, empty facts None.
        """
        try:
            answer = self._program.execute(values)
        except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError) as error:
            raise GuardError(_in_our_words(str(error))) from error
        if answer is True or answer is False:
            return answer
        raise GuardError(f"answered {answer!r}, not true or false")


def _in_our_words(error: str) -> str:
    """The library speaks to programmers of its own language; people who write policies read this."""
    for pattern, words in _WORDS:
        if match := pattern.match(error):
            return match.expand(words).replace("float", "double")
    return error


_WORDS = tuple(
    (re.compile(pattern, re.DOTALL), words)
    for pattern, words in (
        (r"No such overload", "values of these kinds do not go together"),
        (r"Unsupported operation: (\S+ \S+ \S+?)\.? ", r"there is no \1: values of these kinds do not go together"),
        (r"Undefined variable or function: '(.*?)'", r"\1 takes no values of these kinds"),
        (r"Function 'duration' error", 'a duration is written in h, m and s, such as "720h"'),
        (r"Function 'timestamp' error", 'an instant is written "2026-01-01T00:00:00Z"'),
        (r"Function 'matches' error: '(.*?)' not", r'"\1" is no regular expression'),
        (r"Function '(.*?)' error", r"\1 cannot make anything of this value"),
        (r"(division|modulo) by zero", r"\1 by zero"),
    )
)  # fmt: skip


@lru_cache(maxsize=4096)
def compiled(text: str) -> Guard:
    """The guard of a text, shared by every policy version that writes it the same way."""
    return Guard(text)
