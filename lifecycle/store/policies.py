"""Which versions of the policy were ever in force?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lifecycle.store.sql import Tx, both


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRow:
    """A version as it is kept."""

    number: int
    hash: str
    effective_at: datetime
    content: str  # canonical JSON, with labels
    published_at: datetime  # real time
    by: str
    withhold_until: datetime | None = None  # of one that restates history


def newest(tx: Tx) -> int:
    """Number of the newest version; 0 where there is none."""
    number: int = tx.value(_NEWEST)
    return number


def all_versions(tx: Tx) -> list[PolicyRow]:
    """The oldest first."""
    return [
        PolicyRow(
            number=row[0],
            hash=row[1],
            effective_at=tx.from_db(row[2]),
            content=row[3],
            published_at=tx.from_db(row[4]),
            by=row[5],
            withhold_until=tx.from_db_or_none(row[6]),
        )
        for row in tx.rows(_ALL)
    ]


def add(tx: Tx, row: PolicyRow) -> bool:
    """Put a version in force; false where that number is taken: somebody was faster."""
    return bool(
        tx.run(
            _ADD,
            row.number,
            row.hash,
            tx.to_db(row.effective_at),
            row.content,
            tx.to_db(row.published_at),
            row.by,
            tx.to_db_or_none(row.withhold_until),
        )
    )


_NEWEST = both("SELECT coalesce(max(number), 0) FROM policy_version")
_ALL = both(
    'SELECT number, hash, effective_at, content, published_at, "by", withhold_until'
    " FROM policy_version"
    " ORDER BY number"
)
_ADD = both(
    "INSERT INTO policy_version"
    ' (number, hash, effective_at, content, published_at, "by", withhold_until)'
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (number) DO NOTHING"
)
