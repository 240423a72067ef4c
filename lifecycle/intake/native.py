"""Reads our own wire format: `{"events": [...]}` into drafts that `engine.accept` can store.

Pure: the policy and the time of receipt are handed in. What is wrong with the whole body is raised;
what is wrong with one event is a value in the batch, so that its neighbours are taken all the same.
Messages of a queue have other envelopes, which are `queued`'s, and the same events in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from lifecycle.domain.builtin import PROFILE_CHANGED
from lifecycle.domain.event import OUR_PREFIX, OUR_SOURCE, Event
from lifecycle.domain.instant import instant_text
from lifecycle.domain.policy import Policy, UnknownEvents
from lifecycle.errors import Problem
from lifecycle.intake.draft import Batch, Draft, Remark
from lifecycle.intake.properties import PropertyReader, profile_hint, unknown_field
from lifecycle.intake.strict_json import (
    KIB,
    LIMITS,
    Limits,
    may_be_unsound,
    scan,
    shown,
    unsound,
    visible,
)
from lifecycle.intake.values import alike, boolean, identifier, timestamp, unlisted

__all__ = [
    "BATCH",
    "EVENT_BYTES",
    "Batch",
    "Draft",
    "Posted",
    "Remark",
    "envelope",
    "kind_of",
    "read_batch",
    "read_events",
    "refuse_too_many",
]

BATCH = 2_500  # events a request
EVENT_BYTES = 32 * KIB  # of one event, as JSON without white space
ID_LENGTH = 200  # characters of the id of an event or a customer
NAME_LENGTH = 100  # of a source and of an event type

EXPLAINED = 100  # refused events of a batch of which more than code and place is told
ALSO = 10  # further things wrong with one event that are told
ALSO_IN_ALL = 200  # of a batch

_FIELDS = ("id", "source", "customer_id", "type", "occurred_at", "properties")
_FIELD_SET = frozenset(_FIELDS)
_OTHER_KEYS = frozenset(
    {"customer", "customerId", "user_id", "userId", "distinct_id", "anonymousId", "anonymous_id"}
)
_EVENT_DEPTH = 3  # of an event in a body: body, events, event


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """Events as they stood in their envelope, each with its place in it; nothing of them is read."""

    events: Sequence[object]
    at: Sequence[str]  # JSON pointers, one an event
    body: bytes  # in which they stood
    backfill: bool = False


def read_batch(
    body: bytes,
    policy: Policy,
    now: datetime,
    default_source: str,
    limits: Limits = LIMITS,
    *,
    request_id: str | None = None,
) -> Batch:
    """Every event of a body as a draft, or as the Problem that keeps it out; `now` is of receipt.

    Raises Problem where the body as a whole cannot be read. Two events of one body may have the
    same id: that is for whoever stores them to judge, as if they had come one after the other.
    """
    posted = envelope(None if _blank(body) else scan(body, limits), body)
    return read_events(posted, policy, now, default_source, limits, request_id=request_id)


def read_events(
    posted: Posted,
    policy: Policy,
    now: datetime,
    default_source: str,
    limits: Limits = LIMITS,
    *,
    request_id: str | None = None,
) -> Batch:
    """The same, of events that were found in whatever envelope."""
    reader = _EventReader(
        policy,
        now,
        default_source,
        backfill=posted.backfill,
        limits=limits,
        request_id=request_id,
    )
    careful = may_be_unsound(posted.body)
    long = len(posted.body) > EVENT_BYTES
    items: list[Draft | Problem] = []
    also: dict[int, list[Problem]] = {}
    refused = told = 0
    for index, event in enumerate(posted.events):
        try:
            if careful and (problem := unsound(event, "", limits, depth=_EVENT_DEPTH)):
                raise problem
            if long:
                _refuse_long(event)
            items.append(reader.read(event))
        except Problem as problem:
            refused += 1
            if refused <= EXPLAINED and told < ALSO_IN_ALL:
                also[index] = reader.also(event, problem)
                told += len(also[index])
            for one in (problem, *also.get(index, ())):
                one.pointer = f"{posted.at[index]}{one.pointer}"
            items.append(problem)
    return Batch(items=items, at=posted.at, also=also)


class _EventReader:
    """Reads the events of one batch; what they share is worked out once."""

    def __init__(
        self,
        policy: Policy,
        now: datetime,
        source: str,
        *,
        backfill: bool,
        limits: Limits,
        request_id: str | None,
    ) -> None:
        self._policy = policy
        self._now = now
        self._latest = now + policy.skew
        limited = policy.lateness is not None and not backfill
        self._earliest = now - policy.lateness if limited and policy.lateness else None
        self._backfill = backfill
        self._limits = limits
        self._request_id = request_id
        self._default_source = source
        self._sources: dict[str, str] = {}  # as posted → as stored
        self._types: dict[str, PropertyReader] = {}  # by name
        self._spellings: dict[str, str] = {}  # customers of this batch, by what is alike in them

    def read(self, posted: object) -> Draft:
        """Raises Problem with a pointer from the event on."""
        fields = _fields(posted, self._policy)
        remarks: list[Remark] = []
        at = "/id"  # what is being read
        try:
            event_id = _event_id(fields.get("id"))
            at = "/source"
            source = self._source(fields.get("source"))
            at = "/type"
            kind = self._type(fields.get("type"), remarks)
            at = "/customer_id"
            customer = self._customer(fields.get("customer_id"), remarks)
            at = "/occurred_at"
            said = fields.get("occurred_at")
            occurred_at = None if said is None else self._occurred_at(said)
            at = "/properties"
            given = fields.get("properties")
            properties = kind.read({} if given is None else given, self._limits, remarks)
            kind.check_rate(properties, occurred_at or self._now)
        except Problem as problem:
            problem.pointer = f"{at}{problem.pointer}"
            raise
        event = Event(
            source=source,
            id=event_id,
            customer=customer,
            type=kind.name,
            occurred_at=occurred_at or self._now,
            received_at=self._now,
            properties=properties,
        )
        return Draft(
            event=event,
            dated=occurred_at is not None,
            backfill=self._backfill,
            too_late=self._earliest is not None and event.occurred_at < self._earliest,
            warnings=tuple(remarks),
            request_id=self._request_id,
        )

    def also(self, posted: object, first: Problem) -> list[Problem]:
        """What else is wrong with an event that was refused, so that it is mended in one go."""
        if not isinstance(posted, dict) or first.code == "limit_exceeded":
            return []
        if unsound(posted, "", self._limits, depth=_EVENT_DEPTH):
            return []  # nothing more is read of it
        found = {(first.code, first.pointer): first}
        for problem in self._faults(posted):
            found.setdefault((problem.code, problem.pointer), problem)
            if len(found) > ALSO:
                break
        return list(found.values())[1:]

    def _faults(self, posted: dict[str, Any]) -> Iterator[Problem]:
        for name in posted:
            if name not in _FIELD_SET:
                yield _unknown_key(name, posted, self._policy)
        said, given = posted.get("occurred_at"), posted.get("properties")
        unknown = _refusal("/type", self._type_reader, posted.get("type"))
        for problem in (
            _refusal("/id", _event_id, posted.get("id")),
            _refusal("/source", self._source, posted.get("source")),
            unknown,
            _refusal("/customer_id", customer_key, posted.get("customer_id")),
            None if said is None else _refusal("/occurred_at", self._occurred_at, said),
        ):
            if problem is not None:
                yield problem
        if unknown is None:
            kind = self._type_reader(posted["type"])
            for problem in kind.faults({} if given is None else given, self._limits):
                problem.pointer = f"/properties{problem.pointer}"
                yield problem

    def _source(self, posted: object) -> str:
        if posted is None:
            return self._default_source
        known = self._sources.get(posted) if isinstance(posted, str) else None
        if known is None:
            known = self._sources[str(posted)] = _source_name(posted)
        return known

    def _type(self, posted: object, remarks: list[Remark]) -> PropertyReader:
        kind = self._types.get(posted) if isinstance(posted, str) else None
        if kind is None:
            kind = self._type_reader(posted)
            self._types[kind.name] = kind
        if not kind.declared:
            kept = f"the policy has no event {shown(kind.name)}; kept as an interaction"
            remarks.append(Remark(code="unknown_event_type", pointer="/type", detail=kept))
        return kind

    def _type_reader(self, posted: object) -> PropertyReader:
        name = _type_name(posted)
        declared = self._policy.events.get(name)
        if declared is None and self._policy.unknown_events is UnknownEvents.REFUSE:
            detail = f"the policy has no event {shown(name)}"
            raise unlisted("unknown_event_type", detail, name, self._policy.events)
        return PropertyReader(name, declared, self._policy)

    def _customer(self, posted: object, remarks: list[Remark]) -> str:
        customer = customer_key(posted)
        if customer != posted:
            kept = f'stored in Unicode form NFC, as "{visible(customer)}"'
            remarks.append(Remark(code="normalised", pointer="/customer_id", detail=kept))
        first = self._spellings.setdefault(alike(customer), customer)
        if first != customer:
            same = f'same_as "{visible(first)}" in this batch but for its spelling; two customers'
            remarks.append(Remark(code="same_as", pointer="/customer_id", detail=same))
        return customer

    def _occurred_at(self, posted: object) -> datetime:
        instant = timestamp(posted, self._policy.timezone)
        if instant > self._latest:
            raise Problem(
                "timestamp_in_future",
                f"this time is still to come (skew {_span(instant - self._now)};"
                f" at most {_span(self._policy.skew)} is allowed)",
                got=shown(posted),
                expected=f"at most {instant_text(self._latest)}",
                hint="check the sender's clock and the offset from UTC",
            )
        return instant


def _refusal(at: str, read: Callable[[Any], object], posted: object) -> Problem | None:
    try:
        read(posted)
    except Problem as problem:
        problem.pointer = f"{at}{problem.pointer}"
        return problem
    return None


def _event_id(posted: object) -> str:
    return identifier(posted, code="event_id", what="the id", longest=ID_LENGTH, spaces=False)


def customer_key(posted: object) -> str:
    """An identifier of a customer as it is stored; raises Problem for what cannot be one."""
    return identifier(
        posted, code="customer_key", what="customer_id", longest=ID_LENGTH, spaces=True
    )


def _source_name(posted: object) -> str:
    name = identifier(posted, code="source", what="the source", longest=NAME_LENGTH, spaces=False)
    if name == OUR_SOURCE:
        raise _reserved(f'the source "{OUR_SOURCE}" is the engine\'s own', name)
    return name


def _type_name(posted: object) -> str:
    name = identifier(posted, code="event_type", what="the type", longest=NAME_LENGTH, spaces=True)
    if name.startswith(OUR_PREFIX) or name == OUR_SOURCE:
        raise _reserved(f'types that begin with "{OUR_PREFIX}" are the engine\'s own', name)
    return name


def _reserved(detail: str, name: str) -> Problem:
    return Problem("reserved_type", detail, got=shown(name), expected="a name of your own")


def _fields(posted: object, policy: Policy) -> dict[str, Any]:
    if not isinstance(posted, dict):
        raise Problem(
            "event_not_object",
            "an event is a JSON object",
            got=kind_of(posted),
            expected="an object with id, customer_id, type and properties",
        )
    if posted.keys() <= _FIELD_SET:
        return posted
    raise _unknown_key(next(key for key in posted if key not in _FIELD_SET), posted, policy)


def _unknown_key(name: str, posted: dict[str, Any], policy: Policy) -> Problem:
    if name in _OTHER_KEYS:
        return _other_key(name, posted)
    problem = unknown_field(name, _FIELDS, "field")
    type_ = posted.get("type")
    declared = policy.events.get(type_) if isinstance(type_, str) else None
    if type_ == PROFILE_CHANGED and (name == "attributes" or name in policy.attributes):
        problem.hint = profile_hint([name], policy)
    elif declared and name in declared.properties:
        problem.hint = f'{shown(name)} is a property of {declared.name}: put it under "properties"'
    return problem


def _other_key(name: str, posted: dict[str, Any]) -> Problem:
    """Somebody else's name for the customer: alone it is a slip, beside ours it may disagree."""
    if "customer_id" not in posted:
        return Problem(
            "customer_key_required",
            "customer_id is missing",
            pointer="/customer_id",
            expected="text of 1 to 200 characters",
            hint=f'there is "{name}"; name it "customer_id"',
        )
    if posted[name] != posted["customer_id"]:
        return Problem(
            "customer_key_conflict",
            f"customer_id and {name} name two different customers",
            status=409,
            pointer=f"/{name}",
            got=f"{shown(posted['customer_id'])} and {shown(posted[name])}",
            expected="customer_id alone",
        )
    return unknown_field(name, _FIELDS, "field")


