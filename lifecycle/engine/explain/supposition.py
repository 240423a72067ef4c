"""What would have become of a customer under another policy, and how does that differ from the record? Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from lifecycle.domain.event import ABOUT_LETTERS
from lifecycle.domain.fold import Folded, fold
from lifecycle.domain.step import PlannedMessage, Step
from lifecycle.domain.timeline import Timeline
from lifecycle.engine.explain.asked import Difference, Hypothesis, Shifted, Supposed
from lifecycle.engine.explain.evidence import Evidence
from lifecycle.errors import PoisonEvent
from lifecycle.store.events import StoredEvent


def suppose(evidence: Evidence, policy: Hypothesis) -> tuple[Evidence, Supposed]:
    """The same history under one policy, as if it had been in force from the beginning of time.

    What really became of letters is left out, as this policy may not have sent them, and so is all that
    is recorded. Checks fire up to the instant of the evidence. Of what is recorded that is compared
    which follows from the same events under the policies that were in force.
    """
    in_force = {version.hash for version in evidence.timeline.versions} == {policy.hash}
    told = [
        stored for stored in evidence.history if in_force or stored.event.type not in ABOUT_LETTERS
    ]
    timeline = policy.timeline()
    history, unfoldable, supposed = _foldable(timeline, told, evidence)
    recorded = _folded(evidence.timeline, evidence.history, evidence)
    left_out = Counter(stored.event.type for stored in evidence.history)
    left_out.subtract(stored.event.type for stored in told)
    return (
        replace(
            evidence,
            until=evidence.at,
            timeline=timeline,
            history=history,
            steps=(),
            messages=(),
        ),
        Supposed(
            policy=policy,
            in_force=in_force,
            left_out={kind: count for kind, count in sorted(left_out.items()) if count},
            unfoldable=unfoldable,
            difference=compare(recorded, supposed),
            recorded=evidence.timeline,
        ),
    )


def _folded(timeline: Timeline, history: Iterable[StoredEvent], evidence: Evidence) -> Folded:
    return fold(timeline, None, [stored.event for stored in history], evidence.at)


def _foldable(
    timeline: Timeline, history: Sequence[StoredEvent], evidence: Evidence
) -> tuple[Sequence[StoredEvent], Mapping[tuple[str, str], str], Folded]:
    """As live processing would have done it: an event that cannot be folded is left out alone."""
    unfoldable: dict[tuple[str, str], str] = {}
    while True:
        try:
            return history, unfoldable, _folded(timeline, history, evidence)
        except PoisonEvent as poison:
            culprit = (poison.source, poison.id)
            unfoldable[culprit] = str(poison.__cause__ or poison)
            history = [
                stored for stored in history if (stored.event.source, stored.event.id) != culprit
            ]


# -- the difference ----------------------------------------------------------------------------


def compare(recorded: Folded, supposed: Folded) -> Difference:
    """Steps on the same occasion to the same state are one step, earlier or later in the other life.

    An occasion is an event, or the anchor from which a timed check counts. What is left is in one of
    the two lives only.
    """
    ours, theirs = _by_occasion(recorded.steps), _by_occasion(supposed.steps)
    pairs: list[Shifted] = []
    only_recorded: list[Step] = []
    only_supposed: list[Step] = []
    for occasion in dict.fromkeys([*ours, *theirs]):
        mine, other = ours.get(occasion, []), theirs.get(occasion, [])
        both = min(len(mine), len(other))
        pairs += [
            Shifted(recorded=one, supposed=another)
            for one, another in zip(mine[:both], other[:both], strict=True)
        ]
        only_recorded += mine[both:]
        only_supposed += other[both:]
    shifted = [pair for pair in pairs if _move(pair.recorded) != _move(pair.supposed)]
    return Difference(
        same=len(pairs) - len(shifted),
        shifted=tuple(sorted(shifted, key=lambda pair: pair.recorded.at)),
        only_recorded=tuple(sorted(only_recorded, key=lambda step: step.at)),
        only_supposed=tuple(sorted(only_supposed, key=lambda step: step.at)),
        messages=_messages(recorded.messages, supposed.messages),
        state=recorded.snapshot.state,
        supposed_state=supposed.snapshot.state,
    )


def _by_occasion(steps: Iterable[Step]) -> dict[tuple[str, str], list[Step]]:
    """Each in the order of time; a timed check by another name counts as the same."""
    found: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        kind, _, named = step.cause.partition(":")
        occasion = named.rpartition("@")[2] if kind == "check" else step.cause
        found.setdefault((occasion, step.to_state), []).append(step)
    return found


def _move(step: Step) -> tuple[str, str, datetime]:
    return step.rule, step.from_state, step.at


def _messages(
    recorded: Iterable[PlannedMessage], supposed: Iterable[PlannedMessage]
) -> dict[str, tuple[int, int]]:
    ours, theirs = _instants(recorded), _instants(supposed)
    return {
        rule: (len(ours.get(rule, ())), len(theirs.get(rule, ())))
        for rule in sorted({*ours, *theirs})
        if ours.get(rule) != theirs.get(rule)
    }


def _instants(messages: Iterable[PlannedMessage]) -> dict[str, list[datetime]]:
    found: dict[str, list[datetime]] = {}
    for message in messages:
        found.setdefault(message.rule, []).append(message.planned_at)
    return found
