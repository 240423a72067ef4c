"""How do systems post? Batch after batch over HTTP, and again until there is an answer.

What was answered is written down by who got the answer: this is the list that the log of events is
held against in the end. Nothing of the program is used here but its interface.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from lifecycle.domain.event import Event
from tests.chaos.material import body

THREADS = 4
TIMEOUT_SECONDS = 20.0  # for an answer; then it is asked for again
AGAIN_SECONDS = 0.05
TOLD_TO_WAIT = frozenset({429, 503, 507})
ANSWERED = frozenset({"accepted", "duplicate"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the program answered with, that it should not have."""

    status: int
    text: str


class Answers:
    """What was answered, by event; and what was not, by what came instead."""

    def __init__(self, log: Path) -> None:
        self._lock = threading.Lock()
        self._log = log.open("a", encoding="utf-8")
        self.accepted: Counter[str] = Counter()  # how often each id was answered to be new
        self.answered: set[str] = set()
        self.instead: Counter[str] = Counter()  # refusals to connect, cut connections, 503
        self.reasons: set[str] = set()  # in words, of 503 and the like
        self.wrong: list[Said] = []
        self.duplicates = 0

    def took(self, results: Sequence[dict[str, str]]) -> None:
        with self._lock:
            for line in results:
                status = line["status"]
                if status not in ANSWERED:
                    self.wrong.append(Said(status=200, text=json.dumps(line)))
                    continue
                name = line["id"]
                self.answered.add(name)
                if status == "accepted":
                    self.accepted[name] += 1
                else:
                    self.duplicates += 1
                self._log.write(f"{status} {name}\n")

    def told_to_wait(self, status: int, reason: str) -> None:
        with self._lock:
            self.instead[f"HTTP {status}"] += 1
            self.reasons.add(reason)

    def got_nothing(self, error: BaseException) -> None:
        with self._lock:
            self.instead[type(error).__name__] += 1

    def was_wrong(self, status: int, text: str) -> None:
        with self._lock:
            self.wrong.append(Said(status=status, text=text))

    def close(self) -> None:
        self._log.close()


class Posters:
    """Threads that post what is left, to any of the addresses, as far as they are let."""

    def __init__(self, ports: Sequence[int], answers: Answers) -> None:
        self._ports = ports
        self._answers = answers
        self._left: deque[list[Event]] = deque()
        self._in_hand = 0  # batches
        self._changed = threading.Condition()
        self._stopping = False
        self._allowed: int | None = None  # events; None: all there are
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"poster-{number}", daemon=True)
            for number in range(THREADS)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def post(self, batches: Iterable[list[Event]]) -> None:
        """These as well; returns at once."""
        with self._changed:
            self._left.extend(batches)
            self._changed.notify_all()

    def allow(self, events: int | None) -> None:
        """So many of those that are left may be posted, to the end of the last batch; None: all."""
        with self._changed:
            self._allowed = events
            self._changed.notify_all()

    @property
    def left(self) -> int:
        """Events that are not answered for yet; batches in hand count as one event."""
        with self._changed:
            return sum(map(len, self._left)) + self._in_hand

    def _run(self, number: int) -> None:
        turn = number
        while batch := self._next():
            content = body(batch)
            while not self._stopping and not self._answered(turn, content):
                turn += 1  # perhaps the next one answers
                time.sleep(AGAIN_SECONDS)
            with self._changed:
                self._in_hand -= 1
                self._changed.notify_all()

    def _next(self) -> list[Event] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._may_post())
            if self._stopping:
                return None
            batch = self._left.popleft()
            self._in_hand += 1
            if self._allowed is not None:
                self._allowed -= len(batch)
            return batch

    def _may_post(self) -> bool:
        return bool(self._left) and (self._allowed is None or self._allowed > 0)

    def _answered(self, turn: int, content: bytes) -> bool:
        """Posts once; whether that was the end of it."""
        port = self._ports[turn % len(self._ports)]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("POST", "/v1/events", content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._answers.got_nothing(error)
            return False
        finally:
            connection.close()
        if response.status == 200:
            self._answers.took(json.loads(text)["results"])
            return True
        if response.status in TOLD_TO_WAIT:
            self._answers.told_to_wait(response.status, json.loads(text)["detail"])
            return False
        self._answers.was_wrong(response.status, text.decode(errors="replace"))
        return True
