"""The tables of the first release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from lifecycle.store.columns import (
    POSTGRESQL,
    foreign_row_id,
    instant,
    key_text,
    row_id,
)

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "attempt",
        row_id(),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("customers", sa.Text(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("started_at", instant(), nullable=False),
    )
    op.create_table(
        "clock",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("real_origin", instant(), nullable=False),
        sa.Column("virtual_origin", instant(), nullable=False),
        sa.Column("seen", instant(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "customer",
        row_id(),
        sa.Column("key", key_text(), nullable=False),
        sa.Column("state", key_text(), nullable=False),
        sa.Column("entered_at", instant(), nullable=True),
        sa.Column("snapshot", sa.Text(), nullable=True),
        sa.Column("folded_until", instant(), nullable=True),
        sa.Column("wake_at", instant(), nullable=True),
        sa.Column("policy_version", sa.Integer(), nullable=True),
        sa.Column("created_at", instant(), nullable=False),
        sa.UniqueConstraint("key"),
    )
    op.create_index("customer_state", "customer", ["state"], unique=False)
    op.create_index(
        "customer_wake",
        "customer",
        ["wake_at"],
        unique=False,
        sqlite_where=sa.text("wake_at IS NOT NULL"),
        postgresql_where=sa.text("wake_at IS NOT NULL"),
    )
    op.create_table(
        "dead",
        foreign_row_id("event_id"),
        sa.Column("identity_id", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("at", instant(), nullable=False),
    )
    op.create_index("dead_identity", "dead", ["identity_id"], unique=False)
    op.create_table(
        "dead_action",
        row_id(),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("at", instant(), nullable=False),
    )
    op.create_index("dead_action_event", "dead_action", ["event_id"], unique=False)
    op.create_table(
        "event",
        row_id(),
        sa.Column("source", key_text(), nullable=False),
        sa.Column("event_id", key_text(), nullable=False),
        sa.Column("identity_id", sa.BigInteger(), nullable=False),
        sa.Column("type", key_text(), nullable=False),
        sa.Column("occurred_at", instant(), nullable=False),
        sa.Column("received_at", instant(), nullable=False),
        sa.Column("dated", sa.Boolean(), nullable=False),
        sa.Column("properties", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.Text(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.UniqueConstraint("source", "event_id", name="event_key"),
    )
    op.create_index("event_identity", "event", ["identity_id", "occurred_at"], unique=False)
    op.create_table(
        "import_run",
        row_id(),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("effects", sa.Boolean(), nullable=False),
        sa.Column("started_at", instant(), nullable=False),
        sa.Column("ended_at", instant(), nullable=True),
    )
    op.create_index("import_run_digest", "import_run", ["digest"], unique=False)
    op.create_table(
        "imported",
        sa.Column("identity_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("run_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("identity_id", "run_id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "imported_waiting",
        "imported",
        ["run_id", "identity_id"],
        unique=False,
        sqlite_where=sa.text("waiting > 0"),
        postgresql_where=sa.text("waiting > 0"),
    )
    op.create_table(
        "message",
        row_id(),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("rule", key_text(), nullable=False),
        sa.Column("cause", key_text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("caused_at", instant(), nullable=False),
        sa.Column("planned_at", instant(), nullable=False),
        sa.Column("expires_at", instant(), nullable=True),
        sa.Column("settle_seconds", sa.Float(precision=53), nullable=False),
        sa.Column("again_after_seconds", sa.Float(precision=53), nullable=False),
        sa.Column("message_class", sa.Text(), nullable=False),
        sa.Column("channels", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("fate", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("fate_at", instant(), nullable=False),
        sa.Column("not_before", instant(), nullable=False),
        sa.Column("sent_at", instant(), nullable=True),
        sa.Column("recorded_at", instant(), nullable=False),
        sa.UniqueConstraint("customer_id", "rule", "cause", "number", name="message_key"),
    )
    op.create_index(
        "message_expiring",
        "message",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("fate = 'queued' AND expires_at IS NOT NULL"),
        postgresql_where=sa.text("fate = 'queued' AND expires_at IS NOT NULL"),
    )
    op.create_index(
        "message_fallen",
        "message",
        ["customer_id"],
        unique=False,
        sqlite_where=sa.text("NOT live"),
        postgresql_where=sa.text("NOT live"),
    )
    op.create_index(
        "message_queued",
        "message",
        ["not_before"],
        unique=False,
        sqlite_where=sa.text("fate = 'queued'"),
        postgresql_where=sa.text("fate = 'queued'"),
    )
    op.create_table(
        "pending",
        foreign_row_id("event_id"),
        sa.Column("identity_id", sa.BigInteger(), nullable=False),
    )
    op.create_index("pending_identity", "pending", ["identity_id"], unique=False)
    op.create_table(
        "policy_version",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("effective_at", instant(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("published_at", instant(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "step",
        row_id(),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=True),
        sa.Column("rule", key_text(), nullable=False),
        sa.Column("from_state", key_text(), nullable=False),
        sa.Column("to_state", key_text(), nullable=False),
        sa.Column("trigger", key_text(), nullable=False),
        sa.Column("cause", key_text(), nullable=False),
        sa.Column("at", instant(), nullable=False),
        sa.Column("guard", sa.Text(), nullable=True),
        sa.Column("read", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("by", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("recorded_at", instant(), nullable=False),
        sa.Column("revoked_by", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", instant(), nullable=True),
        sa.UniqueConstraint("customer_id", "seq", name="step_seq"),
    )
    op.create_index(
        "step_cause",
        "step",
        ["customer_id", "cause"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_table(
        "step_log",
        row_id(),
        sa.Column("step_id", sa.BigInteger(), nullable=False),
        sa.Column("revoked", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "identity",
        row_id(),
        sa.Column("key", key_text(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customer.id"],
        ),
        sa.UniqueConstraint("key"),
    )
    op.create_index("identity_customer", "identity", ["customer_id"], unique=False)

    if op.get_context().dialect.name == POSTGRESQL:
        _on_postgresql()


def _on_postgresql() -> None:
    # Rows of `pending` live for a moment; those of `customer` are rewritten again and again.
    op.execute(
        "ALTER TABLE pending SET (autovacuum_vacuum_scale_factor = 0,"
        " autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0)"
    )
    op.execute("ALTER TABLE customer SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05)")
