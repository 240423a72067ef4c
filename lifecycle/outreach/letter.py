"""What is sent: a message that was planned, once it has a text and somebody to go to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A template, filled in for one customer."""

    text: str  # every channel can show it
    html: str | None = None  # of an e-mail
    subject: str | None = None  # of an e-mail; the title of a task
    preheader: str | None = None  # what a mailbox shows beside the subject
    sender: str | None = None  # named in the settings of the channel; None: its first
    language: str  # in which it is written
    template_hash: str  # SHA-256, in hex, of the files that it was made of
    sha256: str  # of everything above as it was filled in, in hex; measuring comes after it


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    customer: str  # her key
    address: str  # as the channel writes it: an e-mail address, a number, a login; may be empty
    name: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Where the recipient may say what she thinks of messages; signed, and hers alone."""

    unsubscribe: str  # also takes the POST of a one-click unsubscribe
    preferences: str
    survey: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """All that a channel needs to send it."""

    key: str  # lower-case letters, digits and -: the same on every try, and no other message's
    channel: str
    rule: str
    to: Recipient
    content: Rendered
    marketing: bool
    links: Links | None = None  # None: no public address is set
    due_at: datetime | None = None  # of a task: until when it makes sense
    facts: Mapping[str, object] = field(default_factory=dict)
    # plain values: customer, state, rule, step, variant; and by name those of `attributes` and `facts`