def _refuse_long(event: object) -> None:
    try:
        size = len(orjson.dumps(event))
    except TypeError:  # nested too deeply to be written, for which it is refused a moment later
        return
    if size > EVENT_BYTES:
        raise Problem(
            "limit_exceeded",
            f"the event is longer than {EVENT_BYTES // KIB} KiB",
            got=f"{size} bytes",
            expected=f"at most {EVENT_BYTES} bytes an event, as JSON without white space",
        )


def _span(time: timedelta) -> str:
    seconds = time.total_seconds()
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{round(seconds / size, 1):g} {unit}"
    return f"{seconds:g} s"


# -- the body as a whole -----------------------------------------------------------------------


def envelope(value: object, body: bytes) -> Posted:
    """The events of `{"events": [...]}`; raises Problem where it is anything else."""
    if not isinstance(value, dict):
        raise Problem(
            "body_not_object",
            "the body is not a JSON object",
            status=400,
            got=kind_of(value),
            expected='{"events": [...]}',
            hint='put the array under "events"' if isinstance(value, list) else None,
        )
    events = value.get("events")
    if not isinstance(events, list) or not events:
        raise Problem(
            "events_required",
            "the body has no events",
            pointer="/events",
            got=kind_of(events) if "events" in value else None,
            expected='{"events": [...]} with at least one event',
            hint=_meant_as_events(value),
        )
    for key in value:
        if key not in {"events", "backfill"}:
            raise unknown_field(key, ("events", "backfill"), "field")
    refuse_too_many(events, "/events")
    try:
        backfill = boolean(value.get("backfill", False))
    except Problem as problem:
        problem.pointer = "/backfill"
        raise
    at = [f"/events/{index}" for index in range(len(events))]
    return Posted(events=events, at=at, body=body, backfill=backfill)


def refuse_too_many(events: Sequence[object], pointer: str) -> None:
    if len(events) > BATCH:
        raise Problem(
            "limit_exceeded",
            f"the batch has more than {BATCH} events",
            status=413,
            pointer=pointer,
            got=f"{len(events)} events",
            expected=f"at most {BATCH} events a request",
            hint="split it into smaller batches",
        )


def _meant_as_events(body: dict[str, Any]) -> str | None:
    if "type" in body:
        return 'put the event into an array under "events"'
    if isinstance(body.get("events"), dict):
        return 'put the event into an array: "events": [{…}]'
    lists = [name for name, value in body.items() if isinstance(value, list)]
    if lists and "events" not in body:
        return f'there is an array under {shown(lists[0])}; name it "events"'
    return None


def _blank(body: bytes) -> bool:
    return not body or body.isspace()


def kind_of(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    return "an object" if isinstance(value, dict) else shown(value)
