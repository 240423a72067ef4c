"""What does each route ask of whoever calls it? Declared at the route, and published as it is enforced.

A route says it by `openapi_extra`, as OpenAPI's `security`: there is no second list that could
disagree with the document. What declares nothing cannot be served.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts

from lifecycle.domain.scope import Scope

SCHEMES: dict[str, Any] = {
    "key": {"type": "http", "scheme": "bearer", "description": "the key"},
    "key_as_user": {
        "type": "http",
        "scheme": "basic",
        "description": "the key as user name, and any password",
    },
}


class Open(Enum):
    """Needs of a route that are no scope."""

    TO_ALL = auto()  # also to who shows no key
    TO_EVERY_KEY = auto()  # whatever its scopes are
    TO_SIGNED = auto()  # what is asked is signed by itself: a link of ours, a provider's report


Need = Scope | Open


def needs(need: Need) -> dict[str, Any]:
    """The `openapi_extra` of a route that asks for this."""
    if need is Open.TO_ALL:
        return {"security": []}
    if need is Open.TO_SIGNED:
        return {"security": [{}]}  # OpenAPI's way to say that no scheme of these is needed
    scopes = [need.value] if isinstance(need, Scope) else []
    return {"security": [{name: scopes} for name in SCHEMES]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What one route asks for."""

    path: str
    pattern: re.Pattern[str]
    methods: frozenset[str]
    need: Need


def declared(app: FastAPI) -> list[Declared]:
    """Of every route, in the order in which they are looked through; raises where one says nothing."""
    return [_of(route) for route in iter_route_contexts(app.routes)]


def asked_for(routes: Sequence[Declared], method: str, path: str) -> Declared | None:
    """The route of a request; None where there is none, which is for those to learn who have a key."""
    for route in routes:
        if method in route.methods and route.pattern.match(path):
            return route
    return None


def _of(route: RouteContext) -> Declared:
    extra = getattr(route, "openapi_extra", None) or {}
    if "security" not in extra:
        raise LookupError(f"the route {route.path} does not declare what it asks of its callers")
    return Declared(
        path=str(route.path),
        pattern=route.path_regex,
        methods=frozenset(route.methods or ()),
        need=_need(extra["security"]),
    )


def _need(security: Sequence[dict[str, list[str]]]) -> Need:
    if not security:
        return Open.TO_ALL
    if not security[0]:
        return Open.TO_SIGNED
    scopes = security[0][next(iter(SCHEMES))]
    return Scope(scopes[0]) if scopes else Open.TO_EVERY_KEY
