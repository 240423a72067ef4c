"""`lifecycle backtest` and `policy diff --effect` as they are typed, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lifecycle.bootstrap import build
from lifecycle.cli import output
from lifecycle.cli.backtest import shown, spark
from lifecycle.cli.exits import Code
from lifecycle.resources import config_dir
from lifecycle.settings import Settings
from tests.backtest.lives import agreed, known
from tests.cli.conftest import Lifecycle
from tests.pages import reports
from tests.policies import SCENARIO_POLICY, scenario_policy
from tests.scenarios.driver import order
from tests.support.engine import draft

POLICY = scenario_policy(care=True).replace(
    "currency: currency}", "currency: currency, order_id: text}"
)
SLOWER = POLICY.replace("after: 60d", "after: 90d")
HISTORY = """\
Invoice,InvoiceDate,CustomerID,amount,cancelled
1,2010-01-01T10:00:00,anna,12.50,False
2,2010-01-05T10:00:00,anna,20.00,False
3,2010-01-09T10:00:00,bert,7.25,False
4,2010-12-09T11:00:00,bert,3,False
"""


@pytest.fixture
def files(home: Path) -> Path:
    """Two policies that differ in one threshold, a history, and how it is read."""
    (home / "policy.yaml").write_text(POLICY, encoding="utf-8")
    (home / "slower.yaml").write_text(SLOWER, encoding="utf-8")
    (home / "history.csv").write_text(HISTORY, encoding="utf-8")
    mapping = (config_dir() / "mappings" / "online-retail.yaml").read_text(encoding="utf-8")
    (home / "mappings").mkdir()
    (home / "mappings" / "online-retail.yaml").write_text(
        mapping.replace("GBP", "CNY"), encoding="utf-8"
    )
    return home


FILE = ("history.csv", "-m", "online-retail", "--config-dir", ".")


def test_a_file_is_tried_without_any_database(lifecycle: Lifecycle, files: Path) -> None:
    ran = lifecycle("backtest", *FILE, "--everybody")
    assert (ran.code, ran.err) == (Code.OK, "")
    assert "policy.yaml (hash " in ran.out.splitlines()[0]
    assert "2 customers and 4 events from its beginning to 2010-12-09 11:00:00 UTC" in ran.out
    assert "each taken to have an address everywhere" in ran.out
    assert "Digest of the derived truth: " in ran.out
    assert not (files / "lifecycle.db").exists()


def test_the_document_has_every_figure(lifecycle: Lifecycle, files: Path) -> None:
    told = lifecycle("backtest", *FILE, "--everybody", "--json").json
    assert (told["customers"], told["events"], told["until"]) == (2, 4, "2010-12-09T11:00:00Z")
    assert {edge["rule"]: edge["steps"] for edge in told["edges"]} == {
        "first": 2,
        "quiet": 2,
        "lost": 2,
        "back": 1,
    }
    assert Path(told["policies"][0]["source"]) == files / "policy.yaml"
    rules = {rule["rule"]: rule["planned"] for rule in told["rules"]}
    assert rules == {"win-back": 2, "care": 2}


def test_the_page_is_written_beside_what_is_shown(lifecycle: Lifecycle, files: Path) -> None:
    ran = lifecycle("backtest", *FILE, "--html", "page.html")
    assert ran.code == Code.OK
    page = (files / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "2 customers and 4 events" in " ".join(page.split())
    ran = lifecycle("backtest", *FILE, "--html", "nowhere/page.html")
    assert ran.code == Code.CANNOT_WRITE
    assert "--html nowhere/page.html: No such file or directory" in ran.err


@pytest.mark.parametrize(
    ("page", "why"),
    [("nowhere/page.html", "No such file or directory"), ("mappings", "Is a directory")],
)
def test_a_page_that_cannot_be_written_is_refused_before_anything_is_read(
    lifecycle: Lifecycle, files: Path, page: str, why: str
) -> None:
    ran = lifecycle("backtest", "nothing.csv", *FILE[1:], "--html", page)
    assert ran.code == Code.CANNOT_WRITE
    assert f"--html {page}: {why}" in ran.err


def test_a_page_that_is_there_stays_where_nothing_can_be_tried(
    lifecycle: Lifecycle, files: Path
) -> None:
    (files / "page.html").write_text("the last one", encoding="utf-8")
    for page in ("page.html", "new.html"):
        ran = lifecycle("backtest", "nothing.csv", *FILE[1:], "--html", page)
        assert ran.code == Code.NO_INPUT
    assert (files / "page.html").read_text(encoding="utf-8") == "the last one"
    assert not (files / "new.html").exists()


def test_weeks_are_drawn_as_bars_and_nothing_as_a_dot() -> None:
    assert spark((0, 1, 4, 8)) == "·▁▄█"
    assert spark((0, 0)) == "··"
    assert spark(()) == ""
    assert len(spark((1,) * 500)) == 32


@pytest.mark.parametrize(("tasks", "said"), [(1, "letters: 1 task."), (3, "letters: 3 tasks.")])
def test_how_many_tasks_are_no_letters_is_said_of_one_as_of_several(
    tasks: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report = reports.usual()
    output.show(shown(replace(report, letters=replace(report.letters, tasks=tasks))))
    assert f"Not counted as {said}" in capsys.readouterr().out


def test_what_is_recorded_gives_the_digest_of_the_installation(
    lifecycle: Lifecycle, files: Path
) -> None:
    assert lifecycle("import", *FILE).code == Code.OK
    recorded = lifecycle("backtest", "--config-dir", ".", "--json").json
    assert recorded["digest"] == lifecycle("digest", "--json").json["hex"]
    assert recorded["policies"][0]["source"] == "the policy as it was in force"
    assert lifecycle("backtest", *FILE, "--json").json["digest"] == recorded["digest"]
    for policy in ("1", "current"):
        named = lifecycle("backtest", "--policy", policy, "--json").json
        assert named["policies"][0]["source"] == "version 1"
        assert named["digest"] == recorded["digest"]


def test_another_policy_is_tried_over_all_of_it(lifecycle: Lifecycle, files: Path) -> None:
    lifecycle("import", *FILE)
    ran = lifecycle("backtest", "--policy", "slower.yaml", "--from", "2010-03-01T00:00Z", "--json")
    assert ran.json["policies"][0]["source"] == "slower.yaml"
    assert ran.json["since"] == "2010-03-01T00:00:00Z"
    assert {edge["rule"] for edge in ran.json["edges"]} == {"quiet", "lost", "back"}
    assert lifecycle("customer", "show", "anna", "--json").json["state"] == "churned"


def test_an_effect_is_told_after_what_differs(lifecycle: Lifecycle, files: Path) -> None:
    compared = ("policy", "diff", "policy.yaml", "slower.yaml", "--effect", "--everybody")
    given = ("--history", "history.csv", "-m", "online-retail", "--config-dir", ".")
    ran = lifecycle(*compared, *given)
    assert (ran.code, ran.err) == (Code.OK, "")
    assert ran.out.index("after 60d → 90d") < ran.out.index("The effect")
    told = lifecycle(*compared, *given, "--json").json
    assert told["changes"][0]["words"] == "quiet: after 60d → 90d"
    assert [(one["how"], one["rule"], one["times"]) for one in told["effect"]["steps"]] == [
        ("later", "quiet", 2)
    ]
    assert told["effect"]["steps"][0]["median_days"] == 30
    assert [one["customer"] for one in told["effect"]["steps"][0]["examples"]] == ["anna", "bert"]
    assert lifecycle(*compared, *given, "--json").out == lifecycle(*compared, *given, "--json").out


def test_the_same_policy_has_no_effect(lifecycle: Lifecycle, files: Path) -> None:
    lifecycle("import", *FILE)
    ran = lifecycle("policy", "diff", "policy.yaml", "1", "--effect", "--config-dir", ".")
    assert ran.code == Code.OK
    assert "No customer fares otherwise." in ran.out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["history.csv"], Code.USAGE, "how is history.csv to be read? Name a mapping"),
        (["-m", "online-retail"], Code.USAGE, "none is named; what is recorded needs no mapping"),
        (["nothing.csv", "-m", "online-retail"], Code.NO_INPUT, "nothing.csv"),
        (["history.csv", "-m", "nothing"], Code.NO_INPUT, "nothing"),
        ([*FILE[:3], "--sample", "0"], Code.USAGE, "write 10% or 0.1: above 0, and at most all"),
        ([*FILE[:3], "--sample", "110%"], Code.USAGE, "'110%' is no share of the customers"),
        ([*FILE[:3], "--sample", "nan"], Code.USAGE, "'nan' is no share of the customers"),
        ([*FILE[:3], "--from", "2010"], Code.USAGE, "'2010' is not an instant"),
        ([*FILE[:3], "--to", "2010-01-01"], Code.USAGE, "write 2011-12-10T00:00:00Z"),
        (
            [*FILE[:3], "--from", "2011-01-01T00:00Z"],
            Code.BAD_INPUT,
            "after its end on 2010-12-09T11:00:00Z, that of the last event",
        ),
        (
            [*FILE[:3], "--to", "9999-12-31T23:59Z"],
            Code.BAD_INPUT,
            "more than 3,660 days after the last event, of 2010-12-09T11:00:00Z",
        ),
        (
            [*FILE[:3], "--policy", "none.yaml"],
            Code.NO_INPUT,
            "there is no policy file 'none.yaml'",
        ),
        ([*FILE[:3], "--policy", "bad.yaml"], Code.CONFIGURATION, "bad.yaml:2:1: error"),
        ([*FILE[:3], "--processes", "0"], Code.USAGE, "--processes"),
        ([], Code.CONFIGURATION, "there is no such file yet"),
    ],
)
def test_what_cannot_be_tried_is_refused_with_what_is_allowed(
    lifecycle: Lifecycle, files: Path, arguments: list[str], code: Code, words: str
) -> None:
    (files / "bad.yaml").write_text("version: 1\nstages: {}\n", encoding="utf-8")
    ran = lifecycle("backtest", *arguments, "--config-dir", ".")
    assert ran.code == code
    assert words in " ".join(ran.err.split())
    assert ran.out == ""
    assert not (files / "lifecycle.db").exists()


@pytest.mark.parametrize(
    ("flag", "when"), [("--from", "2011-01-01T00:00Z"), ("--to", "9999-12-31T23:59Z")]
)
def test_a_period_that_is_none_is_told_by_its_flag(
    lifecycle: Lifecycle, files: Path, flag: str, when: str
) -> None:
    effect = ("policy", "diff", "policy.yaml", "slower.yaml", "--effect", "--history")
    for command in (("backtest",), effect):
        assert f"where: {flag}\n" in lifecycle(*command, *FILE, flag, when).err


def test_a_version_that_there_is_not_is_told_with_those_that_there_are(
    lifecycle: Lifecycle, files: Path
) -> None:
    lifecycle("import", *FILE)
    ran = lifecycle("backtest", "--policy", "7")
    assert ran.code == Code.REFUSED
    assert "there is no version 7 of the policy; there is only version 1" in ran.err


def test_a_sample_that_holds_nobody_says_so(lifecycle: Lifecycle, files: Path) -> None:
    """A share that is too small is another thing than a period in which nothing had happened yet."""
    ran = lifecycle("backtest", *FILE, "--sample", "0.0001%")
    assert ran.code == Code.REFUSED
    assert "the sample of 0.0001 % holds none of the 2 customers" in ran.err
    ran = lifecycle("backtest", *FILE, "--sample", "100%", "--to", "2009-01-01T00:00Z")
    assert "nothing had happened to any customer of the sample by 2009-01-01" in ran.err


def test_an_installation_without_events_has_no_history(lifecycle: Lifecycle, files: Path) -> None:
    (files / "history.csv").write_text(HISTORY.splitlines()[0] + "\n", encoding="utf-8")
    ran = lifecycle("backtest", *FILE)
    assert ran.code == Code.REFUSED
    assert "no events in it" in ran.err


@pytest.mark.parametrize(
    "flags",
    [
        ["--history", "history.csv"],
        ["--mapping", "online-retail"],
        ["--from", "2010-01-01T00:00Z"],
        ["--to", "2010-01-01T00:00Z"],
        ["--sample", "10%"],
        ["--everybody"],
        ["--accept-valid"],
        ["--processes", "2"],
    ],
)
def test_what_only_an_effect_looks_at_is_refused_without_one(
    lifecycle: Lifecycle, files: Path, flags: list[str]
) -> None:
    ran = lifecycle("policy", "diff", "policy.yaml", "slower.yaml", *flags)
    assert ran.code == Code.USAGE
    assert f"{flags[0]} belongs to --effect; add --effect" in " ".join(ran.err.split())
    ran = lifecycle("policy", "diff", "policy.yaml", "slower.yaml", "-m", "x", "--sample", "nan")
    assert "--mapping and --sample belong to --effect" in " ".join(ran.err.split())


def test_rows_that_cannot_be_read_are_told_and_may_be_left_out(
    lifecycle: Lifecycle, files: Path
) -> None:
    bad = "5,yesterday,anna,1,False\n6,2010-02-01T10:00:00,anna,x,False\n"
    (files / "history.csv").write_text(HISTORY + bad, encoding="utf-8")
    ran = lifecycle("backtest", *FILE)
    assert ran.code == Code.BAD_INPUT
    assert "line 6" in ran.err
    assert "2 rows of history.csv cannot be read." in ran.err
    ran = lifecycle("backtest", *FILE, "--accept-valid", "--json")
    assert ran.code == Code.OK
    assert ran.json["events"] == 4


def test_letters_that_only_wait_are_no_lack_of_an_address(lifecycle: Lifecycle, home: Path) -> None:
    """She is dormant from day 60 on, and her letter settles for ten minutes."""
    (home / "policy.yaml").write_text(SCENARIO_POLICY, encoding="utf-8")
    settings = Settings(database_url=f"sqlite:///{home / 'lifecycle.db'}", config_dir=home)
    with build(settings) as engine:
        engine.accept([draft(event) for event in (known(), agreed(), order(0))])
        engine.apply_pending()
    waits = lifecycle("backtest", "--to", "2026-03-02T00:05:00Z").out
    assert "At the end 1 message still waits." in waits
    assert "--everybody" not in waits
    assert "still wait" not in lifecycle("backtest", "--to", "2026-02-01T00:00:00Z").out
    assert "--everybody" not in lifecycle("backtest", "--to", "2026-03-05T00:00:00Z").out


def test_letters_for_which_no_address_is_known_are_counted(
    lifecycle: Lifecycle, files: Path
) -> None:
    ran = lifecycle("backtest", *FILE)
    told = lifecycle("backtest", *FILE, "--json").json["letters"]
    assert (told["unreached"], told["unreachable"], told["waiting"]) == (2, 4, 0)
    said = "knows no address, or no consent, for 4 messages: --everybody takes all to be reachable."
    assert said in ran.out
    assert "still wait" not in ran.out
    assert "--everybody" not in lifecycle("backtest", *FILE, "--to", "2010-01-20T00:00Z").out


def test_of_many_refused_rows_it_is_said_which_command_keeps_all(
    lifecycle: Lifecycle, files: Path
) -> None:
    """A flag that this command does not have would be refused."""
    bad = "".join(f"{',' * n}\n" for n in range(10, 40))
    (files / "history.csv").write_text(HISTORY + bad, encoding="utf-8")
    ran = lifecycle("backtest", *FILE)
    command = "lifecycle import history.csv -m online-retail --dry-run --rejects FILE"
    assert ran.err.splitlines()[20] == f"… and 10 more; `{command}` keeps all of them"
    lifecycle(*command.replace("FILE", "bad.csv").split()[1:], "--config-dir", ".")
    assert len((files / "bad.csv").read_text(encoding="utf-8").splitlines()) == 31


def test_a_report_says_itself_how_many_rows_of_its_file_were_left_out(
    lifecycle: Lifecycle, files: Path
) -> None:
    """Whoever is sent it saw none of the warnings; no such words where every row is in it."""
    command = ("backtest", *FILE, "--html", "page.html")
    effect = ("policy", "diff", "policy.yaml", "slower.yaml", "--effect", "--history", *FILE)
    assert lifecycle(*command, "--json").json["rows_left_out"] == 0
    assert lifecycle(*effect, "--json").json["effect"]["rows_left_out"] == 0
    for told in (
        lifecycle(*command).out,
        lifecycle(*effect).out,
        (files / "page.html").read_text(),
    ):
        assert "left out" not in told
    bad = "5,yesterday,anna,1,False\n1,2010-01-01T10:00:00,anna,9,False\n"
    (files / "history.csv").write_text(HISTORY + bad, encoding="utf-8")
    said = "2 rows of the file were refused and left out"
    for asked in (command, effect):
        assert said in " ".join(lifecycle(*asked, "--accept-valid").out.split())
    assert lifecycle(*command, "--accept-valid", "--json").json["rows_left_out"] == 2
    assert lifecycle(*effect, "--accept-valid", "--json").json["effect"]["rows_left_out"] == 2
    page = " ".join((files / "page.html").read_text(encoding="utf-8").split())
    assert "2 rows of the file of history were refused and left out." in page


def test_rows_that_say_an_event_again_are_told(lifecycle: Lifecycle, files: Path) -> None:
    again = HISTORY.splitlines()[1] + "\n" + "2,2010-01-05T10:00:00,anna,21.00,False\n"
    (files / "history.csv").write_text(HISTORY + again, encoding="utf-8")
    ran = lifecycle("backtest", *FILE, "--json")
    assert ran.json["events"] == 4
    assert "1 event more than once" in " ".join(ran.err.split())
    assert "1 row with the id of an earlier one and other content" in " ".join(ran.err.split())
