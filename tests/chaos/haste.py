"""How are minutes made short? For lives that are to see a lease run out, and a recomputation of many pages."""

from __future__ import annotations

from datetime import timedelta

from lifecycle.engine import apply, recompute
from workers import clockwork, processes

LEASE = timedelta(seconds=0.6)
CRASHED_AFTER = timedelta(seconds=0.4)
SWEEP_EVERY = timedelta(seconds=0.2)
PAGE = 3  # customers


def hurry() -> None:
    """As they are, a page would hold every customer, and whoever takes over would wait half a minute."""
    recompute.LEASE = LEASE
    recompute.PAGE = PAGE
    apply.CRASHED_AFTER = CRASHED_AFTER
    for module in (clockwork, processes):
        module.SWEEP_EVERY = SWEEP_EVERY  # type: ignore[attr-defined]
