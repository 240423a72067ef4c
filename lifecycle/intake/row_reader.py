"""What does one row say? Its fields, by a mapping, as the draft of an event.

A row becomes the draft that the same event posted as JSON would have become, its `body_hash`
included, so that a file may come in by either way, or by both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from lifecycle.domain.event import Event
from lifecycle.domain.instant import instant_text
from lifecycle.domain.policy import EventType, Policy, ValueType
from lifecycle.errors import Problem
from lifecycle.intake.draft import Draft
from lifecycle.intake.local_time import InstantReader
from lifecycle.intake.mapping import (
    ColumnValue,
    Comparison,
    Condition,
    EventRule,
    Identity,
    Missing,
    Repeats,
    TableMapping,
)
from lifecycle.intake.native import ID_LENGTH
from lifecycle.intake.properties import PropertyReader
from lifecycle.intake.rows import RowProblem, clip
from lifecycle.intake.strict_json import LIMITS, shown
from lifecycle.intake.values import READERS, currency, identifier, money

REMEMBERED = 100_000  # customers; a file that is sorted by time names each many times

Fields = Sequence[str]
Test = Callable[[Fields], bool]

_EXCEL = re.compile(r"[0-9]([.,][0-9]+)?E\+[0-9]+")  # a German Excel writes 1,23E+11
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_COMMA = re.compile(r"-?[0-9]+,[0-9]+")
_DECIMALS = frozenset({ValueType.MONEY, ValueType.NUMBER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A row that is no event, by a rule of the mapping."""

    line: int
    reason: str


class RowReader:
    """A mapping laid over the columns of one file; what rows share is worked out once."""

    def __init__(
        self, mapping: TableMapping, columns: Sequence[str], policy: Policy, now: datetime
    ) -> None:
        places = {name: index for index, name in enumerate(columns)}
        self._source = mapping.source
        self._now = now
        self._latest = now + policy.skew
        self._customer_column = mapping.customer
        self._customer_at = places[mapping.customer]
        self._customers: dict[str, str] = {}
        self._identities = _IdReader(mapping.id, places)
        self._time_column = mapping.occurred_at.column
        self._time_at = places[mapping.occurred_at.column]
        self._instants = InstantReader(mapping.occurred_at)
        looked_at = dict.fromkeys(each.column for rule in mapping.rules for each in rule.when)
        self._looked_at = [(name, places[name]) for name in looked_at]
        conditions = [each for rule in mapping.rules for each in rule.when]
        self._by_text = _compared(conditions, places, {Comparison.IS, Comparison.NOT})
        self._by_emptiness = _compared(conditions, places, {Comparison.EMPTY})
        comma = mapping.table.decimal == ","
        self._rules: list[tuple[Test | None, _EventReader | str]] = [
            (
                _tests(rule.when, places, comma=comma),
                _EventReader(rule, places, policy, comma=comma)
                if isinstance(rule, EventRule)
                else rule.reason,
            )
            for rule in mapping.rules
        ]

    def read(self, line: int, fields: Fields) -> Draft | RowProblem | Skipped:
        try:
            for test, reader in self._rules:
                if test is None or test(fields):
                    if isinstance(reader, str):
                        return Skipped(line=line, reason=reader)
                    return self._draft(line, reader, fields)
        except _BadField as bad:
            return _row_problem(line, bad.column, bad.problem)
        return RowProblem(
            line=line,
            column="",
            code="no_rule_matches",
            message=f"line {line}: no rule of the mapping takes this row: {self._seen(fields)}",
            got=clip(" | ".join(fields)),
            alike=self._alike(fields),
        )

    def _alike(self, fields: Fields) -> str:
        """The texts that the rules compare, and what is empty; numbers are each row's own."""
        texts = [fields[at] for at in self._by_text]
        return repr((texts, [not fields[at].strip() for at in self._by_emptiness]))

    def _seen(self, fields: Fields) -> str:
        """What stands in the columns that the rules look at."""
        return ", ".join(f"{name} is {shown(fields[at])}" for name, at in self._looked_at)

    def _draft(self, line: int, reader: _EventReader, fields: Fields) -> Draft:
        event_id = self._identities.read(fields)
        name = fields[self._customer_at]
        customer = self._customers.get(name) or self._customer(name)
        occurred_at = self._instant(fields[self._time_at])
        properties = reader.properties(fields, occurred_at)
        return Draft(
            event=Event(
                self._source,
                event_id,
                customer,
                reader.type,
                occurred_at,
                self._now,
                properties,
            ),
            dated=True,
            backfill=True,
            too_late=False,
            line=line,
        )

    def _customer(self, text: str) -> str:
        try:
            customer = _name(text, code="customer_key", what="the customer", spaces=True)
        except Problem as problem:
            raise _BadField(self._customer_column, problem) from None
        if len(self._customers) >= REMEMBERED:
            self._customers.clear()
        self._customers[text] = customer
        return customer

    def _instant(self, text: str) -> datetime:
        try:
            instant = self._instants.read(text)
        except Problem as problem:
            raise _BadField(self._time_column, problem) from None
        if instant > self._latest:
            raise _BadField(self._time_column, _future(text, self._latest))
        return instant


