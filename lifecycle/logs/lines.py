"""How does a part of the program say what happened? `tell.warning("broker_lost", "…", broker=…)`.

The first word names what happened, and is stable; the sentence names its fields in braces, and is
for people. How both are written is `form`'s.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Field = str | int | float | bool | None | Mapping[str, int]
"""The value of a field. Mappings count things by a name, such as refusals by code."""


class Line(NamedTuple):
    """One thing that happened. A tuple, as there may be one for every step of a million customers."""

    event: str  # its name
    sentence: str  # with its fields in braces
    fields: Mapping[str, Field]

    @property
    def message(self) -> str:
        """The sentence as it reads."""
        return self.sentence.format_map(self.fields)


@dataclass(frozen=True, slots=True)
class Said:
    """The lines of one record of Python's logging: most often one, or those of a whole batch."""

    lines: Sequence[Line]

    def __str__(self) -> str:
        return "\n".join(line.message for line in self.lines)


class Teller:
    """What one part of the program says, under the name of its logger."""

    def __init__(self, logger: str) -> None:
        self._log = logging.getLogger(logger)

    def hears(self, level: int) -> bool:
        """Whether anybody wants lines of this level; what only they need may be left undone."""
        return self._log.isEnabledFor(level)

    def debug(self, event: str, sentence: str, **fields: Field) -> None:
        """What only those want to know who change the program."""
        self._say(logging.DEBUG, event, sentence, fields)

    def info(self, event: str, sentence: str, **fields: Field) -> None:
        """What was decided, begun or ended, as it should be."""
        self._say(logging.INFO, event, sentence, fields)

    def warning(
        self, event: str, sentence: str, *, error: BaseException | None = None, **fields: Field
    ) -> None:
        """What somebody should look at; of the error, type and places are shown, never its text."""
        self._say(logging.WARNING, event, sentence, fields, error)

    def error(
        self, event: str, sentence: str, *, error: BaseException | None = None, **fields: Field
    ) -> None:
        """What should not have happened; of the error as in `warning`."""
        self._say(logging.ERROR, event, sentence, fields, error)

    def all(self, level: int, lines: Sequence[Line]) -> None:
        """Many lines at the cost of little more than one."""
        if lines and self.hears(level):
            self._log.log(level, Said(lines), stacklevel=2)

    def _say(
        self,
        level: int,
        event: str,
        sentence: str,
        fields: Mapping[str, Field],
        error: BaseException | None = None,
    ) -> None:
        if self.hears(level):
            line = Line(event, sentence, fields)
            self._log.log(level, Said([line]), exc_info=error, stacklevel=3)
