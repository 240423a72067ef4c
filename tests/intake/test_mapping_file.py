"""What is wrong with a mapping file is told at once, with its place and what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifecycle.domain.policy import ValueType
from lifecycle.errors import MappingRefused, NotFound
from lifecycle.intake import mapping_file
from lifecycle.intake.mapping import (
    AmbiguousTime,
    EventRule,
    Layout,
    Repeats,
    SkippedTime,
    TableMapping,
)
from lifecycle.policy.load import load as load_policy
from lifecycle.resources import config_dir
from tests.intake.tables import MAPPING, mapping_in, policy


def load(folder: Path, text: str) -> TableMapping:
    return mapping_file.load(mapping_in(folder, text), policy())


def findings(folder: Path, text: str) -> list[str]:
    """As they are shown, without the folder."""
    with pytest.raises(MappingRefused) as refusal:
        load(folder, text)
    return [str(found).removeprefix(f"{folder}/") for found in refusal.value.findings]


def test_what_is_left_out_of_a_mapping_has_a_meaning(tmp_path: Path) -> None:
    mapping = load(tmp_path, MAPPING)
    assert (mapping.name, mapping.source, mapping.customer) == ("shop", "shop", "who")
    assert (mapping.id.columns, mapping.id.repeats) == (("number",), Repeats.SAME)
    assert (mapping.table.layout, mapping.table.delimiter) == (Layout.DELIMITED, ",")
    assert (mapping.table.encoding, mapping.table.header) == ("utf-8", True)
    assert mapping.occurred_at.ambiguous is AmbiguousTime.FIRST
    assert mapping.occurred_at.skipped is SkippedTime.SHIFT
    (rule,) = mapping.rules
    assert isinstance(rule, EventRule)
    assert rule.values["amount"].type is ValueType.MONEY  # as the policy declares it
    assert mapping.warnings == ()


def test_every_mistake_is_told_in_one_go_with_its_place(tmp_path: Path) -> None:
    text = """\
version: 1
source: lifecycle
tabel: {header: false}
customer: who
id: number
occurred_at: {column: time, timezone: London, skipped: shfit}
rows:
  - type: order_paid
    propertys: {amount: amount}
