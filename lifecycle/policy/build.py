"""From what the file says to the records of `domain.policy`: names are resolved here.

A name that does not exist is reported and then taken for the one that was probably meant, so that
one slip does not hide or cause other findings. A draft with errors never leaves the loader.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from lifecycle.domain.builtin import BUILTIN
from lifecycle.domain.policy import (
    INTERACTION,
    After,
    EventType,
    Fact,
    FactKind,
    MessageClass,
    OnCalendar,
    OnEvent,
    OnTransition,
    OutreachRule,
    OwnRhythm,
    Policy,
    Property,
    Rate,
    State,
    TransitionRule,
    UnknownEvents,
    ValueType,
)
from lifecycle.policy.format import ANY
from lifecycle.policy.report import START, Place, Report, did_you_mean, found, nearest, unlisted
from lifecycle.policy.shapes import At, Fields

_SUMMABLE = (ValueType.MONEY, ValueType.NUMBER, ValueType.INT)
_BY_EVENT = (FactKind.COUNT, FactKind.FIRST, FactKind.LAST, FactKind.GAP)
_LEAP_YEAR = 2024
_DEFAULT_AT = time(9, 0)
_DEFAULT_QUANTILE = Decimal("0.5")

Pairs = tuple[tuple[At[str], At[Any]], ...]
Path = tuple[str | int, ...]


@dataclass(slots=True)
class Draft:
    """A policy that may still be wrong, with the place of everything in it."""

    policy: Policy
    places: dict[Path, Place] = field(default_factory=dict)
    holes: bool = False  # a rule is missing here because it could not be read at all

    def place(self, *path: str | int) -> Place:
        """The place of the named thing, or of the nearest thing around it."""
        while path not in self.places and path:
            path = path[:-1]
        return self.places.get(path, START)


def draft(fields: Fields, report: Report) -> Draft:
    return _Builder(fields, report).draft()


class _Builder:
    def __init__(self, fields: Fields, report: Report) -> None:
        self._fields = fields
        self._report = report
        self._places: dict[Path, Place] = {}
        self._holes = False
        self._rule_names: dict[str, Place] = {}

    def draft(self) -> Draft:
        fields = self._fields
        self._timezone: str = fields.value("timezone", "UTC")
        self._currency: str = fields.value("currency", "XXX")
        self._events = self._read_events()
        self._attributes = self._read_attributes()
        self._facts = self._read_facts()
        self._states = self._read_states()
        transitions = self._read_transitions()
        policy = Policy(
            timezone=self._timezone,
            currency=self._currency,
            attributes=self._attributes,
            states=self._states,
            events=self._events,
            facts=tuple(self._facts.values()),
            transitions=transitions,
            outreach=self._read_outreach([rule.name for rule in transitions]),
            rates=self._read_rates(),
            unknown_events=UnknownEvents(fields.value("unknown_events", "refuse")),
            lateness=fields.value("lateness"),
            skew=fields.value("skew", timedelta(minutes=5)),
        )
        return Draft(policy, self._places, self._holes)

    # What customers and events are made of

    def _read_events(self) -> dict[str, EventType]:
        events: dict[str, EventType] = {}
        for name, held in self._pairs("events"):
            self._places["events", name.value] = name.place
            if name.value in BUILTIN:
                self._report.error(
                    name.place,
                    "reserved_name",
                    f"{found(name.value)} as the name of an event type, but it is built in and "
                    "never declared; it may be used in rules and facts as it is",
                )
                continue
            events[name.value] = self._read_event(name.value, held.value)
        return events | BUILTIN  # the author's own first, so that messages name them first

    def _read_event(self, name: str, fields: Fields) -> EventType:
        properties = {}
        for key, kind in fields.value("properties", ()):
            self._places["events", name, key.value] = key.place
            if isinstance(kind.value, Fields):
                # a broken type is reported already; text keeps the rest readable
                properties[key.value] = Property(
                    type=ValueType(kind.value.value("type", "text")),
                    required=kind.value.flag("required"),
                )
            else:
                properties[key.value] = Property(type=ValueType(kind.value))
        currencies = [key for key, held in properties.items() if held.type is ValueType.CURRENCY]
        if len(currencies) > 1:
            self._report.error(
                self._places["events", name, currencies[1]],
                "two_currencies",
                f'found two properties of the type currency, "{currencies[0]}" and '
                f'"{currencies[1]}"; allowed: one, for it says in which currency the event\'s '
                "money is",
            )
        return EventType(
            name=name,
            properties=properties,
            interaction=fields.flag("interaction"),
            strict=fields.flag("strict"),
            labels=_labels(fields),
        )

    def _read_attributes(self) -> dict[str, ValueType]:
        attributes = {}
        for name, kind in self._pairs("attributes"):
            self._places["attributes", name.value] = name.place
            attributes[name.value] = ValueType(kind.value)
        return attributes

    def _read_rates(self) -> tuple[Rate, ...]:
        zone = ZoneInfo(self._timezone)
        rates = []
        for currency, by_day in self._pairs("rates"):
            if currency.value == self._currency:
                self._report.error(
                    currency.place,
                    "rate_of_own_currency",
                    f"{found(currency.value)}, which is the policy's own currency; "
                    "allowed: other currencies",
                )
                continue
            if not by_day.value:
                self._report.error(
                    currency.place,
                    "missing_rate",
                    "found no rate; allowed: at least one date with a rate, such as 2025-01-01: 7.1",
                )
            rates += [
                Rate(currency=currency.value, since=_midnight(day.value, zone), rate=rate.value)
                for day, rate in by_day.value
            ]
        return tuple(sorted(rates, key=lambda rate: (rate.currency, rate.since)))

    # Facts

    def _read_facts(self) -> dict[str, Fact]:
        facts: dict[str, Fact] = {}
        for name, held in self._pairs("facts"):
            self._places["facts", name.value] = name.place
            if name.value in self._attributes:
                line = self._places["attributes", name.value].line
                self._report.error(
                    name.place,
                    "duplicate_name",
                    f"{found(name.value)} as a fact; there is an attribute of that name in line "
                    f"{line}, and guards use bare names, so each may stand once",
                )
            kind, fields = held.value
            fact = self._read_fact(name, FactKind(kind), fields)
            if fact is not None:
                facts[name.value] = fact
        return facts

    def _read_fact(self, name: At[str], kind: FactKind, fields: Fields) -> Fact | None:
        of: At[Any] | None = fields.get(kind.value)
        if of is None:
            return None
        self._places["facts", name.value, kind.value] = of.place
        if kind in _BY_EVENT:
            event = self._event(of, or_interaction=True)
            if event is None:
                return None
            less = fields.get("less")
            return Fact(
                name=name.value,
                kind=kind,
                event=event,
                less_event=self._event(less) if less else None,
                within=fields.value("within"),
                quantile=self._quantile(kind, fields),
            )
        path = self._path(of)
        if path is None:
            return None
        event, prop, kind_of_value = path
        if kind is not FactKind.LATEST and kind is not FactKind.DISTINCT:
            self._summable(kind, of, kind_of_value)
        less_event, less_property = self._less(kind, fields, kind_of_value)
        return Fact(
            name=name.value,
            kind=kind,
            event=event,
            property=prop,
            property_type=kind_of_value,
            less_event=less_event,
            less_property=less_property,
            within=fields.value("within"),
        )

    def _quantile(self, kind: FactKind, fields: Fields) -> Decimal | None:
        if kind is not FactKind.GAP:
            return None
        quantile: Decimal = fields.value("quantile", _DEFAULT_QUANTILE)
        return quantile

    def _summable(self, kind: FactKind, of: At[Any], value: ValueType) -> None:
        if value not in _SUMMABLE:
            event, prop = of.value
            self._report.error(
                of.place,
                "wrong_type",
                f'found "{event}.{prop}", which is {value}; allowed for {kind}: a property of '
                "the type money, number or int",
            )

    def _less(
        self, kind: FactKind, fields: Fields, added: ValueType
    ) -> tuple[str | None, str | None]:
        less = fields.get("less")
        path = self._path(less) if less else None
        if less is None or path is None:
            return None, None
        event, prop, value = path
        if value not in _SUMMABLE:
            self._summable(kind, less, value)
        elif added in _SUMMABLE and value is not added:
            self._report.error(
                less.place,
                "wrong_type",
                f'found "{event}.{prop}", which is {value}; allowed: a property of the type '
                f"{added}, like that which is added up",
            )
        return event, prop

    def _event(self, name: At[str], *, or_interaction: bool = False) -> str | None:
        """An event type that exists, or the one probably meant."""
        if name.value == INTERACTION:
            if or_interaction:
                return INTERACTION
            types = [kind.name for kind in self._events.values() if kind.interaction]
            self._report.error(
                name.place,
                "unknown_event",
                'found "interaction", which only facts may use; allowed here: the event types '
                f"themselves, such as {', '.join(types[:4])}",
            )
            return None
        return self._known("event type", "unknown_event", name, self._events)

    def _path(self, path: At[tuple[str, str]]) -> tuple[str, str, ValueType] | None:
        event_name, prop = path.value
        event = self._event(At(event_name, path.place))
        if event is None:
            return None
        properties = self._events[event].properties
        known = self._known(
            f'property of "{event}"', "unknown_property", At(prop, path.place), properties
        )
        return (event, known, properties[known].type) if known is not None else None

    # States and rules

    def _read_states(self) -> tuple[State, ...]:
        states = []
        for name, held in self._pairs("states"):
            self._places["states", name.value] = name.place
            for key in ("initial", "final"):
                self._places["states", name.value, key] = held.value.place(key, name.place)
            states.append(
                State(
                    name=name.value,
                    labels=_labels(held.value),
                    initial=held.value.flag("initial"),
                    final=held.value.flag("final"),
                )
            )
        return tuple(states)

    def _read_transitions(self) -> tuple[TransitionRule, ...]:
        rules: list[TransitionRule] = []
        held: At[Any] | None = self._fields.get("transitions")
        if held is None:
            self._holes = True
            return ()
        for item in held.value:
            rule = self._read_transition(item, len(rules))
            if rule is None:
                self._holes = True
            else:
                rules.append(rule)
        return tuple(rules)

    def _read_transition(self, item: At[Fields], index: int) -> TransitionRule | None:
        fields, path = item.value, ("transitions", index)
        self._note(path, item)
        trigger = self._transition_trigger(item)
        name = self._rule_name(fields)
        to = self._state(fields["to"]) if "to" in fields else None
        sources = self._sources(fields, to, path)
        if to is None or not sources:
            return None
        return TransitionRule(
            name=name,
            # a trigger that could not be read is reported; the edge still counts for reachability
            trigger=trigger or OnEvent(types=()),
            sources=sources,
            to=to,
            guard=fields.value("when"),
            labels=_labels(fields),
        )

    def _transition_trigger(self, item: At[Fields]) -> OnEvent | After | None:
        fields = item.value
        timed = [key for key in ("after", "since") if key in fields.written]
        if "on" in fields.written and timed:
            self._report.error(
                fields.place(timed[0], item.place),
                "two_kinds",
                f'found "on" and "{timed[0]}" together; a transition is triggered either by '
                "events (on) or by time (after, since)",
            )
            return None
        if "on" in fields:
            types = [self._event(name) for name in fields.value("on")]
            return OnEvent(types=tuple(dict.fromkeys(kind for kind in types if kind is not None)))
        if not timed and "on" not in fields.written:
            self._report.error(
                item.place,
                "missing_key",
                'a transition needs "on" (an event type), or "after" and "since" (a timed check)',
            )
        if len(timed) == 1:
            other = "since" if timed[0] == "after" else "after"
            self._report.error(
                fields.place(timed[0], item.place),
                "missing_key",
                f'found "{timed[0]}" without "{other}"; a timed check needs both, such as '
                "after: 60d, since: last_seen_at",
            )
        return self._after(fields)

    def _after(self, fields: Fields) -> After | None:
        if "after" not in fields or "since" not in fields:
            return None
        wait = self._wait(fields["after"])
        since = self._anchor(fields["since"])
        return After(wait=wait, since=since) if wait is not None and since is not None else None

    def _wait(self, held: At[Any]) -> timedelta | OwnRhythm | None:
        if isinstance(held.value, timedelta):
            return held.value
        fields: Fields = held.value
        if not all(key in fields for key in ("fact", "at_least", "at_most", "otherwise")):
            return None
        fact = self._fact(fields["fact"], (FactKind.GAP,), "as a waiting time")
        if fields.value("at_least") > fields.value("at_most"):
            self._report.error(
                fields["at_most"].place,
                "wrong_bounds",
                "found an at_most that is shorter than at_least; allowed: at_least ≤ at_most",
            )
        if fact is None:
            return None
        return OwnRhythm(
            fact=fact,
            at_least=fields.value("at_least"),
            at_most=fields.value("at_most"),
            otherwise=fields.value("otherwise"),
        )

    def _anchor(self, name: At[str]) -> str | None:
        return self._fact(name, (FactKind.FIRST, FactKind.LAST), "to count from")

    def _fact(self, name: At[str], kinds: tuple[FactKind, ...], purpose: str) -> str | None:
        """A fact of one of these kinds; where none is meant, None."""
        fitting = [fact.name for fact in self._facts.values() if fact.kind in kinds]
        if name.value in fitting:
            return name.value
        fact = self._facts.get(name.value)
        words = " or ".join(kinds)
        if fact is not None:
            what = f'found "{name.value}", which is a {fact.kind}'
        elif name.value in self._attributes:
            what = f'found "{name.value}", which is an attribute'
        else:
            what = f"unknown fact: {found(name.value)}"
        near = nearest(name.value, fitting)
        self._report.error(
            name.place,
            "unknown_fact" if fact is None else "wrong_fact",
            f"{what}; allowed {purpose}: a fact of the kind {words} "
            f"({', '.join(fitting) or 'none is declared'}){did_you_mean(name.value, fitting)}",
        )
        return near

    def _sources(self, fields: Fields, to: str | None, path: Path) -> tuple[str, ...]:
        names: Sequence[At[str]] = fields.value("from", ())
        sources: list[str] = []
        for name in names:
            if name.value == ANY:
                if len(names) > 1:
                    self._report.error(
                        name.place,
                        "any_with_others",
                        'found "any" among other states; allowed: any alone, which means every '
                        "state but the target",
                    )
                sources += [state.name for state in self._states if state.name != to]
                self._places[(*path, "any")] = name.place
                continue
            state = self._state(name)
            if state is None:
                continue
            self._places[(*path, "from", state)] = name.place
            if state == to:
                self._report.error(
                    name.place,
                    "leads_to_itself",
                    f'found "{state}" both in from and as the target; a transition moves: '
                    "take it out of from",
                )
                continue
            sources.append(state)
        return tuple(dict.fromkeys(sources))

    def _state(self, name: At[str]) -> str | None:
        if not self._states:
            return name.value  # that there are no states is one finding, not one a rule
        names = [state.name for state in self._states]
        if name.value == ANY:
            self._report.error(
                name.place,
                "undeclared_state",
                f'found "any" as the target; allowed: one state of {", ".join(names)}',
            )
            return None
        return self._known("undeclared state", "undeclared_state", name, names)

    def _read_outreach(self, transitions: Sequence[str]) -> tuple[OutreachRule, ...]:
        rules: list[OutreachRule] = []
        for item in self._fields.value("outreach", ()):
            rule = self._read_outreach_rule(item, len(rules), transitions)
            if rule is not None:
                rules.append(rule)
        return tuple(rules)

    def _read_outreach_rule(
        self, item: At[Fields], index: int, transitions: Sequence[str]
    ) -> OutreachRule | None:
        fields = item.value
        self._note(("outreach", index), item)
        name = self._rule_name(fields)
        trigger = self._outreach_trigger(fields["on"], transitions) if "on" in fields else None
        delays = self._delays(fields)
        if trigger is None:
            return None
        return OutreachRule(
            name=name,
            trigger=trigger,
            channels=tuple(channel.value for channel in fields.value("channels", ())),
            message_class=MessageClass(fields.value("class", "marketing")),
            guard=fields.value("when"),
            delays=delays,
            settle=fields.value("settle", timedelta(0)),
            expires=fields.value("expires"),
            again_after=fields.value("again_after", timedelta(days=30)),
            labels=_labels(fields),
        )

    def _outreach_trigger(
        self, held: At[tuple[str, Fields]], transitions: Sequence[str]
    ) -> OnTransition | OnEvent | After | OnCalendar | None:
        kind, fields = held.value
        if kind == "after":
            return self._after(fields)
        if kind not in fields:
            return None
        if kind == "calendar":
            return self._calendar(fields)
        if kind == "event":
            names = [self._event(name) for name in fields.value("event")]
            return OnEvent(types=tuple(name for name in names if name is not None))
        names = [
            self._known("transition", "unknown_transition", name, transitions)
            for name in fields.value("transition")
        ]
        return OnTransition(names=tuple(name for name in names if name is not None))

    def _calendar(self, fields: Fields) -> OnCalendar | None:
        day: At[str] = fields["calendar"]
        at = fields.value("at", _DEFAULT_AT)
        if day.value[0].isdigit():
            month, _, number = day.value.partition("-")
            try:
                date(_LEAP_YEAR, int(month), int(number))
            except ValueError:
                self._report.error(
                    day.place,
                    "wrong_date",
                    f"{found(day.value)}; allowed: a month and day that exist, such as "
                    '"12-25" for December 25',
                )
                return None
            return OnCalendar(attribute=None, month_day=(int(month), int(number)), at=at)
        dates = [name for name, kind in self._attributes.items() if kind is ValueType.DATE]
        if day.value in self._attributes and day.value not in dates:
            self._report.error(
                day.place,
                "wrong_type",
                f'found "{day.value}", which is {self._attributes[day.value]}; allowed: an '
                f"attribute of the type date ({', '.join(dates) or 'none is declared'})",
            )
            return None
        known = self._known("date attribute", "unknown_attribute", day, dates)
        return OnCalendar(attribute=known, month_day=None, at=at) if known is not None else None

    def _delays(self, fields: Fields) -> tuple[timedelta, ...]:
        if "delay" in fields.written and "steps" in fields.written:
            self._report.error(
                fields.place("steps", START),
                "two_kinds",
                'found "delay" and "steps" together; a series says each delay in its steps',
            )
        if "steps" not in fields:
            return (fields.value("delay", timedelta(0)),)
        steps: Sequence[At[timedelta]] = fields.value("steps")
        for before, step in pairwise(steps):
            if step.value <= before.value:
                self._report.error(
                    step.place,
                    "steps_order",
                    "found a step that is not later than the one before it; each is measured from "
                    "the cause, so they grow, such as [0d, 3d, 7d]",
                )
        return tuple(step.value for step in steps)

    def _rule_name(self, fields: Fields) -> str:
        held = fields.get("name")
        if held is None:
            return ""
        first = self._rule_names.setdefault(held.value, held.place)
        if first is not held.place:
            self._report.error(
                held.place,
                "duplicate_name",
                f"{found(held.value)} a second time; the first is in line {first.line}, and each "
                "rule (transitions and outreach together) needs a name of its own",
            )
        return str(held.value)

    # Small change

    def _pairs(self, key: str) -> Pairs:
        pairs: Pairs = self._fields.value(key, ())
        return pairs

    def _note(self, path: Path, item: At[Fields]) -> None:
        self._places[path] = item.place
        for key, held in item.value.items():
            self._places[(*path, key)] = held.place

    def _known(self, what: str, code: str, name: At[str], options: Iterable[str]) -> str | None:
        listed = list(options)
        if name.value in listed:
            return name.value
        words = what if what.startswith("undeclared") else f"unknown {what}"
        self._report.error(name.place, code, unlisted(words, name.value, listed))
        return nearest(name.value, listed)


def _labels(fields: Fields) -> dict[str, str]:
    return {language.value: text.value for language, text in fields.value("label", ())}


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """The beginning of that day in the policy's zone, as an instant."""
    try:
        return datetime.combine(day, time(0), zone).astimezone(UTC)
    except OverflowError:  # the year 1, east of Greenwich
        return datetime.combine(day, time(0), UTC)
