"""`lifecycle policy …` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lifecycle.cli import exits, policy
from lifecycle.policy import load, loads
from lifecycle.policy.diagram import mermaid, svg
from lifecycle.policy.schema import schema_text
from lifecycle.resources import config_dir
from tests.policy.said import MINIMAL, changed

SHIPPED = config_dir() / "policy.yaml"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "LIFECYCLE_CONFIG_DIR",
        "LIFECYCLE_DATABASE_URL",
        "LIFECYCLE_CLOCK",
        "LIFECYCLE_PORT",
    ):
        monkeypatch.delenv(name, raising=False)  # fmt: skip


def run(*arguments: str) -> Result:
    return CliRunner().invoke(policy.app, arguments)


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_good_policy_ends_with_0_and_says_what_it_holds(tmp_path: Path) -> None:
    file = written(tmp_path, MINIMAL)
    result = run("check", file)
    assert result.exit_code == 0
    assert result.output == (
        f"{file}: fine: 0 errors, 0 warnings; 2 states, 2 transitions, 1 outreach rule; "
        f"hash {loads(MINIMAL).hash[:12]}\n"
    )


def test_without_a_file_the_one_of_the_config_folder_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("check").output.startswith(f"{SHIPPED}: fine")
    (tmp_path / "policy.yaml").write_text(MINIMAL, encoding="utf-8")
    monkeypatch.setenv("LIFECYCLE_CONFIG_DIR", str(tmp_path))
    assert run("check").output.startswith(f"{tmp_path / 'policy.yaml'}: fine")


def test_every_problem_is_told_with_its_place_and_a_caret(tmp_path: Path) -> None:
    text = changed("60d", "60", changed("tier: text", "tier: txt"))
    file = written(tmp_path, text)
    result = run("check", file)
    assert result.exit_code == exits.Code.REFUSED
    lines = result.output.splitlines()
    assert lines[0].startswith(f'{file}:6:9: error wrong_word: found "txt"; allowed: text, int')
    assert lines[1:3] == ["      tier: txt", "            ^"]
    assert lines[3].startswith(f'{file}:22:28: error wrong_duration: found "60"')
    assert lines[5].index("^") == lines[4].index("60")
    assert lines[6] == f"{file}: refused: 2 errors, 0 warnings"


def test_a_caret_stands_under_its_place_behind_wide_characters(tmp_path: Path) -> None:
    """A Chinese character takes two places on a terminal."""
    text = changed("deal: {}", "deal: {label: {zh: 成交客户}, finale: true}")
    lines = run("check", written(tmp_path, text)).output.splitlines()
    before = lines[1][: lines[1].index("finale")]
    assert lines[2].index("^") == len(before) + len("成交客户")


def test_a_warning_is_told_and_the_policy_accepted(tmp_path: Path) -> None:
    text = changed("channels: [email]", "channels: [email], when: strategic")
    result = run("check", written(tmp_path, text))
    assert result.exit_code == 0
    assert "warning guard_raises_when_empty" in result.output
    assert "fine: 0 errors, 1 warning;" in result.output


@pytest.mark.parametrize("good", [True, False])
def test_findings_come_as_json_too(tmp_path: Path, good: bool) -> None:
    file = written(tmp_path, MINIMAL if good else changed("60d", "60"))
    result = run("check", file, "--json")
    said = json.loads(result.output)
    assert result.exit_code == (0 if good else exits.Code.REFUSED)
    assert said["file"] == file
    assert said["accepted"] is good
    assert said["hash"] == (loads(MINIMAL).hash if good else None)
    assert [(f["line"], f["column"], f["code"], f["warning"]) for f in said["findings"]] == (
        [] if good else [(22, 28, "wrong_duration", False)]
    )


@pytest.mark.parametrize("command", ["check", "diagram"])
def test_a_file_that_is_not_there_is_no_input(tmp_path: Path, command: str) -> None:
    result = run(command, str(tmp_path / "absent.yaml"))
    assert isinstance(result.exception, exits.NoInput)
    assert "absent.yaml" in str(result.exception)


def test_the_picture_goes_to_standard_output_or_to_a_file(tmp_path: Path) -> None:
    drawn = load(SHIPPED).policy
    assert run("diagram").output == mermaid(drawn)
    assert run("diagram", "--format", "svg").output == svg(drawn)
    fenced = f"```mermaid\n{mermaid(drawn)}```\n"
    for name, text in (
        ("a.svg", svg(drawn)),
        ("A.SVG", svg(drawn)),
        ("a.mmd", mermaid(drawn)),
        ("a.mermaid", mermaid(drawn)),
        ("a.md", fenced),
        ("a", mermaid(drawn)),
    ):
        out = tmp_path / name
        assert run("diagram", str(SHIPPED), "--out", str(out)).exit_code == 0
        assert out.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "p.png"], "no picture is written as .png: name a .svg"),
        (["--out", "p.pdf", "--format", "svg"], "no picture is written as .pdf"),
        (["--out", "p.svg", "--format", "mermaid"], "a file that ends in .svg is no mermaid"),
        (["--out", "p.mmd", "--format", "svg"], "a file that ends in .mmd is no svg"),
    ],
)
def test_a_file_is_never_named_for_what_it_does_not_hold(
    tmp_path: Path, arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mermaid text in a p.png looks like a broken picture."""
    monkeypatch.chdir(tmp_path)
    result = run("diagram", str(SHIPPED), *arguments)
    assert result.exit_code != 0
    assert said in " ".join(result.output.replace("│", " ").split()), result.output
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    result = run("diagram", "--out", str(tmp_path / "no" / "where.svg"))
    assert isinstance(result.exception, exits.CannotWrite)


def test_a_refused_policy_is_not_drawn(tmp_path: Path) -> None:
    result = run("diagram", written(tmp_path, changed("60d", "60")))
    assert result.output == ""
    assert exits.of(result.exception or Exception()) is exits.Code.CONFIGURATION


def test_the_schema_is_printed_as_it_is_published() -> None:
    assert run("schema").output == schema_text()
