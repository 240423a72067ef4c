"""What tests of both queues share: an engine whose intake can be watched and disturbed, posts in
disorder, and the question how often each event was stored."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from lifecycle.bootstrap import Complaints, Engine
from lifecycle.domain.policy import Policy
from lifecycle.engine.accept import Result
from lifecycle.intake.draft import Draft
from lifecycle.store import customers, events
from tests.intake.bad_input import event

PATIENCE = 30  # seconds until a condition that does not come is given up on

Post = dict[str, Any]


def until(condition: Callable[[], object], what: str) -> None:
    """Returns as soon as it holds, and fails when it does not come to hold."""
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        pause.wait(0.005)


@contextlib.contextmanager
def consuming(stop: threading.Event, *consumers: Callable[[], None]) -> Iterator[None]:
    """These take events in, a thread each, while the block runs; what they raise is raised."""
    raised: list[BaseException] = []

    def run(consumer: Callable[[], None]) -> None:
        try:
            consumer()
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            raised.append(error)

    threads = [threading.Thread(target=run, args=(each,)) for each in consumers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a consumer does not stop"
    assert not raised, raised


class Watched:
    """An engine that tells each event that it is asked to store to `before`, which may raise."""

    def __init__(self, engine: Engine, before: Callable[[Draft], object]) -> None:
        self._engine = engine
        self._before = before
        self.complaints = Complaints()
        self.observer = engine.observer

    def policy(self) -> Policy:
        return self._engine.policy()

    def now(self) -> datetime:
        return self._engine.now()

    def refuse_if_behind(self) -> None:
        self._engine.refuse_if_behind()

    def accept(self, drafts: Sequence[Draft]) -> list[Result]:
        for draft in drafts:
            self._before(draft)
        return self._engine.accept(drafts)


def posts(count: int, *, customers: int = 7) -> list[Post]:
    return [event(id=f"e{n}", customer_id=f"c{n % customers}") for n in range(count)]


def in_disorder(some: Sequence[Post], *, repeats: float = 0.2, seed: int = 1) -> list[Post]:
    """Shuffled, with so many of them twice."""
    chance = random.Random(seed)
    told = [*some, *chance.sample(list(some), int(len(some) * repeats))]
    chance.shuffle(told)
    return told


def stored(engine: Engine) -> list[str]:
    """The ids of all events that wait to be applied, sorted; these engines apply nothing."""
    with engine.db.read() as tx:
        rows = customers.ids_after(tx, 0, 10_000)
        waiting = events.pending_of(tx, rows)
    return sorted(one.event.id for found in waiting.values() for one in found)


def ids(some: Sequence[Post]) -> list[str]:
    return sorted(str(one["id"]) for one in some)
