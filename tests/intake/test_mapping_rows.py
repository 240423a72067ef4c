"""What a row of a table becomes, and what is said about one that becomes nothing."""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
from dataclasses import replace
from datetime import UTC, date, datetime, time
from itertools import permutations
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lifecycle.domain.instant import instant_text
from lifecycle.errors import Problem
from lifecycle.intake import mapping_file, rows
from lifecycle.intake.draft import Draft
from lifecycle.intake.local_time import InstantReader
from lifecycle.intake.mapping import AmbiguousTime, LocalTime, SkippedTime
from lifecycle.intake.native import read_batch
from lifecycle.intake.row_reader import RowReader
from lifecycle.intake.table import RejectsFile, RowProblem, drafts
from tests.intake.tables import (
    MAPPING,
    NOW,
    TABLE,
    mapping_in,
    outcomes,
    policy,
    refused,
    skipped,
    taken,
)

ALL_TYPES = """\
version: 1
source: shop
customer: who
id: number
occurred_at: {column: time, timezone: Europe/London}
rows:
  - type: order_paid
    properties:
      amount: amount
      currency: {constant: gbp}
      order_id: number
      units: units
      gift: gift
      weight: {column: weight, negate: true}
      shipped: shipped
      note: note
"""
HEADER = "number,who,time,amount,units,gift,weight,shipped,note"


def test_a_row_is_an_event(tmp_path: Path) -> None:
    first, second = taken(outcomes(tmp_path))
    assert first.event.key == (datetime(2026, 1, 2, 9, 30, tzinfo=UTC), "shop", "1")
    assert (first.event.customer, first.event.type) == ("anna", "order_paid")
    assert first.event.properties == {"amount": "12.5"}
    assert (first.event.received_at, first.dated) == (NOW, True)
    assert (first.backfill, first.too_late) == (True, False)
    assert (second.event.customer, second.event.properties) == ("bert", {"amount": "3"})


def test_values_are_stored_in_the_type_that_the_policy_declares(tmp_path: Path) -> None:
    table = f"{HEADER}\n1,anna,2025-07-02T09:30:00,12.50,3,True,-1.5,2025-07-03,by hand\n"
    (draft,) = taken(outcomes(tmp_path, table, ALL_TYPES))
    assert draft.event.occurred_at == datetime(2025, 7, 2, 8, 30, tzinfo=UTC)
    assert draft.event.properties == {
        "amount": "12.5",
        "currency": "GBP",
        "order_id": "1",
        "units": 3,
        "gift": True,
        "weight": "1.5",
        "shipped": "2025-07-03",
        "note": "by hand",
    }


def test_an_empty_field_is_no_property_unless_it_is_needed(tmp_path: Path) -> None:
    table = f"{HEADER}\n1,anna,2026-01-02,12.50,,,,,\n2,anna,2026-01-02,,,,,,\n"
    mapping = ALL_TYPES.replace("units: units", "units: {column: units, if_empty: refuse}")
    (draft, problem) = outcomes(tmp_path, table, ALL_TYPES)
    assert isinstance(draft, Draft)
    assert draft.event.properties == {"amount": "12.5", "currency": "GBP", "order_id": "1"}
    assert isinstance(problem, RowProblem)
    assert (problem.line, problem.column, problem.code) == (3, "amount", "property_required")
    (first, _) = refused(outcomes(tmp_path, table, mapping))
    assert (first.line, first.column, first.code) == (2, "units", "value_missing")


# What a row says, and how the same event is posted as JSON.
_texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
COLUMNS = ("number", "who", "time", "amount", "currency", "order_id", "note")
_fields = st.fixed_dictionaries(
    {
        "number": st.one_of(st.just("A 1"), st.text("aZ9-./é%", min_size=0, max_size=6)),
        "who": st.text("aǺ ｂ1", max_size=5),
        "time": st.datetimes(datetime(1899, 1, 1), datetime(2027, 1, 1)).map(  # noqa: DTZ001
            lambda instant: f"{instant.isoformat(timespec='seconds')}Z"
        ),
        "amount": st.one_of(
            st.decimals(0, 10**17, places=2, allow_nan=False).map(str),
            st.sampled_from(["", "-1", "1e3", "12,50", "1.234", "007", "0", "x"]),
        ),
        "currency": st.sampled_from(["", "gbp", "GBP", "CNY", "USD", "EURO"]),
        "order_id": _texts,
        "note": _texts,
    }
)


