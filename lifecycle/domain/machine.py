"""Each policy version's state machine, on the `transitions` library: which rule takes a customer where.

Guards only: no callback has an effect, and no text of a policy ever reaches the library's lookup of
callbacks (dotted strings there would be imported and called); conditions are our own functions.
"""

from __future__ import annotations

from collections.abc import Callable

from transitions import EventData, Machine, Transition

from lifecycle.domain.policy import OnEvent, Policy, TransitionRule

Judge = Callable[[TransitionRule], bool]


class _Customer:
    """The throw-away thing with a state that the library moves."""

    __slots__ = ("state",)

    def __init__(self, state: str) -> None:
        self.state = state


class _GuardedTransition(Transition):
    """A transition without callbacks: there are none, and looking for them took half of the time."""

    def execute(self, event_data: EventData) -> bool:
        if not self._eval_conditions(event_data):
            return False
        setattr(event_data.model, event_data.machine.model_attribute, self.dest)
        return True


class _Machine(Machine):
    transition_cls = _GuardedTransition


class PolicyMachine:
    """One a policy version, shared by all customers: a machine a customer would cost ten times more."""

    def __init__(self, policy: Policy) -> None:
        self._machine = _Machine(
            model=None,
            states=[state.name for state in policy.states],
            initial=policy.initial,
            auto_transitions=False,
            send_event=True,
        )
        self._certain: dict[tuple[str, str], TransitionRule] = {}
        for rule in policy.transitions:
            for trigger in triggers_of(rule):
                self._machine.add_transition(
                    trigger, list(rule.sources), rule.to, conditions=[_condition(rule)]
                )

    def certain(self, trigger: str, state: str) -> TransitionRule | None:
        """The machine's answer of an earlier time, where it can never be another.

        That is where the first rule that leaves the state on this trigger has no guard.
        """
        return self._certain.get((trigger, state))

    def fire(self, trigger: str, state: str, judge: Judge) -> TransitionRule | None:
        """The first rule in file order, leaving `state` on `trigger`, that `judge` lets pass.

        Asks `judge` about one rule at a time and stops at the first yes; None when all were refused.
        Some rule must leave the state on this trigger: callers look that up first.
        """
        customer = _Customer(state)
        asked: list[TransitionRule] = []
        moved = self._machine.events[trigger].trigger(customer, judge=judge, asked=asked)
        if not moved:
            return None
        rule = asked[-1]
        if customer.state != rule.to:
            raise AssertionError(f"the machine went to {customer.state}, its rule to {rule.to}")
        if len(asked) == 1 and rule.guard is None:
            self._certain[(trigger, state)] = rule
        return rule


def triggers_of(rule: TransitionRule) -> tuple[str, ...]:
    """The machine's names for what fires a rule."""
    if isinstance(rule.trigger, OnEvent):
        return tuple(map(event_trigger, rule.trigger.types))
    return (check_trigger(rule.name),)


def event_trigger(kind: str) -> str:
    return f"event:{kind}"


def check_trigger(name: str) -> str:
    return f"check:{name}"


def _condition(rule: TransitionRule) -> Callable[[EventData], bool]:
    def holds(event: EventData) -> bool:
        event.kwargs["asked"].append(rule)
        return event.kwargs["judge"](rule) is True

    return holds
