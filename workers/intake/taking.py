"""What becomes of the messages that a queue delivers? Each is stored, or refused with every reason.

How messages come and are acknowledged is the business of whoever drives this; here they are stored,
and when this returns, it is durable. A database that is away is waited for: it is no reason to refuse.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar, assert_never

import orjson

from lifecycle.bootstrap import Complaints
from lifecycle.domain.policy import Policy
from lifecycle.engine.accept import Accepted, Conflict, ConflictProblem, Duplicate, Result, TooLate
from lifecycle.engine.observer import Observer
from lifecycle.errors import LifecycleError, Problem, digest_of
from lifecycle.intake.draft import Batch, Draft
from lifecycle.logs import context
from lifecycle.logs.lines import Teller

tell = Teller("lifecycle")

AT_ONCE = 1_000  # events a commit; a single message may hold more
LONE_TRIES = 3  # of a message whose storing raises, before it is refused
EXPLAINED_BYTES = 32 * 1024  # of the refusals of one message; of more, the first are told
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between looks for a database that is away

T = TypeVar("T")


class Read(Protocol):
    """Reads one message; raises Problem where it cannot be read as a whole."""

    def __call__(self, *, policy: Policy, now: datetime, request_id: str) -> Batch: ...


Pause = Callable[[float], None]
"""Waits so many seconds; raises Stopped when the consumer is to stop."""


class Stopped(Exception):
    """Told to stop while a message was in hand: it is left to the next consumer."""


class Engine(Protocol):
    """What is needed of `bootstrap.Engine`."""

    @property
    def complaints(self) -> Complaints: ...
    @property
    def observer(self) -> Observer: ...
    def policy(self) -> Policy: ...
    def now(self) -> datetime: ...
    def refuse_if_behind(self) -> None: ...
    def accept(self, drafts: Sequence[Draft]) -> list[Result]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an event of a message, or the whole of it, is refused; pointers lead into the message."""

    problem: Problem
    also: Sequence[Problem] = ()  # what else is wrong with it


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of one message; it may be acknowledged now."""

    counts: Counter[str]  # of its events: accepted, duplicate, quarantined
    refused: tuple[Refusal, ...]  # the others


class Taker:
    """Stores messages; used by one thread."""

    def __init__(self, engine: Engine, pause: Pause, *, way: str, named: str) -> None:
        self._engine = engine
        self._way = way  # in, as it is counted
        self._named = named  # where the messages come from, for the log
        self._pause = pause

    def ready(self) -> None:
        """Returns when the database answers and has room for events. Until then it is better to take
        nothing in hand: who waits with a message looks like one more victim of it."""
        self._patiently(self._engine.now)
        self._patiently(self._engine.refuse_if_behind)

    def take(self, reads: Sequence[Read]) -> list[Taken]:
        """One outcome a message, in their order; run twice, the second time finds duplicates."""
        request_id, begun = secrets.token_hex(8), time.perf_counter()
        with context.about(request_id=request_id):
            policy = self._patiently(self._engine.policy)
            now = self._patiently(self._engine.now)
            batches = [self._batch(read, policy, now, request_id) for read in reads]
            taken: list[Taken] = []
            for some in _together(batches):
                taken += self._stored(some)
            outcomes = _outcomes(taken)
            self._engine.observer.took_in(self._way, outcomes)
            tell.info(
                "batch_taken",
                "{messages} messages of {way} in {ms} ms",
                way=self._way,
                messages=len(taken),
                ms=round((time.perf_counter() - begun) * 1000, 1),
                **outcomes,
            )
            _tell_refused(self._named, taken)
            return taken

    def _batch(self, read: Read, policy: Policy, now: datetime, request_id: str) -> Batch | Problem:
        try:
            return read(policy=policy, now=now, request_id=request_id)
        except Problem as problem:
            return problem
        except Exception as error:  # noqa: BLE001 - a defect of ours must not stop the queue
            return self._defect(error)

    def _stored(self, batches: Sequence[Batch | Problem]) -> Iterator[Taken]:
        """In one commit; where that raises, in one each, so that a defect harms no neighbour."""
        try:
            results = iter(self._accept([draft for batch in batches for draft in _drafts(batch)]))
        except Stopped:
            raise
        except Exception as error:  # noqa: BLE001 - told once it is known whose it is
            if len(batches) > 1:
                for batch in batches:
                    yield from self._stored([batch])
            else:
                yield self._alone(batches[0], error)
            return
        for batch in batches:
            yield _taken(batch, results)

    def _alone(self, batch: Batch | Problem, error: Exception) -> Taken:
        for _ in range(LONE_TRIES - 1):
            try:
                return _taken(batch, iter(self._accept(_drafts(batch))))
            except Stopped:
                raise
            except Exception as again:  # noqa: BLE001 - as above
                error = again
        return _taken(self._defect(error), iter(()))

    def _accept(self, drafts: list[Draft]) -> list[Result]:
        return self._patiently(lambda: self._engine.accept(drafts)) if drafts else []

    def _patiently(self, do: Callable[[], T]) -> T:
        pause = FIRST_PAUSE
        while True:
            try:
                return do()
            except Problem:
                raise
            except LifecycleError as error:  # of the installation, not of the message
                self._engine.complaints.about("intake_failed", "taking events from a queue", error)
            self._pause(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _defect(self, error: Exception) -> Problem:
        self._engine.complaints.about("message_failed", "taking a message of a queue", error)
        return Problem(
            "internal_error",
            f"the engine failed in a way that nobody foresaw; its log has more under {digest_of(error)}",
            status=500,
            hint="post the same events again: what was stored already is recognised by its id",
        )


def told(refused: Sequence[Refusal]) -> list[dict[str, Any]]:
    """Refusals for whoever looks at the message later; as many of them as there is room for."""
    lines: list[dict[str, Any]] = []
    room = EXPLAINED_BYTES
    for refusal in refused:
        line: dict[str, Any] = _members(refusal.problem)
        if refusal.also:
            line["also"] = [_members(problem) for problem in refusal.also]
        room -= len(orjson.dumps(line))
        if room < 0:
            break
        lines.append(line)
    return lines


def _members(problem: Problem) -> dict[str, Any]:
    members = {
        "code": problem.code,
        "pointer": problem.pointer,
        "message": problem.detail,
        "got": problem.got,
        "expected": problem.expected,
        "hint": problem.hint,
    }
    return {name: value for name, value in members.items() if value}


def _tell_refused(queue: str, taken: Sequence[Taken]) -> None:
    """One line a batch, with codes and counts and nothing of what was posted."""
    codes = Counter(refusal.problem.code for one in taken for refusal in one.refused)
    if codes:
        tell.warning(
            "messages_refused",
            "{queue}: {refused} of {messages} messages refused ({why})",
            queue=queue,
            refused=sum(bool(one.refused) for one in taken),
            messages=len(taken),
            why=", ".join(f"{code} {count}" for code, count in codes.most_common()),
        )


def _outcomes(taken: Sequence[Taken]) -> Counter[str]:
    """Of all events; a message that cannot be read at all counts as one that is refused."""
    counts: Counter[str] = Counter()
    for one in taken:
        counts += one.counts
        for refusal in one.refused:
            conflicts = isinstance(refusal.problem, ConflictProblem)
            counts["conflict" if conflicts else "refused"] += 1
    return counts


def _drafts(batch: Batch | Problem) -> list[Draft]:
    if isinstance(batch, Problem):
        return []
    return [item for item in batch.items if isinstance(item, Draft)]


def _together(batches: Sequence[Batch | Problem]) -> Iterator[list[Batch | Problem]]:
    """Neighbours for one commit each."""
    some: list[Batch | Problem] = []
    events = 0
    for batch in batches:
        more = len(_drafts(batch))
        if some and events + more > AT_ONCE:
            yield some
            some, events = [], 0
        some.append(batch)
        events += more
    if some:
        yield some


def _taken(batch: Batch | Problem, results: Iterator[Result]) -> Taken:
    """Takes as many of the results as the message has events that were fit to be stored."""
    if isinstance(batch, Problem):
        return Taken(counts=Counter(), refused=(Refusal(problem=batch),))
    counts: Counter[str] = Counter()
    refused: list[Refusal] = []
    for index, item in enumerate(batch.items):
        outcome = item if isinstance(item, Problem) else next(results)
        match outcome:
            case Problem():
                refused.append(Refusal(problem=outcome, also=batch.also.get(index, ())))
            case Conflict():
                refused.append(Refusal(problem=ConflictProblem(outcome, batch.at[index])))
            case Accepted():
                counts["accepted"] += 1
            case Duplicate():
                counts["duplicate"] += 1
            case TooLate():
                counts["quarantined"] += 1
            case _:
                assert_never(outcome)
    return Taken(counts=counts, refused=tuple(refused))
