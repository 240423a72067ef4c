"""The routes for whoever runs this: is it well, may it be sent requests, what has it done?"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse
from starlette.responses import Response

from lifecycle.domain.scope import Scope
from lifecycle.engine import reading
from lifecycle.engine.readiness import Readiness, Status, readiness
from lifecycle.errors import NotFound, Problem
from lifecycle.web import problems
from lifecycle.web.access import Open, needs
from lifecycle.web.ports import Engine
from lifecycle.web.reads import only
from lifecycle.web.shapes import HealthShape, ReadyShape, check_shapes


def router(engine: Engine) -> APIRouter:
    routes = APIRouter()

    @routes.get(
        "/healthz",
        summary="Is it well?",
        tags=["Operations"],
        response_model=HealthShape,
        responses={503: {"description": "an event has waited for more than 60 seconds"}},
        openapi_extra=needs(Open.TO_ALL),
        dependencies=[Depends(only())],
    )
    def health(request: Request) -> HealthShape | Response:
        """Says how long the oldest event has waited to be applied; 503 after more than a minute."""
        found = reading.health(engine.installation)
        waited = round(found.oldest.total_seconds(), 3) if found.oldest else 0.0
        shape = HealthShape(
            status="overdue" if found.overdue else "ok",
            pending=found.pending,
            oldest_pending_seconds=waited,
            due=found.due,
            dead=found.dead,
            policy_version=found.policy_version,
            schema_revision=found.schema,
            clock=found.clock,
        )
        return problems.response(_overdue(waited), request, _of(shape)) if found.overdue else shape

    @routes.get(
        "/readyz",
        summary="May it be sent requests?",
        tags=["Operations"],
        response_model=ReadyShape,
        responses={503: {"description": "a check failed; `checks` names it"}},
        openapi_extra=needs(Open.TO_ALL),
        dependencies=[Depends(only())],
    )
    def ready(request: Request) -> ReadyShape | Response:
        """Says of each thing that this process depends on how it is; 503 where one of them fails it.

        A broker that is away, and timed checks that fire late, are told and change nothing: events
        are taken in, and applied, without it.
        """
        found = readiness(engine.installation, engine.broker())
        checks = check_shapes(found)
        if found.failed:
            more = {"checks": {name: check.model_dump() for name, check in checks.items()}}
            return problems.response(_unready(found), request, more)
        return ReadyShape(
            status="degraded" if found.status is Status.DEGRADED else "ok", checks=checks
        )

    @routes.get(
        "/metrics",
        summary="What Prometheus collects",
        tags=["Operations"],
        response_class=PlainTextResponse,
        openapi_extra=needs(Scope.OPERATIONS_READ),
        dependencies=[Depends(only())],
    )
    def metrics() -> Response:
        """Counts and durations of this process, and the backlog in the database as of now."""
        page = engine.observer.page(engine.installation, engine.broker())
        if page is None:
            raise NotFound("this process keeps no metrics")
        return Response(page.content, media_type=page.media_type)

    return routes


def _overdue(waited: float) -> Problem:
    return Problem(
        "overdue",
        f"an event has waited for {waited} seconds to be applied",
        status=503,
        got=f"{waited} s",
        expected=f"at most {reading.OVERDUE.total_seconds():g} s",
        hint="are workers running?",
    )


def _unready(found: Readiness) -> Problem:
    first = found.failed[0]
    return Problem(
        "unready",
        "; ".join(f"{check.name}: {check.detail}" for check in found.failed),
        status=503,
        pointer=f"/checks/{first.name}",
        expected="every check ok or degraded",
    )


def _of(shape: HealthShape) -> dict[str, Any]:
    return shape.model_dump(mode="json", exclude={"status"})
