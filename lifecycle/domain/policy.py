"""What a policy says, as plain records: loading and checking a file is `lifecycle.policy`'s work.

Everything here is already valid: names exist, states are declared, guards compile and are boolean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
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
class OnState:
    """When a customer enters a state, whatever brought her there; or has stayed in it for a time."""

    names: tuple[str, ...]
    stayed: timedelta | None = None  # None: on entering; else once for each stay that lasts so long


@dataclass(frozen=True, slots=True, kw_only=True)
class OnCalendar:
    """Once a local date: of a date attribute (month and day of it), or a fixed month and day.

    Exactly one of the three says which.
    """

    attribute: str | None  # e.g. birthday
    month_day: tuple[int, int] | None  # e.g. (12, 25)
    at: time  # local, naive; in a skipped hour the first valid instant after it
    lunar: tuple[int, int] | None = None  # of the Chinese calendar; day 30: the month's last


@dataclass(frozen=True, slots=True, kw_only=True)
class OnRequest:
    """When a person asks for it, for the customers whom she names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionRule:
    name: str
    trigger: OnEvent | After
    sources: tuple[str, ...]  # `from`, with `any` already expanded to every state but the target
    to: str
    guard: str | None = None  # CEL text of `when`
    labels: Mapping[str, str] = field(default_factory=dict)


class Period(StrEnum):
    """A window of the calendar, in the customer's own time zone."""

    DAY = "day"
    WEEK = "week"  # from Monday
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """How many messages a customer gets at most within a window."""

    most: int  # 0: none at all
    window: timedelta | Period  # rolling, (now − window, now]; or of the calendar
    channel: str | None = None  # only messages of this channel count and are held; None: of all
    message_class: MessageClass | None = None  # only those of this class; None: of marketing


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a rule's messages are for. Reached within the time, the rest of a series is not sent."""

    event: str
    within: timedelta  # from the cause


@dataclass(frozen=True, slots=True, kw_only=True)
class OutreachRule:
    name: str  # its messages are known by it
    trigger: OnTransition | OnEvent | OnState | After | OnCalendar | OnRequest
    channels: tuple[str, ...]  # in order of preference
    message_class: MessageClass
    guard: str | None = None
    delays: tuple[timedelta, ...] = (timedelta(0),)  # one a step of the series, from the cause
    settle: timedelta = timedelta(0)  # a correction arriving meanwhile cancels it
    spread: timedelta = timedelta(0)  # over which those due at one instant are spread, by customer
    expires: timedelta | None = None  # from the planned instant; None: never
    again_after: timedelta = timedelta(days=30)
    purpose: str | None = None  # to which she must have consented; None: needs no consent
    states: tuple[str, ...] = ()  # `while`: sent only while she is in one of them; empty: in any
    unless: str | None = None  # CEL text, judged when it is to be sent
    cancel_on: tuple[str, ...] = ()  # event types that cancel it when they happen after the cause
    priority: int = 50  # 0 … 100; the higher one wins where a cap leaves room for one
    cap: Cap | None = None  # of this rule's own messages
    capped: bool = True  # whether the caps of all messages hold for it
    holdout: Decimal = Decimal(0)  # share of customers who do not get it, 0 … 1
    variants: Mapping[str, int] = field(default_factory=dict)  # name → weight; empty: one text
    goal: Goal | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """When marketing stays silent, by the customer's own clock; may go over midnight."""

    since: time  # first silent minute
    until: time  # first minute that is not


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingDays:
    """On which local days marketing speaks."""

    weekdays: frozenset[int]  # 0 is Monday
    holidays: str | None = None  # ISO 3166 country whose public holidays are none; None: no country
    closed: frozenset[date] = frozenset()  # further days that are none
    open: frozenset[date] = frozenset()  # days that are, whatever the rest says


@dataclass(frozen=True, slots=True, kw_only=True)
class Surge:
    """From when on a rule that suddenly queues far more than usual is paused until a person says."""

    within: timedelta = timedelta(minutes=10)
    least: int = 1000  # never for fewer messages than that
    times: int = 10  # as many as usual


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """What holds for the messages of all rules."""

    caps: tuple[Cap, ...] = ()
    quiet: QuietHours | None = None
    working_days: WorkingDays | None = None
    holdout: Decimal = Decimal(0)  # share of customers who get no marketing at all, 0 … 1
    surge: Surge = Surge()


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
    sending: Sending = Sending()

    @property
    def initial(self) -> str:
        return next(state.name for state in self.states if state.initial)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVersion:
    """A policy that was put in force: it judges every event and check from its instant on."""

    number: int  # 1, 2, 3 …
    hash: str  # SHA-256 of the canonical policy, hex
    effective_at: datetime  # the first is BEGINNING; so is one that restates history
    policy: Policy
    withhold_until: datetime | None = None  # of one that restates: what it plans before is not sent