@pytest.fixture(scope="module", params=["{constant: GBP}", "currency"])
def priced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RowReader:
    """A reader of rows whose currency is the same for all, or stands in a column."""
    mapping = (
        "version: 1\nsource: shop\ncustomer: who\nid: number\noccurred_at: time\nrows:\n"
        "  - {type: order_paid, properties: {amount: amount, order_id: order_id, note: note, "
        f"currency: {request.param}}}}}\n"
    )
    said = mapping_file.load(mapping_in(tmp_path_factory.mktemp("priced"), mapping), policy())
    return RowReader(said, COLUMNS, policy(), NOW)


@given(fields=_fields)
def test_a_row_becomes_what_the_same_event_posted_as_json_becomes(
    priced: RowReader, request: pytest.FixtureRequest, fields: dict[str, str]
) -> None:
    """Its content hash too, so that one is a repeat of the other; both refuse the same events."""
    constant = request.node.callspec.params["priced"] != "currency"
    row = priced.read(2, [fields[name] for name in COLUMNS])
    properties = {name: fields[name] for name in ("amount", "order_id", "note") if fields[name]}
    if constant or fields["currency"]:
        properties["currency"] = "GBP" if constant else fields["currency"]
    event = {
        "source": "shop",
        "id": fields["number"],
        "customer_id": fields["who"],
        "type": "order_paid",
        "occurred_at": fields["time"],
        "properties": properties,
    }
    body = json.dumps({"events": [event], "backfill": True}).encode()
    (item,) = read_batch(body, policy(), NOW, "http").items
    if isinstance(item, Draft):
        assert isinstance(row, Draft), row
        assert (row.event, row.body_hash) == (item.event, item.body_hash)
        assert (row.dated, row.backfill, row.too_late) == (True, True, False)
    else:
        assert isinstance(row, RowProblem)
        assert row.code == item.code


RULES = (
    """\
version: 1
source: shop
customer: who
id: number
occurred_at: {column: time, timezone: UTC}
rows:
  - {skip: a test, when: {who: [test, {}]}}
""".replace("[test, {}]", "[test, tester]")
    + """\
  - {skip: a sample, when: {amount: {equals: 0}}}
  - type: order_refunded
    when: {amount: {less_than: 0, more_than: -1000}, who: {not: staff, empty: false}}
    properties: {amount: {column: amount, negate: true}}
  - {type: order_paid, when: {amount: {more_than: 0}}, properties: {amount: amount}}
"""
)


def test_the_first_rule_whose_conditions_hold_says_what_a_row_is(tmp_path: Path) -> None:
    table = "number,who,time,amount\n" + "".join(
        f"{number},{who},2026-01-02,{amount}\n"
        for number, (who, amount) in enumerate(
            [
                ("anna", "5"),
                ("anna", "-2.50"),
                ("anna", "0.00"),
                ("tester", "7"),
                ("staff", "-2.50"),
                ("anna", "-1000"),
                ("anna", "some"),
            ]
        )
    )
    found = outcomes(tmp_path, table, RULES)
    first, second = (item for item in found if isinstance(item, Draft))
    assert (first.event.type, first.event.properties) == ("order_paid", {"amount": "5"})
    assert (second.event.type, second.event.properties) == ("order_refunded", {"amount": "2.5"})
    assert [(item.line, item.reason) for item in skipped(found)] == [(4, "a sample"), (5, "a test")]
    assert [(item.line, item.column, item.code) for item in refused(found)] == [
        (6, "", "no_rule_matches"),
        (7, "", "no_rule_matches"),
        (8, "amount", "number_format"),
    ]


