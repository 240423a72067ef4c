"""Who may come in? Decided before anything of a request is looked at but its head.

As long as no key was ever made, programs of this machine may, by this machine's own names, so that no
web page can reach us under a name of its own. From the first key on, whoever shows a key may that
has the scope that the route asks for, by whatever name.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette import types
from starlette.requests import Request

from lifecycle.domain.scope import Scope
from lifecycle.engine.keyring import FRESH_SECONDS, NOBODY, Caller, Keyring
from lifecycle.errors import LifecycleError, Problem
from lifecycle.logs.failure import told
from lifecycle.logs.lines import Teller
from lifecycle.loopback import NAMES, host_of
from lifecycle.web import problems
from lifecycle.web.access import Declared, Need, Open, asked_for

tell = Teller("lifecycle.web")

CHALLENGES = ('Bearer realm="lifecycle"', 'Basic realm="lifecycle", charset="UTF-8"')


class Keys:
    """The keyring as the event loop uses it: read again by a thread of its own, once for all who wait."""

    def __init__(
        self,
        ring: Keyring,
        complain: problems.Complain,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ring = ring
        self._complain = complain
        self._monotonic = monotonic
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="keys")
        # Of its own: nobody who is at the door waits until a use is written down.
        self._notes = ThreadPoolExecutor(1, thread_name_prefix="key-notes")
        self._reading = asyncio.Lock()
        self._failed: tuple[float, LifecycleError] | None = None  # when, and how

    async def ring(self) -> tuple[Keyring, LifecycleError | None]:
        """The keys as they were a second ago at most; or as last read, and why they are older."""
        if not self._ring.is_fresh():
            arrived = self._monotonic()
            async with self._reading:
                await self._read(arrived)
        return self._ring, None if self._ring.is_fresh() or not self._failed else self._failed[1]

    async def holds(self, caller: Caller) -> bool:
        """Whether an answer that takes long may go on; it may while nobody can be asked."""
        ring, _ = await self.ring()
        return ring.holds(caller)

    def note_use(self, caller: Caller) -> None:
        """In the background, now and then."""
        if self._ring.is_use_to_note(caller):
            self._notes.submit(self._note, caller)

    def stop(self) -> None:
        """Uses that were not written down yet are left out."""
        self._notes.shutdown(cancel_futures=True)
        self._thread.shutdown()

    def _has_just_failed(self) -> bool:
        """So that a database that is away is asked once a second, not once a request."""
        return self._failed is not None and self._monotonic() - self._failed[0] < FRESH_SECONDS

    async def _read(self, arrived: float) -> None:
        """Unless it was read, or tried, while this one waited; however long that took."""
        if self._ring.is_fresh(arrived) or self._has_just_failed():
            return
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self._ring.refresh)
        except LifecycleError as error:
            self._failed = (self._monotonic(), error)
            self._complain("keys_unread", "reading the keys", error)
        else:
            self._failed = None

    def _note(self, caller: Caller) -> None:
        try:
            self._ring.note_use(caller)
        except LifecycleError as error:
            tell.warning(
                "key_use_not_noted",
                "that the key {key} is in use was not written down: {why}",
                key=caller.name,
                why=told(error),
            )


class Door:
    """Lets a request in with its caller in `request.state.caller`, or answers it."""

    def __init__(self, app: types.ASGIApp, keys: Keys, routes: Sequence[Declared]) -> None:
        self._app = app
        self._keys = keys
        self._routes = routes

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        if scope["type"] == "http":
            route = asked_for(self._routes, scope["method"], scope["path"])
            outcome = await self._judge(scope, route.need if route else Open.TO_EVERY_KEY)
            if isinstance(outcome, LifecycleError):
                scope["route"] = route  # at which the refusal is counted
                await _refusal(outcome, scope)(scope, receive, send)
                return
            scope["state"]["caller"] = outcome
        await self._app(scope, receive, send)

    async def _judge(self, scope: types.Scope, need: Need) -> Caller | LifecycleError:
        if need is Open.TO_SIGNED:
            return NOBODY  # under whatever name: customers and providers know us by the public one
        ring, stale = await self._keys.ring()
        host = None if ring.is_any else _foreign_host(scope)
        if ring.is_any is False:
            return _host_problem(host) if host else NOBODY
        if stale is not None and host is not None:
            return stale  # it may be that there are no keys, and then it is nobody of this machine
        if need is Open.TO_ALL:
            return NOBODY
        if stale is not None and (ring.is_any is None or need is not Scope.OPERATIONS_READ):
            # A key that was revoked since must read nothing; but how it is with the database is
            # told also while that is away.
            return stale
        caller = ring.caller(_shown(scope))
        if caller is None:
            return _unknown()
        self._keys.note_use(caller)
        return _lacking(caller, need) or caller


def caller_of(request: Request) -> Caller:
    found: Caller = request.state.caller
    return found


def _shown(scope: types.Scope) -> str:
    """The key of a request, by either scheme; what is none is no key either."""
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    kind, _, rest = (given[0] if len(given) == 1 else b"").decode("latin-1").partition(" ")
    if kind.lower() == "bearer":
        return rest.strip()
    if kind.lower() != "basic":
        return ""
    try:
        return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[0]
    except ValueError:  # neither base64 nor text
        return ""


def _foreign_host(scope: types.Scope) -> str | None:
    """The name under which we were asked, if it is not one of ours; a missing one is not ours."""
    named = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    host = named[0].lower() if len(named) == 1 else ""
    return None if host_of(host) in NAMES else host or "none"


def _refusal(refused: LifecycleError, scope: types.Scope) -> Any:
    problem = problems.problem_of(refused)
    response = problems.response(problem, Request(scope))
    if problem.status == 401:
        for challenge in CHALLENGES:
            response.headers.append("WWW-Authenticate", challenge)
    return response


def _host_problem(host: str) -> Problem:
    return Problem(
        "host_not_allowed",
        "as long as there are no API keys, only programs of this machine are answered",
        status=421,
        got=host[:80],
        expected="a Host header with localhost, 127.0.0.1 or [::1]",
    )


def _unknown() -> Problem:
    """One text for every reason: whoever tries keys learns nothing from it."""
    return Problem(
        "key_unknown",
        "no valid API key was shown",
        status=401,
        expected="Authorization: Bearer <key>, or Basic with the key as user name",
        hint="`lifecycle key create` makes one",
    )


def _lacking(caller: Caller, need: Need) -> Problem | None:
    if not isinstance(need, Scope) or need in caller.scopes:
        return None
    return Problem(
        "scope_missing",
        f"the key {caller.name} has not the scope {need}",
        status=403,
        got=" ".join(sorted(caller.scopes)) or "none",
        expected=need.value,
    )
