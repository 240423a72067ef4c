"""Which rules and channels may a person name? Those of every version of the policy.

A rule that a newer version has dropped may have messages that wait, or have been sent.
"""

from __future__ import annotations

from collections.abc import Iterable

from lifecycle.domain.policy import OutreachRule
from lifecycle.engine.installation import Installation
from lifecycle.errors import UNCHANGED, Problem
from lifecycle.intake.values import did_you_mean
from lifecycle.store.pauses import ALL, CHANNEL, MARKETING, REAL, RULE
from lifecycle.store.sql import Tx

SCOPES = "all, real, rule:<name>, channel:<name> or marketing:<channel>"


def refuse_unknown_rule(inst: Installation, tx: Tx, rule: str, pointer: str) -> None:
    """Raises Problem for a name that no rule of outreach ever had; `pointer` is where it was given."""
    names = _once(each.name for each in _rules(inst, tx))
    if rule not in names:
        raise Problem(
            "unknown_rule",
            f"no version of the policy has a rule of outreach that is called {rule!r}; {UNCHANGED}",
            pointer=pointer,
            got=rule,
            expected=", ".join(sorted(names)) or "none: the policy has no such rule",
            hint=did_you_mean(rule, names),
        )


def refuse_unknown_scope(inst: Installation, tx: Tx, scope: str) -> None:
    """Raises Problem for what could never be paused."""
    if scope in {ALL, REAL}:
        return
    rules = _rules(inst, tx)
    names = _once(
        (
            *(f"{RULE}{rule.name}" for rule in rules),
            *(f"{CHANNEL}{name}" for rule in rules for name in rule.channels),
            *(f"{MARKETING}{name}" for rule in rules for name in rule.channels),
        )
    )
    if scope not in names:
        raise Problem(
            "unknown_scope",
            f"no version of the policy has anything to pause that is called {scope!r}; {UNCHANGED}",
            pointer="SCOPE",
            got=scope,
            expected=SCOPES,
            hint=did_you_mean(scope, names),
        )


def _rules(inst: Installation, tx: Tx) -> list[OutreachRule]:
    return [rule for version in inst.timeline(tx).versions for rule in version.policy.outreach]


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
