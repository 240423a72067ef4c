"""Could timed checks follow each other without time passing?

A check is due when its anchor is old enough, and only an event moves an anchor. A customer who has
been silent for long therefore goes through every check on her way in one instant, so they must not
lead round in a circle, nor further than a fold is willing to follow.
"""

from __future__ import annotations

from collections.abc import Iterator

from lifecycle.domain.policy import After
from lifecycle.policy.build import Draft
from lifecycle.policy.report import Report

MOST_STEPS = 10  # that may follow from one event or check without time passing

Edge = tuple[int, str, str]  # index of the rule, from, to


def check_time(draft: Draft, report: Report) -> None:
    edges = [
        (index, source, rule.to)
        for index, rule in enumerate(draft.policy.transitions)
        if isinstance(rule.trigger, After)
        for source in rule.sources
    ]
    loops = list(_loops(edges))
    for loop in loops:
        last = draft.policy.transitions[loop[-1][0]]
        states = " → ".join([loop[0][1], *(to for _, _, to in loop)])
        rules = ", ".join(f'"{draft.policy.transitions[index].name}"' for index, _, _ in loop)
        report.error(
            draft.place("transitions", loop[-1][0], "after"),
            "loop_without_time",
            f'"{last.name}" closes a loop of timed checks: {states} (rules {rules}); only an event '
            "moves what they count from, so it would turn without time passing: let an event lead "
            "out of one of these states",
        )
    if not loops:
        _not_too_far(draft, report, edges)


def _loops(edges: list[Edge]) -> Iterator[list[Edge]]:
    """One loop for each rule that closes one, found by going depth first."""
    leaving: dict[str, list[Edge]] = {}
    for edge in edges:
        leaving.setdefault(edge[1], []).append(edge)
    done: set[str] = set()

    def follow(state: str, path: list[Edge]) -> Iterator[list[Edge]]:
        for edge in leaving.get(state, ()):
            on_path = [start for _, start, _ in path] + [state]
            if edge[2] in on_path:
                yield [*path[on_path.index(edge[2]) :], edge]
            elif edge[2] not in done:
                yield from follow(edge[2], [*path, edge])
        done.add(state)

    for state in leaving:
        if state not in done:
            yield from follow(state, [])


def _not_too_far(draft: Draft, report: Report, edges: list[Edge]) -> None:
    steps: dict[str, list[Edge]] = {}

    def longest(state: str) -> list[Edge]:
        if state not in steps:
            ways = [[edge, *longest(edge[2])] for edge in edges if edge[1] == state]
            steps[state] = max(ways, key=len, default=[])
        return steps[state]

    way = max((longest(start) for _, start, _ in edges), key=len, default=[])
    if len(way) > MOST_STEPS:
        report.error(
            draft.place("transitions", way[MOST_STEPS][0], "after"),
            "too_many_steps",
            f"found {len(way)} timed checks that can follow each other in one instant: "
            f"{' → '.join([way[0][1], *(to for _, _, to in way)])}; allowed: {MOST_STEPS}",
        )
