"""Reads messages of queues: the entries of a Redis stream and the bodies of AMQP messages.

The events in them are `native`'s, with the same limits and the same errors; only what stands around
them differs. Pointers lead into the message: `/event/id` in an entry, `/id` in a body that is one
event. As there, what is wrong with a whole message is raised, and with one event is a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from lifecycle.domain.policy import Policy
from lifecycle.errors import Problem
from lifecycle.intake.draft import Batch
from lifecycle.intake.native import Posted, envelope, kind_of, read_events, refuse_too_many
from lifecycle.intake.properties import unknown_field
from lifecycle.intake.strict_json import LIMITS, Limits, scan, shown

REDIS_SOURCE = "redis"  # of events of a stream that name none
AMQP_SOURCE = "amqp"  # of events of a queue that name none

ENTRY_FIELDS = ("event", "events", "backfill")


Fields = Sequence[tuple[bytes, bytes]]
"""Of an entry, in their order; Redis lets a name come twice, and nothing may get lost by it."""


def read_entry(
    fields: Fields,
    policy: Policy,
    now: datetime,
    limits: Limits = LIMITS,
    *,
    request_id: str | None = None,
) -> Batch:
    """An entry of a stream: `event` with one JSON object, or `events` with an array of them.

    Beside it may stand `backfill` with `true`. The entry's own id names nothing: who adds an entry
    again because the answer was lost gets another one.
    """
    given = _given(fields)
    name = _holding(given)
    backfill = _flag(given.get("backfill", b"false"))
    body = given[name]
    try:
        value = scan(body, limits)
        posted = _one(value, body) if name == "event" else _several(value, body)
    except Problem as problem:
        problem.pointer = _below(name, problem.pointer)
        raise
    at = [f"/{name}{pointer}" for pointer in posted.at]
    posted = replace(posted, at=at, backfill=backfill)
    return read_events(posted, policy, now, REDIS_SOURCE, limits, request_id=request_id)


def read_message(
    body: bytes,
    message_id: str | None,
    policy: Policy,
    now: datetime,
    limits: Limits = LIMITS,
    *,
    request_id: str | None = None,
) -> Batch:
    """The body of an AMQP message: one event, an array of them, or what HTTP takes.

    `message_id` is the id of an event that stands alone and has none: unlike an entry's, it is the
    sender's own and comes again when the message is sent again.
    """
    value = scan(body, limits) if body.strip() else None
    if isinstance(value, dict) and "events" in value:
        posted = envelope(value, body)
    elif isinstance(value, list):
        posted = _several(value, body)
    else:
        posted = _one(_named(value, message_id), body)
    return read_events(posted, policy, now, AMQP_SOURCE, limits, request_id=request_id)


def _named(value: object, message_id: str | None) -> object:
    if isinstance(value, dict) and message_id is not None and value.get("id") is None:
        return value | {"id": message_id}
    return value


def _one(value: object, body: bytes) -> Posted:
    if not isinstance(value, dict):
        raise Problem(
            "event_not_object",
            "an event is a JSON object",
            got=kind_of(value),
            expected="an object with id, customer_id, type and properties",
        )
    return Posted(events=[value], at=[""], body=body)


def _several(value: object, body: bytes) -> Posted:
    if not isinstance(value, list) or not value:
        raise Problem(
            "events_required",
            "there are no events",
            got=kind_of(value),
            expected="an array with at least one event",
        )
    refuse_too_many(value, "")
    return Posted(events=value, at=[f"/{index}" for index in range(len(value))], body=body)


def _given(fields: Fields) -> dict[str, bytes]:
    given: dict[str, bytes] = {}
    for key, value in fields:
        name = key.decode(errors="replace")
        if name not in ENTRY_FIELDS:
            raise unknown_field(name, ENTRY_FIELDS, "field")
        if name in given:
            raise Problem(
                "duplicate_key",
                f'the field "{name}" is there twice in one entry',
                status=400,
                pointer=f"/{name}",
                expected="every field once; several events go into `events`, as an array",
            )
        given[name] = value
    return given


def _holding(given: Mapping[str, bytes]) -> str:
    """Which of the two fields holds the events; exactly one must."""
    holding = [name for name in given if name != "backfill"]
    if len(holding) == 1:
        return holding[0]
    raise Problem(
        "events_required",
        "an entry holds either `event` or `events`",
        got=" and ".join(holding) or None,
        expected="one field: `event` with a JSON object, or `events` with an array",
    )


def _flag(text: bytes) -> bool:
    if text in {b"true", b"false"}:
        return text == b"true"
    raise Problem(
        "expected_boolean",
        "this is neither true nor false",
        pointer="/backfill",
        got=shown(text.decode(errors="replace")),
        expected="true or false",
    )


def _below(field: str, pointer: str) -> str:
    """A pointer into the text of a field; a line and column stand in the words of the problem."""
    return f"/{field}{pointer}" if pointer.startswith("/") else f"/{field}"
