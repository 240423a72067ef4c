"""What has been declared so far, and which of it a name in the file stands for.

A name that does not exist is reported and then taken for the one that was probably meant, so that
one slip does not hide or cause other findings. A draft with errors never leaves the loader.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lifecycle.domain.event import COUNTED
from lifecycle.domain.policy import INTERACTION, EventType, Fact, FactKind, State, ValueType
from lifecycle.policy.build.draft import Path
from lifecycle.policy.format import ANY
from lifecycle.policy.records import Fields
from lifecycle.policy.report import Place, Report, did_you_mean, found, nearest, unlisted
from lifecycle.policy.shapes import At


@dataclass(slots=True)
class Names:
    report: Report
    places: dict[Path, Place] = field(default_factory=dict)
    attributes: Mapping[str, ValueType] = field(default_factory=dict)
    events: Mapping[str, EventType] = field(default_factory=dict)  # built in ones last
    facts: Mapping[str, Fact] = field(default_factory=dict)
    states: tuple[State, ...] = ()
    rules: dict[str, Place] = field(default_factory=dict)  # transitions and outreach together
    loose: list[At[str]] = field(default_factory=list)  # guards whose rules could not be read

    def note(self, path: Path, item: At[Fields]) -> None:
        """Remember where a record and each of its keys stand."""
        self.places[path] = item.place
        for key, held in item.value.items():
            self.places[(*path, key)] = held.place

    def lose(self, item: At[Fields]) -> None:
        """A rule cannot be made of this; its guards are to be judged all the same."""
        self.loose += [item.value[key] for key in ("when", "unless") if key in item.value]

    def known(self, what: str, code: str, name: At[str], options: Iterable[str]) -> str | None:
        """The name if it is one of the options; else the one probably meant, with the error told."""
        listed = list(options)
        if name.value in listed:
            return name.value
        self.report.error(name.place, code, unlisted(what, name.value, listed))
        return nearest(name.value, listed)

    def event(self, name: At[str], *, or_interaction: bool = False) -> str | None:
        if name.value == INTERACTION:
            if or_interaction:
                return INTERACTION
            types = [kind.name for kind in self.events.values() if kind.interaction]
            self.report.error(
                name.place,
                "unknown_event",
                'found "interaction", which only facts may use; allowed here: the event types '
                f"themselves, such as {', '.join(types[:4])}",
            )
            return None
        if name.value in COUNTED:  # only where a fact looks may it have been read
            return name.value
        return self.known("unknown event type", "unknown_event", name, self.events)

    def path(self, path: At[tuple[str, str]]) -> tuple[str, str, ValueType] | None:
        """The event type, the property, and the property's type."""
        event_name, written = path.value
        event = self.event(At(event_name, path.place))
        if event is None:
            return None
        properties = self.events[event].properties
        name = self.known(
            f'unknown property of "{event}"',
            "unknown_property",
            At(written, path.place),
            properties,
        )
        return (event, name, properties[name].type) if name is not None else None

    def fact(self, name: At[str], kinds: tuple[FactKind, ...], purpose: str) -> str | None:
        """A fact of one of these kinds."""
        fitting = [fact.name for fact in self.facts.values() if fact.kind in kinds]
        if name.value in fitting:
            return name.value
        fact = self.facts.get(name.value)
        if fact is not None:
            what = f'found "{name.value}", which is a {fact.kind}'
        elif name.value in self.attributes:
            what = f'found "{name.value}", which is an attribute'
        else:
            what = f"unknown fact: {found(name.value)}"
        self.report.error(
            name.place,
            "unknown_fact" if fact is None else "wrong_fact",
            f"{what}; allowed {purpose}: a fact of the kind {' or '.join(kinds)} "
            f"({', '.join(fitting) or 'none is declared'}){did_you_mean(name.value, fitting)}",
        )
        return nearest(name.value, fitting)

    def state(self, name: At[str]) -> str | None:
        if not self.states:
            return name.value  # that there are no states is one finding, not one a rule
        names = [state.name for state in self.states]
        if name.value == ANY:
            self.report.error(
                name.place,
                "undeclared_state",
                f'found "any" as the target; allowed: one state of {", ".join(names)}',
            )
            return None
        return self.known("undeclared state", "undeclared_state", name, names)

    def rule(self, held: At[str] | None) -> str:
        """The rule's own name, which no other rule may have."""
        if held is None:
            return ""  # that it is missing has been told
        first = self.rules.setdefault(held.value, held.place)
        if first is not held.place:
            self.report.error(
                held.place,
                "duplicate_name",
                f"{found(held.value)} a second time; the first is in line {first.line}, and each "
                "rule (transitions and outreach together) needs a name of its own",
            )
        return held.value
