"""What has a customer agreed to, and taken back, in all the time that she is known?

The ledger is the event log itself: nothing is ever changed in it, nor taken out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import orjson

from lifecycle.domain.builtin import EVERY_CHANNEL
from lifecycle.store.sql import Row, Tx, both


class ConsentRow(NamedTuple):
    """One consent given or withdrawn, as it was posted."""

    given: bool
    purpose: str
    channel: str
    at: datetime  # when she said so
    received_at: datetime  # when we heard of it
    source: str
    id: str  # of the event
    evidence: str | None
    dead: str | None  # why it counts for nothing: too_late, quarantined, discarded

    @property
    def about(self) -> str:
        return f"{self.purpose}/{self.channel}"


def ledger(tx: Tx, customer_id: int) -> list[ConsentRow]:
    """In the order of events, the latest last; whether it is applied already or still waits."""
    return sorted(
        (_consent(tx, row) for row in tx.rows(_LEDGER, customer_id)),
        key=lambda row: (row.at, row.source, row.id),
    )


def standing(rows: Sequence[ConsentRow]) -> dict[str, bool]:
    """By `purpose/channel`, whether the last word was yes; what is dead says nothing.

    As the fold has it: what is said of all channels takes the place of what was said of each before.
    """
    said: dict[str, bool] = {}
    for row in rows:
        if row.dead is not None:
            continue
        if row.channel == EVERY_CHANNEL:
            said = {
                about: so for about, so in said.items() if about.rpartition("/")[0] != row.purpose
            }
        said[row.about] = row.given
    return said


_LEDGER = both(
    "SELECT e.type, e.occurred_at, e.received_at, e.source, e.event_id, e.properties, d.status"
    " FROM identity AS i JOIN event AS e ON e.identity_id = i.id"
    " LEFT JOIN dead AS d ON d.event_id = e.id"
    " WHERE i.customer_id = ? AND e.type IN ('consent_given', 'consent_withdrawn')",
    columns=7,
)


def _consent(tx: Tx, row: Row) -> ConsentRow:
    said = orjson.loads(row[5])
    return ConsentRow(
        given=row[0] == "consent_given",
        purpose=said["purpose"],
        channel=said["channel"],
        at=tx.from_db(row[1]),
        received_at=tx.from_db(row[2]),
        source=row[3],
        id=row[4],
        evidence=said.get("evidence"),
        dead=row[6],
    )
