"""The reference in docs/ is the one that the commands of today would make."""

from __future__ import annotations

from pathlib import Path

from lifecycle.cli.exits import Code
from lifecycle.cli.reference import reference

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "cli.md"


def test_the_reference_of_the_command_line_is_not_stale() -> None:
    made = reference()
    assert DOCUMENT.read_text("utf-8") == made, (
        "docs/cli.md is stale; make it anew: python -m lifecycle.cli.reference docs/cli.md"
    )


def test_the_reference_names_every_exit_code_and_no_setting_twice() -> None:
    made = reference()
    for code in Code:
        assert f"\n| {code.value} | " in made
    for flag in ("--database", "--config-dir", "--clock", "--port"):
        assert made.count(f"| `{flag}` |") == 1
