"""What do answers look like? The published shapes of customers, timelines and transitions."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lifecycle.engine.reading import Customer, LogEntry
from lifecycle.store.events import StoredEvent
from lifecycle.store.messages import MessageRow
from lifecycle.store.steps import StepRow


class Shape(BaseModel):
    model_config = ConfigDict(populate_by_name=True, extra="forbid")


class NextShape(Shape):
    name: str = Field(description="the rule's name in the policy")
    at: datetime = Field(description="when it fires, unless an event comes before it")


class CustomerShape(Shape):
    customer_id: str = Field(description="the first identifier under which something was posted")
    identifiers: list[str] = Field(description="every identifier of hers")
    state: str
    entered_at: datetime | None = Field(description="null: she never moved")
    first_event_at: datetime | None = Field(description="null until her events are applied")
    facts: dict[str, Any] = Field(description="as of now; decimals and instants are text")
    attributes: dict[str, Any]
    tags: list[str]
    consents: dict[str, bool] = Field(description='"purpose/channel": given or withdrawn')
    next_check: NextShape | None = Field(description="null: nothing happens without a new event")
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
    revoked_at: datetime | None = Field(description="when a late event overturned it")


class LogLine(TransitionShape):
    customer_id: str
    line: Literal["made", "revoked"] = Field(description="what became known with this line")
    overturned_by: str | None = Field(description="the late event that overturned it")


class EventShape(Shape):
    kind: Literal["event"] = "event"
    at: datetime = Field(description="when it happened")
    source: str
    id: str
    type: str
    customer_id: str = Field(description="the identifier under which it was posted")
    received_at: datetime
    properties: dict[str, Any]
    held: bool = Field(description="it waits for the end of an import")


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
    entries: list[EventShape | TransitionShape | MessageShape] = Field(
        description="the latest first"
    )
    cursor: str | None = Field(description="for the page before it in time; null: there is none")


class LogShape(Shape):
    transitions: list[LogLine] = Field(description="in the order in which they became known")
    cursor: str = Field(description="from where to go on, now or later; never null")
    more: bool = Field(description="whether there is more already")


class HealthShape(Shape):
    status: Literal["ok", "overdue"]
    pending: int = Field(description="events that wait to be applied")
    oldest_pending_seconds: float = Field(description="for how long the first of them has waited")
    dead: int = Field(description="quarantined events that wait for a person")


def customer_shape(found: Customer) -> CustomerShape:
    return CustomerShape(
        customer_id=found.key,
        identifiers=list(found.identifiers),
        state=found.state,
        entered_at=found.entered_at,
        first_event_at=found.first_event_at,
        facts=dict(found.facts),
        attributes=dict(found.attributes),
        tags=list(found.tags),
        consents=dict(found.consents),
        next_check=NextShape(name=found.next.name, at=found.next.at) if found.next else None,
        as_of=found.as_of,
    )


def log_line(found: LogEntry) -> LogLine:
    entry = found.entry
    return LogLine(
        **_step(entry.row),
        customer_id=entry.customer,
        line="revoked" if entry.revoked else "made",
        overturned_by=found.overturned_by,
    )


def entry_shape(
    found: StoredEvent | StepRow | MessageRow,
) -> EventShape | TransitionShape | MessageShape:
    if isinstance(found, StepRow):
        return TransitionShape(**_step(found))
    return _event(found) if isinstance(found, StoredEvent) else _message(found)


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


def _event(stored: StoredEvent) -> EventShape:
    event = stored.event
    return EventShape(
        at=event.occurred_at,
        source=event.source,
        id=event.id,
        type=event.type,
        customer_id=event.customer,
        received_at=event.received_at,
        properties=dict(event.properties),
        held=stored.held_by is not None,
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
