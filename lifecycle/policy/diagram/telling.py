"""Triggers, durations and labels in the words of a diagram."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from lifecycle.domain.policy import (
    After,
    OnState,
    OnTransition,
    OutreachRule,
    OwnRhythm,
    Policy,
    State,
    TransitionRule,
)
from lifecycle.policy.words import span


def wait(after: After) -> str:
    if isinstance(after.wait, timedelta):
        return span(after.wait)
    rhythm: OwnRhythm = after.wait
    return f"{rhythm.fact} ({span(rhythm.at_least)} to {span(rhythm.at_most)})"


def trigger(rule: TransitionRule) -> str:
    """`order_paid`, or `after 60d since last_seen_at`."""
    if isinstance(rule.trigger, After):
        return f"after {wait(rule.trigger)} since {rule.trigger.since}"
    return ", ".join(rule.trigger.types)


def trigger_parts(rule: TransitionRule) -> list[str]:
    """The same, cut where a line may break."""
    if isinstance(rule.trigger, After):
        return [f"after {wait(rule.trigger)}", f"since {rule.trigger.since}"]
    *others, last = rule.trigger.types or ("",)
    return [*(f"{kind}," for kind in others), last]


def guard_parts(rule: TransitionRule) -> list[str]:
    """The guard after `when`, cut where a line may break; nothing where there is none."""
    if rule.guard is None:
        return []
    return re.sub(r"\s*(&&|\|\||\?|:)\s+", r" \1\n", f"when {rule.guard}").split("\n")


def titles(state: State) -> tuple[str, ...]:
    """Its labels, English first; its name where it has none."""
    return _in_order(state.labels) or (state.name,)


def other_labels(rule: TransitionRule) -> tuple[str, ...]:
    """The labels that say what the rule's name does not: those that are not English."""
    return tuple(text for language, text in rule.labels.items() if language != "en")


def messages(policy: Policy, rule: TransitionRule) -> tuple[str, ...]:
    """The names of the outreach rules that this transition causes, if only by where it leads."""
    return tuple(message.name for message in policy.outreach if _causes(rule, message))


def _causes(rule: TransitionRule, message: OutreachRule) -> bool:
    trigger = message.trigger
    if isinstance(trigger, OnTransition):
        return rule.name in trigger.names
    return isinstance(trigger, OnState) and trigger.stayed is None and rule.to in trigger.names


def _in_order(labels: Mapping[str, str]) -> tuple[str, ...]:
    rest = [text for language, text in labels.items() if language != "en"]
    return tuple(([labels["en"]] if "en" in labels else []) + rest)
