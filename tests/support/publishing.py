"""How does a test publish a policy, with figures of its own, and let the customers be recomputed?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from lifecycle.domain.policy import Policy
from lifecycle.engine.installation import Installation
from lifecycle.engine.publishing.measured import Measured
from lifecycle.engine.publishing.publish import (
    Proposal,
    Published,
    Waits,
    Weighed,
    publish,
    weigh,
)
from lifecycle.engine.publishing.rules import Rules
from lifecycle.engine.recompute import Recomputing
from lifecycle.policy import loads
from tests.support.engine import work

QUIET: dict[str, Any] = {
    "customers": 100,
    "moved": 0,
    "messages_before": 100,
    "messages_after": 100,
    "capped_before": 10,
    "capped_after": 10,
    "most_in_a_week_before": 2,
    "most_in_a_week_after": 2,
    "peak_day_before": 20,
    "peak_day_after": 20,
    "digest": "f" * 64,
    "unfolded_before": 3,
    "unfolded_after": 3,
}


def measured(**other: int) -> Measured:
    """Figures of a policy that changes nothing that is measured, but for those named."""
    return Measured(**(QUIET | other))


def words(before: Policy, after: Policy) -> Sequence[str]:
    """In this test's own words: which rules are other ones."""
    known = {rule.name: rule for rule in before.transitions}
    return [rule.name for rule in after.transitions if known.get(rule.name) != rule]


def put_forward(
    inst: Installation, text: str, rules: Rules | None = None, /, *, by: str = "olga", **more: Any
) -> Published | Waits:
    """A policy is weighed and published, or waits; figures are those of `measured`, others are named."""
    figures = {name: more.pop(name) for name in list(more) if name in QUIET}
    proposal = Proposal(policy=loads(text).policy, by=by, **more)
    weighed = weigh(inst, proposal, rules or Rules(), words, lambda _, __: measured(**figures))
    assert isinstance(weighed, Weighed), weighed
    return publish(inst, proposal, weighed)


def published(inst: Installation, text: str, **more: Any) -> Published:
    outcome = put_forward(inst, text, **more)
    assert isinstance(outcome, Published), outcome
    return outcome


def recompute(inst: Installation) -> int:
    """Everybody is folded on; how many were."""
    folded = Recomputing(inst).work()
    work(inst)
    return folded


def weighed_at(
    inst: Installation, text: str, wanted_at: datetime | None = None
) -> tuple[Proposal, Weighed]:
    """What somebody has weighed, and not put forward yet."""
    proposal = Proposal(policy=loads(text).policy, by="olga", wanted_at=wanted_at)
    weighed = weigh(inst, proposal, Rules(), words, lambda _, __: measured())
    assert isinstance(weighed, Weighed)
    return proposal, weighed
