"""`policy suggest dormancy` on real purchases: every figure is that of plain loops over the file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from lifecycle.domain.instant import BEGINNING
from lifecycle.domain.policy import PolicyVersion
from lifecycle.engine.backtest.asking import recorded
from lifecycle.engine.backtest.dormancy import Answer, suggest
from lifecycle.engine.backtest.dormancy_grid import Question
from lifecycle.engine.backtest.histories import filed
from lifecycle.insight.dormancy import Whose
from lifecycle.insight.thresholds import Verdict
from lifecycle.intake import mapping_file, table
from lifecycle.intake.draft import Draft
from lifecycle.policy.load import load
from tests.realdata import naive, naive_dormancy
from tests.realdata.conftest import AFTERWARDS
from tests.realdata.installed import SHIPPED_MAPPINGS, SHIPPED_POLICY, Installed

ASKED = Question(false_alarms=0.2)


def shipped() -> PolicyVersion:
    loaded = load(SHIPPED_POLICY)
    return PolicyVersion(number=1, hash=loaded.hash, effective_at=BEGINNING, policy=loaded.policy)


def by_file(path: Path, mapping: str, processes: int | None = None) -> Answer:
    version = shipped()
    columns = mapping_file.load(SHIPPED_MAPPINGS / mapping, version.policy)
    rows = table.drafts(path, columns, version.policy, AFTERWARDS)
    with filed(row for row in rows if isinstance(row, Draft)) as histories:
        return suggest(version, histories, ASKED, processes=processes)


@pytest.fixture(scope="module")
def answer(invoices_file: Path) -> Answer:
    return by_file(invoices_file, "online-retail.yaml")


@pytest.fixture(scope="module")
def plain(invoices: list[naive.Invoice]) -> dict[Whose, list[naive_dormancy.Silence]]:
    found, _, end = naive_dormancy.silences(invoices)
    every = naive_dormancy.judged(found, end)
    return {
        Whose.ALL: every,
        Whose.RHYTHM: [each for each in every if each.gaps],
        Whose.NO_RHYTHM: [each for each in every if not each.gaps],
    }


def test_as_many_silences_are_judged_lost_and_left_out(
    answer: Answer,
    plain: dict[Whose, list[naive_dormancy.Silence]],
    invoices: list[naive.Invoice],
) -> None:
    found, elsewhere, end = naive_dormancy.silences(invoices)
    every = plain[Whose.ALL]
    left_out = [each for each in found if each.began > end - timedelta(days=180)]
    lost = [each for each in every if naive_dormancy.is_lost(each)]
    counts = answer.counts
    assert answer.until == end
    assert counts.customers == len({row.customer for row in invoices if row.amount != 0})
    assert (counts.judged, counts.unjudged) == (len(every), len(left_out))
    assert counts.unjudged_ended == sum(each.ended for each in left_out)
    assert counts.elsewhere == elsewhere
    assert (counts.lost, counts.back_later) == (len(lost), sum(each.ended for each in lost))
    for part in answer.parts:
        own = plain[part.whose]
        assert part.lulls == sum(naive_dormancy.is_lull(each) for each in own)
        assert part.lost == sum(naive_dormancy.is_lost(each) for each in own)
        assert part.judged == len(own) == part.lulls + part.lost + part.left
        assert part.after_letter == 0
    once = [each for each in found if not each.ended and not each.gaps]
    assert counts.seen_once == len(once)


def test_every_row_of_every_table_is_the_naive_one(
    answer: Answer, plain: dict[Whose, list[naive_dormancy.Silence]]
) -> None:
    for part in answer.parts:
        for ours, threshold in zip(part.rows, naive_dormancy.THRESHOLDS, strict=True):
            expected = naive_dormancy.row(plain[part.whose], threshold)
            told = (part.whose, threshold.name)
            assert (ours.false.of, ours.false.count) == (expected.alarms, expected.false), told
            assert ours.at_most == ours.false
            assert (ours.missed.of, ours.missed.count) == (expected.lost, expected.missed), told
            assert (ours.false.low, ours.false.high) == pytest.approx(expected.interval, abs=1e-9)
            assert ours.declared_median == expected.median, told
            assert (ours.declared_mean, ours.gained) == pytest.approx(
                (expected.mean, expected.gained)
            )


def test_every_comparison_with_days_for_all_is_the_naive_one_interval_and_all(
    answer: Answer, plain: dict[Whose, list[naive_dormancy.Silence]]
) -> None:
    for part in answer.parts[:2]:
        expected = naive_dormancy.compared(plain[part.whose])
        for ours in part.comparisons:
            theirs = expected[str(ours.threshold.quantile)]
            assert ours.interval is not None
            assert (
                ours.fixed,
                ours.earlier,
                ours.interval.low,
                ours.interval.high,
            ) == pytest.approx((theirs.fixed, theirs.earlier, theirs.low, theirs.high))
        assert len(part.comparisons) == 3


def test_what_docs_say_of_online_retail(answer: Answer) -> None:
    """docs/dormancy.md quotes these; when they change, so must it."""
    rows = {
        row.threshold.wait: (row.false.of, row.false.count)
        for row in answer.parts[0].rows
        if row.threshold.quantile is None
    }
    assert rows[timedelta(days=60)] == (9_457, 5_110)
    assert rows[timedelta(days=90)] == (7_319, 2_974)
    assert (answer.counts.lost, answer.counts.back_later) == (4_343, 1_967)
    assert {each.verdict for part in answer.parts for each in part.comparisons} == {Verdict.WORSE}
    found = answer.suggested
    assert (found.days, found.rhythm) == (135, None)
    assert answer.days_written == ("after: 135d",)


def test_the_fewest_days_are_those_of_the_naive_loop(
    answer: Answer, plain: dict[Whose, list[naive_dormancy.Silence]]
) -> None:
    for days, enough in ((134, False), (135, True)):
        told = naive_dormancy.row(plain[Whose.ALL], naive_dormancy.Threshold("", days=days))
        assert (told.false / told.alarms <= 0.2) is enough
    assert answer.suggested.days == 135


def test_the_installation_gives_what_the_file_gives(answer: Answer, imported: Installed) -> None:
    """Nothing was sent by it: every message of the past was withheld."""
    db = imported.inst.db
    assert suggest(shipped(), recorded(db, db.shown), ASKED, processes=2) == answer


def test_what_docs_say_of_cdnow(shared_data: Path) -> None:
    answer = by_file(shared_data / "cdnow" / "CDNOW_master.txt.gz", "cdnow.yaml")
    every = answer.parts[0]
    assert (every.judged, every.lost, answer.counts.seen_once) == (55_319, 23_371, 12_054)
    in_force = every.rows[0]
    assert (in_force.false.of, in_force.false.count) == (32_736, 9_365)
    assert {each.verdict for part in answer.parts for each in part.comparisons} == {Verdict.WORSE}