"""
    told = findings(tmp_path, text)
    assert [line.split(": ")[0] for line in told] == [
        "shop.yaml:2:9",
        "shop.yaml:3:1",
        "shop.yaml:6:39",
        "shop.yaml:6:56",
        "shop.yaml:9:5",
    ]
    assert 'did you mean "table"?' in told[1]
    assert "Europe/London" in told[2]
    assert 'did you mean "shift"?' in told[3]
    assert 'did you mean "properties"?' in told[4]


def rows(text: str) -> str:
    return MAPPING[: MAPPING.index("rows:")] + "rows:\n" + text


@pytest.mark.parametrize(
    ("text", "place", "code", "words"),
    [
        (rows("  - type: order_piad\n"), "7:11", "unknown_event_type", 'mean "order_paid"?'),
        (
            rows("  - {type: plan_changed, properties: {plan: a, plam: b}}\n"),
            "7:48",
            "unknown_field",
            'did you mean "plan"?',
        ),
        (rows("  - type: order_paid\n"), "7:11", "missing_property", '"amount"'),
        (
            rows("  - {type: order_refunded}\n  - {skip: never}\n"),
            "8:5",
            "unreachable_rule",
            "line 7",
        ),
        (
            rows("  - {type: order_refunded, properties: {currency: {constant: EURO}}}\n"),
            "7:62",
            "currency_unknown",
            'did you mean "EUR"?',
        ),
        (
            rows("  - {type: order_refunded, properties: {currency: {constant: USD}}}\n"),
            "7:62",
            "currency_unknown",
            "no rate for this currency",
        ),
        (
            rows("  - {type: order_refunded, properties: {amount: {constant: '1,5'}}}\n"),
            "7:60",
            "amount_format",
            "a comma",
        ),
        (
            rows("  - {type: order_refunded, properties: {currency: {column: c, negate: true}}}\n"),
            "7:71",
            "wrong_value",
            "only a number has a sign",
        ),
        (
            rows("  - {type: order_refunded, properties: {amount: {column: c, type: int}}}\n"),
            "7:67",
            "wrong_value",
            "declares this property as money",
        ),
        (rows("  - {type: profile_changed}\n"), "7:12", "wrong_value", "a map of attributes"),
        (
            rows("  - {skip: it, when: {amount: {equals: many}}}\n"),
            "7:40",
            "wrong_number",
            "plain decimal",
        ),
        (rows("  - {skip: it, when: {amount: {}}}\n"), "7:31", "wrong_value", "no test"),
        (
            MAPPING.replace("id: number", "id: {columns: [number, who], repeats: number}"),
            "5:23",
            "unstable_id",
            '"time" is used',
        ),
        (
            MAPPING + "table: {layout: fixed}\n",
            "9:8",
            "missing_key",
            '"columns"',
        ),
        (
            MAPPING + "table: {header: false, columns: [number, who, tiem, amount]}\n",
            "5:23",
            "unknown_column",
            'did you mean "tiem"?',
        ),
        (
            MAPPING + "table: {columns: [number, who, time, amount]}\n",
            "9:18",
            "wrong_value",
            "names its columns itself",
        ),
        (MAPPING + "table: {encoding: utf9}\n", "9:19", "unknown_encoding", 'mean "utf-8"?'),
        (MAPPING + "table: {encoding: rot13}\n", "9:19", "unknown_encoding", "allowed"),
        (MAPPING + "table: {decimal: comma}\n", "9:18", "wrong_word", 'did you mean ","?'),
        (MAPPING + "table: {decimals: ','}\n", "9:9", "unknown_key", 'did you mean "decimal"?'),
        (MAPPING + "table: {delimiter: '||'}\n", "9:20", "wrong_delimiter", "one character"),
        (
            MAPPING.replace("column: time,", "column: time, format: '%H:%M',"),
            "5:37",
            "wrong_format",
            "year, month and day",
        ),
        ("", "1:1", "missing_key", "empty"),
        ("version: 2\n", "1:10", "wrong_value", "allowed: 1"),
        ("version: 1\nversion: 1\n", "2:1", "duplicate_key", "first is in line 1"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_is_allowed(
    tmp_path: Path, text: str, place: str, code: str, words: str
) -> None:
    told = findings(tmp_path, text)
    here = [line for line in told if line.startswith(f"shop.yaml:{place}: error {code}: ")]
    assert len(here) == 1, told
    assert words in here[0]


def test_what_an_open_type_does_not_declare_is_kept_and_warned_of(tmp_path: Path) -> None:
    mapping = load(tmp_path, MAPPING.replace("{amount: amount}", "{amount: amount, oder_id: x}"))
    (warning,) = mapping.warnings
    assert (warning.line, warning.column, warning.code) == (8, 34, "unknown_field")
    assert 'did you mean "order_id"?' in warning.message


def test_a_mapping_is_found_by_its_name_or_its_path(tmp_path: Path) -> None:
    path = mapping_in(tmp_path)
    assert mapping_file.find("shop", tmp_path) == path
    assert mapping_file.find(str(path), Path("elsewhere")) == path
    with pytest.raises(NotFound, match=r'found "shpo"; allowed: shop; did you mean "shop"\?'):
        mapping_file.find("shpo", tmp_path)


@pytest.mark.parametrize("name", ["online-retail", "cdnow"])
def test_the_shipped_mappings_are_sound_under_the_shipped_policy(name: str) -> None:
    config = config_dir()
    shipped = load_policy(config / "policy.yaml").policy
    mapping = mapping_file.load(mapping_file.find(name, config / "mappings"), shipped)
    assert (mapping.source, mapping.warnings) == (name, ())
