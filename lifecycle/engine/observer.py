"""Who is told what this process has done, so that somebody can count it? Keeping the counts is not ours.

Told once a batch, a post or an answer, after it is committed: never once an event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from lifecycle.engine.installation import Installation
from lifecycle.engine.readiness import Broker
from lifecycle.engine.work import Applied


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What is kept, for a program that collects it."""

    content: bytes
    media_type: str


class Observer(Protocol):
    """Called from many threads; raises nothing, and waits for nobody but in `page`."""

    def took_in(self, way: str, outcomes: Mapping[str, int]) -> None:
        """What became of the events of one post or message, by the way in which they came."""

    def pushed_back(self, key: str, limit: str) -> None:
        """A post was refused for now: the name of its key, or nothing, and that of the bound."""

    def worked(self, kind: str, applied: Applied, seconds: float) -> None:
        """One batch of work, `apply` or `due`, was done in so many seconds of real time."""

    def letter(self, channel: str, outcome: str, seconds: float) -> None:
        """A letter was handed over, or could not be written (`no_text`), in so many seconds."""

    def sends(self, shut: Callable[[], Mapping[str, bool]]) -> None:
        """This process sends; by whichever channel of `shut` it is so, it leaves the provider alone."""

    def answered(self, route: str, status: int, seconds: float) -> None:
        """The answer to an HTTP request began after so many seconds; `route` holds no value of it."""

    def page(self, inst: Installation, broker: Broker) -> Page | None:
        """The counts so far, and the backlog as of now; None where nothing is kept."""


class Unobserved:
    """Keeps nothing: for commands that do one thing and end."""

    def took_in(self, way: str, outcomes: Mapping[str, int]) -> None:
        pass

    def pushed_back(self, key: str, limit: str) -> None:
        pass

    def worked(self, kind: str, applied: Applied, seconds: float) -> None:
        pass

    def letter(self, channel: str, outcome: str, seconds: float) -> None:
        pass

    def sends(self, shut: Callable[[], Mapping[str, bool]]) -> None:
        pass

    def answered(self, route: str, status: int, seconds: float) -> None:
        pass

    def page(self, inst: Installation, broker: Broker) -> Page | None:  # noqa: ARG002 - there is none
        return None
