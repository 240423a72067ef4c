"""What do answers look like? The published shapes of customers, timelines and transitions."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lifecycle.engine.explain.forms import ahead_form
from lifecycle.engine.history import CheckEntry, Entry, EventEntry
from lifecycle.engine.readiness import Readiness
from lifecycle.engine.reading import Customer, LogEntry
from lifecycle.store.messages import MessageRow
from lifecycle.store.steps import StepRow


class Shape(BaseModel):
    model_config = ConfigDict(populate_by_name=True, extra="forbid")


class NextShape(Shape):
    name: str = Field(description="the rule's name in the policy")
    at: datetime = Field(description="when it fires, unless an event comes before it")


class CountsShape(Shape):
    events: int = Field(description="ever accepted")
    pending: int = Field(description="of these, waiting to be applied")
    held: int = Field(description="of these, waiting for the end of an import")
    dead: int = Field(description="of these, outside the fold: too late, quarantined, discarded")
    steps: int = Field(description="transitions that stand")
    revoked: int = Field(description="transitions that late events have overturned")
    messages: dict[str, int] = Field(description="planned messages by what became of them")


class CustomerShape(Shape):
    customer_id: str = Field(description="the first identifier under which something was posted")
    number: int = Field(description="by which the log of the processes calls her")
    identifiers: list[str] = Field(description="every identifier of hers")
    state: str
    label: str = Field(description="of the state, in English where the policy has it")
    entered_at: datetime | None = Field(description="null: she never moved")
    first_event_at: datetime | None = Field(description="null until her events are applied")
    facts: dict[str, Any] = Field(description="as of now; decimals and instants are text")
    attributes: dict[str, Any]
    tags: list[str]
    consents: dict[str, bool] = Field(description='"purpose/channel": given or withdrawn')
    refused: dict[str, int] = Field(description="by rule: how often its guard said no")
    next_check: NextShape | None = Field(description="null: nothing happens without a new event")
    checks: list[dict[str, Any]] = Field(
        description="every timed check and date that stands armed, and what would change it"
    )
    counts: CountsShape
    as_of: datetime = Field(description="what the engine's clock says")


class TransitionShape(Shape):
    kind: Literal["transition"] = "transition"
    at: datetime = Field(description="event time of what caused it")
    rule: str
    from_state: str = Field(alias="from")
    to_state: str = Field(alias="to")
    trigger: str = Field(description="event type, or name of the timed check")
    cause: str = Field(description="`event:source|id`, or the check with its anchor")
    guard: str | None
    read: dict[str, Any] = Field(description="the values that the guard read")
    policy_version: int
    by: str | None = Field(description="of a move by hand: who")
    why: str | None = Field(description="of a move by hand: why")
    recorded_at: datetime
    revoked_at: datetime | None = Field(
        description="when a late event, or a version, overturned it"
    )


class LogLine(TransitionShape):
    customer_id: str
    line: Literal["made", "revoked"] = Field(description="what became known with this line")
    overturned_by: str | None = Field(
        description="the late event that overturned it, or `policy:` and the number of a version"
    )


class EventShape(Shape):
    kind: Literal["event"] = "event"
    at: datetime = Field(description="when it happened")
    source: str
    id: str
    type: str
    customer_id: str = Field(description="the identifier under which it was posted")
    received_at: datetime
    number: int = Field(description="by which the log of the processes calls it")
    request_id: str | None = Field(
        description="of the post or batch by which it came first; `import-7`: by that import"
    )
    properties: dict[str, Any]
    stage: Literal["applied", "ahead", "pending", "held", "dead"] = Field(
        description="how far it has come; ahead: its time has not come; held: by its import"
    )
    outcome: dict[str, Any] | None = Field(
        description="moved, refused or no_transition, with the reason; null: not applied"
    )
    dead_reason: str | None = Field(description="why it is outside the fold")


class CheckShape(Shape):
    """A timed check or date that came due and moved nobody."""

    kind: Literal["check"] = "check"
    at: datetime = Field(description="when it came due")
    cause: str = Field(description="the check with its anchor, or the rule with its date")
    outcome: dict[str, Any] = Field(description="refused, fired or unplanned, with the reason")


class MessageShape(Shape):
    kind: Literal["message"] = "message"
    at: datetime = Field(description="when it was planned for")
    rule: str
    number: int = Field(description="step of the series, from 1")
    cause: str
    message_class: str
    channels: list[str]
    not_before: datetime
    expires_at: datetime | None
    live: bool = Field(description="its cause stands")
    fate: str
    reason: str | None
    fate_at: datetime
    sent_at: datetime | None


class TimelineShape(Shape):
    entries: list[EventShape | CheckShape | TransitionShape | MessageShape] = Field(
        description="the latest first"
    )
    cursor: str | None = Field(description="for the page before it in time; null: there is none")


class LogShape(Shape):
    transitions: list[LogLine] = Field(description="in the order that was asked for")
    cursor: str | None = Field(
        description="from where to go on, now or later; null only with `newest`: no more"
    )
    more: bool = Field(description="whether there is more already")


class HealthShape(Shape):
    status: Literal["ok", "overdue"]
    pending: int = Field(description="events that wait to be applied")
    oldest_pending_seconds: float = Field(description="for how long the first of them has waited")
    due: int = Field(description="customers for whom a timed check has come due and not fired yet")
    dead: int = Field(description="quarantined events that wait for a person")
    policy_version: int = Field(description="that judges now")
    schema_revision: str = Field(description="of the database's tables")
    clock: datetime = Field(description="what the engine's clock says")


class ReadyCheckShape(Shape):
    status: Literal["ok", "degraded", "failed", "unknown"] = Field(
        description="degraded: slower than it should be; unknown: could not be asked"
    )
    detail: str
    seconds: float | None = Field(description="what was measured, where that is a time")


class ReadyShape(Shape):
    status: Literal["ok", "degraded"] = Field(description="the worst of the checks")
    checks: dict[str, ReadyCheckShape] = Field(
        description="database, schema, oldest_pending, due_lag, broker"
    )


def customer_shape(found: Customer) -> CustomerShape:
    return CustomerShape(
        customer_id=found.key,
        number=found.number,
        identifiers=list(found.identifiers),
        state=found.state,
        entered_at=found.entered_at,
        first_event_at=found.first_event_at,
        facts=dict(found.facts),
        attributes=dict(found.attributes),
        tags=list(found.tags),
        consents=dict(found.consents),
        label=found.label,
        refused=dict(found.refused),
        next_check=NextShape(name=found.next.name, at=found.next.at) if found.next else None,
        checks=[ahead_form(one, found.version, found.zone) for one in found.ahead],
        counts=CountsShape(
            events=found.counts.events,
            pending=found.counts.pending,
            held=found.counts.held,
            dead=found.counts.dead,
            steps=found.counts.steps,
            revoked=found.counts.revoked,
            messages={fate.value: count for fate, count in found.counts.messages.items()},
        ),
        as_of=found.as_of,
    )


def check_shapes(found: Readiness) -> dict[str, ReadyCheckShape]:
    return {
        check.name: ReadyCheckShape(
            status=check.status.value, detail=check.detail, seconds=check.seconds
        )
        for check in found.checks
    }


def log_line(found: LogEntry) -> LogLine:
    entry = found.entry
    return LogLine(
        **_step(entry.row),
        customer_id=entry.customer,
        line="revoked" if entry.revoked else "made",
        overturned_by=found.overturned_by,
    )


def entry_shape(found: Entry) -> EventShape | CheckShape | TransitionShape | MessageShape:
    match found:
        case EventEntry():
            return _event(found)
        case CheckEntry(at=at, cause=cause, outcome=outcome):
            return CheckShape(at=at, cause=cause, outcome=outcome)
        case StepRow():
            return TransitionShape(**_step(found))
        case MessageRow():
            return _message(found)


def _step(row: StepRow) -> dict[str, Any]:
    step = row.step
    return {
        "at": step.at,
        "rule": step.rule,
        "from_state": step.from_state,
        "to_state": step.to_state,
        "trigger": step.trigger,
        "cause": step.cause,
        "guard": step.guard,
        "read": dict(step.read),
        "policy_version": step.version,
        "by": step.by,
        "why": step.why,
        "recorded_at": row.recorded_at,
        "revoked_at": row.revoked_at,
    }


def _event(entry: EventEntry) -> EventShape:
    event = entry.stored.event
    return EventShape(
        at=event.occurred_at,
        source=event.source,
        id=event.id,
        type=event.type,
        customer_id=event.customer,
        received_at=event.received_at,
        number=entry.stored.row_id,
        request_id=entry.stored.request_id,
        properties=dict(event.properties),
        stage=entry.stage.value,
        outcome=entry.outcome,
        dead_reason=None if entry.dead is None else entry.dead.reason,
    )


def _message(row: MessageRow) -> MessageShape:
    message = row.message
    return MessageShape(
        at=message.planned_at,
        rule=message.rule,
        number=message.number,
        cause=message.cause,
        message_class=message.message_class.value,
        channels=list(message.channels),
        not_before=row.not_before,
        expires_at=message.expires_at,
        live=row.live,
        fate=row.fate.value,
        reason=row.reason,
        fate_at=row.fate_at,
        sent_at=row.sent_at,
    )
