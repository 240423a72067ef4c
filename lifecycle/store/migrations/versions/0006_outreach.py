"""What sending needs: claims and tries of messages, suppressed addresses, pauses, the outbox and tasks.

Real channels are paused from the beginning, also where messages were planned before they could be sent:
what is to leave is looked at first, by `lifecycle outreach list`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from lifecycle.store.columns import instant, key_text, row_id

revision = "0006"
down_revision = "0005"

_WAITING = "fate IN ('queued', 'deferred')"


def upgrade() -> None:
    op.add_column("message", sa.Column("channel", sa.Text(), nullable=True))
    op.add_column("message", sa.Column("variant", sa.Text(), nullable=True))
    op.add_column("message", sa.Column("claimed_at", instant(), nullable=True))
    op.add_column("message", sa.Column("tries", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("message", sa.Column("retry_at", instant(), nullable=True))
    op.add_column("message", sa.Column("lease", sa.Text(), nullable=True))
    op.add_column("message", sa.Column("lease_until", instant(), nullable=True))
    op.drop_index("message_queued", "message")
    op.drop_index("message_expiring", "message")
    _partial("message_waiting", ["not_before"], _WAITING)
    _partial("message_expiring", ["expires_at"], f"{_WAITING} AND expires_at IS NOT NULL")
    _partial("message_leased", ["lease_until"], "lease IS NOT NULL")
    _partial("message_unknown", ["fate_at"], "fate = 'unknown'")
    op.create_index("message_rule", "message", ["rule", "recorded_at"])
    op.create_table(
        "send_attempt",
        sa.Column("message_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("letter", key_text(), nullable=False),
        sa.Column("address_hash", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("template_hash", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("began_at", instant(), nullable=False),
        sa.Column("ended_at", instant(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("provider_id", key_text(), nullable=True),
        sa.PrimaryKeyConstraint("message_id", "number"),
    )
    op.create_index("send_attempt_provider", "send_attempt", ["provider_id"])
    op.create_index("send_attempt_channel", "send_attempt", ["channel", "began_at"])
    op.create_table(
        "shown_letter",
        sa.Column("key", key_text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("rule", key_text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("at", instant(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("shown_letter_at", "shown_letter", ["at"])
    op.create_table(
        "suppression",
        sa.Column("address_hash", key_text(), nullable=False),
        sa.Column("scope", key_text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", instant(), nullable=False),
        sa.Column("until", instant(), nullable=True),
        sa.PrimaryKeyConstraint("address_hash", "scope"),
    )
    op.create_table(
        "soft_bounce",
        sa.Column("address_hash", key_text(), nullable=False),
        sa.Column("message_key", key_text(), nullable=False),
        sa.Column("at", instant(), nullable=False),
        sa.PrimaryKeyConstraint("address_hash", "message_key"),
    )
    op.create_table(
        "pause",
        sa.Column("scope", key_text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("since", instant(), nullable=False),
        sa.PrimaryKeyConstraint("scope"),
    )
    now = "CURRENT_TIMESTAMP"
    if op.get_bind().dialect.name == "sqlite":
        now = "CAST(strftime('%s', 'now') AS INTEGER) * 1000000"
    op.execute(
        "INSERT INTO pause (scope, \"by\", why, since) VALUES ('real', 'lifecycle',"
        f" 'a new installation: look at what would be sent, then resume', {now})"
    )
    op.create_table("instance", row_id(), sa.Column("identity", sa.Text(), nullable=False))
    op.create_table(
        "task",
        sa.Column("key", key_text(), nullable=False),
        sa.Column("customer", key_text(), nullable=False),
        sa.Column("rule", key_text(), nullable=False),
        sa.Column("owner", key_text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", instant(), nullable=False),
        sa.Column("due_at", instant(), nullable=True),
        sa.Column("accepted_at", instant(), nullable=True),
        sa.Column("done_at", instant(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("task_owner", "task", ["owner", "status"])


def _partial(name: str, columns: list[str], where: str) -> None:
    op.create_index(
        name, "message", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
    )
