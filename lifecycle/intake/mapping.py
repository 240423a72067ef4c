"""What does a mapping say? Which columns of a table make an event, as plain checked records.

Reading a mapping file is `mapping_file`'s work, reading a table by it is `table`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from decimal import Decimal
from enum import StrEnum

from lifecycle.domain.policy import ValueType
from lifecycle.errors import Finding


class Layout(StrEnum):
    DELIMITED = "delimited"  # CSV and its kin: quotes, one delimiter
    WHITESPACE = "whitespace"  # columns parted by any run of blanks
    FIXED = "fixed"  # columns at fixed places


class AmbiguousTime(StrEnum):
    """What a local time means that comes twice, when clocks are put back."""

    FIRST = "first"  # the earlier instant (summer time still running)
    SECOND = "second"
    REFUSE = "refuse"


class SkippedTime(StrEnum):
    """What a local time means that never comes, when clocks are put forward."""

    SHIFT = "shift"  # as a clock would show that had not been put forward: 01:30 is read as 02:30
    REFUSE = "refuse"


class Repeats(StrEnum):
    """What rows with the same id are."""

    SAME = "same"  # the same event, written down again
    NUMBER = "number"  # events of their own: the second one's id ends in /2, and so on


class Missing(StrEnum):
    """What an empty field of a property means."""

    OMIT = "omit"  # the event has no such property
    REFUSE = "refuse"


class Comparison(StrEnum):
    IS = "is"  # one of these texts
    NOT = "not"  # none of these texts
    EQUALS = "equals"  # these compare numbers
    LESS_THAN = "less_than"
    MORE_THAN = "more_than"
    EMPTY = "empty"  # the field is empty, or (false) is not


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLayout:
    layout: Layout
    header: bool  # the first line names the columns
    columns: tuple[str, ...]  # header: those that the mapping needs; without: all, in their order
    delimiter: str = ","  # of DELIMITED
    encoding: str = "utf-8"  # a byte order mark in the file wins
    spans: tuple[tuple[int, int], ...] = ()  # of FIXED: first position, from 1, and width
    decimal: str = "."  # the sign before the decimals of its amounts and numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTime:
    """Where an event's instant stands, and how to read it."""

    column: str
    format: str | None  # of `strptime`; None: ISO 8601
    at: time  # the local time of a row that has only a date
    timezone: str | None  # IANA name, of times without an offset; None: such times are refused
    ambiguous: AmbiguousTime
    skipped: SkippedTime


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What names a row for ever."""

    columns: tuple[str, ...]  # more than one: joined by /
    repeats: Repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    column: str
    comparison: Comparison
    texts: frozenset[str] = frozenset()  # of IS and NOT
    number: Decimal = Decimal(0)  # of the comparisons of numbers
    empty: bool = True  # of EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnValue:
    """A property whose value stands in the row."""

    column: str
    type: ValueType
    negate: bool  # of a number: change its sign
    missing: Missing


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRule:
    """Rows of this kind are events of this type."""

    when: tuple[Condition, ...]  # all of them hold
    type: str
    values: Mapping[str, ColumnValue]  # by property
    constants: Mapping[str, str | int | bool]  # by property


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipRule:
    """Rows of this kind are no events; they are counted under the reason."""

    when: tuple[Condition, ...]
    reason: str


RowRule = EventRule | SkipRule


@dataclass(frozen=True, slots=True, kw_only=True)
class TableMapping:
    """How the rows of one kind of table become events."""

    name: str  # of its file, without the suffix
    source: str  # of every event; with the id it names the event for ever
    table: TableLayout
    customer: str  # column
    id: Identity
    occurred_at: LocalTime
    rules: tuple[RowRule, ...]  # the first whose conditions hold decides
    warnings: tuple[Finding, ...] = ()  # of its file: to be shown, in nobody's way
