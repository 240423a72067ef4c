"""What intake hands on: events fit to be stored, whatever wire format they came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from lifecycle.domain.event import OUR_SOURCE, Event
from lifecycle.errors import Problem

_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z  # instants read as `instant_text` writes them


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something that was taken, and that its sender should know about."""

    code: str  # undeclared_property, unknown_event_type, normalised, same_as
    pointer: str  # within the event
    detail: str


class Draft(NamedTuple):
    """An event that is fit to be stored, unless its id has been seen with other content.

    A tuple, where other records are dataclasses: one is made for every event that comes in, and
    this takes a fifth of the time.
    """

    event: Event
    dated: bool  # the sender said when; otherwise `occurred_at` is the time of receipt
    backfill: bool  # history: exempt from the limit of lateness
    too_late: bool  # judged once, here, by the policy in force
    warnings: tuple[Remark, ...] = ()
    line: int | None = None  # of the file where it stands; none where it came otherwise
    request_id: str | None = None  # of the post, or batch of a queue, by which it came

    @property
    def body_hash(self) -> bytes:
        """SHA-256 of what it says: equal for a repeat, however, whenever and under whatever id it came.

        The time of receipt is no content.
        """
        event = self.event
        said: dict[str, Any] = {
            "customer_id": event.customer,
            "properties": event.properties,
            "type": event.type,
        }
        if self.dated:
            said["occurred_at"] = event.occurred_at
        return sha256(orjson.dumps(said, option=_CANONICAL)).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One outcome an event, in the order in which they were posted."""

    items: list[Draft | Problem]
    at: Sequence[str]  # where each stands in what was posted: JSON pointers
    # what else is wrong with refused ones, by their place in `items`
    also: Mapping[int, Sequence[Problem]] = field(default_factory=dict)


def draft_of_ours(
    id: str,
    customer: str,
    kind: str,
    at: datetime,
    properties: Mapping[str, Any],
    *,
    received_at: datetime | None = None,
) -> Draft:
    """An event that this system records itself; when it did so is no part of what it says.

    `received_at` where it is recorded later than it happened.
    """
    event = Event(
        source=OUR_SOURCE,
        id=id,
        customer=customer,
        type=kind,
        occurred_at=at,
        received_at=received_at or at,
        properties=properties,
    )
    return Draft(event=event, dated=False, backfill=False, too_late=False)
