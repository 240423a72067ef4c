"""`POST /v1/events`: a body in, one answer an event out.

Reading is `intake`'s and storing is `accept`'s; this module brings them together off the event loop,
and says in HTTP what they said.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, assert_never

import orjson
from starlette.requests import Request
from starlette.responses import Response

from lifecycle.domain.instant import instant_text
from lifecycle.engine.accept import Accepted, Conflict, ConflictProblem, Duplicate, Result, TooLate
from lifecycle.engine.group_commit import GroupCommit
from lifecycle.engine.keyring import Caller
from lifecycle.errors import Overloaded, Problem
from lifecycle.intake.native import EXPLAINED, Batch, Draft, read_batch
from lifecycle.intake.strict_json import KIB
from lifecycle.logs.lines import Field
from lifecycle.web import problems
from lifecycle.web.allowance import Allowance, Allowances
from lifecycle.web.body import read_json_body
from lifecycle.web.door import caller_of
from lifecycle.web.ports import Engine

SOURCE = "http"  # of events that name none, where their sender shows no key
WAY = "http"  # in, as it is counted
REPORTED = EXPLAINED  # refused events of one batch; of the others, code and place are told

READERS = 2

Answer = dict[str, Any]
Taken = tuple[Batch, Future[list[Result]] | None]
"""What was read of a post, and where the results will be; None where nothing of it can be stored."""


class Intake:
    """Takes posts in for as long as the server runs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._commits = GroupCommit(engine.accept)
        self._commits.start()
        # Two: while one waits for the database, the other may read a body.
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="intake")
        self._allowances = Allowances(turns=READERS)

    async def post(self, request: Request) -> Response:
        caller = caller_of(request)
        try:
            batch, stored = await self._taken(request, caller)
        except (Problem, Overloaded) as refused:
            if refused.limit is not None:
                self._engine.observer.pushed_back(caller.name or "", refused.limit)
            raise
        results = await asyncio.wrap_future(stored) if stored else []
        told = outcomes(batch, results)
        self._engine.observer.took_in(WAY, told.counts)
        request.state.told = told.summary()
        return answer(request, told)

    def stop(self) -> None:
        """Whatever was begun is finished: nothing that was answered for is lost."""
        self._readers.shutdown()
        self._commits.stop()

    async def _taken(self, request: Request, caller: Caller) -> Taken:
        """As far as the caller's budget and its shares allow; nothing of the body is kept."""
        allowance, request_id = self._allowances.of(caller), problems.request_id_of(request)
        with allowance.holding() as hold:
            begun, events = await allowance.begin(), 1  # what cannot be read counts as one
            try:
                body = await read_json_body(request, hold)
                taken = await self._in_turn(allowance, body, caller, request_id)
                events = len(taken[0].items)
            finally:
                allowance.charge(events, begun)
        return taken

    async def _in_turn(
        self, allowance: Allowance, body: bytes, caller: Caller, request_id: str
    ) -> Taken:
        loop = asyncio.get_running_loop()
        try:
            async with allowance.turns:
                return await loop.run_in_executor(
                    self._readers, self._take, body, caller, request_id
                )
        except (Problem, Overloaded) as refused:
            if refused.limit is not None:
                await allowance.hold_back()
            raise

    def _take(self, body: bytes, caller: Caller, request_id: str) -> Taken:
        self._engine.refuse_if_behind()
        source, policy, now = caller.name or SOURCE, self._engine.policy(), self._engine.now()
        batch = read_batch(body, policy, now, source, request_id=request_id)
        drafts = [item for item in batch.items if isinstance(item, Draft)]
        if not drafts:
            return batch, None
        size = max(len(drafts), len(body) // KIB)
        return batch, self._commits.submit(drafts, lane=caller.key_id, size=size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What became of the events of one post."""

    counts: dict[str, int]  # by status, every status
    lines: list[Answer]  # one an event
    failed: list[Problem]  # of those that are not stored

    def summary(self) -> dict[str, Field]:
        """For the log, by what the program calls it; what there was none of is left out."""
        codes = Counter(problem.code for problem in self.failed)
        counts: dict[str, Field] = {name: count for name, count in self.counts.items() if count}
        return counts | {"codes": codes} if codes else counts


def outcomes(batch: Batch, results: Sequence[Result]) -> Outcomes:
    left = iter(results)
    counts = dict.fromkeys(("accepted", "duplicate", "quarantined", "conflict", "refused"), 0)
    told: list[Answer] = []
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
    more = {**told.counts, "results": told.lines}
    if len(told.failed) == len(told.lines):
        return problems.response(_summary(told.failed), request, more)
    more["request_id"] = problems.request_id_of(request)
    return Response(orjson.dumps(more), media_type="application/json")


def _outcome(result: Result, index: int) -> Answer | Problem:
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


def _duplicate(result: Duplicate, index: int) -> Answer:
    line: Answer = {
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


def _refused(problem: Problem, also: Sequence[Problem] | None, *, explained: bool) -> Answer:
    line: Answer = {"status": "refused"}
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
