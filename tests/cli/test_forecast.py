"""`lifecycle forecast` as it is typed: tables, a document, and what it refuses."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from lifecycle.bootstrap import beside, installation_of
from lifecycle.cli.exits import Code
from lifecycle.cli.output import moment
from lifecycle.domain.policy import PolicyVersion
from lifecycle.resources import config_dir
from lifecycle.settings import Settings
from tests.cli.conftest import Lifecycle
from tests.cli.left_out import assert_it_says_how_many_rows_were_left_out
from tests.support.publishing import published

HEADER = "Invoice,InvoiceDate,CustomerID,amount,cancelled\n"


@pytest.fixture
def invoices(home: Path) -> Path:
    """A new customer every third day of 240, who buys again after 20 days, and one of two once more."""
    rows = []
    for number in range(80):
        day = date(2010, 1, 1) + timedelta(days=3 * number)
        for more in (0, 20, 45)[: 2 + number % 2]:
            on = day + timedelta(days=more)
            if on < date(2010, 8, 29):
                rows.append(f"{number}-{more},{on}T10:00:00,c{number},10.00,False\n")
    file = home / "invoices.csv"
    file.write_text(HEADER + "".join(rows), "utf-8")
    return file


def test_it_tells_states_letters_and_the_check(lifecycle: Lifecycle, invoices: Path) -> None:
    ran = lifecycle(
        "forecast", invoices, "--mapping", "online-retail", "--everybody",
        "--days", "14", "--held-back", "14",
    )  # fmt: skip
    assert (ran.code, ran.err) == (Code.OK, "")
    assert "80 customers, 239 days of history up to 2010-08-28 09:00:00 UTC" in ran.out
    assert "Customers, expected and within 80%" in ran.out
    assert [line.split()[0] for line in ran.out.splitlines() if line.startswith(" 2010-09")] == [
        "2010-09-04",
        "2010-09-11",
    ]
    assert "Checked on the last 14 days, forecast from what was known on 2010-08-14:" in ran.out
    assert "Sizes of states: " in ran.out
    assert not (invoices.parent / "lifecycle.db").exists()


def test_the_document_has_all_of_it_and_is_the_same_each_time(
    lifecycle: Lifecycle, invoices: Path
) -> None:
    arguments = (
        "forecast", invoices, "--mapping", "online-retail", "--everybody",
        "--days", "10", "--every", "5", "--level", "0.9", "--held-back", "10", "--json",
    )  # fmt: skip
    ran, again = lifecycle(*arguments), lifecycle(*arguments)
    assert ran.code == Code.OK
    assert ran.out == again.out
    told = ran.json
    assert told["level"] == 0.9
    assert told["readings"] == ["2010-09-02T09:00:00Z", "2010-09-07T09:00:00Z"]
    states = {state["state"]: state for state in told["states"]}
    assert set(states["deal"]["readings"][0]) == {"expected", "low", "high"}
    thanks = next(rule for rule in told["rules"] if rule["rule"] == "thanks")
    assert thanks["before"] == 3
    assert thanks["total"]["expected"] == pytest.approx(10 / 3, abs=0.4)
    assert told["check"]["found"]["sizes"]["figures"] > 0


def test_what_is_not_known_is_said_and_no_number_is_told(
    lifecycle: Lifecycle, invoices: Path
) -> None:
    """Ten days of history."""
    kept = invoices.read_text("utf-8").splitlines(keepends=True)[:8]
    invoices.write_text("".join(kept), "utf-8")
    ran = lifecycle("forecast", invoices, "--mapping", "online-retail")
    assert ran.code == Code.OK
    assert "deal: not enough data yet: the history has" in ran.out
    assert "not enough data yet to check the forecast" in ran.out


def test_more_than_half_of_the_history_is_not_held_back(
    lifecycle: Lifecycle, invoices: Path
) -> None:
    ran = lifecycle("forecast", invoices, "--mapping", "online-retail", "--held-back", "121")
    assert ran.code == Code.BAD_INPUT
    assert "121 days cannot be held back from a history of 239" in ran.err
    assert "where: --held-back" in ran.err
    assert "expected: at most 119 days" in ran.err


@pytest.mark.parametrize("level", ["80 percent", "8", "0.3", "99%", "nan", ""])
def test_a_level_that_is_none_is_refused(lifecycle: Lifecycle, home: Path, level: str) -> None:
    ran = lifecycle("forecast", "--level", level)
    assert ran.code == Code.USAGE
    assert f"{level!r} is no share for an interval; write 80% or 0.8, from 50% to 95%" in ran.err


@pytest.mark.parametrize(
    ("flag", "value"), [("--days", "0"), ("--days", "366"), ("--every", "0"), ("--held-back", "6")]
)
def test_days_beyond_what_is_allowed_are_refused(
    lifecycle: Lifecycle, home: Path, flag: str, value: str
) -> None:
    ran = lifecycle("forecast", flag, value)
    assert ran.code == Code.USAGE
    assert flag in ran.err
    assert "it should be" in ran.err


@pytest.fixture
def sooner(lifecycle: Lifecycle, invoices: Path) -> PolicyVersion:
    """A version that was published after the last event of a history."""
    imported = ("import", invoices, "--mapping", "online-retail", "--clock", "2010-09-30T00:00:00Z")
    assert lifecycle(*imported).code == Code.OK
    settings = Settings(
        database_url=f"sqlite:///{invoices.parent / 'lifecycle.db'}", config_dir=config_dir()
    )
    text = (config_dir() / "policy.yaml").read_text("utf-8")
    with beside(settings) as db:
        done = published(installation_of(db), text.replace("    after: 60d ", "    after: 45d "))
    return done.version


def test_a_version_that_judged_nothing_yet_is_named_with_how_to_forecast_by_it(
    lifecycle: Lifecycle, sooner: PolicyVersion
) -> None:
    told = f"Version 2 (hash {sooner.hash[:12]}) judges from {moment(sooner.effective_at)} UTC on"
    ran = lifecycle("forecast", "--days", "14")
    assert ran.out.startswith("the policy as it was in force: version 1 (hash ")
    assert f"{told}, after the last event, and is not forecast with" in " ".join(ran.out.split())
    how = "`--policy 2` forecasts with it, `--policy current` with the one that judges now."
    assert how in " ".join(ran.out.split())
    found = lifecycle("forecast", "--days", "14", "--json").json
    assert [one["number"] for one in found["policies"]] == [1]
    assert [one["number"] for one in found["later"]] == [2]
    ran = lifecycle("forecast", "--days", "14", "--policy", "current")
    assert ran.out.startswith(f"version 2 (hash {sooner.hash[:12]})\n")
    assert "is not forecast with" not in ran.out


def test_a_backtest_names_the_versions_that_judged_and_since_when(
    lifecycle: Lifecycle, sooner: PolicyVersion
) -> None:
    ran = lifecycle("backtest", "--html", "page.html")
    assert ran.out.startswith("the policy as it was in force: version 1 (hash ")
    assert "the policy as it was in force: version 1 (" in Path("page.html").read_text("utf-8")
    until = (sooner.effective_at + timedelta(days=1)).isoformat()
    first, second = lifecycle("backtest", "--to", until).out.splitlines()[:2]
    assert first.startswith("the policy as it was in force: version 1 (hash ")
    since = moment(sooner.effective_at)
    assert second == (
        f"the policy as it was in force: version 2 (hash {sooner.hash[:12]}), from {since} UTC on"
    )


def test_an_empty_installation_has_nothing_to_forecast_from(
    lifecycle: Lifecycle, home: Path
) -> None:
    assert lifecycle("migrate").code == Code.OK
    ran = lifecycle("forecast")
    assert ran.code == Code.REFUSED
    assert "there are no events yet" in ran.err


def test_the_report_says_how_many_rows_of_its_file_were_left_out(
    lifecycle: Lifecycle, invoices: Path
) -> None:
    command = ("forecast", invoices, "--mapping", "online-retail")
    assert_it_says_how_many_rows_were_left_out(lifecycle, command, invoices)