def test_several_columns_make_an_id_that_no_other_columns_make(tmp_path: Path) -> None:
    mapping = MAPPING.replace("id: number", "id: [number, who]")
    table = "number,who,time,amount\na/b,c,2026-01-02,1\na,b/c,2026-01-02,1\na b,%2F,2026-01-02,1\n"
    ids = [draft.event.id for draft in taken(outcomes(tmp_path, table, mapping))]
    assert ids == ["a%2Fb/c", "a/b%2Fc", "a%20b/%252F"]


NUMBERED = MAPPING.replace("id: number", "id: {columns: [who, time, amount], repeats: number}")


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_equal_rows_are_numbered_and_their_order_does_not_matter(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    lines = ["anna,2026-01-02,1", "anna,2026-01-02,2", "bert,2026-01-02,1", "bert,2026-01-02,1"]
    table = "who,time,amount\n" + "".join(f"{lines[index]}\n" for index in order)
    drafts = taken(outcomes(tmp_path, table, NUMBERED))
    assert sorted((draft.event.id, draft.event.customer) for draft in drafts) == [
        ("anna/2026-01-02/1", "anna"),
        ("anna/2026-01-02/2", "anna"),
        ("bert/2026-01-02/1", "bert"),
        ("bert/2026-01-02/1/2", "bert"),
    ]


@pytest.mark.parametrize(
    ("line", "column", "code", "words"),
    [
        ("1,anna,2026-01-02", "", "ragged_row", "line 2: 3 fields, the header has 4"),
        ("1,anna,2026-01-02,1,2", "", "ragged_row", "line 2: 5 fields, the header has 4"),
        ('1,"anna,2026-01-02,1', "", "row_syntax", "a quote is opened and never closed"),
        ('1,"an"na,2026-01-02,1', "", "row_syntax", "doubled"),
        (",anna,2026-01-02,1", "number", "event_id_required", "missing or empty"),
        ("a b,anna,2026-01-02,1", "number", "event_id_format", "a space in it"),
        ("1.23E+11,anna,2026-01-02,1", "number", "event_id_format", "scientific notation"),
        ('"1,23E+11",anna,2026-01-02,1', "number", "event_id_format", "scientific notation"),
        ("1,,2026-01-02,1", "who", "customer_key_required", "missing or empty"),
        ("1,8.6E+12,2026-01-02,1", "who", "customer_key_format", "scientific notation"),
        ("1,anna,,1", "time", "timestamp_invalid", "no time"),
        ("1,anna,2026-02-31,1", "time", "timestamp_invalid", "day is out of range"),
        ("1,anna,0001-01-01,1", "time", "timestamp_invalid", "year 0001 is implausible"),
        ("1,anna,1/2/26,1", "time", "ambiguous_date", "set `format`"),
        ("1,anna,2026-06-01T12:00,1", "time", "timestamp_in_future", "still to come"),
        ("1,anna,2026-01-02,-1", "amount", "amount_format", "negative"),
        ('1,anna,2026-01-02,"12,50"', "amount", "amount_format", "comma"),
        (
            '1,anna,2026-01-02,"12,50"',
            "amount",
            "amount_format",
            'say `decimal: ","` under `table:`',
        ),
        ("1,anna,2026-01-02,1.234", "amount", "too_many_decimals", "2 decimals"),
        ("1,an\0na,2026-01-02,1", "", "forbidden_character", "U+0000"),
        (f"1,{'x' * 40_000},2026-01-02,1", "", "limit_exceeded", "at most 32,768"),
        (f'1,"{"x" * 20_000}\n{"x" * 20_000}",2026-01-02,1', "", "limit_exceeded", "32,768"),
    ],
)
def test_a_row_that_cannot_be_taken_is_told_by_line_and_column(
    tmp_path: Path, line: str, column: str, code: str, words: str
) -> None:
    """Reading goes on behind it: only an open quote takes what follows with it."""
    found = outcomes(tmp_path, f"number,who,time,amount\n{line}\n9,bert,2026-01-02,1\n")
    (problem,) = refused(found)
    assert (problem.line, problem.column, problem.code) == (2, column, code)
    assert words in problem.message
    assert len(found) == (1 if "never closed" in words else 2)


def test_a_quoted_field_may_go_over_lines_and_later_lines_keep_their_numbers(
    tmp_path: Path,
) -> None:
    table = 'number,who,time,amount\n1,"an\nna",2026-01-02,1\n\n3,"a ""b""",2026-01-02,x\n'
    first, second = refused(outcomes(tmp_path, table))
    assert (first.line, first.code) == (2, "forbidden_character")  # no customer has two lines
    assert (second.line, second.code) == (5, "amount_format")


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", "file_empty", "no line at all"),
        (b"\n\n", "file_empty", "no line at all"),
        (b"number,who,number,amount,who\n", "duplicate_column", "'number', 'who' more than once"),
        (b"number,whom,time,amount\n", "column_missing", "lacks 'who'"),
        (b"number;who;time;amount\n", "column_missing", "is ',' the delimiter?"),
        (b"1,anna,2026-01-02,5\n", "column_missing", "`header: false`"),
        (b"PK\x03\x04rest", "not_a_table", "save the sheet as CSV"),
        (b"\xd0\xcf\x11\xe0rest", "not_a_table", "save the sheet as CSV"),
        (b"number,wh\xff,time,amount\n", "header_unreadable", "byte 0xff at 10 is not utf-8"),
        (b"x" * (rows.LINE_LIMIT + 1), "limit_exceeded", "one row a line?"),
        (b",".join(b"%d" % n for n in range(1001)), "limit_exceeded", "1,001 columns"),
        (gzip.compress(TABLE.encode(), mtime=0)[:-20], "file_damaged", "breaks"),
        (b"\xfd7zXZ\0nothing", "file_damaged", "breaks"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused_whole(
    tmp_path: Path, content: bytes, code: str, words: str
) -> None:
    with pytest.raises(Problem) as refusal:
        outcomes(tmp_path, content)
    assert refusal.value.code == code
    assert words in refusal.value.detail
    assert "nothing was changed" in refusal.value.detail


def test_a_file_that_is_not_there_is_told_by_its_name(tmp_path: Path) -> None:
    mapping = mapping_file.load(mapping_in(tmp_path), policy())
    with pytest.raises(Problem, match=r"there is no file .*away\.csv"):
        list(drafts(tmp_path / "away.csv", mapping, policy(), NOW))
    with pytest.raises(Problem, match="directory"):
        list(drafts(tmp_path, mapping, policy(), NOW))


def test_a_table_with_nothing_but_a_header_holds_nothing(tmp_path: Path) -> None:
    assert outcomes(tmp_path, "number,who,time,amount\n") == []


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(TABLE.encode()),
        lzma.compress(TABLE.encode()),
        TABLE.replace("\n", "\r\n").encode(),
        TABLE.encode("utf-8-sig"),
        TABLE.encode("utf-16"),
        b"\xff\xfe" + TABLE.encode("utf-16-le"),
        b"\xfe\xff" + TABLE.encode("utf-16-be"),
        TABLE.encode("utf-32"),
        TABLE.rstrip("\n").encode(),
    ],
    ids=["gzip", "xz", "crlf", "bom", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "no-end"],
)
def test_compression_and_marked_encodings_are_seen_in_the_file_itself(
    tmp_path: Path, content: bytes
) -> None:
    assert taken(outcomes(tmp_path, content)) == taken(outcomes(tmp_path))


