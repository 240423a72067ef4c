"""Which lines of the log does somebody want, and could there ever be any?"""

from __future__ import annotations

from dataclasses import dataclass

from lifecycle.engine.identities import find
from lifecycle.engine.installation import Installation
from lifecycle.intake.values import unlisted
from lifecycle.store import reading, steps
from lifecycle.store.sql import Tx

BY_HAND = "moved"  # the rule that steps by an operator's move carry; no policy may take the name


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilters:
    """Which lines of the log are wanted; None wants all."""

    customer: str | None = None  # any identifier of hers
    state: str | None = None  # entered or left
    rule: str | None = None


def first_filters(inst: Installation, tx: Tx, filters: LogFilters) -> steps.Filters:
    """The filters of a first look; whoever comes with a cursor has been told already.

    Raises NotFound for a customer that there is not, and Problem for the name of a state or a rule
    that no version of the policy has and no step carries: a misspelt one would show nothing, as if
    nothing had happened.
    """
    if filters.state is not None:
        _refuse_unknown_state(inst, tx, filters.state)
    if filters.rule is not None:
        _refuse_unknown_rule(inst, tx, filters.rule)
    return store_filters(tx, filters)


def store_filters(tx: Tx, filters: LogFilters) -> steps.Filters:
    return steps.Filters(
        state=filters.state,
        rule=filters.rule,
        customer_id=None if filters.customer is None else find(tx, filters.customer),
    )


def _refuse_unknown_state(inst: Installation, tx: Tx, name: str) -> None:
    policies = inst.timeline(tx).versions
    known = {state.name for version in policies for state in version.policy.states}
    if name not in known and not reading.has_step_of_state(tx, name):
        problem = unlisted("unknown_state", "no version of the policy has this state", name, known)
        problem.pointer = "state"
        raise problem


def _refuse_unknown_rule(inst: Installation, tx: Tx, name: str) -> None:
    policies = inst.timeline(tx).versions
    known = {rule.name for version in policies for rule in version.policy.transitions} | {BY_HAND}
    if name not in known and not reading.has_step_by(tx, name):
        problem = unlisted("unknown_rule", "no transition has this name", name, known)
        problem.pointer = "rule"
        if any(rule.name == name for version in policies for rule in version.policy.outreach):
            problem.hint = f"{name} plans messages, and moves nobody"
        raise problem
