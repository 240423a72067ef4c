"""How is `POST /v1/events` described in the OpenAPI document? It is read by hand, so it is told by hand."""

from __future__ import annotations

from typing import Any

from lifecycle.domain.scope import Scope
from lifecycle.engine.once import KEPT_FOR
from lifecycle.intake.native import BATCH, EVENT_BYTES, ID_LENGTH, NAME_LENGTH
from lifecycle.intake.strict_json import KIB, LIMITS
from lifecycle.web.access import needs
from lifecycle.web.idempotency import PARAMETER, REPLAYED

_EVENT: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id", "customer_id", "type"],
    "properties": {
        "id": {
            "type": "string",
            "maxLength": ID_LENGTH,
            "description": "names the event for ever, within its source; without spaces",
        },
        "source": {
            "type": "string",
            "maxLength": NAME_LENGTH,
            "description": "the system that posts it; left out: the key's name, or `http` without one",
        },
        "customer_id": {
            "type": "string",
            "maxLength": ID_LENGTH,
            "description": "stored in Unicode form NFC",
        },
        "type": {"type": "string", "maxLength": NAME_LENGTH, "description": "one of the policy's"},
        "occurred_at": {
            "description": "RFC 3339 with an offset, or seconds since 1970; left out: now",
            "oneOf": [{"type": "string", "format": "date-time"}, {"type": "number"}],
        },
        "properties": {"type": "object", "description": "as the policy declares them"},
    },
}

_BODY: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["events"],
    "properties": {
        "events": {"type": "array", "minItems": 1, "maxItems": BATCH, "items": _EVENT},
        "backfill": {
            "type": "boolean",
            "default": False,
            "description": "history: exempt from the policy's limit of lateness",
        },
    },
    "example": {
        "events": [
            {
                "id": "1",
                "source": "shop",
                "customer_id": "c1",
                "type": "order_paid",
                "occurred_at": "2026-01-01T09:00:00+08:00",
                "properties": {"amount": "12.50", "currency": "CNY"},
            }
        ]
    },
}

_RESULT: dict[str, Any] = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "status": {"enum": ["accepted", "duplicate", "quarantined", "conflict", "refused"]},
        "source": {"type": "string"},
        "id": {"type": "string"},
        "first_seen": {"type": "string", "format": "date-time"},
        "differing": {"type": "array", "items": {"type": "string"}},
        "warnings": {"type": "array", "items": {"type": "object"}},
        "code": {"type": "string"},
        "pointer": {"type": "string"},
        "detail": {"type": "string"},
        "got": {"type": "string"},
        "expected": {"type": "string"},
        "hint": {"type": "string"},
        "also": {
            "type": "array",
            "items": {"type": "object"},
            "description": "what else is wrong with this event, each with its code and pointer",
        },
    },
}

_COUNTS = ("accepted", "duplicate", "quarantined", "conflict", "refused")

_ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {
        **{name: {"type": "integer"} for name in _COUNTS},
        "results": {"type": "array", "items": _RESULT, "description": "one an event, in order"},
        "request_id": {"type": "string"},
    },
}

_DESCRIPTION = f"""Stores every event of a batch that can be stored, durably before it answers.

Each event is judged by itself: what is wrong with one keeps only that one out. An id that was stored
before with the same content is a `duplicate`, with other content a `conflict`; neither changes
anything, so posting the same batch again is always safe. What came later than the policy allows is
stored aside, `quarantined`.

At most {LIMITS.body_bytes // KIB} KiB and {BATCH} events a request, {EVENT_BYTES // KIB} KiB an event;
`Content-Encoding: gzip` is understood. Too much at once is answered 429 or 503 with `Retry-After`.

With an `Idempotency-Key` the whole answer is the same, too, when the same body is posted again: a 200 is
kept under it for {KEPT_FOR.total_seconds() / 3600:g} hours, for the same API key, and comes again with `{REPLAYED}: true`. What was
refused is not kept."""

_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}

POST_EVENTS: dict[str, Any] = {
    "summary": "Post events",
    "description": _DESCRIPTION,
    "tags": ["Events"],
    "responses": {
        200: {
            "description": "something is stored now, whether it was new or not",
            "content": {"application/json": {"schema": _ANSWER}},
        },
        400: {"description": "the body cannot be read", "content": _PROBLEM},
        401: {"description": "no valid key was shown", "content": _PROBLEM},
        403: {"description": "the key has not the scope", "content": _PROBLEM},
        409: {
            "description": "no event was taken: all are in conflict; or, `in_progress`, a request"
            " with this `Idempotency-Key` is being answered just now",
            "content": _PROBLEM,
        },
        413: {"description": "the body is too large", "content": _PROBLEM},
        415: {"description": "the body is not JSON by its headers", "content": _PROBLEM},
        422: {
            "description": "no event was taken; or the `Idempotency-Key` cannot be used, or was used"
            " for another body",
            "content": _PROBLEM,
        },
        429: {
            "description": "too much of this key for now; `limit` says of what",
            "content": _PROBLEM,
        },
        503: {"description": "try again in a moment", "content": _PROBLEM},
    },
    "openapi_extra": {
        **needs(Scope.EVENTS_WRITE),
        "parameters": [PARAMETER],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}},
    },
}

PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457. `code` is stable; the words are for people.",
    "required": ["type", "title", "status", "code", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "pointer": {"type": "string", "description": "JSON pointer, or line:column"},
        "got": {"type": "string"},
        "expected": {"type": "string"},
        "hint": {"type": "string"},
        "limit": {"type": "string", "description": "which bound was met, where later is not never"},
        "request_id": {"type": "string"},
    },
}
