"""Which words may stand in a template? Variables, filters, tests, and the bounds of everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MOST_NODES = 2_000  # of one file
MOST_DEPTH = 40  # of expressions and blocks within each other
MOST_LOOPS = 2  # within each other
MOST_ITEMS = 100  # that one loop goes through
MOST_STEPS = 50_000  # of one rendering: nodes times how often loops go through them
MOST_OUTPUT = 256 * 1024  # bytes of one rendering
MOST_SECONDS = 1.0  # of real time
MOST_NUMBER = 10**15  # as large as a number may become
EXCEEDED = "exceeded 1 s / 256 KiB / 50,000 steps"

LOOP = frozenset({"index", "index0", "revindex", "first", "last", "length"})

ROOTS = ("customer", "facts", "cause", "message", "links", "company", "owner", "now")
IN_LAYOUT = ("body", "subject", "preheader")  # what a layout sees besides
FIELDS: Mapping[str, tuple[str, ...]] = {  # of those variables that no policy adds to
    "cause": ("kind", "name", "at", "from", "to", "event"),
    "message": ("rule", "step", "variant"),
    "links": ("unsubscribe", "preferences", "survey"),
    "company": ("name", "address", "website", "phone", "email"),
    "owner": ("login", "name", "phone", "email"),
    "now": (),
}
OF_CUSTOMER = ("key", "name", "first_name", "language", "state", "state_label", "tags")


@dataclass(frozen=True, slots=True, kw_only=True)
class Takes:
    """What a filter or a test is given besides the value."""

    least: int = 0
    most: int = 0
    named: frozenset[str] = frozenset()


_NONE = Takes()
_MAYBE = Takes(most=1)
_ONE = Takes(least=1, most=1)

FILTERS: Mapping[str, Takes] = {
    "capitalize": _NONE,
    "d": _MAYBE,
    "date": _MAYBE,
    "datetime": _MAYBE,
    "default": _MAYBE,
    "e": _NONE,
    "escape": _NONE,
    "first": _NONE,
    "join": _MAYBE,
    "last": _NONE,
    "length": _NONE,
    "list_and": _NONE,
    "lower": _NONE,
    "lunar_date": _MAYBE,
    "money": _MAYBE,
    "name": _MAYBE,
    "number": _MAYBE,
    "percent": _MAYBE,
    "plural": Takes(most=2, named=frozenset({"zero", "one", "two", "few", "many", "other"})),
    "replace": Takes(least=2, most=2),
    "round": _MAYBE,
    "sort": _NONE,
    "time": _MAYBE,
    "title": _NONE,
    "trim": _NONE,
    "truncate": Takes(least=1, most=2),
    "unique": _NONE,
    "upper": _NONE,
    "urlencode": _NONE,
    "weekday": _MAYBE,
}

TESTS: Mapping[str, Takes] = {
    "defined": _NONE,
    "undefined": _NONE,
    "none": _NONE,
    "equalto": _ONE,
    "eq": _ONE,
    "ne": _ONE,
    "lt": _ONE,
    "le": _ONE,
    "gt": _ONE,
    "ge": _ONE,
    "in": _ONE,
    "even": _NONE,
    "odd": _NONE,
    "divisibleby": _ONE,
    "string": _NONE,
    "number": _NONE,
}
