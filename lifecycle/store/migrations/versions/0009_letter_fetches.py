"""What was fetched of letters that are measured, for the seconds until it is judged."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from lifecycle.store.columns import big, instant

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "letter_fetch",
        sa.Column("message_id", big(), primary_key=True, autoincrement=False),
        sa.Column("link", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("why", sa.Text(), primary_key=True),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("consent", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("at", instant(), nullable=False),
        sa.Column("seen_at", instant(), nullable=False),
    )
    op.create_index("letter_fetch_at", "letter_fetch", ["at", "message_id"], unique=False)
