"""The reference in docs/ is the one that the commands of today would make."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lifecycle.cli import commands, run
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


def test_the_help_of_every_command_flows_and_shows_no_switch_as_if_it_took_a_value(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for command in every_command(commands()):
        assert all("\n" not in paragraph for paragraph in (command.help or "").split("\n\n"))
    for arguments in (["import"], ["customer", "show"], ["dead"], []):
        assert run([*arguments, "--help"]) == Code.OK
        told = capsys.readouterr().out
        assert "--help" in told
        assert "<bool>" not in told


def every_command(command: Any) -> Iterator[Any]:
    yield command
    for below in getattr(command, "commands", {}).values():
        yield from every_command(below)
