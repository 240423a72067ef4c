"""Who stands elsewhere in the file, and does that decide anything?

Transitions are asked in the order of the file. Two of them compete where one event, or one instant
at which time has passed, can find both open to the same customer.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lifecycle.domain.policy import OnEvent, TransitionRule
from lifecycle.policy.diff.change import Change, Kind
from lifecycle.policy.diff.compare import At

_MOST_NAMES = 4
KEY = "order"

Rules = Sequence[TransitionRule]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Something that stands elsewhere than it did, counted from 1 in each file."""

    name: str
    before: int
    after: int


def moves(before: Sequence[str], after: Sequence[str]) -> tuple[Move, ...]:
    """As few as possible, in their new order; what is only in one of them moves nothing."""
    old = {name: place for place, name in enumerate(before)}
    common = [name for name in after if name in old]
    stay = _longest_rising([old[name] for name in common])
    place = {name: number for number, name in enumerate(after)}
    return tuple(
        Move(name=name, before=old[name] + 1, after=place[name] + 1)
        for name in common
        if old[name] not in stay
    )


def in_passing(
    section: str, before: Sequence[str], after: Sequence[str], where: str
) -> Iterator[Change]:
    """Moves that decide nothing."""
    for move in moves(before, after):
        yield _moved(section, move, f"stands elsewhere {where}", cosmetic=True)


def of_transitions(before: Rules, after: Rules) -> Iterator[Change]:
    """`before` by the names that the rules have now."""
    old, new = ({rule.name: rule for rule in rules} for rules in (before, after))
    places = [{rule.name: n for n, rule in enumerate(rules)} for rules in (before, after)]
    all_moves = moves([*old], [*new])
    told: set[frozenset[str]] = set()
    for move in all_moves:
        rivals = [
            (name, why)
            for name in new
            if name in old
            and _has_passed(move.name, name, places)
            and (why := _either(move.name, name, new, old)) is not None
        ]
        fresh = [pair for pair in rivals if frozenset((move.name, pair[0])) not in told]
        told |= {frozenset((move.name, name)) for name, _ in fresh}
        if fresh:
            yield _moved("transitions", move, _asked(move.name, fresh, places[1]))
        elif not rivals:
            yield _moved(
                "transitions", move, "stands elsewhere, before or after none that it competes with",
                cosmetic=True,
            )  # fmt: skip


def stands(rule: TransitionRule, rules: Rules) -> str:
    """After and before which rivals a new transition is asked; empty where it has none."""
    place = next(n for n, other in enumerate(rules) if other.name == rule.name)
    earlier = [other.name for other in rules[:place] if compete(rule, other) is not None]
    later = [other.name for other in rules[place + 1 :] if compete(rule, other) is not None]
    said = [
        *([f"after {_some(earlier)}"] if earlier else []),
        *([f"before {_some(later)}"] if later else []),
    ]
    return f"; asked {' and '.join(said)}" if said else ""


def compete(one: TransitionRule, other: TransitionRule) -> str | None:
    """In which case both could move the same customer; None: never."""
    states = [state for state in one.sources if state in other.sources]
    if not states or one.name == other.name:
        return None
    if isinstance(one.trigger, OnEvent) != isinstance(other.trigger, OnEvent):
        return None
    if not (isinstance(one.trigger, OnEvent) and isinstance(other.trigger, OnEvent)):
        return f"due at one instant, from {_some(states)}"
    types = [kind for kind in one.trigger.types if kind in other.trigger.types]
    return f"on {_some(types)}, from {_some(states)}" if types else None


def _either(
    one: str, other: str, new: Mapping[str, TransitionRule], old: Mapping[str, TransitionRule]
) -> str | None:
    """Whether they compete now, or did."""
    return compete(new[one], new[other]) or compete(old[one], old[other])


def _has_passed(one: str, other: str, places: Sequence[Mapping[str, int]]) -> bool:
    before, after = places
    return (before[one] < before[other]) != (after[one] < after[other])


def _asked(name: str, rivals: Sequence[tuple[str, str]], places: Mapping[str, int]) -> str:
    """`now asked before buys-again (on order_paid, from deal)`."""
    by_side = {
        side: [pair for pair in rivals if (places[name] < places[pair[0]]) is first]
        for side, first in (("before", True), ("after", False))
    }
    return "now asked " + " and ".join(
        f"{side} {', '.join(f'{rival} ({why})' for rival, why in pairs)}"
        for side, pairs in by_side.items()
        if pairs
    )


def _moved(section: str, move: Move, told: str, *, cosmetic: bool = False) -> Change:
    return At(section=section, name=move.name, path=(KEY,)).change(
        Kind.REORDERED, str(move.before), str(move.after), told, cosmetic=cosmetic
    )


def _some(names: Sequence[str]) -> str:
    if len(names) <= _MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:_MOST_NAMES])} and {len(names) - _MOST_NAMES} more"


def _longest_rising(numbers: Sequence[int]) -> frozenset[int]:
    """A longest subsequence that rises, of numbers that are all different."""
    ends: list[int] = []  # the smallest last number of a rising subsequence of each length
    before: dict[int, int | None] = {}
    for number in numbers:
        length = bisect_left(ends, number)
        before[number] = ends[length - 1] if length else None
        ends[length : length + 1] = [number]
    kept: list[int] = []
    last = ends[-1] if ends else None
    while last is not None:
        kept.append(last)
        last = before[last]
    return frozenset(kept)
