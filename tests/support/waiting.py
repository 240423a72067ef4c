"""When do sessions of PostgreSQL wait for each other? Tests that stop one in its middle ask here."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import psycopg

_WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND wait_event_type = 'Lock' AND backend_type = 'client backend'"
)


def until_waiting(url: str, *working: Future[Any]) -> None:
    """Returns when so many sessions wait for a lock; fails when one of them ends instead.

    Each look is a transaction of its own: within one, the server shows its sessions as they were
    when they were first looked at.
    """
    with psycopg.connect(url, autocommit=True) as control:
        while True:
            row = control.execute(_WAITING).fetchone()
            assert row is not None
            if row[0] >= len(working):
                return
            for one in working:
                assert not one.done(), f"it did not wait: {one.exception() or one.result()}"
