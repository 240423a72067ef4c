"""Drawing plain values one by one: many times faster than building a strategy for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


class Choices:
    """What was offered first is what Hypothesis shrinks towards."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def number(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))

    def one(self, options: Sequence[T]) -> T:
        return options[self.number(0, len(options) - 1)]

    def some(self, options: Sequence[T]) -> list[T]:
        """At least one of them, in their own order."""
        wanted = self.number(1, 2 ** len(options) - 1)
        return [option for place, option in enumerate(options) if wanted >> place & 1]

    def maybe(self) -> bool:
        return self.number(0, 1) == 1

    def rarely(self) -> bool:
        return self.number(0, 3) == 3
