"""Tasks as rows: one a key."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from lifecycle.store import tasks
from lifecycle.store.database import Database

ASKED = tasks.Task(
    key="l-1",
    customer="anna",
    rule="answer-enquiry",
    owner="tom",
    title="Call anna",
    text="Call anna today",
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def test_of_two_tasks_of_one_key_the_earlier_stands(db: Database) -> None:
    """Two senders may both have looked before either of them wrote."""
    with db.write() as tx:
        assert tasks.add(tx, ASKED) == ASKED
    with db.write() as tx:
        assert tasks.add(tx, replace(ASKED, owner="wei", title="Another")) == ASKED
