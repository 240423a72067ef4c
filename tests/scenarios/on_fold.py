"""A life that the fold tells, folded on from the stored snapshot while nothing arrives late."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lifecycle.domain.event import Event
from lifecycle.domain.fold import Folded, armed, facts_at, fold, is_late
from lifecycle.domain.instant import BEGINNING
from lifecycle.domain.policy import PolicyVersion
from lifecycle.domain.snapshot import Snapshot, load
from lifecycle.domain.step import NotApplicable, Outcome, PlannedMessage, Refused, Step
from lifecycle.domain.timeline import Timeline
from lifecycle.policy import loads
from tests.scenarios.driver import Planned, Told, day, in_time, number_of


class FoldLife:
    def __init__(self, policy: str) -> None:
        loaded = loads(policy)
        self._timeline = Timeline(
            [
                PolicyVersion(
                    number=1, hash=loaded.hash, effective_at=BEGINNING, policy=loaded.policy
                )
            ]
        )
        self._now = day(0)
        self._events: dict[tuple[str, str], Event] = {}
        self._start_again()

    def _start_again(self) -> None:
        self._snapshot: Snapshot | None = None
        self._steps: list[Step] = []
        self._messages: list[PlannedMessage] = []
        self._outcomes: list[Outcome] = []

    def post(self, *events: Event, at: float) -> None:
        self.reach(at)
        new = [e for e in events if (e.source, e.id) not in self._events]
        new = list({(e.source, e.id): e for e in new}.values())
        self._events |= {(e.source, e.id): e for e in new}
        if self._snapshot is not None and any(is_late(self._snapshot, e) for e in new):
            self._start_again()
            new = list(self._events.values())
        self._fold(new)

    def reach(self, on: float) -> None:
        self._now = max(self._now, day(on))
        self._fold([])

    def _fold(self, events: Sequence[Event]) -> None:
        given = self._snapshot and self._snapshot.dump()
        done: Folded = fold(
            self._timeline,
            self._snapshot,
            sorted(events, key=lambda event: event.key),
            self._now,
            self._outcomes.append,
        )
        assert (self._snapshot and self._snapshot.dump()) == given, "it changed what it was given"
        assert not done.waiting
        self._snapshot = load(done.snapshot.dump(), self._timeline)
        self._steps += done.steps
        self._messages += done.messages

    @property
    def _held(self) -> Snapshot:
        assert self._snapshot is not None
        return self._snapshot

    def steps(self) -> list[Told]:
        return [Told(step.rule, number_of(step.at)) for step in self._steps]

    def told(self) -> list[dict[str, Any]]:
        names = ("rule", "from_state", "to_state", "cause", "by", "why")
        return [{name: getattr(step, name) for name in names} for step in self._steps]

    def refused(self) -> list[Told]:
        return [Told(o.trigger, number_of(o.at)) for o in self._outcomes if isinstance(o, Refused)]

    def not_applicable(self) -> list[Told]:
        none = [o for o in self._outcomes if isinstance(o, NotApplicable)]
        return [Told(o.trigger, number_of(o.at)) for o in none]

    def state(self) -> str:
        return self._held.state

    def fact(self, name: str) -> Any:
        return facts_at(self._timeline, self._held, self._now)[name]

    def consents(self) -> dict[str, bool]:
        return dict(self._held.consents)

    def next_check(self) -> Told | None:
        waiting = armed(self._timeline, self._held, self._now)
        return Told(waiting[0].check.name, number_of(waiting[0].at)) if waiting else None

    def messages(self) -> list[Planned]:
        planned = [Planned(m.rule, number_of(m.planned_at)) for m in self._messages]
        return sorted(planned, key=in_time)

    def digest(self) -> object:
        facts = facts_at(self._timeline, self._held, self._now)
        return self._held.state, facts, self._steps, self._messages
