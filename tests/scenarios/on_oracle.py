"""A life that the oracle tells: proves the oracle by the worked examples."""

from __future__ import annotations

from typing import Any

from lifecycle.domain.event import Event
from lifecycle.policy import loads
from tests.oracle.oracle import oracle
from tests.oracle.truth import Truth, plain
from tests.scenarios.driver import Planned, Told, day, in_time, number_of


class OracleLife:
    def __init__(self, policy: str) -> None:
        self._policy = loads(policy).policy
        self._events: dict[tuple[str, str], Event] = {}
        self._now = day(0)

    def post(self, *events: Event, at: float) -> None:
        self.reach(at)
        for event in events:
            self._events.setdefault((event.source, event.id), event)

    def reach(self, on: float) -> None:
        self._now = max(self._now, day(on))

    @property
    def _truth(self) -> Truth:
        return oracle(self._policy, list(self._events.values()), self._now)

    def steps(self) -> list[Told]:
        return [Told(step.rule, number_of(step.at)) for step in self._truth.steps]

    def told(self) -> list[dict[str, Any]]:
        return [step._asdict() for step in self._truth.steps]

    def refused(self) -> list[Told]:
        return self._came_to("Refused")

    def not_applicable(self) -> list[Told]:
        return self._came_to("NotApplicable")

    def _came_to(self, kind: str) -> list[Told]:
        return [Told(o.trigger, number_of(o.at)) for o in self._truth.outcomes if o.kind == kind]

    def state(self) -> str:
        return self._truth.state

    def fact(self, name: str) -> Any:
        return plain(self._truth.facts[name])

    def consents(self) -> dict[str, bool]:
        return self._truth.consents

    def next_check(self) -> Told | None:
        waiting = self._truth.waiting
        return Told(waiting[0].rule.name, number_of(waiting[0].at)) if waiting else None

    def messages(self) -> list[Planned]:
        planned = [Planned(m.rule, number_of(m.planned_at)) for m in self._truth.messages]
        return sorted(planned, key=in_time)

    def digest(self) -> object:
        return self._truth
