"""How is a history that was folded once more joined with what was recorded of it?

Pure. A chapter is one event or check with everything that followed; or what was once believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lifecycle.domain.fold import facts_at
from lifecycle.domain.snapshot import Snapshot
from lifecycle.domain.step import Moved, PlannedMessage, Step
from lifecycle.domain.timeline import Timeline
from lifecycle.engine.explain.retold import Happening
from lifecycle.engine.explain.words import Vocabulary
from lifecycle.store.events import StoredEvent
from lifecycle.store.messages import MessageRow
from lifecycle.store.steps import StepRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of her now."""

    state: str
    label: str  # of the state, in English where the policy has it
    since: datetime | None  # None: she has no events
    zone: str  # hers, else that of the policy
    facts: Mapping[str, Any]  # canonical JSON values, windows ending now
    attributes: Mapping[str, Any]
    tags: tuple[str, ...]
    consents: Mapping[str, bool]  # "purpose/channel" → given
    refused: Mapping[str, int]  # by rule: how often its guard said no


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A message that follows from a chapter, and what became of it."""

    message: PlannedMessage
    row: MessageRow | None  # None: not recorded yet
    before: MessageRow | None = None  # for `sent_recently`: the overtaken one that had been sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Overturned:
    """A step that was once recorded and no longer follows."""

    row: StepRow
    by: StoredEvent | None  # the late event; None: her history was folded anew without one
    messages: tuple[MessageRow, ...]  # planned for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """An event, or a check or date that came due, and what followed."""

    happening: Happening
    late: bool  # it arrived after a later event, or after what it overturned
    overturned: tuple[Step, ...]  # what was believed until it arrived
    row: StepRow | None  # of the step that it made, as recorded
    corrected: tuple[Overturned, ...]  # how the same step was recorded before
    messages: tuple[Planned, ...]

    @property
    def at(self) -> datetime:
        return self.happening.at


@dataclass(frozen=True, slots=True, kw_only=True)
class Believed:
    """What the system took for true until an event that arrived late disproved it."""

    overturned: Overturned

    @property
    def at(self) -> datetime:
        return self.overturned.row.step.at


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A message whose cause no longer follows, and made no step."""

    row: MessageRow

    @property
    def at(self) -> datetime:
        return self.row.message.caused_at


Chapter = Happened | Believed | Dropped


def standing(timeline: Timeline, snapshot: Snapshot, now: datetime) -> Standing:
    version = timeline.at(now)
    zone = snapshot.attributes.get("timezone") or version.zone_name
    return Standing(
        state=snapshot.state,
        label=Vocabulary(version.policy).state(snapshot.state),
        since=snapshot.entered_at,
        zone=zone,
        facts=facts_at(timeline, snapshot, now),
        attributes=snapshot.attributes,
        tags=snapshot.tags,
        consents=snapshot.consents,
        refused=snapshot.refused,
    )


def chapters(
    happenings: Sequence[Happening],
    steps: Iterable[StepRow],
    messages: Sequence[MessageRow],
    overturning: Mapping[int, StoredEvent],
) -> tuple[Chapter, ...]:
    """All chapters in the order of event time; `overturning` are late events by their rows."""
    recorded = list(steps)
    live = {row.step.cause: row for row in recorded if row.seq is not None}
    orphans = _by_cause(row for row in messages if not row.live)
    overturned = list(_overturned(recorded, orphans, overturning))
    corrections: dict[str, list[Overturned]] = {}
    believed = []
    for one in overturned:
        now = live.get(one.row.step.cause)
        if now is not None and _same_move(now, one.row):
            corrections.setdefault(one.row.step.cause, []).append(one)
        else:
            believed.append(Believed(overturned=one))
    late = _late(happenings)
    disproved: dict[str, list[Step]] = {}
    for belief in believed:
        if belief.overturned.by is not None:
            cause = belief.overturned.by.event.cause
            disproved.setdefault(cause, []).append(belief.overturned.row.step)
    known = {row.message.key: row for row in messages}
    told: list[Chapter] = [
        Happened(
            happening=happening,
            late=happening.cause in late or happening.cause in disproved,
            overturned=tuple(disproved.get(happening.cause, ())),
            row=live.get(happening.cause) if isinstance(happening.outcome, Moved) else None,
            corrected=tuple(corrections.get(happening.cause, ())),
            messages=tuple(_planned(happening, known, messages)) if happening.planned else (),
        )
        for happening in happenings
    ]
    told += believed
    told += [Dropped(row=row) for rows in orphans.values() for row in rows]
    return tuple(sorted(told, key=lambda chapter: chapter.at))


def _by_cause(rows: Iterable[MessageRow]) -> dict[str, list[MessageRow]]:
    found: dict[str, list[MessageRow]] = {}
    for row in rows:
        found.setdefault(row.message.cause, []).append(row)
    return found


def _overturned(
    steps: Iterable[StepRow],
    orphans: dict[str, list[MessageRow]],
    overturning: Mapping[int, StoredEvent],
) -> Iterator[Overturned]:
    """The revoked steps by instant; each takes the messages of its cause out of `orphans`.

    Of several with one cause, the one that was revoked last has them.
    """
    revoked = sorted(
        (row for row in steps if row.revoked_at is not None),
        key=lambda row: (row.revoked_at, row.row_id),
        reverse=True,
    )
    found = [
        Overturned(
            row=row,
            by=None if row.revoked_by is None else overturning.get(row.revoked_by),
            messages=tuple(orphans.pop(row.step.cause, ())),
        )
        for row in revoked
    ]
    yield from sorted(found, key=lambda one: (one.row.step.at, one.row.row_id))


def _same_move(now: StepRow, before: StepRow) -> bool:
    """Whether the step that stands differs only in what it read, or by which version."""
    one, other = now.step, before.step
    return (one.rule, one.from_state, one.to_state, one.at) == (
        other.rule,
        other.from_state,
        other.to_state,
        other.at,
    )


def _late(happenings: Sequence[Happening]) -> set[str]:
    """The causes of events that arrived after one that comes later."""
    late = set()
    earliest: datetime | None = None
    for happening in reversed(happenings):
        if happening.event is None:
            continue
        received = happening.event.event.received_at
        if earliest is not None and received > earliest:
            late.add(happening.cause)
        else:
            earliest = received
    return late


def _planned(
    happening: Happening,
    known: Mapping[tuple[str, str, int], MessageRow],
    messages: Sequence[MessageRow],
) -> Iterator[Planned]:
    for message in happening.planned:
        row = known.get(message.key)
        sent = [
            one
            for one in messages
            if row is not None
            and row.reason == "sent_recently"
            and one.message.rule == message.rule
            and one.sent_at is not None
            and one.row_id != row.row_id
        ]
        latest = max(sent, key=lambda one: (one.sent_at, one.row_id), default=None)
        yield Planned(message=message, row=row, before=latest)
