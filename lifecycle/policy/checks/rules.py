"""Can every transition fire, or does one that stands before it always take its place?"""

from __future__ import annotations

from datetime import timedelta

from lifecycle.domain.policy import After, OnEvent, OwnRhythm, TransitionRule
from lifecycle.policy.build import Draft
from lifecycle.policy.report import Report


def check_rules(draft: Draft, report: Report) -> None:
    rules = draft.policy.transitions
    for index, later in enumerate(rules):
        for before, earlier in enumerate(rules[:index]):
            trigger = shared_trigger(earlier, later)
            states = [state for state in later.sources if state in earlier.sources]
            if trigger is None or not states:
                continue
            fault = _fault(earlier.guard, later.guard)
            if fault is None:
                continue
            code, why = fault
            line = draft.place("transitions", before, "name").line
            report.error(
                draft.place("transitions", index, "name"),
                code,
                f'"{later.name}" can never fire from {", ".join(states)} {trigger}: '
                f'"{earlier.name}" in line {line} stands before it and {why}; '
                "change the order, the guards or the states",
            )
            break  # one reason why it cannot fire is enough


def _fault(earlier: str | None, later: str | None) -> tuple[str, str] | None:
    if earlier is None:
        return "shadowed_rule", "has no guard"
    if later is not None and earlier.split() == later.split():
        return "ambiguous_rules", f"has the same guard ({later})"
    return None


def shared_trigger(earlier: TransitionRule, later: TransitionRule) -> str | None:
    """The words for what triggers both, if the earlier one is never later than the other."""
    first, second = earlier.trigger, later.trigger
    if isinstance(first, OnEvent) and isinstance(second, OnEvent):
        types = [kind for kind in second.types if kind in first.types]
        return f"on {', '.join(types)}" if types else None
    if (
        isinstance(first, After)
        and isinstance(second, After)
        and first.since == second.since
        and _never_longer(first.wait, second.wait)
    ):
        return f"by time since {second.since}"
    return None


def _never_longer(first: timedelta | OwnRhythm, second: timedelta | OwnRhythm) -> bool:
    if first == second:
        return True
    most = max(first.at_most, first.otherwise) if isinstance(first, OwnRhythm) else first
    least = min(second.at_least, second.otherwise) if isinstance(second, OwnRhythm) else second
    return most <= least
