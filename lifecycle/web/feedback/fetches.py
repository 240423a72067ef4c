"""The links and the picture of letters that are measured. Whatever becomes of measuring, she gets where she goes.

A link leads to exactly the place that was signed with it, so it can be made to lead nowhere else. The
picture is the same for everybody, for those with a wrong link as well.
"""

from __future__ import annotations

import asyncio
import base64
from concurrent.futures import Future, ThreadPoolExecutor, wait

from fastapi import APIRouter, Request
from starlette.responses import Response

from lifecycle.engine.fetches import note
from lifecycle.errors import Unavailable
from lifecycle.outreach import fetching, tokens
from lifecycle.outreach.fetching import Why
from lifecycle.outreach.tokens import Followed, Looked
from lifecycle.web.access import Open, needs
from lifecycle.web.feedback.pages import invalid, rendered
from lifecycle.web.ports import Engine

PATIENCE_SECONDS = 1.0  # for a database that is slow; it is noted all the same
WRITERS = 4
MOST_WAITING = 1000  # fetches, beyond which none is noted
LAST_SECONDS = 5.0  # for those that wait when the server ends
PICTURE = base64.b64decode(
    "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
)  # 1 by 1, clear
_OF_OTHERS = {"Cross-Origin-Resource-Policy": "cross-origin"}  # web mail shows it among its own

_HOME = "../u"
_BY_LINK = needs(Open.TO_SIGNED)


class Notes:
    """Notes what is fetched, in threads of its own: what is slow about that holds up nothing else."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="fetches")
        self._waiting: set[Future[None]] = set()

    async def add(self, link: Looked | Followed, why: Why | None) -> None:
        """Returns when it is noted, or has not been for a second, or will not be."""
        if len(self._waiting) >= MOST_WAITING:
            self._complain(Unavailable(f"{MOST_WAITING} wait for the database already"))
            return
        noting = self._writers.submit(self._note, link, why)
        self._waiting.add(noting)
        noting.add_done_callback(self._waiting.discard)
        await asyncio.wait({asyncio.wrap_future(noting)}, timeout=PATIENCE_SECONDS)

    def stop(self) -> None:
        """Those that wait are noted as far as a few seconds allow; the database ends what it has begun."""
        wait(list(self._waiting), timeout=LAST_SECONDS)
        left = sum(noting.cancel() for noting in list(self._waiting))
        if left:
            self._complain(Unavailable(f"{left} still waited for the database at the end"))
        self._writers.shutdown()

    def _note(self, link: Looked | Followed, why: Why | None) -> None:
        """A failure is told and goes no further: that nothing can be noted is no fault of hers."""
        try:
            note(self._engine.installation, self._engine.feedback, link, why)
        except Exception as error:  # noqa: BLE001 - she gets where she goes; the complaint is logged
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        self._engine.complaints.about("fetch_not_noted", "noting what was opened or clicked", error)


def router(engine: Engine, notes: Notes) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    feedback = engine.feedback

    async def noted(request: Request, link: Looked | Followed) -> None:
        await notes.add(link, fetching.machine(request.state.method, request.headers))

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
