"""`lifecycle policy publish` and what belongs to it, as a user runs them, with figures that are made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from lifecycle import cli
from lifecycle.bootstrap import build
from lifecycle.cli.exits import Code
from lifecycle.cli.publishing import Tools, register
from lifecycle.engine.publishing.measured import Measured
from lifecycle.policy import loads
from lifecycle.settings import Settings
from tests.cli.conftest import Lifecycle
from tests.policies import SCENARIO_POLICY
from tests.scenarios.driver import order
from tests.support.engine import draft, of
from tests.support.publishing import measured, words

PATIENT = SCENARIO_POLICY.replace("after: 60d", "after: 90d")
HASTY = SCENARIO_POLICY.replace("after: 60d", "after: 45d")
LAYOUT = "<mjml><mj-body>{{ body }}</mj-body></mjml>"
LETTER = "---\nsubject: Hello\n---\n<mj-section></mj-section>\n"


@pytest.fixture
def figures() -> dict[str, int]:
    """What the next measurement finds."""
    return {}


@pytest.fixture
def publishing(
    lifecycle: Lifecycle, home: Path, monkeypatch: pytest.MonkeyPatch, figures: dict[str, int]
) -> Lifecycle:
    """The commands in an installation that began with the policy of the examples."""

    def measure(*_: Any) -> Measured:
        return measured(**figures)

    root, noun = typer.Typer(), typer.Typer()
    register(
        noun, Tools(changes=lambda: words, measure=lambda _settings, _inst, _everybody: measure)
    )
    root.add_typer(noun, name="policy")
    root.command("nothing")(lambda: None)
    monkeypatch.setattr(cli, "app", root)
    (home / "config").mkdir()
    (home / "config" / "policy.yaml").write_text(SCENARIO_POLICY, "utf-8")
    (home / "patient.yaml").write_text(PATIENT, "utf-8")
    (home / "hasty.yaml").write_text(HASTY, "utf-8")
    (home / "templates" / "win-back").mkdir(parents=True)
    (home / "templates" / "win-back" / "email.en.mjml").write_text(LETTER, "utf-8")
    (home / "templates" / "_layouts").mkdir()
    (home / "templates" / "_layouts" / "brand.mjml").write_text(LAYOUT, "utf-8")
    monkeypatch.setenv("LIFECYCLE_TEMPLATES_DIR", str(home / "templates"))
    build(
        Settings(database_url=f"sqlite:///{home / 'lifecycle.db'}", config_dir=home / "config")
    ).close()
    return lambda *arguments: lifecycle("policy", *arguments, "--config-dir", "config")


def test_what_is_measured_is_what_the_recorded_history_gives(
    lifecycle: Lifecycle, home: Path
) -> None:
    """Three bought on day 0 and again on day 50: by 45 days they were dormant in between, by 60 not."""
    config = home / "config"
    config.mkdir()
    (config / "policy.yaml").write_text(SCENARIO_POLICY, "utf-8")
    (home / "hasty.yaml").write_text(HASTY, "utf-8")
    settings = Settings(database_url=f"sqlite:///{home / 'lifecycle.db'}", config_dir=config)
    with build(settings) as engine:
        for name in ("ann", "ben", "cleo"):
            engine.accept([draft(event) for event in of(name, order(0), order(50, "again"))])
        engine.apply_pending()
    ran = lifecycle("policy", "publish", "hasty.yaml", "--config-dir", "config", "--json")
    assert ran.code == Code.REFUSED
    assert ran.json["changes"] == ["quiet: after 60d → 45d"]
    told = ran.json["measured"]
    assert (told["customers"], told["moved"], len(told["digest"])) == (3, 3, 64)
    assert ran.json["exceeded"] == [
        "moved_customers: 3 customers would take other steps; allowed: at most 10 % of 3"
    ]
    again = lifecycle("policy", "publish", "hasty.yaml", "--config-dir", "config", "--json")
    assert (again.json["number"], again.json["measured"]) == (2, told)
    command = ("policy", "approve", "2", "--by", "olga", "--why", "tried", "--config-dir", "config")
    assert lifecycle(*command).code == Code.OK


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"unreachable": 4}, "no address, or no consent, for 4 messages: --everybody takes all"),
        ({"waiting": 2}, "No customer would get a letter. At the end 2 messages still wait."),
        ({}, "No customer would get a letter."),
    ],
)
def test_why_nobody_gets_a_letter_is_told_as_it_is(
    publishing: Lifecycle, figures: dict[str, int], found: dict[str, int], said: str
) -> None:
    figures.update(unreached=100, **found)
    told = " ".join(publishing("publish", "patient.yaml", "--dry-run").out.split())
    assert said in told
    assert ("--everybody" in told) == ("unreachable" in found)


def test_where_nothing_has_happened_nothing_stands_in_the_way(
    lifecycle: Lifecycle, home: Path
) -> None:
    (home / "config").mkdir()
    (home / "config" / "policy.yaml").write_text(SCENARIO_POLICY, "utf-8")
    (home / "hasty.yaml").write_text(HASTY, "utf-8")
    url = f"sqlite:///{home / 'lifecycle.db'}"
    build(Settings(database_url=url, config_dir=home / "config")).close()
    ran = lifecycle("policy", "publish", "hasty.yaml", "--config-dir", "config")
    assert ran.code == Code.OK
    assert "quiet: after 60d → 45d" in ran.out


DECIDED = ["--by", "olga", "--why", "agreed"]


@pytest.mark.parametrize(
    "command",
    [
        ["policy", "history"],
        ["policy", "show", "1"],
        ["policy", "publish", "--dry-run"],
        ["policy", "publish", "hasty.yaml", "--why", "summer"],
        ["policy", "publish", "hasty.yaml", "--json"],
        ["policy", "approve", "2", *DECIDED],
        ["policy", "discard", "2", *DECIDED],
        ["policy", "rollback", "1", *DECIDED],
        ["customer", "move", "ann", "--to", "deal", *DECIDED],
    ],
)
def test_where_there_is_no_database_none_is_made(
    lifecycle: Lifecycle, home: Path, command: list[str]
) -> None:
    """Whoever forgot to say which one is told, before anything seems to be published."""
    (home / "hasty.yaml").write_text(HASTY, "utf-8")
    ran = lifecycle(*command)
    assert (ran.code, ran.out) == (Code.CONFIGURATION, "")
    assert "there is no such file yet" in ran.err
    assert [file.name for file in home.iterdir()] == ["hasty.yaml"]


def test_a_database_without_any_policy_says_so(lifecycle: Lifecycle, home: Path) -> None:
    (home / "policy.yaml").write_text(SCENARIO_POLICY, "utf-8")
    lifecycle("migrate")
    for command in (
        ["publish", "policy.yaml", "--dry-run"],
        ["rollback", "1", "--by", "olga", "--why", "agreed", "--dry-run"],
    ):
        ran = lifecycle("policy", *command)
        assert ran.code == Code.REFUSED
        assert "this database has no policy yet" in ran.err
    assert "this database has no policy yet" in lifecycle("policy", "history").out
    assert lifecycle("policy", "history", "--json").json == {"policies": []}


def test_within_the_thresholds_it_says_what_changes_and_publishes(publishing: Lifecycle) -> None:
    ran = publishing("publish", "patient.yaml", "--by", "olga", "--why", "summer")
    assert ran.code == Code.OK
    assert "quiet" in ran.out
    assert "✓ version 2 (hash " in ran.out
    assert "is published, and judges from " in ran.out
    told = publishing("history", "--json").json["policies"]
    assert [(one["number"], one["standing"]) for one in told] == [(1, "past"), (2, "judges")]
    assert (told[1]["by"], told[1]["why"], told[1]["changes"]) == ("olga", "summer", ["quiet"])
    assert told[1]["recomputation"]["done"] == 0
    assert (told[0]["from_the_beginning"], told[0]["effective_at"]) == (True, None)


def test_a_dry_run_changes_nothing(publishing: Lifecycle, figures: dict[str, int]) -> None:
    ran = publishing("publish", "patient.yaml", "--dry-run")
    assert ran.code == Code.OK
    assert "it would be published; nothing was changed" in ran.out
    figures["messages_after"] = 131
    ran = publishing("publish", "patient.yaml", "--dry-run", "--json")
    assert (ran.code, ran.json["outcome"]) == (Code.REFUSED, "would_wait")
    assert len(publishing("history", "--json").json["policies"]) == 1


def test_beyond_a_threshold_it_says_how_to_go_on(
    publishing: Lifecycle, figures: dict[str, int]
) -> None:
    figures |= {"messages_after": 131, "peak_day_after": 90}
    ran = publishing("publish", "patient.yaml")
    assert ran.code == Code.REFUSED
    assert "draft 2 waits" in ran.out
    assert (
        "! messages: 100 → 131 (+31.0 %) messages would be sent; allowed: at most 5 % more"
        in ran.out
    )
    assert "! peak_day: 20 → 90 (+350.0 %) messages on the busiest day" in ran.out
    assert "lifecycle policy approve 2 --by NAME --why TEXT" in ran.out
    assert "draft 2" in publishing("history").out
    approved = publishing("approve", "2", "--by", "bo", "--why", "agreed on Monday")
    assert approved.code == Code.OK
    assert "version 2" in approved.out
    assert "bo: agreed on Monday" in publishing("history").out


def test_who_puts_the_same_forward_again_is_told_of_the_draft_that_waits(
    publishing: Lifecycle, figures: dict[str, int]
) -> None:
    figures["messages_after"] = 131
    publishing("publish", "patient.yaml", "--by", "olga")
    ran = publishing("publish", "patient.yaml", "--by", "bo")
    assert ran.code == Code.REFUSED
    assert "draft 2 says the same and waits already, put forward by olga" in ran.out
    assert "lifecycle policy approve 2 --by NAME --why TEXT" in ran.out
    ran = publishing("publish", "patient.yaml", "--json")
    assert (ran.code, ran.json["outcome"], ran.json["number"]) == (Code.REFUSED, "waiting", 2)
    assert len(publishing("history", "--json").json["policies"]) == 2


def test_an_approval_needs_a_reason_and_somebody(
    publishing: Lifecycle, figures: dict[str, int]
) -> None:
    figures["moved"] = 90
    publishing("publish", "patient.yaml")
    assert publishing("approve", "2", "--by", "bo").code == Code.USAGE
    assert publishing("approve", "2", "--why", "yes").code == Code.USAGE
    blank = publishing("approve", "2", "--by", "bo", "--why", " ")
    assert blank.code == Code.USAGE
    assert "the reason is empty" in blank.err
    for command in ("approve", "discard", "rollback"):
        nobody = publishing(command, "1", "--by", " ", "--why", "yes")
        assert nobody.code == Code.USAGE
        assert "the name is empty" in nobody.err


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_publication_says_no_reason_or_one_that_is_not_blank(
    publishing: Lifecycle, blank: str
) -> None:
    for flag, told in (("--why", "the reason is empty"), ("--by", "the name is empty")):
        ran = publishing("publish", "patient.yaml", flag, blank)
        assert ran.code == Code.USAGE
        assert told in ran.err
    assert len(publishing("history", "--json").json["policies"]) == 1
    assert publishing("publish", "patient.yaml").code == Code.OK
    assert publishing("history", "--json").json["policies"][1]["why"] is None


def test_who_may_not_approve_is_told_who_may(
    publishing: Lifecycle, home: Path, figures: dict[str, int]
) -> None:
    rules = (
        "version: 1\nthresholds:\n  messages: {more_than: 5%}\napprovers: [olga]\nfour_eyes: true\n"
    )
    (home / "config" / "publishing.yaml").write_text(rules, "utf-8")
    figures["messages_after"] = 131
    publishing("publish", "patient.yaml", "--by", "olga")
    refused = publishing("approve", "2", "--by", "bo", "--why", "yes")
    assert refused.code == Code.REFUSED
    assert (
        "bo may not approve; allowed by publishing.yaml: olga; nothing was changed" in refused.err
    )
    assert "four_eyes: true" in publishing("approve", "2", "--by", "olga", "--why", "yes").err


def test_a_draft_that_is_discarded_is_gone_for_good(
    publishing: Lifecycle, figures: dict[str, int]
) -> None:
    figures["moved"] = 90
    publishing("publish", "patient.yaml")
    assert publishing("discard", "2", "--by", "bo", "--why", "no").code == Code.OK
    again = publishing("approve", "2", "--by", "bo", "--why", "yes")
    assert again.code == Code.REFUSED
    assert "draft 2 does not wait any more: it was discarded by bo" in again.err


def test_a_version_is_printed_as_a_file_and_comes_back_as_another_version(
    publishing: Lifecycle, home: Path
) -> None:
    publishing("publish", "patient.yaml")
    printed = publishing("show", "1")
    assert loads(printed.out).hash == loads(SCENARIO_POLICY).hash
    back = publishing("rollback", "1", "--by", "olga", "--why", "complaints", "--json")
    assert (back.code, back.json["number"]) == (Code.OK, 3)
    assert back.json["hash"] == loads(SCENARIO_POLICY).hash
    assert publishing("show", "9").code == Code.REFUSED


def test_what_is_in_force_already_is_no_fault(publishing: Lifecycle) -> None:
    ran = publishing("publish")
    assert ran.code == Code.OK
    assert "version 1 (hash " in ran.out
    assert "there is nothing to publish" in ran.out


def test_restating_says_so(publishing: Lifecycle) -> None:
    ran = publishing("publish", "hasty.yaml", "--restate")
    assert "judges all of the past and what comes" in ran.out
    history = publishing("history").out
    assert "restates all of the past" in history
    assert "replaced" in history


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["missing.yaml"], Code.NO_INPUT, "there is no policy file 'missing.yaml'"),
        (["patient.yaml", "--effective", "tomorrow"], Code.USAGE, "is not an instant"),
        (
            ["patient.yaml", "--effective", "2001-01-01T00:00:00Z"],
            Code.BAD_INPUT,
            "--restate judges",
        ),
        (["patient.yaml", "--effects", "on"], Code.BAD_INPUT, "--restate with it"),
        (["patient.yaml", "--effects", "maybe"], Code.USAGE, "--effects"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(
    publishing: Lifecycle, arguments: list[str], code: Code, told: str
) -> None:
    ran = publishing("publish", *arguments)
    assert ran.code == code
    assert told in ran.err
    assert len(publishing("history", "--json").json["policies"]) == 1


def test_a_broken_policy_is_told_as_the_check_tells_it(publishing: Lifecycle, home: Path) -> None:
    (home / "broken.yaml").write_text(
        PATIENT.replace("from: potential", "from: potentail"), "utf-8"
    )
    ran = publishing("publish", "broken.yaml")
    assert ran.code == Code.REFUSED
    assert "undeclared_state" in ran.out
    assert 'did you mean "potential"?' in ran.out
    assert "refused; nothing was changed" in ran.out


def test_of_what_the_check_warns_the_publication_warns_too(
    publishing: Lifecycle, home: Path
) -> None:
    doubtful = PATIENT.replace("orders >= 3", "name.size() > 2")
    (home / "doubtful.yaml").write_text(doubtful, "utf-8")
    ran = publishing("publish", "doubtful.yaml", "--dry-run")
    assert "doubtful.yaml:22:" in ran.out
    assert "warning guard_raises_when_empty" in ran.out
    ran = publishing("publish", "doubtful.yaml", "--json")
    assert ran.json["outcome"] == "published"
    assert [finding["code"] for finding in ran.json["findings"]] == ["guard_raises_when_empty"]


@pytest.mark.parametrize(
    "command",
    [["publish", "frist.yaml"], ["publish", "frist.yaml", "--dry-run"]],
    ids=["publish", "dry-run"],
)
def test_a_message_for_which_nothing_is_written_is_warned_of(
    publishing: Lifecycle, home: Path, command: list[str]
) -> None:
    """A rule was renamed, and its texts were not: what it plans could never leave."""
    renamed = PATIENT.replace("name: win-back,", "name: win-bakc,")
    (home / "frist.yaml").write_text(renamed.replace("[email]", "[email, sms]"), "utf-8")
    folder = str(home / "templates" / "win-bakc")
    told = "no text for email or sms: the message cannot go there"
    ran = publishing(*command)
    assert ran.code == Code.OK
    assert ran.out.count("no_text") == 1
    assert f"{folder}/:1:1: warning no_text: {told}\n" in ran.out
    if "--dry-run" not in command:
        publishing("rollback", "1", "--by", "olga", "--why", "no text")
    (finding,) = publishing(*command, "--json").json["findings"]
    assert finding == {
        "file": f"{folder}/", "line": 1, "column": 1,
        "code": "no_text", "message": told, "warning": True,
    }  # fmt: skip


def test_what_comes_back_is_warned_of_where_its_text_is_gone(
    publishing: Lifecycle, home: Path
) -> None:
    assert publishing("publish", "patient.yaml", "--json").json["findings"] == []
    (home / "templates" / "win-back" / "email.en.mjml").unlink()
    ran = publishing("rollback", "1", "--by", "olga", "--why", "complaints")
    assert ran.code == Code.OK
    assert "warning no_text: no text for email" in ran.out


def test_broken_rules_of_publishing_stop_it(publishing: Lifecycle, home: Path) -> None:
    (home / "config" / "publishing.yaml").write_text("version: 1\nfour_eyes: ja\n", "utf-8")
    ran = publishing("publish", "patient.yaml")
    assert ran.code == Code.CONFIGURATION
    assert "publishing.yaml:2:12: error wrong_word" in ran.err
