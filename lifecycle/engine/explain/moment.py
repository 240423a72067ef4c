"""What was known of a customer at a past moment, and what is known of that moment today? Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from lifecycle.domain.fate import Fate
from lifecycle.domain.fold import fold
from lifecycle.domain.instant import END, instant_text
from lifecycle.domain.step import PlannedMessage
from lifecycle.domain.timeline import Timeline
from lifecycle.engine.explain.asked import Asked, Late, Moment
from lifecycle.engine.explain.evidence import Evidence, Record
from lifecycle.errors import UNCHANGED, Problem
from lifecycle.store.events import StoredEvent
from lifecycle.store.messages import MessageRow
from lifecycle.store.steps import StepRow


def moment(record: Record, asked: Asked) -> tuple[Evidence, Moment]:
    """What she was at an instant, as it was known then or, with the events that came late, is today.

    Messages are as they are today: `messages_then` has them as they were. Raises Problem for an
    instant that is not between her first event and now.
    """
    at, then = asked.at, record.by_then
    assert at is not None
    assert then is not None
    _must_be_hers(record, at)
    timely = [stored for stored in record.now.history if _known_at(record, stored) <= at]
    late = [
        Late(stored=stored, known_at=known_at)
        for stored in record.now.history
        if stored.event.occurred_at <= at < (known_at := _known_at(record, stored))
    ]
    today = sorted((*timely, *(one.stored for one in late)), key=lambda stored: stored.event.key)
    if asked.late_events:
        evidence = replace(_as_of_today(record, at), history=today)
    else:
        evidence = replace(_as_of_then(record, at), history=timely, timeline=then)
    return evidence, Moment(
        at=at,
        late_events=asked.late_events,
        events=sum(stored.event.occurred_at <= at for stored in evidence.history),
        late=tuple(late),
        versions=_published_later(record.now.timeline, then, at),
        state_then=_state(then, timely, at),
        state_today=_state(record.now.timeline, today, at),
    )


def messages_then(
    rows: Iterable[MessageRow], planned: Sequence[PlannedMessage], at: datetime
) -> tuple[list[MessageRow], frozenset[int]]:
    """The messages that had been recorded by an instant, and by row those of an unknown fate then.

    `planned` are those whose causes stood. Only the last fate of a message is kept: where that came
    later, it is known of the message that it had not left, or had; what had not is told as queued.
    """
    standing = {message.key: message for message in planned}
    found: list[MessageRow] = []
    unknown: set[int] = set()
    for row in rows:
        if row.recorded_at > at:
            continue
        message = standing.get(row.message.key)
        had_left = row.sent_at is not None and row.sent_at <= at
        now = row._replace(live=message is not None, message=message or row.message)
        if had_left and row.sent_at is not None and row.fate_at > at:
            fate = Fate.OVERTAKEN if message is None else Fate.SENT
            now = now._replace(fate=fate, fate_at=row.sent_at, reason=None)
        elif row.fate_at > at or (not had_left and now.message != row.message):
            unknown.add(row.row_id)
            now = now._replace(fate=Fate.QUEUED, reason=None, fate_at=row.recorded_at, sent_at=None)
        found.append(now)
    return found, frozenset(unknown)


def _must_be_hers(record: Record, at: datetime) -> None:
    first = min((stored.event.occurred_at for stored in record.now.history), default=None)
    if at > record.now.at:
        raise Problem(
            "instant_ahead",
            f"{instant_text(at)} has not come yet, so nothing is known of it; {UNCHANGED}",
            pointer="/at",
            got=instant_text(at),
            expected=f"an instant up to now, {instant_text(record.now.at)}",
            hint="without --at, `lifecycle explain` also tells what comes next by time alone",
        )
    if first is None:
        raise Problem(
            "no_events",
            f"no event of {record.row.key} has been applied, so there is no past to tell;"
            f" {UNCHANGED}",
            pointer="/at",
            got=instant_text(at),
        )
    if at < first:
        raise Problem(
            "instant_before_first_event",
            f"{instant_text(at)} is before the first event of {record.row.key}; {UNCHANGED}",
            pointer="/at",
            got=instant_text(at),
            expected=f"an instant from {instant_text(first)} on",
        )


def _known_at(record: Record, stored: StoredEvent) -> datetime:
    """When an event began to count: it had arrived, and the import that brought it had ended."""
    arrived = stored.event.received_at
    if stored.run_id is None:
        return arrived
    return max(arrived, record.ended.get(stored.run_id, END))


def _state(timeline: Timeline, history: Sequence[StoredEvent], at: datetime) -> str:
    return fold(timeline, None, [stored.event for stored in history], at).snapshot.state


def _published_later(today: Timeline, then: Timeline, at: datetime) -> tuple[int, ...]:
    known = {version.number for version in then.versions}
    return tuple(
        version.number
        for version in today.versions
        if version.number not in known and version.effective_at <= at
    )


def _as_of_today(record: Record, at: datetime) -> Evidence:
    """What is recorded of everything up to an instant."""
    now = record.now
    return replace(
        now,
        at=at,
        until=at,
        steps=[row for row in now.steps if row.step.at <= at],
        messages=[row for row in now.messages if row.message.caused_at <= at],
        pending=[stored for stored in now.pending if stored.event.occurred_at <= at],
        dead=[letter for letter in now.dead if letter.stored.event.occurred_at <= at],
    )


def _as_of_then(record: Record, at: datetime) -> Evidence:
    """What had been recorded by an instant."""
    now = record.now
    held = [
        stored
        for stored in now.history
        if stored.event.received_at <= at < _known_at(record, stored)
    ]
    return replace(
        now,
        at=at,
        until=at,
        steps=[_step_then(row, at) for row in now.steps if row.recorded_at <= at],
        pending=[stored for stored in now.pending if _known_at(record, stored) <= at],
        held=len(held),
        dead=[letter for letter in now.dead if letter.stored.event.received_at <= at],
    )


def _step_then(row: StepRow, at: datetime) -> StepRow:
    """A step that was only revoked later stood then; in which place is no longer known."""
    if row.revoked_at is None or row.revoked_at <= at:
        return row
    return row._replace(seq=0, revoked_at=None, revoked_by=None)
