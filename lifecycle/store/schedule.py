"""Who does a job on its occasion, and how did it end? One row for each, so that many may try and one does.

A row is leased: whoever holds it extends the lease while alive, and once that is over another takes
the job. The number of the try tells them apart, so that one who comes back late changes nothing.
Instants are real time, by the database's clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lifecycle.store.sql import Row, Tx, both


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to do a job on one occasion, until its lease is over."""

    job: str
    fire_key: str  # the occasion, such as a local date
    tries: int  # how often it was claimed, this time included


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A job on one occasion, as it is recorded."""

    job: str
    fire_key: str
    worker: str  # who claimed it last
    tries: int
    started_at: datetime
    lease_until: datetime  # of one that has not finished: until then nobody else tries
    finished_at: datetime | None
    failed: bool  # of the latest try
    outcome: str | None  # in words


def claim(
    tx: Tx, job: str, fire_key: str, *, worker: str, now: datetime, lease_until: datetime
) -> Claim | None:
    """None: it is finished, or somebody is at it."""
    instant = tx.to_db(now)
    row = tx.row(_CLAIM, job, fire_key, worker, instant, tx.to_db(lease_until), instant)
    return None if row is None else Claim(job=job, fire_key=fire_key, tries=row[0])


def keep(tx: Tx, held: Claim, lease_until: datetime) -> bool:
    """Extend the lease; false: the claim was lost, and whoever held it must stop."""
    return tx.run(_KEEP, tx.to_db(lease_until), held.job, held.fire_key, held.tries) == 1


def finish(tx: Tx, held: Claim, now: datetime, outcome: str, *, failed: bool = False) -> bool:
    """It is done, or given up; false as in `keep`."""
    instant = tx.to_db(now)
    return tx.run(_FINISH, instant, failed, outcome, held.job, held.fire_key, held.tries) == 1


def give_back(tx: Tx, held: Claim, again_at: datetime, outcome: str) -> bool:
    """It failed, and may be tried again from an instant on; false as in `keep`."""
    instant = tx.to_db(again_at)
    return tx.run(_GIVE_BACK, instant, outcome, held.job, held.fire_key, held.tries) == 1


def recent(tx: Tx, limit: int) -> list[Run]:
    """The latest occasions first; those of one occasion by the names of their jobs."""
    return [
        Run(
            job=row[0],
            fire_key=row[1],
            worker=row[2],
            tries=row[3],
            started_at=tx.from_db(row[4]),
            lease_until=tx.from_db(row[5]),
            finished_at=tx.from_db_or_none(row[6]),
            failed=bool(row[7]),
            outcome=row[8],
        )
        for row in _latest(tx, limit)
    ]


def forget(tx: Tx, before: datetime) -> int:
    """Delete what had finished by then; how many these were. Whatever is unfinished stays."""
    return tx.run(_FORGET, tx.to_db(before))


def _latest(tx: Tx, limit: int) -> list[Row]:
    with tx.whole_tables():  # a few hundred rows
        return tx.rows(_RECENT, limit)


_CLAIM = both(
    "INSERT INTO schedule_run AS s (job, fire_key, worker, tries, started_at, lease_until, failed)"
    " VALUES (?, ?, ?, 1, ?, ?, false) ON CONFLICT (job, fire_key) DO UPDATE"
    " SET worker = excluded.worker, tries = s.tries + 1, started_at = excluded.started_at,"
    " lease_until = excluded.lease_until"
    " WHERE s.finished_at IS NULL AND s.lease_until <= ? RETURNING tries"
)
_HELD = " WHERE job = ? AND fire_key = ? AND tries = ? AND finished_at IS NULL"
_KEEP = both(f"UPDATE schedule_run SET lease_until = ?{_HELD}")
_FINISH = both(f"UPDATE schedule_run SET finished_at = ?, failed = ?, outcome = ?{_HELD}")
_GIVE_BACK = both(f"UPDATE schedule_run SET lease_until = ?, failed = true, outcome = ?{_HELD}")
_RECENT = both(
    "SELECT job, fire_key, worker, tries, started_at, lease_until, finished_at, failed, outcome"
    " FROM schedule_run ORDER BY fire_key DESC, job LIMIT ?"
)
_FORGET = both("DELETE FROM schedule_run WHERE finished_at < ?")
