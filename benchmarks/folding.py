"""The fold by itself: pure, on one core, without any database."""

from __future__ import annotations

from benchmarks.material import by_customer, default_policy, invoices, simulated, timeline
from benchmarks.measure import Result, watched
from lifecycle.domain.event import Event
from lifecycle.domain.fold import fold
from lifecycle.domain.instant import END
from lifecycle.domain.timeline import Timeline

FLOOR, GOAL = 30_000, 100_000
ROUNDS = 3  # the best counts: other work on the machine only ever slows


def run(scale: float) -> list[Result]:
    policy = default_policy()
    compiled = timeline(policy)
    histories = {"fold, simulated": simulated(policy, int(200_000 * scale))}
    if real := [draft.event for draft in invoices(policy)]:
        histories["fold, Online Retail II"] = real
    return [_measure(name, compiled, events) for name, events in histories.items()]


def _measure(name: str, compiled: Timeline, events: list[Event]) -> Result:
    customers = by_customer(events)
    horizon = max(event.occurred_at for event in events)
    assert horizon < END
    steps = messages = 0
    best = float("inf")
    for _ in range(ROUNDS):
        steps = messages = 0
        with watched() as watch:
            for history in customers:
                folded = fold(compiled, None, history, horizon)
                steps += len(folded.steps)
                messages += len(folded.messages)
        best = min(best, watch.seconds)
    return Result(
        name=name,
        what="ev/s",
        rate=len(events) / best,
        count=len(events),
        seconds=best,
        floor=FLOOR,
        goal=GOAL,
        notes=[
            (
                f"{len(events):,} events of {len(customers):,} customers made"
                f" {steps:,} steps and planned {messages:,} messages"
            )
        ],
    )
