"""No difference goes untold: every field of every record of a policy, changed on its own, is one.

A field that is new in `domain.policy` is walked as soon as it is there, and fails here until
`policy.diff` tells it; a type that is new asks for a sample below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest

from lifecycle.domain.builtin import BUILTIN
from lifecycle.domain.policy import (
    After,
    Cap,
    EventType,
    Goal,
    MessageClass,
    OnCalendar,
    OnEvent,
    OnRequest,
    OnState,
    OnTransition,
    OwnRhythm,
    Policy,
    Property,
    QuietHours,
    ValueType,
    WorkingDays,
)
from lifecycle.policy import loads, policy_hash
from lifecycle.policy.diff import changes
from tests.policy.test_canonical import RICH

POLICY = loads(RICH).policy
HASH = policy_hash(POLICY)
WEEK = timedelta(days=7)
SAMPLES: dict[Any, Any] = {  # for what is left out in the policy above
    str: "x",
    timedelta: timedelta(days=1),
    Decimal: Decimal("0.25"),
    ValueType: ValueType.INT,
    MessageClass: MessageClass.SERVICE,
    Cap: Cap(most=3, window=WEEK),
    Goal: Goal(event="order_paid", within=WEEK),
    QuietHours: QuietHours(since=time(21), until=time(9)),
    WorkingDays: WorkingDays(weekdays=frozenset({0})),
    tuple[int, int]: (2, 3),
    tuple[str, ...]: ("x",),
    tuple[Cap, ...]: (Cap(most=3, window=WEEK),),
    frozenset[date]: frozenset({date(2026, 1, 2)}),
    Mapping[str, str]: {"en": "x"},
    Mapping[str, int]: {"x": 1, "y": 2},
    Mapping[str, Property]: {"x": Property(type=ValueType.TEXT)},
}
KINDS: dict[Any, Any] = {  # of what there is in several kinds
    OnEvent: OnEvent(types=("order_paid",)),
    After: After(wait=WEEK, since="last_order_at"),
    OnTransition: OnTransition(names=("first",)),
    OnState: OnState(names=("deal",)),
    OnCalendar: OnCalendar(attribute="birthday", month_day=None, at=time(9)),
    OnRequest: OnRequest(),
    OwnRhythm: OwnRhythm(fact="rhythm", at_least=WEEK, at_most=2 * WEEK, otherwise=WEEK),
}
Trail = tuple[str, str]  # the record and its field


def others(value: Any, hint: Any) -> Iterator[tuple[Trail | None, Any]]:
    """The same value with one thing in it changed, and in which record's field that was."""
    if value is not None and NoneType in get_args(hint):
        yield None, None
    for kind in KINDS.keys() & {*get_args(hint)} - {type(value)}:
        yield None, KINDS[kind]
    if is_dataclass(value) and not isinstance(value, type):
        hints = get_type_hints(type(value))
        for field in fields(value):
            held = getattr(value, field.name)
            for trail, other in others(held, hints[field.name]):
                yield (
                    trail or (type(value).__name__, field.name),
                    replace(value, **{field.name: other}),
                )
    elif isinstance(value, Mapping) and value:
        of = get_args(hint)[1]
        for key, held in value.items():
            for trail, other in others(held, of):
                name = other.name if isinstance(other, EventType) else key
                yield trail, {k: v for k, v in value.items() if k != key} | {name: other}
            if BUILTIN.get(key) is not held:  # those are always there
                yield None, {k: v for k, v in value.items() if k != key}
    elif isinstance(value, tuple) and value:
        of, *_ = get_args(_alone(hint))
        for index, held in enumerate(value):
            for trail, other in others(held, of):
                yield trail, (*value[:index], other, *value[index + 1 :])
            if ... in get_args(_alone(hint)):
                yield None, (*value[:index], *value[index + 1 :])
    else:
        yield from ((None, other) for other in _another(value, _alone(hint)))


def _another(value: Any, hint: Any) -> Iterator[Any]:
    match value:
        case None | () | frozenset() | Mapping() if not value:
            yield SAMPLES[hint]
        case Enum():
            yield next(other for other in type(value) if other is not value)
        case bool():
            yield not value
        case int():
            yield value + 1
        case Decimal():
            yield value + Decimal("0.01")
        case str():
            yield "Asia/Tokyo" if "/" in value or value == "UTC" else f"{value}_x"
        case timedelta() | datetime():
            yield value + timedelta(seconds=1)
        case time():
            yield value.replace(minute=value.minute + 1)
        case frozenset():
            yield value - {min(value)}
        case _:
            raise AssertionError(f"teach this test to change a {type(value).__name__}")


def _alone(hint: Any) -> Any:
    """The type without `| None`."""
    held = [arg for arg in get_args(hint) if arg is not NoneType]
    return held[0] if NoneType in get_args(hint) and len(held) == 1 else hint


def every_field(record: type) -> set[Trail]:
    """Of this record and all that it can hold, by their types alone."""
    found: set[Trail] = set()
    waiting, seen = [record], set()
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        if is_dataclass(one):
            hints = get_type_hints(one)
            # a record that is always there is changed by changing what is in it
            found |= {
                (one.__name__, name) for name, hint in hints.items() if not is_dataclass(hint)
            }
            waiting += hints.values()
        waiting += get_args(one)
    return found


ALL = list(others(POLICY, Policy))


def test_the_walk_changes_every_field_that_a_policy_can_have() -> None:
    """A record or field that the policy of this test does not use would be walked past."""
    assert {trail for trail, _ in ALL} == every_field(Policy)
    assert len(ALL) > 500


@pytest.mark.parametrize("field", sorted(every_field(Policy)), ids=".".join)
def test_a_field_changed_on_its_own_is_told_in_both_directions(field: Trail) -> None:
    """And told as a change of what the policy does exactly if it has another hash."""
    for trail, other in ALL:
        if trail == field:
            there, back = changes(POLICY, other), changes(other, POLICY)
            assert there
            assert back
            means = policy_hash(other) != HASH
            assert any(not change.cosmetic for change in there) is means
            assert any(not change.cosmetic for change in back) is means


def test_a_policy_does_not_differ_from_itself() -> None:
    assert changes(POLICY, POLICY) == ()
    assert changes(POLICY, loads(RICH).policy) == ()
