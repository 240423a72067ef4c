"""What the web asks of the rest: `bootstrap.Engine` has it, and so may a few lines of a test."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from lifecycle.bootstrap import Complaints
from lifecycle.domain.policy import Policy
from lifecycle.engine.accept import Result
from lifecycle.engine.feedback import Feedback
from lifecycle.engine.installation import Installation
from lifecycle.engine.observer import Observer
from lifecycle.engine.once import Outcome, Post
from lifecycle.engine.readiness import Broker
from lifecycle.intake.draft import Draft


class Engine(Protocol):
    """Safe to share between threads; every call may wait for the database."""

    @property
    def installation(self) -> Installation:
        """What the read use cases work on."""
        ...

    @property
    def feedback(self) -> Feedback:
        """With what links and reports are recognised."""
        ...

    @property
    def complaints(self) -> Complaints:
        """Who is told of failures that are ours, and logs each once a minute."""
        ...

    @property
    def observer(self) -> Observer:
        """Who counts what came in and was answered."""
        ...

    def policy(self) -> Policy:
        """The policy that judges now."""
        ...

    def now(self) -> datetime: ...

    def broker(self) -> Broker:
        """What this process knows of the broker that carries its rings."""
        ...

    def refuse_if_behind(self) -> None:
        """Raises Overloaded while more events wait to be applied than may."""
        ...

    def accept(self, drafts: Sequence[Draft]) -> list[Result]:
        """One result a draft; durable on return."""
        ...

    def accept_posts(self, posts: Sequence[Post]) -> list[Outcome]:
        """One outcome a post, of which some have a key of their sender; durable on return."""
        ...

    @property
    def rounds(self) -> int:
        """How many rounds of work in this process have changed steps so far."""
        ...

    def wait_for_steps(self, timeout: float, *, since: int | None = None) -> bool:
        """Waits until there are more rounds than `since`, at most `timeout` seconds."""
        ...
