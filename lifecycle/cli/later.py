"""When is the module of a command imported? When somebody asks for the command, or, as `--help` does,
for all of them: whoever wants one of them does not wait for what the others need.
"""

from __future__ import annotations

import inspect
from collections import UserDict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from lifecycle.cli.values import judged_at_need


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Where a command is found, and how it is shown and called."""

    module: str  # of this package
    name: str = "app"  # what to take of it: a function, or the commands of a noun
    panel: str  # of the help, in which it stands
    context: Mapping[str, Any] | None = None  # Typer's settings for it


def group_of(entries: Mapping[str, Entry]) -> type[TyperGroup]:
    """What Typer makes of these commands, by their names and in this order."""

    class Group(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self.commands = _Commands(entries, _tidied(self))

    return Group


class _Commands(UserDict[str, Any]):
    """Names are told without importing anything, as where a misspelt one is compared with them."""

    def __init__(self, entries: Mapping[str, Entry], above: Any) -> None:
        super().__init__(entries)
        self._above = above  # the context of the group

    def __getitem__(self, name: str) -> Any:
        found = self.data[name]
        if isinstance(found, Entry):
            found = self.data[name] = _made(name, found)
            _tidied(found, self._above)
        return found


def _made(name: str, entry: Entry) -> Any:
    found = getattr(import_module(f"lifecycle.cli.{entry.module}"), entry.name)
    alone = typer.Typer()
    if isinstance(found, typer.Typer):
        alone.add_typer(found, name=name, rich_help_panel=entry.panel)
    else:
        settings = None if entry.context is None else dict(entry.context)
        alone.command(name, rich_help_panel=entry.panel, context_settings=settings)(found)
    return typer.main.get_group(alone).commands[name]


def _tidied(command: Any, above: Any = None) -> Any:
    """The context of the command, whose help, and that of all below it, reads well from now on.

    Paragraphs flow, whatever the width of the source. A switch shows no type, which would look as if
    it took a value. Nor is any value judged that needs it not.
    """
    context = command.context_class(command, parent=above, **command.context_settings)
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    for parameter in command.get_params(context):
        if getattr(parameter, "is_bool_flag", False):
            parameter.metavar = ""
        judged_at_need(parameter)
    for below in getattr(command, "commands", {}).values():
        _tidied(below, context)
    return context
