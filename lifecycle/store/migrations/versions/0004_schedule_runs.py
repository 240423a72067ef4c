"""What the scheduler did once, such as the work of a night: who claimed it, and how it ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from lifecycle.store.columns import instant, key_text

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "schedule_run",
        sa.Column("job", key_text(), nullable=False),
        sa.Column("fire_key", key_text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("started_at", instant(), nullable=False),
        sa.Column("lease_until", instant(), nullable=False),
        sa.Column("finished_at", instant(), nullable=True),
        sa.Column("failed", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("job", "fire_key"),
    )