class _BadField(Exception):
    def __init__(self, column: str, problem: Problem) -> None:
        super().__init__(column)
        self.column = column
        self.problem = problem


def _row_problem(line: int, column: str, problem: Problem) -> RowProblem:
    expected = f"; expected {problem.expected}" if problem.expected else ""
    hint = f"; {problem.hint}" if problem.hint else ""
    return RowProblem(
        line=line,
        column=column,
        code=problem.code,
        message=f"line {line}, column {column}: {problem.detail}{expected}{hint}",
        got=_unquoted(problem.got or ""),
    )


def _unquoted(got: str) -> str:
    """A text as it stands in the file; elsewhere it is shown as JSON."""
    if not got.startswith('"'):
        return got
    try:
        return str(json.loads(got))
    except ValueError:  # it was clipped
        return got.removeprefix('"')


def _future(text: str, latest: datetime) -> Problem:
    return Problem(
        "timestamp_in_future",
        "this time is still to come",
        got=shown(text),
        expected=f"at most {instant_text(latest)}",
        hint="check `timezone` in the mapping",
    )


def _name(text: str, *, code: str, what: str, spaces: bool) -> str:
    """An identifier, and none that a spreadsheet has damaged."""
    if "E+" in text and _EXCEL.fullmatch(text):
        raise Problem(
            f"{code}_format",
            f"{what} looks like Excel's scientific notation, which has lost digits",
            got=shown(text),
            expected="the number in full",
            hint="format the column as text before saving it as CSV",
        )
    return identifier(text, code=code, what=what, longest=ID_LENGTH, spaces=spaces)


# -- ids ---------------------------------------------------------------------------------------


class _IdReader:
    """Gives a row its id; equal rows that are events of their own are numbered from /2 on.

    Numbering keeps one count for each distinct id of the file.
    """

    def __init__(self, said: Identity, places: dict[str, int]) -> None:
        self._columns = said.columns
        self._at = tuple(places[name] for name in said.columns)
        self._counts: dict[str, int] | None = {} if said.repeats is Repeats.NUMBER else None

    def read(self, fields: Fields) -> str:
        if len(self._at) == 1:
            text = fields[self._at[0]]
        else:
            text = "/".join([_escaped(fields[at]) for at in self._at])
        try:
            name = _name(text, code="event_id", what="the id", spaces=False)
        except Problem as problem:
            raise _BadField(", ".join(self._columns), problem) from None
        if self._counts is None:
            return name
        count = self._counts[name] = self._counts.get(name, 0) + 1
        return name if count == 1 else f"{name}/{count}"


def _escaped(part: str) -> str:
    """Keeps what is joined by / apart, and spaces, which no id may have, out of it."""
    if "/" in part or "%" in part or " " in part:
        return part.replace("%", "%25").replace("/", "%2F").replace(" ", "%20")
    return part


# -- conditions --------------------------------------------------------------------------------


