"""Policies and histories made up by Hypothesis: small, and dense with everything that can collide.

Instants lie on a grid of six hours and often at a wait's or window's length from one another, so
that events tie with events, with due checks and with the edges of windows; ids repeat over sources;
refunds come before purchases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from lifecycle.domain.builtin import BUILTIN
from lifecycle.domain.event import MOVED, OUR_SOURCE, REQUESTED, Event
from lifecycle.domain.instant import BEGINNING
from lifecycle.domain.policy import (
    INTERACTION,
    WINDOWED,
    After,
    EventType,
    Fact,
    FactKind,
    MessageClass,
    OnCalendar,
    OnEvent,
    OnRequest,
    OnState,
    OnTransition,
    OutreachRule,
    OwnRhythm,
    Policy,
    PolicyVersion,
    Property,
    Rate,
    State,
    TransitionRule,
    UnknownEvents,
    ValueType,
)
from tests.properties.choices import Choices
from tests.properties.guards import (
    Guard,
    about_bool,
    about_duration,
    about_instant,
    about_int,
    about_number,
    about_presence,
    about_share,
    about_tags,
    about_text,
    about_time,
    combined,
    not_empty,
)

STEP = timedelta(hours=6)
LONG = 100  # steps of the grid that a history spans: twenty-five days
LENGTHS = (4, 1, 2, 8, 12, 20, 40)  # of waits and windows, in steps
MICROSECOND = timedelta(microseconds=1)
# Around a new year, leap days that are there or not, a spring forward and a fall back
STARTS = (
    datetime(2025, 12, 20, tzinfo=UTC),
    datetime(2026, 2, 20, tzinfo=UTC),
    datetime(2028, 2, 20, tzinfo=UTC),
    datetime(2026, 10, 20, tzinfo=UTC),
)
ZONES = ("UTC", "Asia/Shanghai", "America/New_York", "Australia/Lord_Howe", "Pacific/Kiritimati")
CURRENCIES = {"CNY": 2, "JPY": 0, "KWD": 3, "USD": 2, "EUR": 2}  # with their minor units
ITEMS = ("tea", "cup", "壶")
TIERS = ("gold", "silver")
HUGE, TINY = (
    "-987654321098765432109876543210",
    f"0.{'0' * 28}1",
)  # added up, they have more digits than most sums
UNKNOWN = "newsletter_shared"  # kept as an interaction, where no version declares it otherwise

ORDER = EventType(
    name="order_paid",
    properties={
        "amount": Property(type=ValueType.MONEY),
        "currency": Property(type=ValueType.CURRENCY),
        "item": Property(type=ValueType.TEXT),
        "pieces": Property(type=ValueType.INT),
        "weight": Property(type=ValueType.NUMBER),
        "gift": Property(type=ValueType.BOOL),
        "wanted_at": Property(type=ValueType.TIMESTAMP),
        "wanted_on": Property(type=ValueType.DATE),
    },
    interaction=True,
)
REFUND = EventType(
    name="order_refunded",
    properties={
        "amount": Property(type=ValueType.MONEY),
        "currency": Property(type=ValueType.CURRENCY),
    },
)
CLOSED = EventType(name="account_closed", properties={})
EVENTS = MappingProxyType({**BUILTIN, **{e.name: e for e in (ORDER, REFUND, CLOSED)}})
ATTRIBUTES = MappingProxyType(
    {
        "birthday": ValueType.DATE,
        "timezone": ValueType.ZONE,
        "tier": ValueType.TEXT,
        "strategic": ValueType.BOOL,
        "level": ValueType.INT,
        "points": ValueType.NUMBER,
        "member_since": ValueType.DATE,
    }
)
TRIGGERS = ("order_paid", "order_refunded", "account_closed", "page_viewed", "tag_added")
SEEN = (*TRIGGERS, INTERACTION)
HAPPENING = (
    *("order_paid", "order_refunded", "order_paid", "account_closed", "page_viewed"),
    *("order_paid", "order_paid", "profile_changed", "tag_added", "tag_removed"),
    *("survey_answered", "order_refunded", UNKNOWN, MOVED),
    *("consent_given", "consent_withdrawn", REQUESTED),
)
MAILS = tuple(f"mail_{number}" for number in range(4))
# Days of the Chinese calendar that fall into or near the spans of `STARTS`, with a last day
LUNAR = ((11, 1), (11, 15), (12, 1), (12, 30), (1, 3), (1, 15), (2, 2), (2, 30), (9, 9), (10, 1))
NUMERIC = ("amount", "pieces", "weight")
ANCHORS = ("first_at", "last_at", "seen_at")


@dataclass(frozen=True)
class World:
    """What policies and histories must agree on."""

    start: datetime
    currency: str
    states: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Made:
    """Policies in the order in which they take effect, and what their guards mean."""

    world: World
    versions: list[PolicyVersion]
    meanings: Mapping[str, Guard]

    def __repr__(self) -> str:
        """Only what differs from one to the next: what a reader of a failure wants to see."""
        lines = [f"{self.world}"]
        for version in self.versions:
            of = version.policy
            lines.append(f"version {version.number} from {version.effective_at:%Y-%m-%d %H:%M}:")
            lines.append(f"  {of.timezone}")
            lines += [f"  {_brief(fact)}" for fact in of.facts]
            lines += [f"  {_brief(rule)}" for rule in of.transitions]
            lines += [f"  {_brief(rule)}" for rule in of.outreach]
        return "\n".join(lines)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def judge(self, guard: str, values: Mapping[str, Any]) -> bool:
        return self.meanings[guard].holds(values)


def _brief(thing: Fact | TransitionRule | OutreachRule) -> str:
    """A record without the fields that stand at their defaults."""
    told = [f"{f.name}={getattr(thing, f.name)}" for f in fields(thing) if _set(thing, f.name)]
    return f"{type(thing).__name__}({', '.join(told)})"


def _set(thing: Fact | TransitionRule | OutreachRule, name: str) -> bool:
    return getattr(thing, name) not in (None, {}, timedelta(0), timedelta(days=30))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    choose = Choices(draw)
    return World(
        start=choose.one(STARTS),
        currency=choose.one(("CNY", "JPY", "KWD")),
        states=tuple(f"s{number}" for number in range(choose.number(3, 5))),
    )


@st.composite
def policies(
    draw: st.DrawFn, world: World, versions: int = 1, events: Sequence[Event] = ()
) -> Made:
    """Policies over the same states, events and attributes; rules and facts share their names.

    Later versions often take effect when something happens, or when something else is due.
    """
    choose = Choices(draw)
    later = sorted({_instant(choose, world.start, events) for _ in range(versions - 1)})
    effective = [BEGINNING, *later]
    meanings: dict[str, Guard] = {}
    made = [
        PolicyVersion(
            number=number,
            hash=str(number),
            effective_at=since,
            policy=_PolicyMaker(choose, world, meanings).policy(),
        )
        for number, since in enumerate(effective, start=1)
    ]
    return Made(world, made, meanings)


class _PolicyMaker:
    """Draws one policy and writes down what its guards mean."""

    def __init__(
        self,
        choose: Choices,
        world: World,
        meanings: dict[str, Guard],
    ) -> None:
        self.choose = choose
        self.start = world.start
        self.currency = world.currency
        self.states = world.states
        self.meanings = meanings

    def policy(self) -> Policy:
        choose = self.choose
        self.facts = self.made_facts()
        rules = [
            self.timed_rule(f"rule_{n}") if choose.rarely() else self.event_rule(f"rule_{n}")
            for n in range(choose.one((1, 2, 3, 4, 5, 6, 7)))
        ]
        named = tuple(rule.name for rule in rules)
        return Policy(
            timezone=choose.one(ZONES),
            currency=self.currency,
            attributes=ATTRIBUTES,
            states=tuple(State(name=s, labels={}, initial=s == "s0") for s in self.states),
            events=self.events(),
            facts=tuple(self.facts),
            transitions=tuple(rules),
            outreach=tuple(
                self.outreach(name, named) for name in MAILS[: choose.one((0, 1, 2, 3, 4))]
            ),
            rates=(
                Rate(currency="USD", since=BEGINNING, rate=Decimal("7.1234")),
                Rate(currency="USD", since=self.start + timedelta(days=12), rate=Decimal("0.5")),
                Rate(currency="EUR", since=BEGINNING, rate=Decimal("0.25")),
            ),
            unknown_events=UnknownEvents.KEEP,
        )

    def events(self) -> Mapping[str, EventType]:
        """Mostly the same; what one version declares may be unknown to another."""
        if not self.choose.rarely():
            return EVENTS
        shared = EventType(name=UNKNOWN, properties={}, interaction=self.choose.maybe())
        return EVENTS | {UNKNOWN: shared}

    def length(self) -> timedelta:
        return self.choose.one(LENGTHS) * STEP

    # Facts

    def made_facts(self) -> list[Fact]:
        """One of every anchor and a rhythm, so that any check can be made, and some of any kind."""
        return [
            Fact(name="orders", kind=FactKind.COUNT, event="order_paid"),
            Fact(name="first_at", kind=FactKind.FIRST, event=self.choose.one(TRIGGERS)),
            Fact(name="last_at", kind=FactKind.LAST, event="order_paid"),
            Fact(name="seen_at", kind=FactKind.LAST, event=INTERACTION),
            self.gap("rhythm"),
            *(self.any_fact(f"fact_{number}") for number in range(self.choose.number(0, 5))),
        ]

    def gap(self, name: str) -> Fact:
        quantile = Decimal(self.choose.one(("0.5", "0.1", "0.9", "1", "0.34")))
        event = self.choose.one((*SEEN, INTERACTION, "order_paid"))
        return Fact(name=name, kind=FactKind.GAP, event=event, quantile=quantile)

    def any_fact(self, name: str) -> Fact:
        choose = self.choose
        kind = choose.one(tuple(FactKind))
        if kind is FactKind.GAP:
            return self.gap(name)
        within = self.length() if kind in WINDOWED and choose.maybe() else None
        less = choose.maybe()
        if kind in {FactKind.COUNT, FactKind.FIRST, FactKind.LAST}:
            less_event = choose.one(TRIGGERS) if kind is FactKind.COUNT and less else None
            event = choose.one([seen for seen in SEEN if seen != less_event])
            return Fact(name=name, kind=kind, event=event, less_event=less_event, within=within)
        any_property = kind in {FactKind.LATEST, FactKind.DISTINCT}
        prop = choose.one(tuple(ORDER.properties) if any_property else NUMERIC)
        less = less and kind is FactKind.SUM and prop == "amount"
        return Fact(
            name=name,
            kind=kind,
            event="order_paid",
            property=prop,
            property_type=ORDER.properties[prop].type,
            less_event="order_refunded" if less else None,
            less_property="amount" if less else None,
            within=within,
        )

    # Guards

    def when(self, *, often: bool = False) -> str | None:
        if not (self.choose.maybe() if often else self.choose.rarely()):
            return None
        guard = combined(self.choose, self.atom)
        self.meanings[guard.text] = guard
        return guard.text

    def atom(self) -> Guard:
        choose = self.choose
        match choose.number(0, 18):
            case 12:
                return about_number(choose, "points")
            case 11:
                return about_instant(choose, "member_since")
            case 10:
                return about_tags(choose)
            case 9:
                return about_time(choose, self.start)
            case 8:
                return about_text(choose, "tier", TIERS)
            case 7:
                return about_bool(choose, "strategic")
            case 6:
                return about_int(choose, "level")
            case 5:
                return about_presence(choose, choose.one(("birthday", "tier", "first_at")))
            case _:
                fact = choose.one(self.facts)
                guard = about_fact(choose, fact)
                return not_empty(fact.name, guard) if choose.maybe() else guard

    # Rules

    def after(self) -> After:
        since = self.choose.one(ANCHORS)
        if not self.choose.rarely():
            return After(wait=self.length(), since=since)
        low, high = (
            (STEP, 40 * STEP) if self.choose.maybe() else sorted([self.length() for _ in "ab"])
        )
        rhythm = OwnRhythm(fact="rhythm", at_least=low, at_most=high, otherwise=self.length())
        return After(wait=rhythm, since=since)

    def event_rule(self, name: str) -> TransitionRule:
        choose = self.choose
        to = choose.one(self.states)
        others = [state for state in self.states if state != to]
        return TransitionRule(
            name=name,
            trigger=OnEvent(types=tuple(dict.fromkeys([choose.one(TRIGGERS) for _ in range(2)]))),
            sources=tuple(others if choose.maybe() else choose.some(others)),
            to=to,
            guard=self.when(),
        )

    def timed_rule(self, name: str) -> TransitionRule:
        """Always to a later state of the list, so that no chain of checks closes a circle."""
        to = self.choose.number(1, len(self.states) - 1)
        return TransitionRule(
            name=name,
            trigger=self.after(),
            sources=tuple(self.choose.some(self.states[:to])),
            to=self.states[to],
            guard=self.when(often=True),
        )

    def outreach(self, name: str, rules: Sequence[str]) -> OutreachRule:
        choose = self.choose
        waits = [choose.number(0, 8) for _ in range(choose.number(1, 3))]
        return OutreachRule(
            name=name,
            trigger=self.trigger(rules),
            channels=("email",),
            message_class=choose.one(tuple(MessageClass)),
            guard=self.when(),
            delays=tuple(wait * STEP for wait in sorted(set(waits))),
            expires=timedelta(days=7) if choose.maybe() else None,
        )

    def trigger(
        self, rules: Sequence[str]
    ) -> OnTransition | OnEvent | OnState | After | OnCalendar | OnRequest:
        choose = self.choose
        match choose.number(0, 7):
            case 7:
                return OnRequest()
            case 6:
                at = choose.one((time(9), time(0), time(23, 30)))
                return OnCalendar(attribute=None, month_day=None, lunar=choose.one(LUNAR), at=at)
            case 5:
                return OnState(names=tuple(choose.some(self.states)), stayed=self.length())
            case 4:
                return OnState(names=tuple(choose.some(self.states)))
            case 0:
                return OnTransition(names=tuple(choose.some(rules)))
            case 1:
                return OnEvent(types=(choose.one(TRIGGERS),))
            case 2:
                return self.after()
            case _:
                named = "birthday" if choose.maybe() else None
                date = self.start + choose.number(0, LONG) * STEP
                return OnCalendar(
                    attribute=named,
                    month_day=None if named else (date.month, date.day),
                    at=choose.one((time(9), time(0), time(2, 30))),
                )


def about_fact(choose: Choices, fact: Fact) -> Guard:
    match fact.kind, fact.property_type:
        case ((FactKind.COUNT | FactKind.DISTINCT), _):
            about = about_share if choose.rarely() else about_int
            return about(choose, fact.name)
        case (FactKind.SUM, _) | (_, (ValueType.MONEY | ValueType.NUMBER)):
            return about_number(choose, fact.name)
        case ((FactKind.FIRST | FactKind.LAST), _) | (_, (ValueType.TIMESTAMP | ValueType.DATE)):
            return about_instant(choose, fact.name)
        case (FactKind.GAP, _):
            return about_duration(choose, fact.name)
        case (_, ValueType.INT):
            return about_int(choose, fact.name)
        case (_, ValueType.BOOL):
            return about_bool(choose, fact.name)
        case _:
            return about_text(choose, fact.name, (*ITEMS, "CNY"))


@st.composite
def horizons(draw: st.DrawFn, world: World, events: Sequence[Event] = ()) -> datetime:
    """Any time up to long after the last event, often a wait's or window's length after one."""
    choose = Choices(draw)
    if events and choose.maybe():
        return choose.one(events).occurred_at + choose.one((0, *LENGTHS)) * STEP
    return world.start + (2 * LONG - choose.number(0, 2 * LONG)) * STEP


@st.composite
def histories(
    draw: st.DrawFn, world: World, *, customer: str = "anna", most: int = 16
) -> list[Event]:
    """Events of one customer, in no order."""
    choose = Choices(draw)
    posted: Counter[str] = Counter()
    events: list[Event] = []
    for _ in range(choose.number(0, most)):
        type_ = choose.one(HAPPENING)
        ours = type_ in {MOVED, REQUESTED}
        source = OUR_SOURCE if ours else choose.one(("shop", "Shop", "a|b%"))
        posted[source] += 1
        at = _instant(choose, world.start, events)
        events.append(
            Event(
                source=source,
                id=str(posted[source]),
                customer=customer,
                type=type_,
                occurred_at=at,
                received_at=at,
                properties=_properties(choose, type_, world),
            )
        )
    return events


def _instant(choose: Choices, start: datetime, before: Sequence[Event]) -> datetime:
    if not before or choose.maybe():
        return start + choose.number(0, LONG) * STEP
    known = choose.one(before).occurred_at
    return known + choose.one((0, *LENGTHS)) * STEP + choose.one((0, 0, 0, 1)) * MICROSECOND


def _properties(choose: Choices, type_: str, world: World) -> dict[str, Any]:
    def attribute(*values: Any) -> Any:
        return choose.one((*values, None))

    told: dict[str, Any] = {}
    match type_:
        case "order_paid":
            told = _money(choose, world.currency) | {
                "item": choose.one(ITEMS),
                "pieces": choose.number(-1, 4),
                "weight": choose.one(("0.5", "0.50", "10", "9.99", "-1", HUGE, TINY)),
                "gift": choose.maybe(),
                "wanted_at": choose.one(("2026-01-05T00:00:00Z", "2026-03-01T06:30:00Z")),
                "wanted_on": choose.one(("2026-01-05", "2026-03-01", "2028-02-29")),
            }
        case "order_refunded":
            told = _money(choose, world.currency)
        case "profile_changed":
            attributes = {
                "birthday": attribute("1992-02-29", "2000-01-05", "1985-10-25", "1990-03-08"),
                "timezone": attribute(*ZONES),
                "tier": attribute(*TIERS),
                "strategic": attribute(True, False),
                "level": attribute(0, 1, 2, 3),
                "points": attribute("10", "9.99", "30.25", "-10.5"),
                "member_since": attribute("2025-12-25", "2026-10-25", "2028-02-29"),
            }
            return {"attributes": {k: attributes[k] for k in choose.some(tuple(attributes))}}
        case "tag_added" | "tag_removed":
            return {"tag": choose.one(("vip", "trial"))}
        case "consent_given" | "consent_withdrawn":
            purpose = choose.one(("marketing", "survey"))
            return {"purpose": purpose, "channel": choose.one(("all", "email", "sms"))}
        case _ if type_ == REQUESTED:
            return {"outreach": choose.one((*MAILS, "none_such")), "by": "olga"}
        case "survey_answered":
            return {"score": choose.one(("1", "4.5"))}
        case _ if type_ == MOVED:
            states = (*world.states, "nowhere")
            return {"to": choose.one(states), "by": "olga", "why": "asked"}
    return {name: told[name] for name in choose.some(tuple(told))} if told else {}


def _money(choose: Choices, own: str) -> dict[str, str]:
    """An amount, always with its currency unless that is the policy's."""
    currency = choose.one((own, "USD", "EUR"))
    minor = choose.one((1000, 0, 1, 2, 3, 999, 3025, 5000))
    amount = f"{Decimal(minor).scaleb(-CURRENCIES[currency]):f}"
    return {"amount": amount} | ({} if currency == own else {"currency": currency})


@dataclass(frozen=True, repr=False)
class Case:
    """One customer's history under some policies, looked at from an instant."""

    policies: Made
    events: list[Event]
    until: datetime
    stops: list[datetime]  # before `until`

    def __repr__(self) -> str:
        names = ("source", "id", "type", "occurred_at", "properties")
        told = [", ".join(f"{getattr(event, name)}" for name in names) for event in self.events]
        stops = [f"{stop}" for stop in self.stops]
        return "\n".join([f"{self.policies}", *told, f"stops {stops}", f"until {self.until}"])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


@st.composite
def cases(draw: st.DrawFn, versions: int = 1) -> Case:
    """The history before the policy: what is drawn last is most often left at its simplest."""
    world = draw(worlds())
    events = draw(histories(world))
    until = draw(horizons(world, events))
    stops = [draw(horizons(world, events)) for _ in range(Choices(draw).number(0, 4))]
    made = draw(policies(world, versions, events))
    return Case(made, events, until, [stop for stop in stops if stop < until])
