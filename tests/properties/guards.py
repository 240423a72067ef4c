"""Guards made up in pairs: the text for CEL, and what it means as a plain function of exact values.

So the engine's reading of a guard is held against one that knows no CEL. In both, an ordering or
an arithmetic of something empty cannot be answered, `&&` and `||` answer wherever one side
suffices, and what cannot be answered refuses.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.properties.choices import Choices

Values = Mapping[str, Any]

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}


class Unanswerable(Exception):
    """Something empty was compared by size, or was calculated with."""


@dataclass(frozen=True)
class Guard:
    text: str
    holds: Callable[[Values], bool] = field(repr=False)


def compare(name: str, sign: str, literal: str, value: Any) -> Guard:
    def holds(values: Values) -> bool:
        found = values[name]
        if found is None and sign not in {"==", "!="}:
            raise Unanswerable(name)
        return OPERATORS[sign](found, value)

    return Guard(f"{name} {sign} {literal}", holds)


def elapsed(name: str, sign: str, hours: int) -> Guard:
    def holds(values: Values) -> bool:
        since = values[name]
        if since is None:
            raise Unanswerable(name)
        if not isinstance(since, datetime):  # a date counts from its midnight in UTC
            since = datetime(since.year, since.month, since.day, tzinfo=UTC)
        return OPERATORS[sign](values["at"] - since, timedelta(hours=hours))

    return Guard(f"at - {name} {sign} duration('{hours}h')", holds)


def among(name: str, members: list[str]) -> Guard:
    listed = ", ".join(f"'{member}'" for member in members)
    return Guard(f"{name} in [{listed}]", lambda values: values[name] in members)


def both(left: Guard, right: Guard) -> Guard:
    return Guard(
        f"({left.text}) && ({right.text})", lambda v: _first(v, left, right, settles=False)
    )


def either(left: Guard, right: Guard) -> Guard:
    return Guard(f"({left.text}) || ({right.text})", lambda v: _first(v, left, right, settles=True))


def negated(inner: Guard) -> Guard:
    return Guard(f"!({inner.text})", lambda values: not inner.holds(values))


def _first(values: Values, left: Guard, right: Guard, *, settles: bool) -> bool:
    """Whichever side answers `settles` decides, even if the other cannot be answered."""
    unanswered = None
    for side in (left, right):
        try:
            if side.holds(values) is settles:
                return settles
        except Unanswerable as error:
            unanswered = error
    if unanswered:
        raise unanswered
    return not settles


def not_empty(name: str, guard: Guard) -> Guard:
    return both(compare(name, "!=", "null", None), guard)


SIZES = ("<", "<=", ">=", ">")
SIGNS = tuple(OPERATORS)


def about_int(choose: Choices, name: str) -> Guard:
    number = choose.number(-1, 4)
    return compare(name, choose.one(SIGNS), str(number), number)


def about_share(choose: Choices, name: str) -> Guard:
    """Whole division cuts off towards zero, and by zero it has no answer."""
    whole, least = choose.one((7, -7)), choose.number(-3, 3)

    def holds(values: Values) -> bool:
        by: int | None = values[name]
        if not by:
            raise Unanswerable(name)
        share = abs(whole) // abs(by)
        return (share if (whole > 0) == (by > 0) else -share) >= least

    return Guard(f"{whole} / {name} >= {least}", holds)


def about_number(choose: Choices, name: str) -> Guard:
    number = choose.one(("10.0", "0.0", "9.99", "-10.0", "30.25", "100.0"))
    return compare(name, choose.one(SIGNS), number, Decimal(number))


def about_instant(choose: Choices, name: str) -> Guard:
    return elapsed(name, choose.one(SIZES), 6 * choose.one((4, 0, 1, 2, 8, 12, 20, 40)))


def about_duration(choose: Choices, name: str) -> Guard:
    hours = 6 * choose.one((4, 1, 2, 8, 12, 20))
    return compare(name, choose.one(SIZES), f"duration('{hours}h')", timedelta(hours=hours))


def about_text(choose: Choices, name: str, values: tuple[str, ...]) -> Guard:
    if choose.rarely():
        return among(name, choose.some(values))
    text = choose.one(values)
    return compare(name, choose.one(("==", "!=")), f"'{text}'", text)


def about_bool(choose: Choices, name: str) -> Guard:
    return compare(name, choose.one(("==", "!=")), "true", True)


def about_presence(choose: Choices, name: str) -> Guard:
    return compare(name, choose.one(("==", "!=")), "null", None)


def about_tags(choose: Choices) -> Guard:
    tag = choose.one(("vip", "trial"))
    return Guard(f"'{tag}' in tags", lambda values: tag in values["tags"])


def about_time(choose: Choices, around: datetime) -> Guard:
    instant = around + timedelta(days=choose.number(0, 20))
    text = f"timestamp('{instant:%Y-%m-%dT%H:%M:%SZ}')"
    return compare("at", choose.one(SIZES), text, instant)


def combined(choose: Choices, atom: Callable[[], Guard], depth: int = 2) -> Guard:
    """An atom, or a few of them under `&&`, `||` and `!`."""
    shape = choose.one(("atom", "atom", "both", "either", "negated")) if depth else "atom"
    match shape:
        case "both":
            return both(combined(choose, atom, depth - 1), combined(choose, atom, depth - 1))
        case "either":
            return either(combined(choose, atom, depth - 1), combined(choose, atom, depth - 1))
        case "negated":
            return negated(combined(choose, atom, depth - 1))
        case _:
            return atom()