def _compared(
    conditions: Sequence[Condition], places: dict[str, int], by: set[Comparison]
) -> list[int]:
    """Of the columns that are compared so."""
    found = dict.fromkeys(each.column for each in conditions if each.comparison in by)
    return [places[name] for name in found]


def _tests(conditions: Sequence[Condition], places: dict[str, int], *, comma: bool) -> Test | None:
    """One test of a row for all conditions; None when there are none."""
    tests = [_test(condition, places, comma=comma) for condition in conditions]
    if len(tests) <= 1:
        return tests[0] if tests else None
    return lambda fields: all(test(fields) for test in tests)


def _test(condition: Condition, places: dict[str, int], *, comma: bool) -> Test:
    column, at, texts = condition.column, places[condition.column], condition.texts
    number, empty = condition.number, condition.empty
    match condition.comparison:
        case Comparison.IS:
            return lambda fields: fields[at] in texts
        case Comparison.NOT:
            return lambda fields: fields[at] not in texts
        case Comparison.EMPTY:
            return lambda fields: (not fields[at].strip()) is empty
        case Comparison.EQUALS:
            return lambda fields: _decimal(column, fields[at], comma=comma) == number
        case Comparison.LESS_THAN:
            return lambda fields: _decimal(column, fields[at], comma=comma) < number
        case Comparison.MORE_THAN:
            return lambda fields: _decimal(column, fields[at], comma=comma) > number


def _decimal(column: str, text: str, *, comma: bool) -> Decimal:
    plain = _with_point(text) if comma else text
    if _NUMBER.fullmatch(plain) is None:
        problem = Problem(
            "number_format",
            "this is not a number, and the mapping compares it with one",
            got=shown(text),
            expected="a number such as 12,5" if comma else "a number such as 12.5",
            hint=_comma_hint(text, comma=comma),
        )
        raise _BadField(column, problem)
    return Decimal(plain)


def _with_point(text: str) -> str:
    """A decimal comma as a point. A point makes it no number: it may part thousands, or decimals."""
    return text.replace(",", ".") if "." not in text else text.replace(".", " ")


def _comma_hint(text: str, *, comma: bool) -> str | None:
    if comma and "." in text:
        return 'the mapping says `decimal: ","`, and nothing stands between thousands'
    if not comma and _COMMA.fullmatch(text):
        return 'if the comma is a decimal sign, say `decimal: ","` under `table:` in the mapping'
    return None


# -- properties --------------------------------------------------------------------------------


class _EventReader:
    """Reads the properties of the rows that one rule takes.

    Two speeds: a short way for rows that are sound, and for all others the reader of posted
    properties itself, which knows every reason to refuse one. A test holds the two together.
    """

    def __init__(
        self, rule: EventRule, places: dict[str, int], policy: Policy, *, comma: bool
    ) -> None:
        self.type = rule.type
        self._comma = comma
        self._constants = dict(rule.constants)
        self._values = [
            (name, value.column, places[value.column], _value_reader(value, comma=comma))
            for name, value in rule.values.items()
        ]
        self._columns = {name: value.column for name, value in rule.values.items()}
        self._decimals = {
            name: places[value.column]
            for name, value in rule.values.items()
            if value.type in _DECIMALS
        }
        declared = policy.events.get(rule.type)
        self._reader = PropertyReader(rule.type, declared, policy)
        self._short = _short_way(rule, places, declared, policy, comma=comma) if declared else None

    def properties(self, fields: Fields, occurred_at: datetime) -> dict[str, Any]:
        stored = self._stored(fields)
        try:
            self._reader.check_rate(stored, occurred_at)
        except Problem as problem:
            raise self._bad(problem) from None
        return stored

    def _stored(self, fields: Fields) -> dict[str, Any]:
        if self._short is None:
            return self._long_way(fields)
        constants, values = self._short
        stored = constants.copy()
        try:
            for name, at, read in values:
                text = fields[at]
                if not text:
                    return self._long_way(fields)
                stored[name] = text if read is None else read(text)
        except Problem:
            return self._long_way(fields)
        return stored

    def _long_way(self, fields: Fields) -> dict[str, Any]:
        posted: dict[str, Any] = dict(self._constants)
        for name, column, at, read in self._values:
            text = fields[at]
            try:
                value = read(text) if read is not None else text or None
            except Problem as problem:
                raise _BadField(column, problem) from None
            if value is not None:
                posted[name] = value
        try:
            return self._reader.read(posted, LIMITS, [])
        except Problem as problem:
            name = _property(problem)
            if name in self._decimals:
                self._as_written(problem, fields[self._decimals[name]])
            raise self._bad(problem) from None

    def _bad(self, problem: Problem) -> _BadField:
        name = _property(problem)
        return _BadField(self._columns.get(name, name), problem)

    def _as_written(self, problem: Problem, text: str) -> None:
        """What is told of a number is what stands in the file, and how the mapping reads that."""
        problem.got = shown(text)
        problem.hint = _comma_hint(text, comma=self._comma) or problem.hint


