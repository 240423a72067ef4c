"""What a policy says, as plain records: loading and checking a file is `lifecycle.policy`'s work.

Everything here is already valid: names exist, states are declared, guards compile and are boolean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum


class ValueType(StrEnum):
    """Of an event's property or a customer's attribute."""

    TEXT = "text"
    INT = "int"
    NUMBER = "number"  # a finite decimal, posted as number or text
    MONEY = "money"  # exact decimal in the currency that the event names, else the policy's
    CURRENCY = "currency"  # ISO 4217 code; says in which currency the event's money is
    BOOL = "bool"
    DATE = "date"
    TIMESTAMP = "timestamp"
    ZONE = "zone"  # IANA time zone name


class FactKind(StrEnum):
    COUNT = "count"  # int: how many events; `less` takes one off for each event named
    SUM = "sum"  # double: exact decimal inside; `less` subtracts a money or number property
    FIRST = "first"  # instant of the earliest event
    LAST = "last"  # instant of the newest event
    LATEST = "latest"  # newest value of a property
    MIN = "min"  # smallest value of a number, money or int property
    MAX = "max"
    DISTINCT = "distinct"  # int: how many different values of a property
    GAP = "gap"  # duration: a quantile of the times between consecutive events


class MessageClass(StrEnum):
    MARKETING = "marketing"
    SERVICE = "service"


class UnknownEvents(StrEnum):
    REFUSE = "refuse"
    KEEP = "keep"  # as plain interactions, counted and shown


INTERACTION = "interaction"  # in a fact: any event that counts as interaction

WINDOWED = frozenset(
    {FactKind.COUNT, FactKind.SUM, FactKind.MIN, FactKind.MAX, FactKind.DISTINCT}
)  # kinds that take `within`


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    name: str
    labels: Mapping[str, str]  # language → label
    initial: bool = False
    final: bool = False  # said to have no way out, on purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    type: ValueType
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    name: str
    properties: Mapping[str, Property]
    interaction: bool = False
    strict: bool = (
        False  # properties that are not declared are refused; otherwise kept and warned of
    )
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One number, instant, value or duration kept for every customer."""

    name: str
    kind: FactKind
    event: str  # event type, or INTERACTION
    property: str | None = None  # of sum, latest, min, max, distinct
    property_type: ValueType | None = None  # what the events declare it to be
    less_event: str | None = None
    less_property: str | None = None
    within: timedelta | None = None  # (t − within, t]
    quantile: Decimal | None = None  # of gap, 0 < q ≤ 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OnEvent:
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRhythm:
    """A waiting time taken from the customer's own gap fact, held between bounds."""

    fact: str  # a GAP fact
    at_least: timedelta
    at_most: timedelta
    otherwise: timedelta  # while the fact is empty


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """A timed check: due at anchor + wait, the anchor being a FIRST or LAST fact."""

    wait: timedelta | OwnRhythm
    since: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OnTransition:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OnCalendar:
    """Once a local date: of a date attribute (month and day of it), or a fixed month and day."""

    attribute: str | None  # e.g. birthday
    month_day: tuple[int, int] | None  # e.g. (12, 25)
    at: time  # local, naive; in a skipped hour the first valid instant after it


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionRule:
    name: str
    trigger: OnEvent | After
    sources: tuple[str, ...]  # `from`, with `any` already expanded to every state but the target
    to: str
    guard: str | None = None  # CEL text of `when`
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutreachRule:
    name: str  # its messages are known by it
    trigger: OnTransition | OnEvent | After | OnCalendar
    channels: tuple[str, ...]  # in order of preference
    message_class: MessageClass
    guard: str | None = None
    delays: tuple[timedelta, ...] = (timedelta(0),)  # one a step of the series, from the cause
    settle: timedelta = timedelta(0)  # a correction arriving meanwhile cancels it
    expires: timedelta | None = None  # from the planned instant; None: never
    again_after: timedelta = timedelta(days=30)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How much of the policy's currency one unit of `currency` is worth, from an instant on."""

    currency: str
    since: datetime
    rate: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    timezone: str
    currency: str
    attributes: Mapping[str, ValueType]
    states: tuple[State, ...]
    events: Mapping[str, EventType]  # declared and built in, by name
    facts: tuple[Fact, ...]
    transitions: tuple[TransitionRule, ...]  # file order decides
    outreach: tuple[OutreachRule, ...]
    rates: tuple[Rate, ...] = ()
    unknown_events: UnknownEvents = UnknownEvents.REFUSE
    lateness: timedelta | None = None  # received − occurred at most this; None: no limit
    skew: timedelta = timedelta(minutes=5)  # how far in the future an event may lie when posted

    @property
    def initial(self) -> str:
        return next(state.name for state in self.states if state.initial)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVersion:
    """A policy that was put in force: it judges every event and check from its instant on."""

    number: int  # 1, 2, 3 …
    hash: str  # SHA-256 of the canonical policy, hex
    effective_at: datetime  # the first is BEGINNING
    policy: Policy
