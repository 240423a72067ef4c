"""`lifecycle policy diff` as it is typed: files, versions of a database, and what cannot be compared."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lifecycle.bootstrap import Access, build
from lifecycle.cli.exits import Code
from lifecycle.policy import loads
from lifecycle.settings import read_settings
from tests.cli.conftest import Lifecycle
from tests.policy.said import MINIMAL, changed
from tests.support.engine import publish

FASTER = changed("after: 60d", "after: 45d")
LABELLED = changed("deal: {}", "deal: {label: {zh: 成交}}")


@pytest.fixture
def files(home: Path) -> Path:
    """Two policies that differ in one threshold, and one that differs in a label."""
    for name, text in (("a.yaml", MINIMAL), ("b.yaml", FASTER), ("c.yaml", LABELLED)):
        (home / name).write_text(text, encoding="utf-8")
    return home


@pytest.fixture
def versions(files: Path) -> Path:
    """The first in force is MINIMAL, the second FASTER; the third is not in force for long."""
    (files / "policy.yaml").write_text(MINIMAL, encoding="utf-8")
    settings = read_settings({"database_url": "sqlite:///lifecycle.db", "config_dir": "."})
    with build(settings, access=Access.WRITE) as engine:
        for number, text, year in ((2, FASTER, 2020), (3, LABELLED, 2999)):
            since = datetime(year, 1, 1, tzinfo=UTC)
            publish(engine.installation, loads(text).policy, number=number, effective_at=since)
    return files


def test_two_files_are_compared_without_any_database(lifecycle: Lifecycle, files: Path) -> None:
    ran = lifecycle("policy", "diff", "a.yaml", "b.yaml")
    assert (ran.code, ran.err) == (Code.OK, "")
    assert ran.out == (
        f"before  a.yaml  hash {loads(MINIMAL).hash[:12]}\n"
        f"after   b.yaml  hash {loads(FASTER).hash[:12]}\n"
        "\n"
        "transitions\n"
        "  ~  forgets  after 60d → 45d\n"
        "\n"
        "1 change: 1 changed.\n"
    )
    assert not (files / "lifecycle.db").exists()


def test_policies_that_do_the_same_are_said_to(lifecycle: Lifecycle, files: Path) -> None:
    ran = lifecycle("policy", "diff", "a.yaml", "a.yaml")
    same = f"The same policy: both have the hash {loads(MINIMAL).hash[:12]}; "
    assert ran.code == Code.OK
    assert ran.out.splitlines()[2:] == ["", f"{same}no changes."]
    ran = lifecycle("policy", "diff", "a.yaml", "c.yaml")
    assert ran.out.splitlines()[2:] == [
        "",
        "states",
        '  ·  deal  label zh added: "成交"',
        "",
        f"{same}one difference, marked ·, is only a label or a place in the file.",
    ]


def test_a_document_has_both_hashes_and_every_change(lifecycle: Lifecycle, files: Path) -> None:
    ran = lifecycle("policy", "diff", "a.yaml", "b.yaml", "--json")
    assert ran.code == Code.OK
    assert ran.json == {
        "before": side("a.yaml", MINIMAL),
        "after": side("b.yaml", FASTER),
        "same": False,
        "changes": [
            {
                "section": "transitions",
                "name": "forgets",
                "key": "after",
                "kind": "changed",
                "before": "60d",
                "after": "45d",
                "words": "forgets: after 60d → 45d",
                "cosmetic": False,
            }
        ],
    }


def side(file: str, text: str) -> dict[str, object]:
    return {
        "file": file,
        "version": None,
        "hash": loads(text).hash,
        "accepted": True,
        "findings": [],
    }


@pytest.mark.parametrize(
    ("arguments", "heads", "words"),
    [
        (["1", "2"], ["version 1", "version 2"], "after 60d → 45d"),
        (["2", "1"], ["version 2", "version 1"], "after 45d → 60d"),
        (["current", "3"], ["version 2, in force", "version 3"], "after 45d → 60d"),
        (["a.yaml", "current"], ["a.yaml", "version 2, in force"], "after 60d → 45d"),
        (["a.yaml"], ["version 2, in force", "a.yaml"], "after 45d → 60d"),
        (["--config-dir", "."], ["version 2, in force", "policy.yaml"], "after 45d → 60d"),
        (["2", "b.yaml"], ["version 2", "b.yaml"], "no changes"),
        (["1", "./3"], ["version 1", "3"], "after 60d → 45d"),
    ],
)
def test_versions_of_the_database_are_named_by_number_or_by_being_in_force(
    lifecycle: Lifecycle, versions: Path, arguments: list[str], heads: list[str], words: str
) -> None:
    (versions / "3").write_text(FASTER, encoding="utf-8")
    ran = lifecycle("policy", "diff", *arguments)
    assert (ran.code, ran.err) == (Code.OK, "")
    lines = ran.out.splitlines()
    named = [line.rpartition("  hash ")[0].split("  ", 1)[1].strip() for line in lines[:2]]
    assert [Path(name).name for name in named] == heads
    assert words in ran.out


def test_what_is_in_force_is_so_by_the_clock_of_the_database(
    lifecycle: Lifecycle, versions: Path
) -> None:
    ran = lifecycle("policy", "diff", "current", "1", "--json")
    assert (ran.json["before"]["version"], ran.json["after"]["version"]) == (2, 1)
    assert lifecycle("policy", "diff", "3", "1", "--json").json["same"] is True


@pytest.mark.parametrize("number", ["4", "0", "01", "99"])
def test_a_version_that_there_is_not_is_answered_with_those_that_there_are(
    lifecycle: Lifecycle, versions: Path, number: str
) -> None:
    ran = lifecycle("policy", "diff", "1", number)
    assert (ran.code, ran.out) == (Code.REFUSED, "")
    assert ran.err == (
        f"error: there is no version {number} of the policy; there are the versions 1, 2, 3\n"
    )


def test_a_file_that_is_not_there_is_told_before_anything_is_opened(
    lifecycle: Lifecycle, files: Path
) -> None:
    ran = lifecycle("policy", "diff", "absent.yaml", "current")
    assert ran.code == Code.NO_INPUT
    assert ran.err == (
        "error: there is no policy file 'absent.yaml'; a version is its number, or current\n"
    )


def test_a_version_needs_a_database(lifecycle: Lifecycle, files: Path) -> None:
    ran = lifecycle("policy", "diff", "a.yaml")
    assert ran.code == Code.CONFIGURATION
    assert "there is no such file yet" in ran.err
    assert not (files / "lifecycle.db").exists()


def test_a_refused_policy_is_told_with_its_findings_and_which_of_the_two_it_is(
    lifecycle: Lifecycle, files: Path
) -> None:
    (files / "bad.yaml").write_text(changed("60d", "60"), encoding="utf-8")
    ran = lifecycle("policy", "diff", "a.yaml", "bad.yaml")
    assert (ran.code, ran.out) == (Code.REFUSED, "")
    lines = ran.err.splitlines()
    assert lines[0].startswith('bad.yaml:22:28: error wrong_duration: found "60"')
    assert lines[2].index("^") == lines[1].index("60")
    assert lines[3:] == [
        "bad.yaml: the second of the two policies is refused: 1 error; nothing was compared"
    ]
    ran = lifecycle("policy", "diff", "bad.yaml", "bad.yaml")
    assert ran.err.count("error wrong_duration") == 1
    assert "the first of the two" in ran.err
    ran = lifecycle("policy", "diff", "bad.yaml", "a.yaml", "--json")
    assert ran.code == Code.REFUSED
    assert (ran.json["before"]["accepted"], ran.json["after"]["accepted"]) == (False, True)
    assert (ran.json["same"], ran.json["changes"]) == (None, None)
    assert [finding["code"] for finding in ran.json["before"]["findings"]] == ["wrong_duration"]


def test_long_conditions_stand_under_each_other(lifecycle: Lifecycle, files: Path) -> None:
    guards = [f"orders >= {least} && revenue >= 100.0 && tier == 'gold'" for least in (3, 5)]
    for name, guard in zip(("d.yaml", "e.yaml"), guards, strict=True):
        text = changed("name: buys,", f'name: buys, when: "{guard}",')
        (files / name).write_text(text, encoding="utf-8")
    ran = lifecycle("policy", "diff", "d.yaml", "e.yaml")
    assert [line.strip() for line in ran.out.splitlines()[4:7]] == [
        "~  buys  when",
        f'− "{guards[0]}"',
        f'+ "{guards[1]}"',
    ]
