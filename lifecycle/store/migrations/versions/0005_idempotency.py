"""Answers that are kept under the key which their sender gave the request."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from lifecycle.store.columns import instant, key_text

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "idempotency",
        sa.Column("principal", key_text(), nullable=False),
        sa.Column("route", key_text(), nullable=False),
        sa.Column("key", key_text(), nullable=False),
        sa.Column("request_sha256", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("expires_at", instant(), nullable=False),
        sa.PrimaryKeyConstraint("principal", "route", "key"),
    )
    op.create_index("idempotency_expires", "idempotency", ["expires_at"])
