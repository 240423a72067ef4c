"""Who does a job on its occasion, and how did it end? One row for each, so that many may try and one does.

A row is leased: whoever holds it extends the lease while alive, and once that is over another takes
the job. The number of the try tells them apart, so that one who comes back late changes nothing.
Instants are real time, by the database's clock. Occasions sort by their keys, and time goes forward:
once a later one was claimed, an earlier one is not begun any more.
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
    worker: str  # who claimed it last: host and process
    tries: int
    started_at: datetime
    lease_until: datetime  # of one that has not finished: until then nobody else tries
    finished_at: datetime | None
    failed: bool  # the latest try; false while one is under way
    outcome: str | None  # of the latest try that ended, in words


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """How a job has fared."""

    job: str
    succeeded_at: datetime | None  # when it last did
    failed: bool  # on its latest occasion, the latest try


def is_open(tx: Tx, job: str, fire_key: str, now: datetime) -> bool:
    """Whether a claim could succeed; asked first, as it writes nothing."""
    return tx.row(_CLOSED, job, fire_key, fire_key, tx.to_db(now)) is None


def claim(
    tx: Tx, job: str, fire_key: str, *, worker: str, now: datetime, lease_until: datetime
) -> Claim | None:
    """None: it is finished, somebody is at it, or a later occasion was claimed.

    Whatever has not finished of earlier occasions is closed, and whoever was at it has lost it.
    """
    if not is_open(tx, job, fire_key, now):
        return None
    instant = tx.to_db(now)
    row = tx.row(_CLAIM, job, fire_key, worker, instant, tx.to_db(lease_until), instant)
    if row is None:
        return None
    tx.run(_OVERTAKE, instant, f"overtaken by {fire_key}", job, fire_key)
    return Claim(job=job, fire_key=fire_key, tries=row[0])


def keep(tx: Tx, held: Claim, lease_until: datetime) -> bool:
    """Extend the lease; false: the claim was lost, and whoever held it must stop."""
    return tx.run(_KEEP, tx.to_db(lease_until), held.job, held.fire_key, held.tries) == 1


def finish(tx: Tx, held: Claim, now: datetime, outcome: str, *, failed: bool = False) -> bool:
    """It is done, or given up; false as in `keep`."""
    instant = tx.to_db(now)
    return tx.run(_FINISH, instant, failed, outcome, held.job, held.fire_key, held.tries) == 1


def outcome(tx: Tx, held: Claim) -> str | None:
    """What came of it by this very claim; None: it is not done, failed, or was done by another."""
    row = tx.row(_OUTCOME, held.job, held.fire_key, held.tries)
    return None if row is None else row[0]


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
        for row in _whole(tx, limit)
    ]


def latest(tx: Tx) -> list[Latest]:
    """Every job that was ever claimed and is remembered, by name."""
    with tx.whole_tables():
        return [
            Latest(job=row[0], succeeded_at=tx.from_db_or_none(row[1]), failed=bool(row[2]))
            for row in tx.rows(_LATEST)
        ]


def forget(tx: Tx, before: datetime, limit: int) -> int:
    """Delete what had finished by then, at most so many at once; how many these were.

    Whatever is unfinished stays, and so does the latest occasion of each job: by it is known that
    those before it are over.
    """
    with tx.whole_tables():
        return tx.run(_FORGET, tx.to_db(before), limit)


def _whole(tx: Tx, limit: int) -> list[Row]:
    with tx.whole_tables():  # a few hundred rows
        return tx.rows(_RECENT, limit)


_CLOSED = both(
    "SELECT 1 FROM schedule_run WHERE job = ? AND (fire_key > ?"
    " OR (fire_key = ? AND (finished_at IS NOT NULL OR lease_until > ?))) LIMIT 1"
)
_CLAIM = both(
    "INSERT INTO schedule_run AS s (job, fire_key, worker, tries, started_at, lease_until, failed)"
    " VALUES (?, ?, ?, 1, ?, ?, false) ON CONFLICT (job, fire_key) DO UPDATE"
    " SET worker = excluded.worker, tries = s.tries + 1, started_at = excluded.started_at,"
    " lease_until = excluded.lease_until, failed = false"
    " WHERE s.finished_at IS NULL AND s.lease_until <= ? RETURNING tries"
)
_OVERTAKE = both(
    "UPDATE schedule_run SET finished_at = ?, failed = true, outcome = ?"
    " WHERE job = ? AND fire_key < ? AND finished_at IS NULL"
)
_HELD = " WHERE job = ? AND fire_key = ? AND tries = ? AND finished_at IS NULL"
_KEEP = both(f"UPDATE schedule_run SET lease_until = ?{_HELD}")
_FINISH = both(f"UPDATE schedule_run SET finished_at = ?, failed = ?, outcome = ?{_HELD}")
_OUTCOME = both(
    "SELECT outcome FROM schedule_run WHERE job = ? AND fire_key = ? AND tries = ?"
    " AND finished_at IS NOT NULL AND NOT failed"
)
_GIVE_BACK = both(f"UPDATE schedule_run SET lease_until = ?, failed = true, outcome = ?{_HELD}")
_RECENT = both(
    "SELECT job, fire_key, worker, tries, started_at, lease_until, finished_at, failed, outcome"
    " FROM schedule_run ORDER BY fire_key DESC, job LIMIT ?"
)
_LATEST = both(
    "SELECT s.job,"
    " (SELECT max(o.finished_at) FROM schedule_run AS o WHERE o.job = s.job AND NOT o.failed),"
    " s.failed FROM schedule_run AS s WHERE s.fire_key ="
    " (SELECT max(o.fire_key) FROM schedule_run AS o WHERE o.job = s.job) ORDER BY s.job"
)
_FORGET = both(
    "DELETE FROM schedule_run WHERE (job, fire_key) IN (SELECT s.job, s.fire_key"
    " FROM schedule_run AS s WHERE s.finished_at < ? AND s.fire_key <"
    " (SELECT max(o.fire_key) FROM schedule_run AS o WHERE o.job = s.job) LIMIT ?)"
)
