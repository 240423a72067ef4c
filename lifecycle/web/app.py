"""Puts the web together: routes, errors, the guard around them; and what lives as long as the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from lifecycle.engine.keyring import Keyring
from lifecycle.errors import LifecycleError
from lifecycle.web import operations, problems, reference
from lifecycle.web.access import declared
from lifecycle.web.door import Door, Keys
from lifecycle.web.events import Intake
from lifecycle.web.feed import Feed
from lifecycle.web.feedback import fetches, reports, wishes
from lifecycle.web.guard import Guard
from lifecycle.web.ports import Engine
from lifecycle.web.reads import router
from lifecycle.web.schema import POST_EVENTS

SUMMARY = "Events in, states, timed checks and outreach out."


def create_app(engine: Engine) -> FastAPI:
    """The engine over HTTP. Threads start and end with the application's lifespan."""
    feed = Feed(engine)
    keys = Keys(Keyring(engine.installation.db), engine.complaints.about)
    notes = fetches.Notes(engine)
    intake: Intake | None = None

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        nonlocal intake
        intake = Intake(engine)
        app.state.feed = feed
        try:
            yield
        finally:
            await feed.stop()
            await asyncio.to_thread(intake.stop)
            await asyncio.to_thread(notes.stop)
            await asyncio.to_thread(keys.stop)

    app = FastAPI(
        title="Customer lifecycle engine",
        summary=SUMMARY,
        version=version("lifecycle-engine"),
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            LifecycleError: problems.on_lifecycle_error(engine.complaints.about),
            HTTPException: problems.on_http_error,
            RequestValidationError: problems.on_invalid_parameter,
        },
    )

    @app.post("/v1/events", **POST_EVENTS)
    async def events(request: Request) -> Response:
        assert intake is not None, "the lifespan has begun"
        return await intake.post(request)

    app.state.company = engine.feedback.company  # for every page that a customer sees
    app.include_router(router(engine, feed, keys))
    app.include_router(operations.router(engine))
    app.include_router(reports.router(engine))
    app.include_router(wishes.router(engine))
    app.include_router(fetches.router(engine, notes))
    app.include_router(reference.router(app))
    app.add_middleware(Door, keys=keys, routes=declared(app))
    app.add_middleware(Guard, observer=engine.observer)  # the last one added comes first
    return app


def feed_of(app: Any) -> Feed:
    """The feed of a running application, for the server to end its streams."""
    found: Feed = app.state.feed
    return found
