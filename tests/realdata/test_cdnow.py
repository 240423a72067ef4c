"""The purchases of CDNOW, read by the shipped mapping; the file has no ids of its own."""

from __future__ import annotations

import gzip
import random
from collections import Counter, defaultdict
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from lifecycle.intake import mapping_file, table
from lifecycle.intake.draft import Draft
from lifecycle.policy.load import load
from tests.realdata.conftest import AFTERWARDS
from tests.realdata.installed import SHIPPED_MAPPINGS, SHIPPED_POLICY, installed

MAPPING = SHIPPED_MAPPINGS / "cdnow.yaml"

# The tenth of the papers: columns without a header, and the sample's own number of the customer.
SAMPLE = """\
version: 1
source: cdnow-sample
table: {layout: whitespace, header: false, columns: [master, id, date, units, dollars]}
customer: id
id: {columns: [master, id, date, units, dollars], repeats: number}
occurred_at: {column: date, format: "%Y%m%d", at: "12:00", timezone: America/New_York}
rows:
  - {type: order_paid, properties: {amount: dollars, currency: {constant: USD}}}
"""


def drafts(path: Path, mapping: Path = MAPPING) -> list[Draft]:
    policy = load(SHIPPED_POLICY).policy
    found = table.drafts(path, mapping_file.load(mapping, policy), policy, AFTERWARDS)
    return [item for item in found if isinstance(item, Draft)]


@pytest.fixture(scope="module")
def master(shared_data: Path) -> Path:
    return shared_data / "cdnow" / "CDNOW_master.txt.gz"


@pytest.fixture(scope="module")
def lines(master: Path) -> list[str]:
    with gzip.open(master, "rt", encoding="ascii", newline="") as file:
        return file.readlines()


def test_every_row_is_a_purchase_with_an_id_of_its_own(master: Path, lines: list[str]) -> None:
    found = drafts(master)
    assert len(found) == len({draft.event.id for draft in found}) == 69_659
    assert len({draft.event.customer for draft in found}) == 23_570
    cents = sum(round(float(line.split()[3]) * 100) for line in lines[1:])
    assert sum(round(float(draft.event.properties["amount"]) * 100) for draft in found) == cents
    first = min(draft.event.occurred_at for draft in found)
    assert first == datetime(1997, 1, 1, 17, tzinfo=UTC)  # noon in New York
    assert {draft.event.properties["currency"] for draft in found} == {"USD"}


def test_equal_rows_are_numbered_whatever_their_order(
    master: Path, lines: list[str], tmp_path: Path
) -> None:
    equal = {line: count for line, count in Counter(lines).items() if count > 1}
    assert len(equal) == 215
    shuffled = tmp_path / "shuffled.txt"
    shuffled.write_text(lines[0] + "".join(random.Random(3).sample(lines[1:], len(lines) - 1)))
    in_order = {(draft.event.id, draft.body_hash) for draft in drafts(master)}
    assert {(draft.event.id, draft.body_hash) for draft in drafts(shuffled)} == in_order
    numbered = [name for name, _ in in_order if name.count("/") == 4]
    assert len(numbered) == sum(count - 1 for count in equal.values())


def test_importing_a_part_twice_in_other_orders_adds_nothing_and_doubled_rows_are_purchases(
    lines: list[str], tmp_path: Path
) -> None:
    """A file in which each row stands twice says that people bought twice: nothing else tells."""
    part = lines[1:2_001]
    repeated = sum(count - 1 for count in Counter(part).values())
    files = {"once": part, "again": part[::-1], "doubled": part + part}
    for name, rows in files.items():
        (tmp_path / f"{name}.txt").write_text(lines[0] + "".join(rows))
    with installed(f"sqlite:///{tmp_path / 'engine.db'}", AFTERWARDS) as engine:
        reports = [engine.import_file(tmp_path / f"{name}.txt", MAPPING) for name in files]
        assert [report.accepted for report in reports] == [2_000, 0, 2_000]
        assert [report.duplicates for report in reports] == [0, 2_000, 2_000]
        assert not any(report.conflicts or report.problems for report in reports)
    assert repeated > 0


def test_the_sample_of_the_papers_has_their_numbers_of_repeat_purchases(
    shared_data: Path, tmp_path: Path
) -> None:
    """Purchases of one day are one; orders of zero dollars are purchases like any other."""
    mapping = tmp_path / "cdnow-sample.yaml"
    mapping.write_text(SAMPLE)
    found = drafts(shared_data / "cdnow" / "CDNOW_sample.txt", mapping)
    assert len(found) == 6_919
    days: dict[str, set[date]] = defaultdict(set)
    for draft in found:
        local = draft.event.occurred_at.astimezone(ZoneInfo("America/New_York"))
        days[draft.event.customer].add(local.date())
    repeats = [sum(day <= date(1997, 9, 30) for day in own) - 1 for own in days.values()]
    assert len(repeats) == 2_357
    assert sum(1 for count in repeats if count == 0) == 1_411
    assert sum(1 for count in repeats if count > 0) == 946
    assert sum(repeats) == 2_457