def _property(problem: Problem) -> str:
    return problem.pointer.removeprefix("/").split("/")[0]


_Read = Callable[[Any], Any]
_ShortWay = tuple[dict[str, Any], list[tuple[str, int, _Read | None]]]


def _short_way(
    rule: EventRule,
    places: dict[str, int],
    declared: EventType,
    policy: Policy,
    *,
    comma: bool,
) -> _ShortWay | None:
    """The constants as they are stored, and how each column is; None where a row may need more.

    More is needed by what is not declared, by a required text (which may not be blank), and by
    money whose currency stands in a column.
    """
    kinds = {name: said.type for name, said in declared.properties.items()}
    money_code = policy.currency
    constants: dict[str, Any] = {}
    for name, said in declared.properties.items():
        given = name in rule.values or name in rule.constants
        if said.required and (not given or said.type is ValueType.TEXT):
            return None
        if said.type is ValueType.CURRENCY and name in rule.values:
            return None
        if said.type is ValueType.CURRENCY and name in rule.constants:
            money_code = constants[name] = currency(rule.constants[name])
    if money_code not in {policy.currency, *(rate.currency for rate in policy.rates)}:
        return None
    if not (rule.values.keys() | rule.constants.keys()) <= kinds.keys():
        return None
    readers: dict[ValueType, _Read] = {
        **READERS,
        ValueType.MONEY: lambda value: money(value, money_code),
    }
    for name, value in rule.constants.items():
        constants[name] = readers[kinds[name]](value)
    return constants, [
        (name, places[value.column], _stored(value, readers[kinds[name]], comma=comma))
        for name, value in rule.values.items()
    ]


def _stored(said: ColumnValue, reader: _Read, *, comma: bool) -> _Read | None:
    """From the field to what is stored; None: it is stored as it stands."""
    posted = _value_reader(said, comma=comma)
    if said.type is ValueType.TEXT:
        return None
    return reader if posted is None else lambda text: reader(posted(text))


def _value_reader(said: ColumnValue, *, comma: bool) -> Callable[[str], Any] | None:
    """How a field is turned into what JSON would have held; None: as it stands, empty as nothing."""
    convert = _with_point if comma and said.type in _DECIMALS else _CONVERT.get(said.type)
    if convert is None and not said.negate and said.missing is Missing.OMIT:
        return None

    def read(text: str) -> Any:
        if not text:
            if said.missing is Missing.REFUSE:
                raise Problem("value_missing", "the field is empty", expected="a value")
            return None
        if said.negate:
            text = _negated(text)
        return convert(text) if convert is not None else text

    return read


def _negated(text: str) -> str:
    if text.startswith("-"):
        return text[1:]
    return text if not text.strip("0.") else f"-{text}"


def _integer(text: str) -> int | str:
    """What is no whole number stays text, for the reader of properties to refuse."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text


def _boolean(text: str) -> bool | str:
    return {"true": True, "false": False}.get(text.lower(), text)


_CONVERT: dict[ValueType, Callable[[str], Any]] = {
    ValueType.INT: _integer,
    ValueType.BOOL: _boolean,
}
