"""Reports of letters that nobody here has sent, kept so that somebody can look into them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from lifecycle.store.columns import instant, row_id

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "unmatched_report",
        row_id(),
        sa.Column("received_at", instant(), nullable=False),
        sa.Column("news", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("named", sa.Text(), nullable=False),
    )
    op.create_index("unmatched_report_at", "unmatched_report", ["received_at"])
