"""Where may a process be ended on purpose, to see that nothing is lost by it? At the points named here.

Production passes through them and nothing happens; the chaos run arms them (`make chaos`). One that
no run has reached proves nothing, so the run counts them and refuses to pass while one is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

_reached: Callable[[Point], object] | None = None


class Point(StrEnum):
    """A moment at which a crash would hurt most, in the order in which an event passes through."""

    INTAKE_BEFORE_COMMIT = "intake.before_commit"  # rows are written, and may still vanish
    INTAKE_AFTER_COMMIT = "intake.after_commit_before_ring"  # durable, and nobody knows of it
    INTAKE_AFTER_RING = "intake.after_ring_before_2xx"  # durable, and the poster will ask again
    WORKER_CLAIMED = "worker.after_attempt_recorded"
    WORKER_LOCKED = "worker.after_row_lock"
    WORKER_STEPS = "worker.after_transition_insert"
    WORKER_MESSAGES = "worker.after_outbox_insert"
    WORKER_BEFORE_COMMIT = "worker.before_commit"
    WORKER_AFTER_COMMIT = "worker.after_commit_before_ack"
    TIMER_CLAIMED = "timer.after_claim"
    TIMER_BEFORE_COMMIT = "timer.before_commit"
    SEND_BEFORE_CLAIM = "send.before_claim_commit"  # judged and taken, and may still vanish
    SEND_CLAIMED = "send.after_claim"  # taken, and surely not sent
    SEND_IN_FLIGHT = "send.after_inflight_commit"  # may have been sent, as far as anybody knows
    SEND_ACCEPTED = "send.after_provider_accept"  # it has left, and nobody knows
    SEND_BEFORE_SENT = "send.before_sent_commit"  # and that is written down, and may still vanish
    SEND_SENT = "send.after_sent_commit"
    PUBLISH_BEFORE_COMMIT = "publish.before_commit"  # the version is written, and may still vanish
    PUBLISH_AFTER_COMMIT = "publish.after_commit"  # it is published, and nobody has said so
    RECOMPUTE_CLAIMED = "recompute.after_claim"
    RECOMPUTE_FOLDED = "recompute.after_fold"  # a page is folded, and the cursor stands before it
    RECOMPUTE_BEFORE_COMMIT = "recompute.before_commit"
    BOUNCE_BEFORE_COMMIT = "bounce.before_commit"  # its effects are written, and may still vanish


def killpoint(point: Point) -> None:
    """This process is at `point`. Does nothing, unless a rehearsal has armed the points."""
    if _reached is not None:
        _reached(point)


def arm(reached: Callable[[Point], object] | None) -> None:
    """Have `reached` called at every point that this process passes; None disarms them."""
    global _reached  # noqa: PLW0603 - one process, one fate
    _reached = reached
