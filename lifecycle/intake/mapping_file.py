"""What may a mapping file hold, and is this one sound? YAML to a `TableMapping`, checked whole.

Everything wrong is told at once, with line and column, in the words of the policy check.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import time
from decimal import Decimal
from pathlib import Path

from lifecycle.domain.builtin import PROFILE_CHANGED
from lifecycle.domain.policy import EventType, Policy, UnknownEvents, ValueType
from lifecycle.errors import MappingRefused, NotFound, Problem
from lifecycle.intake.mapping import (
    AmbiguousTime,
    ColumnValue,
    Comparison,
    Condition,
    EventRule,
    Identity,
    Layout,
    LocalTime,
    Missing,
    Repeats,
    RowRule,
    SkippedTime,
    SkipRule,
    TableLayout,
    TableMapping,
)
from lifecycle.intake.mapping_format import MAPPING
from lifecycle.intake.values import READERS, money
from lifecycle.policy.records import Fields
from lifecycle.policy.report import START, Place, Report, found, unlisted
from lifecycle.policy.shapes import At
from lifecycle.policy.source import decoded, tree


def find(name: str, folder: Path) -> Path:
    """The file of a named mapping; a path to a file is taken as it is."""
    for path in (folder / f"{name}.yaml", Path(name)):
        if path.is_file():
            return path
    shipped = sorted(path.stem for path in folder.glob("*.yaml"))
    raise NotFound(unlisted("no such mapping", name, shipped))


def load(path: Path, policy: Policy) -> TableMapping:
    """The mapping of a file, sound under this policy; raises `MappingRefused` with every finding."""
    report = Report(str(path))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NotFound(f"mapping {path}: {error.strerror or error}") from None
    text = decoded(content, report)
    node = tree(text, report) if text is not None else None
    fields = MAPPING.read(node, report) if node is not None else None
    if node is None and not report.refused:
        report.error(START, "missing_key", "the file is empty; it needs a mapping")
    mapping = None
    if fields is not None and not report.refused:
        mapping = _Builder(path.stem, fields.value, policy, report).mapping()
    if mapping is None or report.refused:
        raise MappingRefused(report.findings())
    return mapping


class _Builder:
    """Puts the words together, and reports what does not fit together or into the policy."""

    def __init__(self, name: str, fields: Fields, policy: Policy, report: Report) -> None:
        self._name, self._fields, self._policy, self._report = name, fields, policy, report
        self._columns: dict[str, Place] = {}  # every column that is used, and where first

    def mapping(self) -> TableMapping:
        customer = self._column(self._fields["customer"])
        identity = self._identity(self._fields["id"])
        occurred_at = self._occurred_at(self._fields["occurred_at"])
        rules = tuple(self._rules(self._fields["rows"].value))
        table = self._table()
        if identity.repeats is Repeats.NUMBER:
            self._check_stable(identity)
        return TableMapping(
            name=self._name,
            source=self._fields.value("source"),
            table=table,
            customer=customer,
            id=identity,
            occurred_at=occurred_at,
            rules=rules,
            warnings=tuple(self._report.findings()),
        )

    def _column(self, held: At[str]) -> str:
        self._columns.setdefault(held.value, held.place)
        return held.value

    def _identity(self, held: At[object]) -> Identity:
        repeats = Repeats.SAME
        columns = held.value
        if isinstance(columns, Fields):
            repeats = Repeats(columns.value("repeats", "same"))
            columns = columns.value("columns")
        assert isinstance(columns, tuple)
        return Identity(columns=tuple(self._column(each) for each in columns), repeats=repeats)

    def _occurred_at(self, held: At[object]) -> LocalTime:
        fields = held.value
        if not isinstance(fields, Fields):
            assert isinstance(fields, str)
            fields = Fields({"column": At(fields, held.place)}, frozenset({"column"}))
        return LocalTime(
            column=self._column(fields["column"]),
            format=fields.value("format"),
            at=fields.value("at", time(0)),
            timezone=fields.value("timezone"),
            ambiguous=AmbiguousTime(fields.value("ambiguous", "first")),
            skipped=SkippedTime(fields.value("skipped", "shift")),
        )

    def _table(self) -> TableLayout:
        held = self._fields.get("table")
        fields: Fields = held.value if held else Fields({}, frozenset())
        place = held.place if held else START
        layout = Layout(fields.value("layout", "delimited"))
        header = fields.value("header", layout is not Layout.FIXED)
        columns, spans = self._stated_columns(fields, layout, place, header=header)
        return TableLayout(
            layout=layout,
            header=header,
            columns=columns,
            delimiter=fields.value("delimiter", ","),
            encoding=fields.value("encoding", "utf-8"),
            spans=spans,
            decimal=fields.value("decimal", "."),
        )

    def _stated_columns(
        self, fields: Fields, layout: Layout, place: Place, *, header: bool
    ) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
        stated = fields.get("columns")
        fixed = layout is Layout.FIXED
        if stated is None:
            if not header or fixed:
                self._report.error(
                    place, "missing_key", 'a table without a header needs "columns": their names'
                )
            return tuple(self._columns), ()
        place = stated.place
        pairs: list[tuple[At[str], At[tuple[int, int]] | None]] = [
            each if isinstance(each, tuple) else (each, None) for each in stated.value
        ]
        if header:
            self._report.error(
                place,
                "wrong_value",
                "a table with a header names its columns itself; "
                "leave `columns` out, or say `header: false`",
            )
        if any((span is not None) is not fixed for _, span in pairs):
            self._report.error(
                place,
                "wrong_value",
                "allowed in a fixed layout: a map of names with their positions (id: 1-6); "
                "in the other layouts: a list of names",
            )
        names = tuple(name.value for name, _ in pairs)
        for name, used in self._columns.items():
            if name not in names:
                self._report.error(used, "unknown_column", unlisted("no such column", name, names))
        return names, tuple(span.value for _, span in pairs if span is not None)

    def _check_stable(self, identity: Identity) -> None:
        """Numbering rows by an id that leaves out what tells them apart depends on their order."""
        for column, place in self._columns.items():
            if column not in identity.columns:
                self._report.error(
                    place,
                    "unstable_id",
                    f'"{column}" is used but is no part of the id: with `repeats: number` rows '
                    "that differ only in it would be numbered by their order in the file; "
                    "add it to the columns of the id",
                )

    # -------------------------------------------------------------- rules

    def _rules(self, rules: tuple[At[tuple[str, Fields]], ...]) -> Iterator[RowRule]:
        all_taken: Place | None = None
        for held in rules:
            kind, fields = held.value
            if all_taken is not None:
                self._report.error(
                    held.place,
                    "unreachable_rule",
                    f"the rule in line {all_taken.line} has no `when` and takes every row",
                )
            conditions = tuple(self._conditions(fields))
            if not conditions:
                all_taken = held.place
            if kind == "skip":
                yield SkipRule(when=conditions, reason=fields.value("skip"))
            else:
                yield self._event_rule(conditions, fields)

    def _conditions(self, fields: Fields) -> Iterator[Condition]:
        for column, test in fields.value("when", ()):
            name = self._column(column)
            if not isinstance(test.value, Fields):
                texts = frozenset(each.value for each in test.value)
                yield Condition(column=name, comparison=Comparison.IS, texts=texts)
                continue
            if not test.value:
                self._report.error(
                    test.place, "wrong_value", "found no test; allowed: " + ", ".join(Comparison)
                )
            for word, operand in test.value.items():
                comparison = Comparison(word)
                match operand.value:
                    case bool() as empty:
                        yield Condition(column=name, comparison=comparison, empty=empty)
                    case Decimal() as number:
                        yield Condition(column=name, comparison=comparison, number=number)
                    case texts:
                        wanted = frozenset(each.value for each in texts)
                        yield Condition(column=name, comparison=comparison, texts=wanted)

    def _event_rule(self, conditions: tuple[Condition, ...], fields: Fields) -> EventRule:
        kind = self._event_type(fields["type"])
        values: dict[str, ColumnValue] = {}
        constants: dict[str, str | int | bool] = {}
        for name, value in fields.value("properties", ()):
            self._check_property(kind, name)
            declared = kind.properties.get(name.value) if kind else None
            if isinstance(value.value, str):
                type_ = declared.type if declared else ValueType.TEXT
                values[name.value] = ColumnValue(
                    column=self._column(value), type=type_, negate=False, missing=Missing.OMIT
                )
                continue
            form, more = value.value
            type_ = self._type(more, declared.type if declared else None)
            if form == "constant":
                constants[name.value] = self._constant(more["constant"], type_)
            else:
                values[name.value] = self._column_value(more, type_, value.place)
        if kind:
            self._check_required(kind, values.keys() | constants.keys(), fields["type"].place)
        return EventRule(
            when=conditions, type=fields.value("type"), values=values, constants=constants
        )

    def _column_value(self, more: Fields, type_: ValueType, place: Place) -> ColumnValue:
        negate = bool(more.value("negate"))
        if negate and type_ not in {ValueType.MONEY, ValueType.NUMBER, ValueType.INT}:
            self._report.error(
                more.place("negate", place),
                "wrong_value",
                f"only a number has a sign; this property is {type_}",
            )
        return ColumnValue(
            column=self._column(more["column"]),
            type=type_,
            negate=negate,
            missing=Missing(more.value("if_empty", "omit")),
        )

    def _event_type(self, held: At[str]) -> EventType | None:
        kind = self._policy.events.get(held.value)
        if kind is None:
            if self._policy.unknown_events is UnknownEvents.KEEP:
                return None
            known = sorted(self._policy.events)
            self._report.error(
                held.place,
                "unknown_event_type",
                unlisted("the policy has no such event type", held.value, known),
            )
        elif kind.name == PROFILE_CHANGED:
            self._report.error(
                held.place,
                "wrong_value",
                f"{PROFILE_CHANGED} carries a map of attributes, which no column can hold",
            )
        return kind

    def _check_property(self, kind: EventType | None, name: At[str]) -> None:
        if kind is None or name.value in kind.properties:
            return
        sentence = unlisted(f"{kind.name} declares no such property", name.value, kind.properties)
        if kind.strict:
            self._report.error(name.place, "unknown_field", sentence)
        else:
            self._report.warn(name.place, "unknown_field", sentence + "; it is kept all the same")

    def _check_required(self, kind: EventType, given: set[str], place: Place) -> None:
        for name, declared in kind.properties.items():
            if declared.required and name not in given:
                self._report.error(
                    place, "missing_property", f'{kind.name} needs the property "{name}"'
                )

    def _type(self, more: Fields, declared: ValueType | None) -> ValueType:
        stated = more.get("type")
        if stated is None:
            return declared or ValueType.TEXT
        if declared is not None and stated.value != declared:
            self._report.error(
                stated.place,
                "wrong_value",
                f"{found(stated.value)}; the policy declares this property as {declared}",
            )
        return ValueType(stated.value)

    def _constant(self, held: At[str], type_: ValueType) -> str | int | bool:
        """As JSON would have held it, and as every row can be stored with it."""
        constant: str | int | bool = held.value
        if type_ is ValueType.BOOL and held.value in {"true", "false"}:
            constant = held.value == "true"
        elif type_ is ValueType.INT and re.fullmatch(r"-?[0-9]{1,18}", held.value):
            constant = int(held.value)
        try:
            if type_ is ValueType.MONEY:
                money(constant, self._policy.currency)
            else:
                READERS[type_](constant)
        except Problem as problem:
            hint = f"; {problem.hint}" if problem.hint else ""
            self._report.error(
                held.place,
                problem.code,
                f"{found(held.value)}; {problem.detail}; allowed: {problem.expected}{hint}",
            )
            return constant
        if type_ is ValueType.CURRENCY:
            self._check_rate(held)
        return constant

    def _check_rate(self, held: At[str]) -> None:
        known = sorted({self._policy.currency, *(rate.currency for rate in self._policy.rates)})
        if held.value.upper() not in known:
            self._report.error(
                held.place,
                "currency_unknown",
                unlisted("the policy has no rate for this currency", held.value, known),
            )