def test_a_line_in_another_encoding_is_told_with_one_that_would_fit(tmp_path: Path) -> None:
    table = TABLE.encode() + "3,王,2026-01-02,1\n".encode("gb18030") + b"4,bert,2026-01-02,1\n"
    found = outcomes(tmp_path, table)
    (problem,) = refused(found)
    assert (problem.line, problem.code) == (4, "encoding_unknown")
    assert "byte 0xcd at 3 is not utf-8; it would read as gb18030" in problem.message
    assert len(found) == 4
    mapping = MAPPING + "table: {encoding: gbk}\n"
    chinese = taken(outcomes(tmp_path, table, mapping))
    assert [draft.event.customer for draft in chinese] == ["anna", "bert", "王", "bert"]


COMMAS = MAPPING + 'table: {delimiter: ";", decimal: ","}\n'


def test_a_decimal_comma_is_read_where_the_mapping_says_so(tmp_path: Path) -> None:
    """As a German spreadsheet writes it: amounts, numbers, negated ones, and what rules compare."""
    mapping = COMMAS.replace(
        "properties: {amount: amount}",
        "when: {amount: {more_than: 2.5}}\n"
        "    properties: {amount: amount, weight: {column: weight, negate: true}, note: note}\n"
        "  - {skip: small}",
    )
    table = (
        "number;who;time;amount;weight;note\n"
        "1;anna;2026-01-02;12,50;-1,25;3,5\n"
        "2;anna;2026-01-02;2,5;0;\n"
        "3;anna;2026-01-02;3;1,5;\n"
    )
    found = outcomes(tmp_path, table, mapping)
    assert [item.event.properties for item in found if isinstance(item, Draft)] == [
        {"amount": "12.5", "weight": "1.25", "note": "3,5"},
        {"amount": "3", "weight": "-1.5"},
    ]
    assert [skip.line for skip in skipped(found)] == [3]


