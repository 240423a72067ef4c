"""What the fold concluded, in the oracle's words, so that the two can be laid side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lifecycle.domain.event import Event
from lifecycle.domain.fold import armed, facts_at, fold
from lifecycle.domain.snapshot import Snapshot, load
from lifecycle.domain.step import Moved, Outcome, PlannedMessage, Step, Unplanned
from lifecycle.domain.timeline import Timeline
from tests.oracle import truth
from tests.oracle.truth import Truth, plain_all


@dataclass(frozen=True, kw_only=True)
class Told:
    state: str
    facts: dict[str, Any]
    attributes: dict[str, Any]
    tags: set[str]
    consents: dict[str, bool]
    steps: list[truth.Step]
    messages: list[truth.Message]
    outcomes: list[truth.Outcome]
    waiting: list[tuple[datetime, str]]  # the next of each check and calendar rule


def as_told(found: Truth) -> Told:
    following: dict[str, datetime] = {}
    for due in found.waiting:
        following.setdefault(due.rule.name, due.at)
    return Told(
        state=found.state,
        facts=plain_all(found.facts),
        attributes=found.attributes,
        tags=found.tags,
        consents=found.consents,
        steps=[step._replace(read=plain_all(step.read)) for step in found.steps],
        messages=found.messages,
        outcomes=found.outcomes,
        waiting=[(at, name) for name, at in following.items()],
    )


def told_by_fold(
    timeline: Timeline, events: Sequence[Event], until: datetime, stops: Sequence[datetime] = ()
) -> tuple[Told, bytes]:
    """Folds up to each of `stops` on the way, storing and loading the snapshot in between.

    Also gives the stored snapshot.
    """
    ordered = sorted(events, key=lambda event: event.key)
    snapshot: Snapshot | None = None
    steps: list[Step] = []
    messages: list[PlannedMessage] = []
    outcomes: list[Outcome] = []
    stored = b""
    for stop in [*sorted(stops), until]:
        done = fold(timeline, snapshot, ordered, stop, outcomes.append)
        ordered = list(done.waiting)
        steps += done.steps
        messages += done.messages
        stored = done.snapshot.dump()
        snapshot = load(stored, timeline)
    assert snapshot is not None
    told = Told(
        state=snapshot.state,
        facts=facts_at(timeline, snapshot, until),
        attributes={k: v for k, v in snapshot.attributes.items() if v is not None},
        tags=set(snapshot.tags),
        consents=dict(snapshot.consents),
        steps=[_step(step) for step in steps],
        messages=[_message(message) for message in messages],
        outcomes=[told for o in outcomes if (told := _outcome(o))],
        waiting=[(due.at, due.check.name) for due in armed(timeline, snapshot, until)],
    )
    return told, stored


def _step(step: Step) -> truth.Step:
    return truth.Step(
        rule=step.rule,
        from_state=step.from_state,
        to_state=step.to_state,
        trigger=step.trigger,
        cause=step.cause,
        at=step.at,
        guard=step.guard,
        read=dict(step.read),
        version=step.version,
        by=step.by,
        why=step.why,
    )


def _message(message: PlannedMessage) -> truth.Message:
    return truth.Message(
        rule=message.rule,
        cause=message.cause,
        number=message.number,
        caused_at=message.caused_at,
        planned_at=message.planned_at,
        version=message.version,
    )


def _outcome(outcome: Outcome) -> truth.Outcome | None:
    """A check or slot without `to` whose guard says no is refused; a message left out is nothing."""
    if isinstance(outcome, Unplanned):
        own = (f"check:{outcome.trigger}@", f"calendar:{outcome.trigger}@")
        if not outcome.cause.startswith(own):
            return None
        return truth.Outcome("Refused", outcome.at, outcome.trigger, outcome.cause)
    of = outcome.step if isinstance(outcome, Moved) else outcome
    return truth.Outcome(type(outcome).__name__, outcome.at, of.trigger, of.cause)
