"""The routes that only read: one customer, her timeline, the log of transitions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from lifecycle.domain.scope import Scope
from lifecycle.engine import reading
from lifecycle.engine.reading import LogEntry, LogFilters
from lifecycle.errors import Problem
from lifecycle.intake.native import ID_LENGTH
from lifecycle.intake.strict_json import shown
from lifecycle.web import problems
from lifecycle.web.access import needs
from lifecycle.web.door import Keys, caller_of
from lifecycle.web.feed import Feed
from lifecycle.web.ports import Engine
from lifecycle.web.shapes import (
    CustomerShape,
    LogShape,
    TimelineShape,
    customer_shape,
    entry_shape,
    log_line,
)

PAGE = 100
HEARTBEAT_LOOKS = 75  # looks without news after which a stream says that it is alive: 15 s
_RETRY_MS = 1000  # a client that was cut off comes back after that

Limit = Annotated[int, Query(ge=1, le=problems.LARGEST_PAGE, description="size of a page")]
CursorParameter = Annotated[
    str | None, Query(max_length=1000, description="the `cursor` of an earlier answer")
]
_FILTERS = ("customer", "state", "rule")


def only(*allowed: str) -> Callable[[Request], None]:
    """Refuses parameters that would be ignored: a misspelt filter must not show everything."""

    def check(request: Request) -> None:
        for name in request.query_params:
            if name not in allowed:
                raise Problem(
                    "field_not_filterable",
                    f"there is no parameter {shown(name)} here",
                    pointer=name[:80],
                    got=shown(name),
                    expected=f"any of {', '.join(allowed)}" if allowed else "none",
                )

    return check


def filters(
    customer: Annotated[str | None, Query(description="only this customer's")] = None,
    state: Annotated[str | None, Query(description="only into or out of this state")] = None,
    rule: Annotated[str | None, Query(description="only by this rule")] = None,
) -> LogFilters:
    for name, value in (("state", state), ("rule", rule)):
        if value is not None and (not value.isprintable() or len(value) > ID_LENGTH):
            raise Problem(
                "invalid_parameter",
                f"{name} cannot be the name of anything",
                pointer=name,
                got=shown(value),
                expected="a name of the policy",
            )
    return LogFilters(customer=customer, state=state, rule=rule)


def router(engine: Engine, feed: Feed, keys: Keys) -> APIRouter:
    routes = APIRouter()

    @routes.get(
        "/v1/customers/{customer_id:path}/timeline",
        summary="What happened to one customer",
        tags=["Customers"],
        openapi_extra=needs(Scope.CUSTOMERS_READ),
        dependencies=[Depends(only("limit", "cursor"))],
    )
    def timeline(
        customer_id: str, limit: Limit = PAGE, cursor: CursorParameter = None
    ) -> TimelineShape:
        """Her events, transitions (the revoked ones too) and planned messages, the latest first."""
        page = reading.timeline(engine.installation, customer_id, limit, cursor)
        return TimelineShape(
            entries=[entry_shape(entry) for entry in page.entries], cursor=page.cursor
        )

    @routes.get(
        "/v1/customers/{customer_id:path}",
        summary="One customer",
        tags=["Customers"],
        openapi_extra=needs(Scope.CUSTOMERS_READ),
        dependencies=[Depends(only())],
    )
    def customer(customer_id: str) -> CustomerShape:
        """Where she is, what is known of her, and what happens next without a new event."""
        return customer_shape(reading.customer(engine.installation, customer_id))

    @routes.get(
        "/v1/transitions",
        summary="The log of transitions",
        tags=["Transitions"],
        openapi_extra=needs(Scope.TRANSITIONS_READ),
        dependencies=[Depends(only("order", "limit", "cursor", *_FILTERS))],
    )
    def transitions(
        wanted: Annotated[LogFilters, Depends(filters)],
        order: Annotated[
            Literal["oldest", "newest"], Query(description="which line comes first")
        ] = "oldest",
        limit: Limit = PAGE,
        cursor: CursorParameter = None,
    ) -> LogShape:
        """Every transition that was made or revoked, in the order in which that became known.

        Without a cursor it begins at the beginning. Go on from the `cursor` of each answer, at once
        while there is `more`, later otherwise: nothing is missed and nothing comes twice. With
        `order=newest` it begins with the latest, and each `cursor` leads further back.
        """
        if order == "newest":
            found, before = reading.earlier(engine.installation, cursor, limit, wanted)
            return LogShape(
                transitions=[log_line(entry) for entry in found],
                cursor=before,
                more=before is not None,
            )
        found, after = _log(engine, cursor, limit, wanted)
        return LogShape(
            transitions=[log_line(entry) for entry in found],
            cursor=after,
            more=len(found) == limit,
        )

    @routes.get(
        "/v1/transitions/stream",
        summary="The log of transitions, live",
        tags=["Transitions"],
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/event-stream": {}}, "description": "until it is closed"}
        },
        openapi_extra=needs(Scope.TRANSITIONS_READ),
        dependencies=[Depends(only("cursor", *_FILTERS))],
    )
    async def stream(
        request: Request,
        wanted: Annotated[LogFilters, Depends(filters)],
        cursor: CursorParameter = None,
        last_event_id: Annotated[
            str | None, Header(max_length=1000, description="sent by browsers that reconnect")
        ] = None,
    ) -> Response:
        """Server-sent events named `made` and `revoked`, each with one line of the log as its data.

        It begins with what happens from now on, or after `Last-Event-ID`, or after `cursor`. After
        a reconnection the lines of one page of the log may come again. It ends when its key does.
        """
        start = last_event_id or cursor
        if start is None:
            start = await run_in_threadpool(reading.log_end, engine.installation, wanted)
        else:  # a wrong one is refused now, not in the middle of a stream
            await run_in_threadpool(_log, engine, start, 1, wanted)
        return StreamingResponse(
            _follow(engine, feed, start, wanted, partial(keys.holds, caller_of(request))),
            media_type="text/event-stream",
        )

    return routes


def _log(
    engine: Engine, cursor: str | None, limit: int, wanted: LogFilters
) -> tuple[list[LogEntry], str]:
    try:
        return reading.transitions(engine.installation, cursor, limit, wanted)
    except Problem as problem:
        problem.pointer = problem.pointer or "cursor"
        raise


async def _follow(
    engine: Engine,
    feed: Feed,
    cursor: str,
    wanted: LogFilters,
    may_go_on: Callable[[], Awaitable[bool]],
) -> AsyncIterator[str]:
    """Lines as they come, until the client goes, its key ends or the server stops.

    The client comes back then, if it may.
    """
    await feed.enter()
    try:
        yield f"retry: {_RETRY_MS}\nid: {cursor}\n\n"
        quiet = 0
        while not feed.ended and await may_go_on():
            looks = feed.looks
            found, cursor = await run_in_threadpool(_log, engine, cursor, PAGE, wanted)
            if found:
                yield _sent(found, cursor)
            elif quiet >= HEARTBEAT_LOOKS:
                yield f": nothing new\nid: {cursor}\n\n"
            quiet = 0 if found or quiet >= HEARTBEAT_LOOKS else quiet + 1
            if len(found) < PAGE:
                await feed.wait(looks)
    finally:
        feed.leave()


def _sent(found: list[LogEntry], cursor: str) -> str:
    """The id stands at the last line: whoever has it has the whole page."""
    lines = [log_line(entry) for entry in found]
    sent = [f"event: {line.line}\ndata: {line.model_dump_json(by_alias=True)}\n" for line in lines]
    return "\n".join(sent) + f"id: {cursor}\n\n"
