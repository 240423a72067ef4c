"""What does a state mean for the business? Told by how customers get there, not by its name."""

from __future__ import annotations

from enum import StrEnum

from lifecycle.domain.policy import After, Policy, TransitionRule


class Meaning(StrEnum):
    START = "start"  # where customers begin
    NEAR = "near"  # on the way, next to the start
    GOOD = "good"  # further on
    BEST = "best"  # furthest from the start by events alone
    QUIET = "quiet"  # reached because time passed
    LOST = "lost"  # reached because even more time passed
    BACK = "back"  # left the quiet or lost ones by an event
    END = "end"  # said to have no way out


def meanings(policy: Policy) -> dict[str, Meaning]:
    start = policy.initial
    quiet = {rule.to for rule in policy.transitions if _timed(rule)} - {start}
    lost = {
        rule.to
        for rule in policy.transitions
        if _timed(rule) and rule.to in quiet and set(rule.sources) <= quiet
    }
    depth = _depths(policy, avoiding=quiet)
    back = {
        rule.to
        for rule in policy.transitions
        if not _timed(rule) and set(rule.sources) <= quiet and rule.to not in depth
    }
    furthest = max(depth.values(), default=0)
    told: dict[str, Meaning] = {}
    for state in policy.states:
        name = state.name
        if name == start:
            told[name] = Meaning.START
        elif state.final:
            told[name] = Meaning.END
        elif name in lost:
            told[name] = Meaning.LOST
        elif name in quiet:
            told[name] = Meaning.QUIET
        elif name in back:
            told[name] = Meaning.BACK
        elif depth.get(name, 0) == furthest and furthest > 1:
            told[name] = Meaning.BEST
        else:
            told[name] = Meaning.GOOD if _is_fed_by_others(policy, name) else Meaning.NEAR
    return told


def _timed(rule: TransitionRule) -> bool:
    return isinstance(rule.trigger, After)


def _depths(policy: Policy, avoiding: set[str]) -> dict[str, int]:
    """The fewest events from the start, without going through a quiet state."""
    depths = {policy.initial: 0}
    waiting = [policy.initial]
    while waiting:
        state = waiting.pop(0)
        for rule in policy.transitions:
            if state in rule.sources and rule.to not in depths and rule.to not in avoiding:
                depths[rule.to] = depths[state] + 1
                waiting.append(rule.to)
    return depths


def _is_fed_by_others(policy: Policy, name: str) -> bool:
    """More than the start leads here: a state further on, not a first sign of interest."""
    sources = {source for rule in policy.transitions if rule.to == name for source in rule.sources}
    return bool(sources - {policy.initial})