@pytest.mark.parametrize("amount", ["12.50", "1.234,50", "1.234"])
def test_with_a_decimal_comma_a_point_is_not_guessed_at(tmp_path: Path, amount: str) -> None:
    """1.234 may be a thousand."""
    table = f"number;who;time;amount\n1;anna;2026-01-02;{amount}\n"
    (problem,) = refused(outcomes(tmp_path, table, COMMAS))
    assert (problem.column, problem.code, problem.got) == ("amount", "amount_format", amount)
    assert 'the mapping says `decimal: ","`' in problem.message


def test_a_comma_that_a_rule_compares_names_the_setting(tmp_path: Path) -> None:
    mapping = MAPPING.replace("rows:\n", "rows:\n  - {skip: free, when: {amount: {equals: 0}}}\n")
    table = 'number,who,time,amount\n1,anna,2026-01-02,"12,50"\n'
    (problem,) = refused(outcomes(tmp_path, table, mapping))
    assert problem.code == "number_format"
    assert 'say `decimal: ","` under `table:`' in problem.message


def test_tables_may_be_parted_by_any_character_or_blanks_or_positions(tmp_path: Path) -> None:
    columns = "header: false, columns: [number, who, time, amount]"
    semicolons = MAPPING + f"table: {{delimiter: ;, {columns}}}\n"
    tabs = MAPPING + f"table: {{delimiter: tab, {columns}}}\n"
    blanks = MAPPING + f"table: {{layout: whitespace, {columns}}}\n"
    positions = MAPPING + (
        "table: {layout: fixed, columns: {number: 1-3, who: 4-8, time: 9-18, amount: 19-30}}\n"
    )
    (expected,) = taken(outcomes(tmp_path, "number,who,time,amount\n1,anna,2026-01-02,1\n"))
    for mapping, table in [
        (semicolons, "1;anna;2026-01-02;1\n"),
        (tabs, "1\tanna\t2026-01-02\t1\n"),
        (blanks, "  1 anna   2026-01-02 1 \n\n"),
        (positions, "  1anna 2026-01-02      1\n\n"),
    ]:
        assert taken(outcomes(tmp_path, table, mapping)) == [expected._replace(line=1)]


def test_reading_tells_how_far_it_has_come(tmp_path: Path) -> None:
    table = "number,who,time,amount\n" + "".join(
        f"{number},anna,2026-01-02,1\n" for number in range(30_000)
    )
    path = tmp_path / "long.csv"
    path.write_text(table)
    seen: list[tuple[int, int]] = []
    mapping = mapping_file.load(mapping_in(tmp_path), policy())
    count = sum(
        1 for _ in drafts(path, mapping, policy(), NOW, lambda done, of: seen.append((done, of)))
    )
    assert count == 30_000
    assert seen == sorted(seen)
    assert seen[-1] == (len(table), len(table))
    assert any(0 < done < len(table) for done, _ in seen)


