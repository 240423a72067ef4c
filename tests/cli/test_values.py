"""What a command line gives is judged as Typer judges it, and mostly without it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lifecycle.cli import commands
from lifecycle.cli.values import Threshold

GIVEN = ("", "x", "1", "-1", "0", "99999999", "1e3", "JSON", "json", "sent", "2026-01-01", "true")


def parameters(command: Any, above: Any = None) -> Iterator[tuple[Any, Any]]:
    """Those of a command and all below it, each with the context in which it is judged."""
    context = command.context_class(command, info_name=command.name, parent=above)
    for parameter in command.get_params(context):
        yield parameter, context
    for below in getattr(command, "commands", {}).values():
        yield from parameters(below, context)


def said(judge: Any, value: object, parameter: Any, context: Any) -> object:
    try:
        found = judge.coerce(value, param=parameter, ctx=context)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is to be the same
        return type(error), str(error)
    return type(found), found


def test_every_value_of_every_command_is_judged_as_by_typer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also paths to what is not there, to nothing, and to what nobody may read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "secret").touch()
    access = os.access
    monkeypatch.setattr(  # root may read everything
        os, "access", lambda path, mode: Path(path).name != "secret" and access(path, mode)
    )
    (tmp_path / "dangling").symlink_to("nowhere")
    paths = ("file", "secret", "dangling", ".", "file/below", str(tmp_path), os.devnull)
    judged = 0
    for parameter, context in parameters(commands()):
        own = parameter.get_runtime_param()
        if not isinstance(own, Threshold):
            continue
        choices = parameter.type_descriptor.choices or ()
        texts = [text for each in choices for text in (each.value, each.value.upper())]
        for value in (None, parameter.default, *GIVEN, *paths, *choices, *texts):
            several = parameter.multiple or parameter.nargs == -1
            given = (value,) if several and value is not None else value
            theirs = said(own.judge(), given, parameter, context)
            assert said(own, given, parameter, context) == theirs, (parameter, given)
            judged += 1
    assert judged > 1000
