"""How are events, steps, messages, outcomes and checks written as JSON?

Instants are RFC 3339 text in UTC, durations seconds, exact decimals text.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime
from typing import Any

from lifecycle.domain.calendar import zone
from lifecycle.domain.instant import instant_text
from lifecycle.domain.step import (
    Fired,
    Moved,
    NotApplicable,
    Outcome,
    PlannedMessage,
    Refusal,
    Refused,
    Unplanned,
)
from lifecycle.domain.timeline import Timeline, Version
from lifecycle.engine.explain.ahead import Ahead, Anchor, Asleep, Basis, Slot, Stay
from lifecycle.engine.explain.chapters import Believed, Chapter, Dropped, Happened, Overturned
from lifecycle.engine.explain.retold import Happening
from lifecycle.store.dead import DeadLetter
from lifecycle.store.events import StoredEvent
from lifecycle.store.messages import MessageRow
from lifecycle.store.steps import StepRow

Form = dict[str, Any]


def instant_or_none(at: datetime | None) -> str | None:
    return None if at is None else instant_text(at)


def event_form(stored: StoredEvent) -> Form:
    event = stored.event
    return {
        "number": stored.row_id,
        "source": event.source,
        "id": event.id,
        "customer_id": event.customer,
        "type": event.type,
        "occurred_at": instant_text(event.occurred_at),
        "received_at": instant_text(event.received_at),
        "request_id": stored.request_id,
        "properties": dict(event.properties),
    }


def name_form(stored: StoredEvent | None) -> Form | None:
    """Only what names an event, and its two instants."""
    if stored is None:
        return None
    wanted = ("number", "source", "id", "type", "occurred_at", "received_at")
    return {name: value for name, value in event_form(stored).items() if name in wanted}


def step_form(row: StepRow, overturned_by: StoredEvent | None = None) -> Form:
    """A step as it is recorded; `revoked_at` is null while it stands."""
    step = row.step
    return {
        "id": row.row_id,
        "rule": step.rule,
        "from": step.from_state,
        "to": step.to_state,
        "trigger": step.trigger,
        "cause": step.cause,
        "at": instant_text(step.at),
        "guard": step.guard,
        "read": dict(step.read),
        "version": step.version,
        "by": step.by,
        "why": step.why,
        "recorded_at": instant_text(row.recorded_at),
        "revoked_at": instant_or_none(row.revoked_at),
        "revoked_by": name_form(overturned_by),
        "revoked_version": row.revoked_version,
    }


def message_form(row: MessageRow, unknown: Container[int] = ()) -> Form:
    """A planned message as it is recorded; `live` says whether its cause stands.

    Its fate is null where it is not known what it was at the moment that is told of.
    """
    if row.row_id in unknown:
        return {
            "id": row.row_id,
            **planned_form(row.message),
            "live": row.live,
            "fate": None,
            "recorded_at": instant_text(row.recorded_at),
        }
    return {
        "id": row.row_id,
        **planned_form(row.message),
        "live": row.live,
        "fate": row.fate.value,
        "reason": row.reason,
        "fate_at": instant_text(row.fate_at),
        "not_before": instant_text(row.not_before),
        "sent_at": instant_or_none(row.sent_at),
        "channel": row.channel,
        "variant": row.variant,
        "tries": row.tries,
        "recorded_at": instant_text(row.recorded_at),
    }


def planned_form(message: PlannedMessage) -> Form:
    return {
        "rule": message.rule,
        "cause": message.cause,
        "number": message.number,
        "caused_at": instant_text(message.caused_at),
        "planned_at": instant_text(message.planned_at),
        "expires_at": instant_or_none(message.expires_at),
        "class": message.message_class.value,
        "channels": list(message.channels),
        "version": message.version or None,
    }


def refusal_form(refusal: Refusal) -> Form:
    return {
        "rule": refusal.rule,
        "guard": refusal.guard,
        "read": dict(refusal.read),
        "error": refusal.error,
    }


def outcome_form(outcome: Outcome, version: Version) -> Form:
    """What became of a trigger, judged by a version of the policy."""
    match outcome:
        case Moved(step=step, refusals=refusals):
            return {
                "outcome": "moved",
                "rule": step.rule,
                "from": step.from_state,
                "to": step.to_state,
                "guard": step.guard,
                "read": dict(step.read),
                "refusals": [refusal_form(refusal) for refusal in refusals],
            }
        case Refused(state=state, refusals=refusals):
            return {
                "outcome": "refused",
                "state": state,
                "refusals": [refusal_form(refusal) for refusal in refusals],
            }
        case NotApplicable(state=state):
            return {
                "outcome": "no_transition",
                "state": state,
                "leaves_on": leaves_on(version, state),
            }
        case Fired(trigger=trigger):
            return {"outcome": "fired", "rule": trigger}
        case Unplanned(refusal=refusal):
            return {"outcome": "unplanned", **refusal_form(refusal)}


def leaves_on(version: Version, state: str) -> list[str]:
    """The event types and timed checks that some rule leaves a state on."""
    kinds = {kind for kind, source in version.leaves if source == state}
    checks = [check.name for check in version.checks(state) if check.transition is not None]
    return [*sorted(kinds), *checks]


def ahead_form(one: Ahead, version: Version, zone_name: str | None) -> Form:
    local = one.at.astimezone(zone(zone_name, version.zone_name))
    return {
        "name": one.name,
        "at": instant_text(one.at),
        "local": local.isoformat(),
        "overdue": one.overdue,
        **_basis_form(one.basis),
        "stands_in": list(one.stands_in),
        "moved_by": list(one.moved_by),
        "disarmed_by": [
            {"event": leaving.event, "rule": leaving.rule, "to": leaving.to, "guard": leaving.guard}
            for leaving in one.disarmed_by
        ],
        "expected": None if one.expected is None else outcome_form(one.expected, version),
        "plans": [planned_form(message) for message in one.plans],
    }


def _basis_form(basis: Basis) -> Form:
    match basis:
        case Anchor():
            return {
                "fact": basis.fact,
                "anchor": instant_text(basis.at),
                "anchor_moved": basis.moved,
                "wait_seconds": basis.wait.total_seconds(),
                "rhythm": basis.rhythm,
                "wait_by_default": basis.by_default,
            }
        case Stay():
            return {
                "state": basis.state,
                "anchor": instant_text(basis.at),
                "wait_seconds": basis.wait.total_seconds(),
            }
        case Slot():
            lunar = None if basis.lunar is None else f"{basis.lunar[0]:02}-{basis.lunar[1]:02}"
            return {"day": basis.day.isoformat(), "attribute": basis.attribute, "lunar": lunar}


def asleep_form(one: Asleep) -> Form:
    return {
        "name": one.name,
        "fact": one.fact,
        "spent_at": instant_or_none(one.spent_at),
        "empty": one.empty,
        "moved_by": list(one.moved_by),
    }


def dead_form(letter: DeadLetter) -> Form:
    return {
        **event_form(letter.stored),
        "status": letter.status.value,
        "reason": letter.reason,
        "detail": letter.detail,
        "attempts": letter.attempts,
        "since": instant_text(letter.since),
    }


def chapter_form(chapter: Chapter, timeline: Timeline, unknown: Container[int] = ()) -> Form:
    """`unknown` are the rows of messages whose fate is not known of the moment that is told of."""
    match chapter:
        case Happened(happening=happening):
            return _happened_form(chapter, happening, timeline, unknown)
        case Believed(overturned=overturned):
            return {
                "kind": "believed",
                "at": instant_text(chapter.at),
                **_overturned(overturned, unknown),
            }
        case Dropped(row=row):
            return {
                "kind": "dropped",
                "at": instant_text(chapter.at),
                "message": message_form(row, unknown),
            }


def _happened_form(
    chapter: Happened, happening: Happening, timeline: Timeline, unknown: Container[int]
) -> Form:
    version = timeline.at(happening.at)
    return {
        "kind": "event" if happening.event else "due",
        "at": instant_text(happening.at),
        "cause": happening.cause,
        "event": None if happening.event is None else event_form(happening.event),
        "late": chapter.late,
        "changes": None
        if happening.changes is None
        else [
            {
                "kind": change.kind.value,
                "name": change.name,
                "before": change.before,
                "after": change.after,
            }
            for change in happening.changes
        ],
        "outcome": None if happening.outcome is None else outcome_form(happening.outcome, version),
        "overturned": [step.cause for step in chapter.overturned],
        "step": None if chapter.row is None else step_form(chapter.row),
        "corrected": [_overturned(one, unknown) for one in chapter.corrected],
        "messages": [
            message_form(one.row, unknown)
            if one.row is not None
            else {**planned_form(one.message), "fate": None}
            for one in chapter.messages
        ],
        "unplanned": [outcome_form(one, version) for one in happening.unplanned],
    }


def _overturned(one: Overturned, unknown: Container[int]) -> Form:
    return {
        "step": step_form(one.row, one.by),
        "messages": [message_form(row, unknown) for row in one.messages],
    }