def test_rejects_are_written_as_a_table_without_formulas(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    with RejectsFile(path) as rejects:
        for line, got in [(2, "=cmd|' /C calc'!A0"), (3, "plain"), (4, "@x")]:
            problem = RowProblem(line=line, column="who", code="c", message="m", got=got)
            rejects.write(replace(problem, row=f"{got},{line}"))
    assert list(csv.reader(io.StringIO(path.read_text()))) == [
        ["line", "column", "code", "reason", "got", "row"],
        ["2", "who", "c", "m", "'=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0,2"],
        ["3", "who", "c", "m", "plain", "plain,3"],
        ["4", "who", "c", "m", "'@x", "'@x,4"],
    ]


@pytest.mark.parametrize(
    ("line", "got"),
    [
        ("1,anna,2026-01-02,-5", "-5"),
        ('1,anna,2026-01-02,"12,50"', "12,50"),
        ('1,anna,2026-01-02,"a ""b"""', 'a "b"'),
        ("1,anna,2026-01-02,1,2", "1 | anna | 2026-01-02 | 1 | 2"),
        ('1,"an\nna",2026-01-02,1', "U+000A"),
        ('1,anna,2026-01-02,"1', ""),
    ],
)
def test_what_is_refused_is_told_as_it_stands_in_the_file_and_with_its_row(
    tmp_path: Path, line: str, got: str
) -> None:
    """The row without its end, so that it can be corrected and imported; other rows are not in it."""
    found = outcomes(tmp_path, f"number,who,time,amount\n8,bert,2026-01-02,1\n{line}\n")
    (problem,) = refused(found)
    assert (problem.got, problem.row) == (got, line)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_the_row_is_told_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    table = "number,who,time,amount\r\n1,王,2026-01-02,-5\r\n2,bert,2026-01-02,1\r\n"
    (problem,) = refused(outcomes(tmp_path, table.encode(encoding)))
    assert problem.row == "1,王,2026-01-02,-5"


def test_a_row_that_no_rule_takes_is_told_with_what_the_rules_look_at(tmp_path: Path) -> None:
    mapping = MAPPING.replace(
        "rows:\n  - type: order_paid\n",
        "rows:\n  - {skip: a test, when: {kind: test}}\n"
        "  - type: order_paid\n    when: {kind: paid, amount: {more_than: 0}}\n",
    )
    table = "number,who,time,amount,kind\n1,anna,2026-01-02,-5,paid\n"
    (problem,) = refused(outcomes(tmp_path, table, mapping))
    assert problem.code == "no_rule_matches"
    assert problem.message == (
        'line 2: no rule of the mapping takes this row: kind is "paid", amount is "-5"'
    )


def times(folder: Path, texts: list[str], said: str) -> list[str]:
    """The instants of these texts, or the codes of what is wrong with them."""
    mapping = MAPPING.replace("{column: time, timezone: Europe/London}", said)
    table = "number,who,time,amount\n" + "".join(
        f"{number},anna,{text},1\n" for number, text in enumerate(texts)
    )
    return [
        instant_text(item.event.occurred_at)
        if isinstance(item, Draft)
        else item.code
        if isinstance(item, RowProblem)
        else item.reason
        for item in outcomes(folder, table, mapping)
    ]


LONDON = "{column: time, timezone: Europe/London"
CHANGES = [
    "2025-03-30T00:59:59",
    "2025-03-30T01:30:00",  # never comes
    "2025-03-30T02:00:00",
    "2025-10-26T00:59:59",
    "2025-10-26T01:30:00",  # comes twice
    "2025-10-26T02:00:00",
]


@pytest.mark.parametrize(
    ("said", "skipped_time", "ambiguous_time"),
    [
        (LONDON + "}", "2025-03-30T01:30:00Z", "2025-10-26T00:30:00Z"),
        (LONDON + ", ambiguous: second}", "2025-03-30T01:30:00Z", "2025-10-26T01:30:00Z"),
        (LONDON + ", ambiguous: refuse}", "2025-03-30T01:30:00Z", "timestamp_ambiguous"),
        (LONDON + ", skipped: refuse}", "timestamp_skipped", "2025-10-26T00:30:00Z"),
    ],
)
def test_the_mapping_says_what_times_mean_where_clocks_are_changed(
    tmp_path: Path, said: str, skipped_time: str, ambiguous_time: str
) -> None:
    assert times(tmp_path, CHANGES, said) == [
        "2025-03-30T00:59:59Z",
        skipped_time,  # as 02:30 summer time
        "2025-03-30T01:00:00Z",
        "2025-10-25T23:59:59Z",
        ambiguous_time,
        "2025-10-26T02:00:00Z",
    ]


@given(
    zone=st.sampled_from(
        ["Europe/London", "Asia/Shanghai", "America/Sao_Paulo", "Australia/Lord_Howe", "UTC"]
    ),
    days=st.lists(st.dates(date(1975, 1, 1), date(2025, 12, 31)), max_size=20),
    ambiguous=st.sampled_from([AmbiguousTime.FIRST, AmbiguousTime.SECOND]),
)
@example("Europe/London", [date(2025, 3, 30), date(2025, 10, 26)], AmbiguousTime.FIRST)
@example("Australia/Lord_Howe", [date(2025, 4, 6), date(2025, 10, 5)], AmbiguousTime.SECOND)
@example("America/Sao_Paulo", [date(2018, 2, 17), date(2018, 2, 18)], AmbiguousTime.SECOND)
def test_local_times_are_what_the_zone_says_whatever_was_read_before(
    zone: str, days: list[date], ambiguous: AmbiguousTime
) -> None:
    """A day is worked out once and remembered; the zone itself is asked here for each time."""
    reader = InstantReader(
        LocalTime(
            column="time",
            format=None,
            at=time(0),
            timezone=zone,
            ambiguous=ambiguous,
            skipped=SkippedTime.SHIFT,
        )
    )
    for day in days:
        for minutes in range(0, 1440, 45):
            local = datetime.combine(day, time(minutes // 60, minutes % 60), ZoneInfo(zone))
            text = local.replace(tzinfo=None).isoformat()
            again = local.replace(fold=1)
            twice = local.astimezone(UTC) < again.astimezone(UTC)
            meant = again if twice and ambiguous is AmbiguousTime.SECOND else local
            assert reader.read(text) == meant.astimezone(UTC), text


@pytest.mark.parametrize(
    ("said", "text", "instant"),
    [
        ("time", "2026-01-02T09:30:00+08:00", "2026-01-02T01:30:00Z"),
        ("time", "2026-01-02T09:30:00", "timestamp_needs_offset"),
        (LONDON + "}", "2026-01-02T09:30:00.250+08:00", "2026-01-02T01:30:00.250000Z"),
        (LONDON + ', at: "12:00"}', "2025-07-02", "2025-07-02T11:00:00Z"),
        (LONDON + ', at: "12:00"}', "2025-07-02 09:00", "2025-07-02T08:00:00Z"),
        (LONDON + ', format: "%d/%m/%Y %H:%M"}', "02/07/2025 09:00", "2025-07-02T08:00:00Z"),
        (LONDON + ', format: "%d/%m/%Y %H:%M"}', "2025-07-02 09:00", "timestamp_invalid"),
        (LONDON + ', format: "%Y%m%d", at: "12:00"}', "20250702", "2025-07-02T11:00:00Z"),
        (LONDON + ', format: "%d.%m.%y %I:%M %p"}', "02.07.25 01:00 PM", "2025-07-02T12:00:00Z"),
        (
            LONDON + ', format: "%Y-%m-%d %H:%M %z"}',
            "2025-07-02 09:00 +0800",
            "2025-07-02T01:00:00Z",
        ),
    ],
)
def test_times_are_read_as_the_mapping_says(
    tmp_path: Path, said: str, text: str, instant: str
) -> None:
    """Also beside other times of that day, which are remembered."""
    around = ["2025-07-02T00:00:00", "2026-01-02T00:00:00"]
    assert times(tmp_path, [*around, text], said)[2] == instant
