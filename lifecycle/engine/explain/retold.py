"""What did each event and each check that came due do? The fold itself is asked, with a witness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from lifecycle.domain.event import Event
from lifecycle.domain.fold import Folded, facts_at, fold
from lifecycle.domain.snapshot import Snapshot
from lifecycle.domain.step import (
    Fired,
    Moved,
    NotApplicable,
    Outcome,
    PlannedMessage,
    Refused,
    Step,
    Unplanned,
)
from lifecycle.domain.timeline import Timeline
from lifecycle.store.events import StoredEvent


class Kind(StrEnum):
    FACT = "fact"
    ATTRIBUTE = "attribute"
    TAG = "tag"
    CONSENT = "consent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Something about a customer that an event changed; values are canonical JSON."""

    kind: Kind
    name: str
    before: Any  # None: empty
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One event, or one check or date that came due, and what followed from it."""

    at: datetime
    cause: str
    event: StoredEvent | None  # None: time alone
    changes: tuple[Changed, ...] | None  # None: older than what was looked at so closely
    outcome: Moved | Refused | NotApplicable | Fired | None  # None: only outreach had a say
    unplanned: tuple[Unplanned, ...]
    planned: tuple[PlannedMessage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retold:
    """A history, folded once more from the beginning."""

    snapshot: Snapshot
    happenings: tuple[Happening, ...]  # in the order of the fold
    steps: tuple[Step, ...]
    waiting: tuple[StoredEvent, ...]  # they lie after the horizon


def retell(
    timeline: Timeline, history: Sequence[StoredEvent], until: datetime, detailed: int
) -> Retold:
    """Fold a history, sorted by key, up to `until`, and tell everything that came of it.

    What an event changed is told of the newest `detailed` events.
    """
    telling = _Telling(timeline)
    reached = [stored for stored in history if stored.event.occurred_at <= until]
    closely = max(len(reached) - detailed, 0)
    if closely:
        telling.fold([stored.event for stored in reached[:closely]])
    for stored in reached[closely:]:
        telling.fold_closely(stored.event)
    telling.fold([], until)
    return Retold(
        snapshot=telling.snapshot or timeline.blank(),
        happenings=telling.happenings({stored.event.cause: stored for stored in reached}),
        steps=tuple(telling.steps),
        waiting=tuple(history[len(reached) :]),
    )


class _Telling:
    """A fold that goes on from where it stopped, and remembers all that it was told."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self.snapshot: Snapshot | None = None
        self.steps: list[Step] = []
        self._planned: dict[str, list[PlannedMessage]] = {}
        self._outcomes: dict[str, list[Outcome]] = {}  # by cause, in the order of the fold
        self._changes: dict[str, tuple[Changed, ...]] = {}

    def fold(self, events: Sequence[Event], until: datetime | None = None) -> None:
        horizon = events[-1].occurred_at if until is None else until
        folded: Folded = fold(self._timeline, self.snapshot, events, horizon, self._witness)
        self.snapshot = folded.snapshot
        self.steps += folded.steps
        for message in folded.messages:
            self._planned.setdefault(message.cause, []).append(message)

    def fold_closely(self, event: Event) -> None:
        before = self.snapshot or self._timeline.blank()
        self.fold([event])
        assert self.snapshot is not None
        self._changes[event.cause] = _changes(
            self._timeline, before, self.snapshot, event.occurred_at
        )

    def _witness(self, outcome: Outcome) -> None:
        cause = outcome.step.cause if isinstance(outcome, Moved) else outcome.cause
        self._outcomes.setdefault(cause, []).append(outcome)

    def happenings(self, events: Mapping[str, StoredEvent]) -> tuple[Happening, ...]:
        told = []
        for cause, outcomes in self._outcomes.items():
            decisive = [one for one in outcomes if not isinstance(one, Unplanned)]
            told.append(
                Happening(
                    at=outcomes[0].at,
                    cause=cause,
                    event=events.get(cause),
                    changes=self._changes.get(cause),
                    outcome=decisive[0] if decisive else None,
                    unplanned=tuple(one for one in outcomes if isinstance(one, Unplanned)),
                    planned=tuple(self._planned.get(cause, ())),
                )
            )
        return tuple(told)


def _changes(
    timeline: Timeline, before: Snapshot, after: Snapshot, at: datetime
) -> tuple[Changed, ...]:
    """Both are read at the instant of the event, so that windows that only move on do not show."""
    return (
        *_differing(Kind.FACT, facts_at(timeline, before, at), facts_at(timeline, after, at)),
        *_differing(Kind.ATTRIBUTE, before.attributes, after.attributes),
        *_differing(Kind.TAG, dict.fromkeys(before.tags, True), dict.fromkeys(after.tags, True)),
        *_differing(Kind.CONSENT, before.consents, after.consents),
    )


def _differing(
    kind: Kind, before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[Changed, ...]:
    return tuple(
        Changed(kind=kind, name=name, before=before.get(name), after=after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )
