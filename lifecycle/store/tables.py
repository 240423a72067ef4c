"""Which tables are there, and what does a row of each mean?

These classes are for definitions and migrations. Rows are read and written in bulk, by plain SQL,
in the modules beside this one; nobody makes objects of these classes.

`event`, `pending` and `imported` have no foreign keys: intake must never wait for whoever is folding a
customer, and a row-by-row check would cost more than the insert.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, Text, UniqueConstraint
from sqlalchemy import text as sql_text
from sqlmodel import Field, SQLModel

from lifecycle.store.columns import (
    big,
    foreign_row_id,
    instant,
    key_text,
    row_id,
)

# Links and letters name these rows by number, so none gets the number that another had.
_NUMBERED_ONCE = {"sqlite_autoincrement": True}


class Customer(SQLModel, table=True):
    """A customer's derived truth so far, and when she must be looked at again."""

    __tablename__: ClassVar[str] = "customer"
    __table_args__ = (
        Index("customer_state", "state"),
        Index(
            "customer_wake",
            "wake_at",
            sqlite_where=sql_text("wake_at IS NOT NULL"),
            postgresql_where=sql_text("wake_at IS NOT NULL"),
        ),
        _NUMBERED_ONCE,
    )

    id: int | None = Field(default=None, sa_column=row_id())
    key: str = Field(sa_column=Column("key", key_text(), nullable=False, unique=True))
    state: str = Field(sa_column=Column("state", key_text(), nullable=False))
    entered_at: datetime | None = Field(sa_column=Column("entered_at", instant()))
    snapshot: str | None = Field(sa_column=Column("snapshot", Text()))
    folded_until: datetime | None = Field(sa_column=Column("folded_until", instant()))
    wake_at: datetime | None = Field(sa_column=Column("wake_at", instant()))
    policy_version: int | None = Field(sa_column=Column("policy_version", Integer()))
    created_at: datetime = Field(sa_column=Column("created_at", instant(), nullable=False))


class Identity(SQLModel, table=True):
    """An identifier under which events were posted, and the customer whom it names today."""

    __tablename__: ClassVar[str] = "identity"
    __table_args__ = (Index("identity_customer", "customer_id"),)

    id: int | None = Field(default=None, sa_column=row_id())
    key: str = Field(sa_column=Column("key", key_text(), nullable=False, unique=True))
    customer_id: int = Field(
        sa_column=Column("customer_id", big(), ForeignKey("customer.id"), nullable=False)
    )


class AcceptedEvent(SQLModel, table=True):
    """An accepted event; never updated, never deleted."""

    __tablename__: ClassVar[str] = "event"
    __table_args__ = (
        UniqueConstraint("source", "event_id", name="event_key"),
        Index("event_identity", "identity_id", "occurred_at"),
    )

    id: int | None = Field(default=None, sa_column=row_id())
    source: str = Field(sa_column=Column("source", key_text(), nullable=False))
    event_id: str = Field(sa_column=Column("event_id", key_text(), nullable=False))
    identity_id: int = Field(sa_column=Column("identity_id", big(), nullable=False))
    type: str = Field(sa_column=Column("type", key_text(), nullable=False))
    occurred_at: datetime = Field(sa_column=Column("occurred_at", instant(), nullable=False))
    received_at: datetime = Field(sa_column=Column("received_at", instant(), nullable=False))
    dated: bool = Field(sa_column=Column("dated", Boolean(), nullable=False))
    properties: str = Field(sa_column=Column("properties", Text(), nullable=False))
    body_hash: str = Field(sa_column=Column("body_hash", Text(), nullable=False))  # hex
    run_id: int | None = Field(sa_column=Column("run_id", big()))
    request_id: str | None = Field(sa_column=Column("request_id", Text()))


class Pending(SQLModel, table=True):
    """An event that was accepted and is not folded yet."""

    __tablename__: ClassVar[str] = "pending"
    __table_args__ = (Index("pending_identity", "identity_id"),)

    event_id: int = Field(sa_column=foreign_row_id("event_id"))
    identity_id: int = Field(sa_column=Column("identity_id", big(), nullable=False))


class Imported(SQLModel, table=True):
    """That an import stored events of an identity, and how many of them are not folded yet.

    They are held until the run has ended, and pending then. One row an identity instead of one an
    event: an import writes a tenth of the rows.
    """

    __tablename__: ClassVar[str] = "imported"
    __table_args__ = (
        Index(
            "imported_waiting",
            "run_id",
            "identity_id",
            sqlite_where=sql_text("waiting > 0"),
            postgresql_where=sql_text("waiting > 0"),
        ),
        {"sqlite_with_rowid": False},
    )

    identity_id: int = Field(
        sa_column=Column("identity_id", big(), primary_key=True, autoincrement=False)
    )
    run_id: int = Field(sa_column=Column("run_id", big(), primary_key=True, autoincrement=False))
    waiting: int = Field(sa_column=Column("waiting", Integer(), nullable=False))


class RecordedStep(SQLModel, table=True):
    """A step that a customer made; once it no longer follows it is marked revoked and kept."""

    __tablename__: ClassVar[str] = "step"
    __table_args__ = (
        UniqueConstraint("customer_id", "seq", name="step_seq"),
        Index(
            "step_cause",
            "customer_id",
            "cause",
            unique=True,
            sqlite_where=sql_text("revoked_at IS NULL"),
            postgresql_where=sql_text("revoked_at IS NULL"),
        ),
    )

    id: int | None = Field(default=None, sa_column=row_id())
    customer_id: int = Field(sa_column=Column("customer_id", big(), nullable=False))
    seq: int | None = Field(sa_column=Column("seq", Integer()))  # from 1; none once revoked
    rule: str = Field(sa_column=Column("rule", key_text(), nullable=False))
    from_state: str = Field(sa_column=Column("from_state", key_text(), nullable=False))
    to_state: str = Field(sa_column=Column("to_state", key_text(), nullable=False))
    trigger: str = Field(sa_column=Column("trigger", key_text(), nullable=False))
    cause: str = Field(sa_column=Column("cause", key_text(), nullable=False))
    at: datetime = Field(sa_column=Column("at", instant(), nullable=False))
    guard: str | None = Field(sa_column=Column("guard", Text()))
    read: str = Field(sa_column=Column("read", Text(), nullable=False))
    version: int = Field(sa_column=Column("version", Integer(), nullable=False))
    by: str | None = Field(sa_column=Column("by", Text()))
    why: str | None = Field(sa_column=Column("why", Text()))
    recorded_at: datetime = Field(sa_column=Column("recorded_at", instant(), nullable=False))
    revoked_by: int | None = Field(sa_column=Column("revoked_by", big()))  # row of the event
    # the policy version under which it does not follow any more, where no event did it
    revoked_version: int | None = Field(sa_column=Column("revoked_version", Integer()))
    revoked_at: datetime | None = Field(sa_column=Column("revoked_at", instant()))


class StepLog(SQLModel, table=True):
    """What became known of steps: that one was made, or that one was revoked.

    Numbered in the order of commits, which the ids of the steps are not.
    """

    __tablename__: ClassVar[str] = "step_log"

    id: int | None = Field(default=None, sa_column=row_id())
    step_id: int = Field(sa_column=Column("step_id", big(), nullable=False))
    revoked: bool = Field(sa_column=Column("revoked", Boolean(), nullable=False))


_WAITING = "fate IN ('queued', 'deferred')"


class RecordedMessage(SQLModel, table=True):
    """A message that the policy planned, and what became of it."""

    __tablename__: ClassVar[str] = "message"
    __table_args__ = (
        UniqueConstraint("customer_id", "rule", "cause", "number", name="message_key"),
        Index(
            "message_waiting",
            "not_before",
            sqlite_where=sql_text(_WAITING),
            postgresql_where=sql_text(_WAITING),
        ),
        Index(
            "message_expiring",
            "expires_at",
            sqlite_where=sql_text(f"{_WAITING} AND expires_at IS NOT NULL"),
            postgresql_where=sql_text(f"{_WAITING} AND expires_at IS NOT NULL"),
        ),
        Index(
            "message_leased",
            "lease_until",
            sqlite_where=sql_text("lease IS NOT NULL"),
            postgresql_where=sql_text("lease IS NOT NULL"),
        ),
        Index("message_rule", "rule", "recorded_at"),
        Index(
            "message_fallen",
            "customer_id",
            sqlite_where=sql_text("NOT live"),
            postgresql_where=sql_text("NOT live"),
        ),
        Index(
            "message_unknown",
            "fate_at",
            sqlite_where=sql_text("fate = 'unknown'"),
            postgresql_where=sql_text("fate = 'unknown'"),
        ),
        _NUMBERED_ONCE,
    )

    id: int | None = Field(default=None, sa_column=row_id())
    customer_id: int = Field(sa_column=Column("customer_id", big(), nullable=False))
    rule: str = Field(sa_column=Column("rule", key_text(), nullable=False))
    cause: str = Field(sa_column=Column("cause", key_text(), nullable=False))
    number: int = Field(sa_column=Column("number", Integer(), nullable=False))
    caused_at: datetime = Field(sa_column=Column("caused_at", instant(), nullable=False))
    planned_at: datetime = Field(sa_column=Column("planned_at", instant(), nullable=False))
    expires_at: datetime | None = Field(sa_column=Column("expires_at", instant()))
    settle_seconds: float = Field(sa_column=Column("settle_seconds", Float(53), nullable=False))
    again_after_seconds: float = Field(
        sa_column=Column("again_after_seconds", Float(53), nullable=False)
    )
    message_class: str = Field(sa_column=Column("message_class", Text(), nullable=False))
    channels: str = Field(sa_column=Column("channels", Text(), nullable=False))
    version: int = Field(sa_column=Column("version", Integer(), nullable=False))
    live: bool = Field(sa_column=Column("live", Boolean(), nullable=False))
    fate: str = Field(sa_column=Column("fate", Text(), nullable=False))
    reason: str | None = Field(sa_column=Column("reason", Text()))
    fate_at: datetime = Field(sa_column=Column("fate_at", instant(), nullable=False))
    not_before: datetime = Field(sa_column=Column("not_before", instant(), nullable=False))
    sent_at: datetime | None = Field(sa_column=Column("sent_at", instant()))
    recorded_at: datetime = Field(sa_column=Column("recorded_at", instant(), nullable=False))
    channel: str | None = Field(sa_column=Column("channel", Text()))
    variant: str | None = Field(sa_column=Column("variant", Text()))
    claimed_at: datetime | None = Field(sa_column=Column("claimed_at", instant()))
    tries: int = Field(sa_column=Column("tries", Integer(), nullable=False, server_default="0"))
    retry_at: datetime | None = Field(sa_column=Column("retry_at", instant()))
    lease: str | None = Field(sa_column=Column("lease", Text()))
    lease_until: datetime | None = Field(sa_column=Column("lease_until", instant()))


class SendAttempt(SQLModel, table=True):
    """One time that a letter was handed to a provider: committed before it, completed after it."""

    __tablename__: ClassVar[str] = "send_attempt"
    __table_args__ = (
        Index("send_attempt_provider", "provider_id"),
        Index("send_attempt_channel", "channel", "began_at"),
    )

    message_id: int = Field(
        sa_column=Column("message_id", big(), primary_key=True, autoincrement=False)
    )
    number: int = Field(
        sa_column=Column("number", Integer(), primary_key=True, autoincrement=False)
    )
    channel: str = Field(sa_column=Column("channel", Text(), nullable=False))
    letter: str = Field(sa_column=Column("letter", key_text(), nullable=False))
    address_hash: str | None = Field(sa_column=Column("address_hash", Text()))
    language: str = Field(sa_column=Column("language", Text(), nullable=False))
    template_hash: str = Field(sa_column=Column("template_hash", Text(), nullable=False))
    content_hash: str = Field(sa_column=Column("content_hash", Text(), nullable=False))
    began_at: datetime = Field(sa_column=Column("began_at", instant(), nullable=False))
    ended_at: datetime | None = Field(sa_column=Column("ended_at", instant()))
    outcome: str | None = Field(sa_column=Column("outcome", Text()))
    code: str | None = Field(sa_column=Column("code", Text()))
    detail: str | None = Field(sa_column=Column("detail", Text()))
    provider_id: str | None = Field(sa_column=Column("provider_id", key_text()))


class ShownLetter(SQLModel, table=True):
    """A letter of the outbox: what would have gone out."""

    __tablename__: ClassVar[str] = "shown_letter"
    __table_args__ = (Index("shown_letter_at", "at"),)  # it stands behind the text of the letter

    key: str = Field(sa_column=Column("key", key_text(), primary_key=True))
    channel: str = Field(sa_column=Column("channel", Text(), nullable=False))
    rule: str = Field(sa_column=Column("rule", key_text(), nullable=False))
    content: str = Field(sa_column=Column("content", Text(), nullable=False))
    at: datetime = Field(sa_column=Column("at", instant(), nullable=False))


class Suppression(SQLModel, table=True):
    """An address that must not be written to, known by its keyed hash alone."""

    __tablename__: ClassVar[str] = "suppression"

    address_hash: str = Field(sa_column=Column("address_hash", key_text(), primary_key=True))
    scope: str = Field(sa_column=Column("scope", key_text(), primary_key=True))
    reason: str = Field(sa_column=Column("reason", Text(), nullable=False))
    since: datetime = Field(sa_column=Column("since", instant(), nullable=False))
    until: datetime | None = Field(sa_column=Column("until", instant()))


class SoftBounce(SQLModel, table=True):
    """An address that could not be reached just now; several within a time suppress it for a while."""

    __tablename__: ClassVar[str] = "soft_bounce"

    address_hash: str = Field(sa_column=Column("address_hash", key_text(), primary_key=True))
    message_key: str = Field(sa_column=Column("message_key", key_text(), primary_key=True))
    at: datetime = Field(sa_column=Column("at", instant(), nullable=False))


class UnmatchedReport(SQLModel, table=True):
    """A report of a letter that nobody here has sent, for whoever looks into it."""

    __tablename__: ClassVar[str] = "unmatched_report"
    __table_args__ = (Index("unmatched_report_at", "received_at"),)

    id: int | None = Field(default=None, sa_column=row_id())
    received_at: datetime = Field(sa_column=Column("received_at", instant(), nullable=False))
    news: str = Field(sa_column=Column("news", Text(), nullable=False))
    code: str = Field(sa_column=Column("code", Text(), nullable=False))
    channel: str | None = Field(sa_column=Column("channel", Text()))
    named: str = Field(sa_column=Column("named", Text(), nullable=False))  # JSON: what it calls it


class LetterFetch(SQLModel, table=True):
    """Something of a letter that is measured was fetched, and will be judged in some seconds."""

    __tablename__: ClassVar[str] = "letter_fetch"
    __table_args__ = (Index("letter_fetch_at", "at", "message_id"),)

    message_id: int = Field(
        sa_column=Column("message_id", big(), primary_key=True, autoincrement=False)
    )
    link: int = Field(sa_column=Column("link", Integer(), primary_key=True, autoincrement=False))
    why: str = Field(sa_column=Column("why", Text(), primary_key=True))
    channel: str = Field(sa_column=Column("channel", Text(), nullable=False))
    consent: str | None = Field(sa_column=Column("consent", Text()))
    url: str | None = Field(sa_column=Column("url", Text()))
    at: datetime = Field(sa_column=Column("at", instant(), nullable=False))
    seen_at: datetime = Field(sa_column=Column("seen_at", instant(), nullable=False))


class Pause(SQLModel, table=True):
    """What a person, or the surge breaker, has paused: everything, a rule, a channel, what is real."""

    __tablename__: ClassVar[str] = "pause"

    scope: str = Field(sa_column=Column("scope", key_text(), primary_key=True))
    by: str = Field(sa_column=Column("by", Text(), nullable=False))
    why: str = Field(sa_column=Column("why", Text(), nullable=False))
    since: datetime = Field(sa_column=Column("since", instant(), nullable=False))


class Instance(SQLModel, table=True):
    """Which database this is: a copy of it, or one that was restored, says another."""

    __tablename__: ClassVar[str] = "instance"

    id: int | None = Field(default=None, sa_column=row_id())
    identity: str = Field(sa_column=Column("identity", Text(), nullable=False))


class Task(SQLModel, table=True):
    """Something that an employee is asked to do for a customer."""

    __tablename__: ClassVar[str] = "task"
    __table_args__ = (Index("task_owner", "owner", "status"),)

    key: str = Field(sa_column=Column("key", key_text(), primary_key=True))
    customer: str = Field(sa_column=Column("customer", key_text(), nullable=False))
    rule: str = Field(sa_column=Column("rule", key_text(), nullable=False))
    owner: str | None = Field(sa_column=Column("owner", key_text()))
    status: str = Field(sa_column=Column("status", Text(), nullable=False))
    title: str = Field(sa_column=Column("title", Text(), nullable=False))
    text: str = Field(sa_column=Column("text", Text(), nullable=False))
    created_at: datetime = Field(sa_column=Column("created_at", instant(), nullable=False))
    due_at: datetime | None = Field(sa_column=Column("due_at", instant()))
    accepted_at: datetime | None = Field(sa_column=Column("accepted_at", instant()))
    done_at: datetime | None = Field(sa_column=Column("done_at", instant()))
    note: str | None = Field(sa_column=Column("note", Text()))


class Dead(SQLModel, table=True):
    """An event that left the fold: too late, quarantined, or discarded by a person."""

    __tablename__: ClassVar[str] = "dead"
    __table_args__ = (Index("dead_identity", "identity_id"),)

    event_id: int = Field(sa_column=foreign_row_id("event_id"))
    identity_id: int = Field(sa_column=Column("identity_id", big(), nullable=False))
    status: str = Field(sa_column=Column("status", Text(), nullable=False))
    reason: str = Field(sa_column=Column("reason", Text(), nullable=False))
    detail: str = Field(sa_column=Column("detail", Text(), nullable=False))
    attempts: int = Field(sa_column=Column("attempts", Integer(), nullable=False))
    at: datetime = Field(sa_column=Column("at", instant(), nullable=False))


class DeadAction(SQLModel, table=True):
    """What was done with a dead event, by whom and why; only ever appended."""

    __tablename__: ClassVar[str] = "dead_action"
    __table_args__ = (Index("dead_action_event", "event_id"),)

    id: int | None = Field(default=None, sa_column=row_id())
    event_id: int = Field(sa_column=Column("event_id", big(), nullable=False))
    action: str = Field(sa_column=Column("action", Text(), nullable=False))
    by: str = Field(sa_column=Column("by", Text(), nullable=False))
    why: str | None = Field(sa_column=Column("why", Text()))
    at: datetime = Field(sa_column=Column("at", instant(), nullable=False))


class Attempt(SQLModel, table=True):
    """Work that was begun: committed before it, deleted with it, so what is left had crashed."""

    __tablename__: ClassVar[str] = "attempt"

    id: int | None = Field(default=None, sa_column=row_id())
    token: str = Field(sa_column=Column("token", Text(), nullable=False))  # of the worker's process
    level: str = Field(sa_column=Column("level", Text(), nullable=False))
    customers: str = Field(sa_column=Column("customers", Text(), nullable=False))  # JSON: ids
    event_id: int | None = Field(sa_column=Column("event_id", big()))  # row of the event
    count: int = Field(sa_column=Column("count", Integer(), nullable=False))
    started_at: datetime = Field(sa_column=Column("started_at", instant(), nullable=False))


class PublishedPolicy(SQLModel, table=True):
    """A version of the policy, in force from an instant on."""

    __tablename__: ClassVar[str] = "policy_version"

    number: int = Field(
        sa_column=Column("number", Integer(), primary_key=True, autoincrement=False)
    )
    hash: str = Field(sa_column=Column("hash", Text(), nullable=False))
    effective_at: datetime = Field(sa_column=Column("effective_at", instant(), nullable=False))
    content: str = Field(sa_column=Column("content", Text(), nullable=False))
    published_at: datetime = Field(sa_column=Column("published_at", instant(), nullable=False))
    by: str = Field(sa_column=Column("by", Text(), nullable=False))
    # Of one that restates history: what it newly plans for an earlier instant is withheld.
    withhold_until: datetime | None = Field(sa_column=Column("withhold_until", instant()))


class Publication(SQLModel, table=True):
    """What was put forward as the next version, by whom, what it was measured to do, what became of it."""

    __tablename__: ClassVar[str] = "publication"

    # that of the version which it becomes
    number: int = Field(
        sa_column=Column("number", Integer(), primary_key=True, autoincrement=False)
    )
    token: str = Field(sa_column=Column("token", Text(), nullable=False, unique=True))
    status: str = Field(sa_column=Column("status", Text(), nullable=False))
    hash: str = Field(sa_column=Column("hash", Text(), nullable=False))
    content: str = Field(sa_column=Column("content", Text(), nullable=False))
    base: int = Field(sa_column=Column("base", Integer(), nullable=False))  # newest version then
    restates: bool = Field(sa_column=Column("restates", Boolean(), nullable=False))
    effects: bool = Field(sa_column=Column("effects", Boolean(), nullable=False))
    wanted_at: datetime | None = Field(sa_column=Column("wanted_at", instant()))  # None: at once
    content_of: int | None = Field(sa_column=Column("content_of", Integer()))  # of a roll back
    by: str = Field(sa_column=Column("by", Text(), nullable=False))
    why: str | None = Field(sa_column=Column("why", Text()))
    made_at: datetime = Field(sa_column=Column("made_at", instant(), nullable=False))
    changes: str = Field(sa_column=Column("changes", Text(), nullable=False))  # JSON: words
    measured: str = Field(sa_column=Column("measured", Text(), nullable=False))  # JSON
    exceeded: str = Field(sa_column=Column("exceeded", Text(), nullable=False))  # JSON: words
    decided_by: str | None = Field(sa_column=Column("decided_by", Text()))  # None: nobody had to
    decided_why: str | None = Field(sa_column=Column("decided_why", Text()))
    decided_at: datetime | None = Field(sa_column=Column("decided_at", instant()))


class Recomputation(SQLModel, table=True):
    """How far all customers have been folded on to a version, page by page, in the order of their ids."""

    __tablename__: ClassVar[str] = "recomputation"

    version: int = Field(
        sa_column=Column("version", Integer(), primary_key=True, autoincrement=False)
    )
    customers: int = Field(sa_column=Column("customers", big(), nullable=False))  # when it began
    done: int = Field(sa_column=Column("done", big(), nullable=False))
    after_id: int = Field(sa_column=Column("after_id", big(), nullable=False))  # the last one done
    worker: str | None = Field(sa_column=Column("worker", Text()))
    lease_until: datetime | None = Field(sa_column=Column("lease_until", instant()))  # real time
    began_at: datetime = Field(sa_column=Column("began_at", instant(), nullable=False))
    ended_at: datetime | None = Field(sa_column=Column("ended_at", instant()))


class ImportRun(SQLModel, table=True):
    """One import of one file; what it stored is held until it has ended."""

    __tablename__: ClassVar[str] = "import_run"
    __table_args__ = (Index("import_run_digest", "digest"),)

    id: int | None = Field(default=None, sa_column=row_id())
    name: str = Field(sa_column=Column("name", Text(), nullable=False))
    digest: str = Field(sa_column=Column("digest", Text(), nullable=False))
    effects: bool = Field(sa_column=Column("effects", Boolean(), nullable=False))
    started_at: datetime = Field(sa_column=Column("started_at", instant(), nullable=False))
    ended_at: datetime | None = Field(sa_column=Column("ended_at", instant()))


class Clock(SQLModel, table=True):
    """The origin of a clock that is not the real one; at most one row, number 1."""

    __tablename__: ClassVar[str] = "clock"

    id: int = Field(sa_column=Column("id", Integer(), primary_key=True, autoincrement=False))
    spec: str = Field(sa_column=Column("spec", Text(), nullable=False))
    real_origin: datetime = Field(sa_column=Column("real_origin", instant(), nullable=False))
    virtual_origin: datetime = Field(sa_column=Column("virtual_origin", instant(), nullable=False))
    seen: datetime = Field(sa_column=Column("seen", instant(), nullable=False))


class ApiKey(SQLModel, table=True):
    """A key to the HTTP interface, of whose text only the hash is kept; never deleted."""

    __tablename__: ClassVar[str] = "api_key"

    id: str = Field(sa_column=Column("id", key_text(), primary_key=True))
    name: str = Field(sa_column=Column("name", key_text(), nullable=False))
    secret_hash: str = Field(sa_column=Column("secret_hash", Text(), nullable=False))  # hex
    scopes: str = Field(sa_column=Column("scopes", Text(), nullable=False))  # with spaces between
    events_per_second: float | None = Field(sa_column=Column("events_per_second", Float(53)))
    burst: int | None = Field(sa_column=Column("burst", Integer()))
    created_at: datetime = Field(sa_column=Column("created_at", instant(), nullable=False))
    created_by: str = Field(sa_column=Column("created_by", Text(), nullable=False))
    expires_at: datetime | None = Field(sa_column=Column("expires_at", instant()))
    revoked_at: datetime | None = Field(sa_column=Column("revoked_at", instant()))
    revoked_by: str | None = Field(sa_column=Column("revoked_by", Text()))
    last_used_at: datetime | None = Field(sa_column=Column("last_used_at", instant()))


class ScheduleRun(SQLModel, table=True):
    """One job on one occasion: whoever inserts the row, or finds its lease over, does it."""

    __tablename__: ClassVar[str] = "schedule_run"

    job: str = Field(sa_column=Column("job", key_text(), primary_key=True))
    fire_key: str = Field(sa_column=Column("fire_key", key_text(), primary_key=True))  # local date
    # host and process, such as `web1-4711-9f86d081`
    worker: str = Field(sa_column=Column("worker", Text(), nullable=False))
    tries: int = Field(sa_column=Column("tries", Integer(), nullable=False))  # fences earlier ones
    started_at: datetime = Field(sa_column=Column("started_at", instant(), nullable=False))
    lease_until: datetime = Field(sa_column=Column("lease_until", instant(), nullable=False))
    finished_at: datetime | None = Field(sa_column=Column("finished_at", instant()))
    failed: bool = Field(sa_column=Column("failed", Boolean(), nullable=False))
    outcome: str | None = Field(sa_column=Column("outcome", Text()))  # in words


class Idempotency(SQLModel, table=True):
    """The answer to a request that its sender gave a key, for whoever sends it again."""

    __tablename__: ClassVar[str] = "idempotency"
    __table_args__ = (Index("idempotency_expires", "expires_at"),)

    # the id of the API key, or nothing where none is asked for
    principal: str = Field(sa_column=Column("principal", key_text(), primary_key=True))
    route: str = Field(sa_column=Column("route", key_text(), primary_key=True))
    key: str = Field(sa_column=Column("key", key_text(), primary_key=True))
    request_sha256: str = Field(sa_column=Column("request_sha256", Text(), nullable=False))  # hex
    status: int = Field(sa_column=Column("status", Integer(), nullable=False))
    body: str = Field(sa_column=Column("body", Text(), nullable=False))
    expires_at: datetime = Field(sa_column=Column("expires_at", instant(), nullable=False))


METADATA = SQLModel.metadata
