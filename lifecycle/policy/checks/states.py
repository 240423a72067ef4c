"""Where does a customer begin, can she get to every state, and can she leave it again?"""

from __future__ import annotations

from lifecycle.domain.policy import Policy
from lifecycle.policy.build import Draft
from lifecycle.policy.report import Report


def check_states(draft: Draft, report: Report) -> None:
    policy = draft.policy
    if not policy.states:
        return  # their absence is reported where they were looked for
    _one_initial(draft, report)
    _final_is_final(draft, report)
    if draft.holes:
        return  # a rule could not be read: who cannot be reached is not known
    _all_reached(draft, report)
    _all_left(draft, report)


def _one_initial(draft: Draft, report: Report) -> None:
    initial = [state.name for state in draft.policy.states if state.initial]
    if not initial:
        first = draft.policy.states[0].name
        report.error(
            draft.place("states", first),
            "no_initial_state",
            "found no state with initial: true; allowed: exactly one, in which customers begin; "
            f'did you mean "{first}", the first one?',
        )
    for name in initial[1:]:
        line = draft.place("states", initial[0], "initial").line
        report.error(
            draft.place("states", name, "initial"),
            "two_initial_states",
            f'found initial: true at "{name}" too; "{initial[0]}" has it in line {line}, '
            "and customers begin in exactly one state",
        )


def _final_is_final(draft: Draft, report: Report) -> None:
    for index, rule in enumerate(draft.policy.transitions):
        for state in draft.policy.states:
            if not state.final or state.name not in rule.sources:
                continue
            line = draft.place("states", state.name).line
            by_any = ("transitions", index, "from", state.name) not in draft.places
            meant = "; name the states instead of any" if by_any else ""
            report.error(
                draft.place("transitions", index, "any" if by_any else "from", state.name),
                "leaves_final_state",
                f'"{rule.name}" leaves "{state.name}", which line {line} says is final; '
                f"allowed: no rule leaves a final state{meant}",
            )


def _all_reached(draft: Draft, report: Report) -> None:
    reached = _reached(draft.policy)
    for state in draft.policy.states:
        if reached and state.name not in reached:
            report.error(
                draft.place("states", state.name),
                "unreachable_state",
                f'no transition leads to "{state.name}" from where customers begin; '
                "add one, or take the state out",
            )


def _reached(policy: Policy) -> set[str]:
    waiting = [state.name for state in policy.states if state.initial]
    reached: set[str] = set()
    while waiting:
        state = waiting.pop()
        if state not in reached:
            reached.add(state)
            waiting += [rule.to for rule in policy.transitions if state in rule.sources]
    return reached


def _all_left(draft: Draft, report: Report) -> None:
    left = {source for rule in draft.policy.transitions for source in rule.sources}
    for state in draft.policy.states:
        if state.name not in left and not state.final:
            report.error(
                draft.place("states", state.name),
                "dead_end",
                f'no transition leaves "{state.name}"; '
                "add one, or say final: true if nothing is to lead out on purpose",
            )
