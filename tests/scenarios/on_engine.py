"""A life on the real engine: events come in as JSON, the clock is moved by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import orjson

from lifecycle.domain.event import MOVED, OUR_SOURCE, Event
from lifecycle.domain.instant import instant_from, instant_text
from lifecycle.engine import reading
from lifecycle.engine.accept import Conflict, Result, accept
from lifecycle.engine.digest import digest
from lifecycle.engine.explain.gather import explain
from lifecycle.engine.installation import Installation
from lifecycle.engine.move import move
from lifecycle.errors import Problem
from lifecycle.intake.native import read_batch
from lifecycle.store import customers, events, steps
from tests.scenarios.driver import ANNA, Planned, Told, day, in_time, number_of
from tests.support import engine


class Revoked(NamedTuple):
    name: str
    day: float
    by: str | None  # id of the event that overturned it


class Fate(NamedTuple):
    rule: str
    day: float  # for which it was planned
    fate: str
    reason: str | None


class EngineLife:
    def __init__(self, inst: Installation) -> None:
        self.inst = inst
        self._now = day(0)

    # What happens

    def post(self, *events: Event, at: float) -> None:
        for answer in self.try_to_post(*events, at=at):
            assert not isinstance(answer, (Problem, Conflict)), answer

    def try_to_post(self, *events: Event, at: float) -> Sequence[Result | Problem]:
        """One answer an event; what the engine records itself goes its own way in."""
        self.reach(at)
        for event in (event for event in events if event.type == MOVED):
            to, by, why = (event.properties[name] for name in ("to", "by", "why"))
            move(self.inst, event.customer, to, by=by, why=why)
        ours = [event for event in events if event.source == OUR_SOURCE and event.type != MOVED]
        if ours:
            engine.post(self.inst, *ours)
        posted = [event for event in events if event.source != OUR_SOURCE]
        body = orjson.dumps({"events": [_wire(event) for event in posted]})
        items = read_batch(body, self.inst.policy(), self._now, "shop").items if posted else []
        taken = accept(self.inst, [item for item in items if not isinstance(item, Problem)])
        following = iter(taken)
        answers = [item if isinstance(item, Problem) else next(following) for item in items]
        engine.work(self.inst)
        return answers

    def reach(self, on: float) -> None:
        self._now = max(self._now, day(on))
        engine.reach(self.inst, self._now)

    def send(self) -> None:
        """What is queued for her leaves now."""
        engine.send(self.inst, self._now, ANNA)

    # What came of it

    def steps(self) -> list[Told]:
        return engine.made(self.inst)

    def told(self) -> list[dict[str, Any]]:
        with self.inst.db.read() as tx:
            customer_id = customers.find(tx, ANNA)
            rows = steps.live(tx, [customer_id]).get(customer_id, [])
        names = ("rule", "from_state", "to_state", "cause", "by", "why")
        return [{name: getattr(row.step, name) for name in names} for row in rows]

    def revoked(self) -> list[Revoked]:
        rows = engine.revoked(self.inst)
        with self.inst.db.read() as tx:
            known = events.by_row_ids(tx, {row.revoked_by for row in rows if row.revoked_by})
        ids = {row_id: stored.event.id for row_id, stored in known.items()}
        return [
            Revoked(row.step.rule, number_of(row.step.at), ids.get(row.revoked_by or 0))
            for row in rows
        ]

    def refused(self) -> list[Told]:
        return list(self._came_to("refused"))

    def not_applicable(self) -> list[Told]:
        return list(self._came_to("no_transition"))

    def _came_to(self, outcome: str) -> Iterator[Told]:
        """As `lifecycle explain` tells it."""
        for chapter in explain(self.inst, ANNA).to_json()["chapters"]:
            if chapter["outcome"] and chapter["outcome"]["outcome"] == outcome:
                event = chapter["event"]
                name = event["type"] if event else chapter["cause"].split(":")[1].split("@")[0]
                yield Told(name, number_of(instant_from(chapter["at"])))

    def state(self) -> str:
        return engine.state(self.inst)

    def fact(self, name: str) -> Any:
        return reading.customer(self.inst, ANNA).facts[name]

    def consents(self) -> dict[str, bool]:
        return dict(reading.customer(self.inst, ANNA).consents)

    def next_check(self) -> Told | None:
        following = reading.customer(self.inst, ANNA).next
        return Told(following.name, number_of(following.at)) if following else None

    def messages(self) -> list[Planned]:
        live = [row.message for row in engine.message_rows(self.inst) if row.live]
        planned = [Planned(message.rule, number_of(message.planned_at)) for message in live]
        return sorted(planned, key=in_time)

    def fates(self) -> list[Fate]:
        """Of every message ever planned."""
        return [Fate(*row) for row in engine.planned(self.inst)]

    def not_before(self, rule: str) -> timedelta:
        """How long after day 0 the live message of a rule may leave at the earliest."""
        (row,) = [r for r in engine.message_rows(self.inst) if r.live and r.message.rule == rule]
        return row.not_before - day(0)

    def digest(self) -> object:
        return digest(self.inst, self._now)


def _wire(event: Event) -> dict[str, Any]:
    """The event as its source posts it."""
    return {
        "id": event.id,
        "source": event.source,
        "customer_id": event.customer,
        "type": event.type,
        "occurred_at": instant_text(event.occurred_at),
        "properties": event.properties,
    }
