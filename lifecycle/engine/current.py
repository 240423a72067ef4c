"""Is what is remembered of a customer that of the policies in force? If not, she is folded from her beginning.

A publication takes effect at its instant, and a process that had not heard of it may have folded a
customer beyond that instant by the policies before. What it wrote names the newest version that it
knew (`policy_version`), and the facts that it kept (the shape of the snapshot): by both it is told.

Why no such fold stays: it holds the customer's lock until it commits, and whoever folds her later reads
which versions there are in a statement after the lock. So who locks her after the publication has been
committed knows it; what others wrote before is seen, found to be of those who did not know, and folded
again, at the latest by the recomputation that the publication itself has asked for.
"""

from __future__ import annotations

from datetime import datetime

from lifecycle.domain import snapshot as snapshots
from lifecycle.domain.snapshot import Snapshot
from lifecycle.domain.timeline import Timeline
from lifecycle.store.customers import CustomerRow


def usable(timeline: Timeline, row: CustomerRow) -> Snapshot | None:
    """Her snapshot, where she can be folded on from it."""
    stored = row.snapshot
    if stored is None or row.folded_until is None or not _fits(timeline, row, row.folded_until):
        return None
    return snapshots.load(stored, timeline)


def is_usable(timeline: Timeline, row: CustomerRow) -> bool:
    """The same, without reading it."""
    return row.folded_until is not None and _fits(timeline, row, row.folded_until)


def is_up_to_date(timeline: Timeline, row: CustomerRow, now: datetime) -> bool:
    """Whether she has been folded by whoever knew all that judges by now: nothing of hers is to come."""
    return _fits(timeline, row, now) and (row.wake_at is None or row.wake_at > now)


def _fits(timeline: Timeline, row: CustomerRow, until: datetime) -> bool:
    if row.snapshot is None or snapshots.shape_of(row.snapshot) != timeline.shape:
        return False
    return timeline.knew(row.policy_version, until)
