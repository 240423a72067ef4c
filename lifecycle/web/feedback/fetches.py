"""The links and the picture of letters that are measured. Whatever becomes of measuring, she gets where she goes.

A link leads to exactly the place that was signed with it, so it can be made to lead nowhere else. The
picture is the same for everybody, for those with a wrong link as well.
"""

from __future__ import annotations

import asyncio
import base64
from functools import partial

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from lifecycle.engine.fetches import note
from lifecycle.outreach import fetching, tokens
from lifecycle.outreach.fetching import Why
from lifecycle.outreach.tokens import Followed, Looked
from lifecycle.web.access import Open, needs
from lifecycle.web.feedback.pages import invalid, rendered
from lifecycle.web.ports import Engine

PATIENCE_SECONDS = 1.0  # for a database that is slow; it is noted all the same
PICTURE = base64.b64decode(
    "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
)  # 1 by 1, clear
_OF_OTHERS = {"Cross-Origin-Resource-Policy": "cross-origin"}  # web mail shows it among its own

_HOME = "../u"
_BY_LINK = needs(Open.TO_SIGNED)


def router(engine: Engine) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    feedback = engine.feedback
    under_way: set[asyncio.Task[None]] = set()

    async def noted(request: Request, link: Looked | Followed) -> None:
        why = fetching.machine(request.state.method, request.headers)
        noting = asyncio.create_task(run_in_threadpool(partial(_note, engine, link, why)))
        under_way.add(noting)  # the loop itself does not hold on to it
        noting.add_done_callback(under_way.discard)
        await asyncio.wait({noting}, timeout=PATIENCE_SECONDS)

    @routes.get("/r/{token}", openapi_extra=_BY_LINK)
    async def follow(request: Request, token: str) -> Response:
        link = tokens.followed_in(feedback.secret, token)
        if link is None:
            return rendered(request, invalid(_HOME))
        await noted(request, link)
        return Response(status_code=302, headers={"Location": link.target})

    @routes.get("/o/{token}", openapi_extra=_BY_LINK)
    async def look(request: Request, token: str) -> Response:
        link = tokens.looked_in(feedback.secret, token)
        if link is not None:
            await noted(request, link)
        return Response(PICTURE, media_type="image/gif", headers=_OF_OTHERS)

    return routes


def _note(engine: Engine, link: Looked | Followed, why: Why | None) -> None:
    """A failure is told and goes no further: that nothing can be noted is no fault of hers."""
    try:
        note(engine.installation, engine.feedback.secret, link, why)
    except Exception as error:  # noqa: BLE001 - she gets where she goes; the complaint is logged
        engine.complaints.about("fetch_not_noted", "noting what was opened or clicked", error)
