"""`lifecycle policy suggest dormancy`: what is told, and how it ends."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from lifecycle.cli.exits import Code
from lifecycle.cli.suggest import compared
from lifecycle.insight.intervals import Interval
from lifecycle.insight.silences import Threshold
from lifecycle.insight.thresholds import Comparison, Verdict
from tests.cli.conftest import Lifecycle
from tests.cli.left_out import assert_it_says_how_many_rows_were_left_out

COMMAND = ("policy", "suggest", "dormancy")


@pytest.fixture
def invoices(home: Path) -> Path:
    """Of 120 customers who come back every 40 days or so, and some day no more."""
    chance = random.Random(1)
    first = datetime(2010, 1, 1, tzinfo=UTC)
    lines = ["Invoice,InvoiceDate,CustomerID,amount,cancelled"]
    for customer in range(120):
        on, until = chance.uniform(0, 30), chance.uniform(100, 400)
        while on < until:
            at = first + timedelta(days=on)
            lines.append(f"{len(lines)},{at:%Y-%m-%dT%H:%M:%S},c{customer},10.00,False")
            on += chance.expovariate(1 / 40)
    lines.append(f"{len(lines)},2011-12-01T00:00:00,last,10.00,False")
    path = home / "invoices.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_every_threshold_has_its_row_and_a_conclusion_that_says_what_is_true(
    lifecycle: Lifecycle, invoices: Path
) -> None:
    ran = lifecycle(*COMMAND, invoices, "-m", "online-retail", "--false-alarms", "10%")
    assert (ran.code, ran.err) == (Code.OK, "")
    assert "goes-quiet: 60 d since last_seen_at" in ran.out
    for name in ("60 d (in force)", "30 d ", "180 d ", "own 0.9, 30–180 d, else 60 d"):
        assert f"\n {name}" in ran.out, name
    assert "own 0.9: not better than fixed days" in ran.out
    assert "Left out:" in ran.out
    assert "At most 10.0% false alarms:" in ran.out
    assert "    after: " in ran.out
    assert not (invoices.parent / "lifecycle.db").exists()


def test_json_has_the_same_answer(lifecycle: Lifecycle, invoices: Path) -> None:
    told = lifecycle(*COMMAND, invoices, "-m", "online-retail", "--json", "--days", "30").json
    assert (told["check"], told["horizon"], told["in_time"]) == ("goes-quiet", 180, 90)
    assert [part["whose"] for part in told["parts"]] == ["all", "with_rhythm", "no_rhythm"]
    rows = told["parts"][0]["rows"]
    assert [row["threshold"]["in_force"] for row in rows] == [True, False, False, False, False]
    assert rows[1]["threshold"]["wait"] == 30 * 86_400
    assert set(rows[0]["false"]) == {"count", "of", "rate", "low", "high"}
    assert told["days_written"] == [f"after: {told['suggested']['days']}d"]


def test_what_is_recorded_is_looked_at_where_no_file_is_named(
    lifecycle: Lifecycle, invoices: Path
) -> None:
    of_file = lifecycle(*COMMAND, invoices, "-m", "online-retail", "--json").json
    assert lifecycle("import", invoices, "-m", "online-retail").code == Code.OK
    recorded = lifecycle(*COMMAND, "--json").json
    assert recorded["parts"] == of_file["parts"]
    assert recorded["counts"] == of_file["counts"]
    assert recorded["policy"] == "version 1"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--days", "30,x"), Code.USAGE, "'30,x' is no list"),
        (("--days", "30,0"), Code.BAD_INPUT, "where: --days"),
        (("--days", "200"), Code.BAD_INPUT, "a longer --horizon judges longer ones"),
        (("--quantiles", "0.9,1.5"), Code.BAD_INPUT, "where: --quantiles"),
        (("--quantiles", "most"), Code.USAGE, "'most' is no list"),
        (("--false-alarms", "few"), Code.USAGE, "'few' is no share"),
        (("--false-alarms", "120%"), Code.BAD_INPUT, "where: --false-alarms"),
        (("--check", "first-purchase"), Code.BAD_INPUT, "one of cools-off, goes-quiet, lost"),
        (("--horizon", "700", "--in-time", "90"), Code.REFUSED, "not enough data yet"),
        (("--policy", "nowhere.yaml"), Code.NO_INPUT, "there is no policy file 'nowhere.yaml'"),
    ],
)
def test_what_cannot_be_answered_says_why(
    lifecycle: Lifecycle, invoices: Path, arguments: tuple[str, ...], code: Code, told: str
) -> None:
    ran = lifecycle(*COMMAND, invoices, "-m", "online-retail", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert told in ran.err


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (Verdict.BETTER, "0.0 days sooner (95 %: 0.0 to 0.0)"),
        (Verdict.WORSE, "0.0 days sooner (95 %: 0.0 to 0.0)"),
        (Verdict.NOT_BETTER, "+0.0 days sooner (95 %: +0.0 to +0.0)"),
    ],
)
def test_no_figure_is_less_than_nothing_where_it_is_told_as_nothing(
    verdict: Verdict, said: str
) -> None:
    told = Comparison(
        threshold=Threshold(wait=timedelta(days=30), quantile=Decimal("0.8")),
        fixed=30.0,
        earlier=-0.01 if verdict is Verdict.NOT_BETTER else 0.01,
        interval=Interval(low=-0.04, high=0.04),
        verdict=verdict,
    )
    text = "".join(part if isinstance(part, str) else part[0] for part in compared(told))
    assert said in text


def test_the_report_says_how_many_rows_of_its_file_were_left_out(
    lifecycle: Lifecycle, invoices: Path
) -> None:
    command = (*COMMAND, invoices, "-m", "online-retail")
    assert_it_says_how_many_rows_were_left_out(lifecycle, command, invoices)
