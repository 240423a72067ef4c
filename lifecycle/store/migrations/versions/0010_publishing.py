"""Publishing of policies: the record of each, how far the customers are recomputed, what restating does."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from lifecycle.store.columns import big, instant

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("policy_version", sa.Column("withhold_until", instant(), nullable=True))
    op.add_column("step", sa.Column("revoked_version", sa.Integer(), nullable=True))
    op.create_table(
        "publication",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("token", sa.Text(), nullable=False, unique=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("restates", sa.Boolean(), nullable=False),
        sa.Column("effects", sa.Boolean(), nullable=False),
        sa.Column("wanted_at", instant(), nullable=True),
        sa.Column("content_of", sa.Integer(), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("made_at", instant(), nullable=False),
        sa.Column("changes", sa.Text(), nullable=False),
        sa.Column("measured", sa.Text(), nullable=False),
        sa.Column("exceeded", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_why", sa.Text(), nullable=True),
        sa.Column("decided_at", instant(), nullable=True),
    )
    op.create_table(
        "recomputation",
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("customers", big(), nullable=False),
        sa.Column("done", big(), nullable=False),
        sa.Column("after_id", big(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("lease_until", instant(), nullable=True),
        sa.Column("began_at", instant(), nullable=False),
        sa.Column("ended_at", instant(), nullable=True),
    )
