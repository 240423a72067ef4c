"""`POST /v1/events`: a body in, one answer an event out.

Reading is `intake`'s and storing is `accept`'s; this module brings them together off the event loop,
and says in HTTP what they said.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, assert_never

import orjson
from starlette.requests import Request
from starlette.responses import Response

from lifecycle.domain.instant import instant_text
from lifecycle.engine import once
from lifecycle.engine.accept import Accepted, Conflict, ConflictProblem, Duplicate, Result, TooLate
from lifecycle.engine.group_commit import GroupCommit
from lifecycle.engine.keyring import Caller
from lifecycle.engine.once import Answer, Keyed, Name
from lifecycle.errors import LifecycleError, Overloaded, Problem, Unavailable
from lifecycle.intake.native import EXPLAINED, Batch, Draft, read_batch
from lifecycle.intake.strict_json import KIB
from lifecycle.logs.lines import Field
from lifecycle.web import idempotency, problems
from lifecycle.web.allowance import Allowance, Allowances
from lifecycle.web.body import read_json_body
from lifecycle.web.door import caller_of
from lifecycle.web.idempotency import InHand
from lifecycle.web.ports import Engine

SOURCE = "http"  # of events that name none, where their sender shows no key
WAY = "http"  # in, as it is counted
REPORTED = EXPLAINED  # refused events of one batch; of the others, code and place are told

READERS = 2

Line = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """On whose behalf, and under which names, a body is taken in."""

    caller: Caller
    request_id: str
    name: Name | None  # None: the sender gave no Idempotency-Key


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """What was read of a post, and where the results will be; None where nothing of it can be stored."""

    batch: Batch
    outcome: Future[Any] | None  # of results, or of what was answered before


@dataclass(frozen=True, slots=True, kw_only=True)
class _Later:
    """Refused for now: nothing of it was stored, and the same may be right when it comes again."""

    refused: LifecycleError


class Intake:
    """Takes posts in for as long as the server runs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._commits = GroupCommit(engine.accept, engine.accept_posts)
        self._commits.start()
        # Two: while one waits for the database, the other may read a body.
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="intake")
        self._allowances = Allowances(turns=READERS)
        self._in_hand = InHand()

    async def post(self, request: Request) -> Response:
        caller = caller_of(request)
        name = idempotency.name_of(request, caller)
        asked = _Asked(caller=caller, request_id=problems.request_id_of(request), name=name)
        try:
            return await self._answer(request, asked)
        except (Problem, Overloaded) as refused:
            if refused.limit is not None:
                self._engine.observer.pushed_back(caller.name or "", refused.limit)
            raise
        finally:
            if name is not None:
                self._in_hand.end(name, asked)

    def stop(self) -> None:
        """Whatever was begun is finished: nothing that was answered for is lost."""
        self._readers.shutdown()
        self._commits.stop()

    async def _answer(self, request: Request, asked: _Asked) -> Response:
        taken = await self._taken(request, asked)
        if isinstance(taken, Answer):
            return _replayed(request, taken)
        results = await self._stored(taken, asked)
        if isinstance(results, Answer):
            return _replayed(request, results)
        told = outcomes(taken.batch, results)
        self._engine.observer.took_in(WAY, told.counts)
        request.state.told = told.summary()
        return answer(request, told)

    async def _taken(self, request: Request, asked: _Asked) -> _Taken | Answer:
        """As far as the caller's budget and its shares allow; nothing of the body is kept."""
        allowance = self._allowances.of(asked.caller)
        with allowance.holding() as hold:
            taken = await self._within_budget(request, asked, allowance, hold)
        if isinstance(taken, _Later):
            if asked.name is not None:
                self._in_hand.end(asked.name, asked)
            await allowance.hold_back()
            raise taken.refused
        return taken

    async def _stored(self, taken: _Taken, asked: _Asked) -> list[Result] | Answer:
        """Once that is durable. What could not be stored is paid for when it comes again."""
        if taken.outcome is None:
            return []
        try:
            results: list[Result] | Answer = await asyncio.wrap_future(taken.outcome)
        except Unavailable:
            self._allowances.of(asked.caller).give_back(len(taken.batch.items))
            raise
        return results

    async def _within_budget(
        self, request: Request, asked: _Asked, allowance: Allowance, hold: Callable[[int], None]
    ) -> _Taken | Answer | _Later:
        """What becomes of the budget: a post pays for its events, what is none of use for one event,
        and what is to come again for nothing, as it pays then."""
        begun = await allowance.begin()
        try:
            body = await read_json_body(request, hold)
            taken = await self._in_turn(allowance, body, asked)
        except BaseException as error:
            if _may_come_again(error):
                allowance.give_back(begun)
            else:
                allowance.charge_unread(begun)
            raise
        if isinstance(taken, _Taken):
            allowance.charge(len(taken.batch.items), begun)
        elif isinstance(taken, _Later):
            allowance.give_back(begun)
        else:
            allowance.charge_unread(begun)
        return taken

    async def _in_turn(
        self, allowance: Allowance, body: bytes, asked: _Asked
    ) -> _Taken | Answer | _Later:
        if asked.name is not None:
            self._in_hand.begin(asked.name, asked)
        loop = asyncio.get_running_loop()
        try:
            async with allowance.turns:
                return await loop.run_in_executor(self._readers, self._take, body, asked)
        except (Problem, Overloaded) as refused:
            if refused.limit is None:
                raise
            return _Later(refused=refused.with_traceback(None))  # which would keep the body

    def _take(self, body: bytes, asked: _Asked) -> _Taken | Answer:
        digest = "" if asked.name is None else hashlib.sha256(body).hexdigest()
        if asked.name is not None:
            before = once.answered(self._engine.installation, asked.name, digest)
            if before is not None:
                return before
        self._engine.refuse_if_behind()
        caller = asked.caller
        source, policy, now = caller.name or SOURCE, self._engine.policy(), self._engine.now()
        batch = read_batch(body, policy, now, source, request_id=asked.request_id)
        drafts = [item for item in batch.items if isinstance(item, Draft)]
        if not drafts:
            return _Taken(batch=batch, outcome=None)
        size = max(len(drafts), len(body) // KIB)
        if asked.name is None:
            stored = self._commits.submit(drafts, lane=caller.key_id, size=size)
            return _Taken(batch=batch, outcome=stored)
        keyed = Keyed(
            name=asked.name,
            request_sha256=digest,
            answer=partial(_to_be_kept, batch, digest, asked.request_id),
        )
        kept = self._commits.submit_keyed(drafts, keyed, lane=caller.key_id, size=size)
        return _Taken(batch=batch, outcome=kept)


def _may_come_again(error: BaseException) -> bool:
    """Whether it was refused for now alone, and not for what it is."""
    return isinstance(error, Unavailable) or (
        isinstance(error, Problem) and error.limit is not None
    )


def _replayed(request: Request, kept: Answer) -> Response:
    """Nothing came in, so nothing is counted."""
    request.state.told = {"replayed": True}
    return idempotency.replayed(kept)


def _to_be_kept(
    batch: Batch, digest: str, request_id: str, results: Sequence[Result]
) -> Answer | None:
    """Nothing where the post is refused."""
    told = outcomes(batch, results)
    if told.are_all_refused:
        return None
    return Answer(request_sha256=digest, status=200, body=content(told, request_id).decode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What became of the events of one post."""

    counts: dict[str, int]  # by status, every status
    lines: list[Line]  # one an event
    failed: list[Problem]  # of those that are not stored

    @property
    def are_all_refused(self) -> bool:
        return len(self.failed) == len(self.lines)

    def summary(self) -> dict[str, Field]:
        """For the log, by what the program calls it; what there was none of is left out."""
        codes = Counter(problem.code for problem in self.failed)
        counts: dict[str, Field] = {name: count for name, count in self.counts.items() if count}
        return counts | {"codes": codes} if codes else counts


def outcomes(batch: Batch, results: Sequence[Result]) -> Outcomes:
    left = iter(results)
    counts = dict.fromkeys(("accepted", "duplicate", "quarantined", "conflict", "refused"), 0)
    told: list[Line] = []
    failed: list[Problem] = []
    for index, item in enumerate(batch.items):
        outcome = item if isinstance(item, Problem) else _outcome(next(left), index)
        if isinstance(outcome, Problem):
            failed.append(outcome)
            line = _refused(outcome, batch.also.get(index), explained=len(failed) <= REPORTED)
        else:
            line = outcome
        if isinstance(item, Draft) and item.warnings:
            line["warnings"] = line.get("warnings", []) + [
                {"code": w.code, "pointer": f"/events/{index}{w.pointer}", "detail": w.detail}
                for w in item.warnings
            ]
        counts[line["status"]] += 1
        told.append(line)
    return Outcomes(counts=counts, lines=told, failed=failed)


def answer(request: Request, told: Outcomes) -> Response:
    """200 if anything of the batch is stored now, whether it was new or not; else a problem."""
    if told.are_all_refused:
        more = {**told.counts, "results": told.lines}
        return problems.response(_summary(told.failed), request, more)
    return Response(content(told, problems.request_id_of(request)), media_type="application/json")


def content(told: Outcomes, request_id: str) -> bytes:
    """Of a 200."""
    return orjson.dumps({**told.counts, "results": told.lines, "request_id": request_id})


def _outcome(result: Result, index: int) -> Line | Problem:
    match result:
        case Accepted():
            return {"status": "accepted", "source": result.source, "id": result.id}
        case Duplicate():
            return _duplicate(result, index)
        case TooLate():
            return {
                "status": "quarantined",
                "source": result.source,
                "id": result.id,
                "code": "too_late",
                "detail": "stored, but not applied: it came later than the policy allows",
            }
        case Conflict():
            return ConflictProblem(result, f"/events/{index}")
        case _:
            assert_never(result)


def _duplicate(result: Duplicate, index: int) -> Line:
    line: Line = {
        "status": "duplicate",
        "source": result.source,
        "id": result.id,
        "first_seen": instant_text(result.first_seen),
    }
    if result.dead:
        detail = (
            f"what was stored then is {result.dead}: it counts for nothing unless it is replayed"
        )
        line["warnings"] = [{"code": result.dead, "pointer": f"/events/{index}", "detail": detail}]
    return line


def _refused(problem: Problem, also: Sequence[Problem] | None, *, explained: bool) -> Line:
    line: Line = {"status": "refused"}
    if isinstance(problem, ConflictProblem):
        line = {
            "status": "conflict",
            "source": problem.conflict.source,
            "id": problem.conflict.id,
            "first_seen": instant_text(problem.conflict.first_seen),
            "differing": problem.conflict.differing,
        }
    if explained:
        line |= problems.body_of(problem)
        if also:
            line["also"] = [problems.members_of(one) for one in also]
        return line
    return line | {"code": problem.code, "pointer": problem.pointer}


def _summary(failed: Sequence[Problem]) -> Problem:
    """One problem for a batch of which nothing was taken: its only one, or what they share."""
    first = failed[0]
    if len(failed) == 1:
        return first
    codes = {problem.code for problem in failed}
    return Problem(
        first.code if len(codes) == 1 else "events_refused",
        f"none of the {len(failed)} events was taken; the first one: {first.detail}",
        status=409 if all(problem.status == 409 for problem in failed) else 422,
        pointer=first.pointer,
        got=first.got,
        expected=first.expected,
        hint=first.hint,
    )
