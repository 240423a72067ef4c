"""By which request an event came, so that one search follows it from the post to the message."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("event", sa.Column("request_id", sa.Text(), nullable=True))
