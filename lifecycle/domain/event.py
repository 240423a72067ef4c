"""What an event is, and the one order in which events happen; wire formats are `intake`'s."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

OUR_SOURCE = "lifecycle"  # events that this system records itself; outsiders get `reserved_type`
OUR_PREFIX = "lifecycle."
MOVED = "lifecycle.moved"  # an operator's manual move: properties {to, by, why}
REQUESTED = "lifecycle.requested"  # a person asks for a message: properties {outreach: name of the rule, by}
SCORED = (
    "lifecycle.scored"  # new scores: properties {attributes}, which count as in `profile_changed`
)
SENT = "lifecycle.sent"  # a message left: properties {rule, step, channel, message, variant}
FAILED = "lifecycle.failed"  # it did not, and will not: the same, and {code}
UNKNOWN = "lifecycle.unknown"  # nobody knows, and it is not tried again: the same, and {code}
# What a provider reported of a letter that left: properties {rule, step, channel, message, code}.
DELIVERED = "lifecycle.delivered"
BOUNCED = "lifecycle.bounced"  # and {kind}: hard, soft, policy
COMPLAINED = "lifecycle.complained"  # she called it spam
# What came of a letter that is measured: properties {rule, step, channel, message}.
OPENED = "lifecycle.opened"  # she looked at it
CLICKED = (
    "lifecycle.clicked"  # she followed a link: and {link}, its number, and {url}, without its query
)
PREFETCHED = "lifecycle.prefetched"  # a machine fetched it: and {what}: open, click; and {why}
COUNTED = (SENT, FAILED, UNKNOWN, DELIVERED, BOUNCED, COMPLAINED, OPENED, CLICKED)
"""Of ours, those that facts may look at: what became of letters, and nothing that a machine did."""
ABOUT_LETTERS = frozenset({*COUNTED, PREFETCHED})
"""Of ours, all that tell of one letter that was planned: another policy may not have planned it."""


class EventKey(NamedTuple):
    """The total order of events: text compares by code point, which is what Python's str does."""

    occurred_at: datetime
    source: str
    id: str


def key_in(cause: str) -> tuple[str, str] | None:
    """Source and id of the event that a cause names (`Event.cause`); None where it names none."""
    kind, _, named = cause.partition(":")
    if kind != "event":
        return None
    source, _, id = named.partition("|")
    return source.replace("%7C", "|").replace("%25", "%"), id


class Event(NamedTuple):
    """Something that happened to a customer; `(source, id)` names it for ever.

    A named tuple because millions are made: a frozen dataclass costs five times as much to make.
    """

    source: str  # the system that posted it
    id: str  # unique within its source
    customer: str  # the identifier under which it was posted
    type: str  # declared in the policy, built in, or one of ours (`lifecycle.…`)
    occurred_at: datetime  # event time, aware UTC
    received_at: datetime  # when we first saw it, aware UTC
    properties: Mapping[str, Any]  # JSON values only; money as plain decimal text

    @property
    def key(self) -> EventKey:
        return EventKey(self.occurred_at, self.source, self.id)

    @property
    def cause(self) -> str:
        """The text under which steps and messages name this event; unambiguous for any source."""
        source = self.source
        if "|" in source or "%" in source:
            source = source.replace("%", "%25").replace("|", "%7C")
        return f"event:{source}|{self.id}"
