"""What may every command be told? Which database, which config folder, which clock; and by whom?"""

from __future__ import annotations

import contextlib
import functools
import getpass
import inspect
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import typer

from lifecycle.errors import Problem
from lifecycle.settings import FLAGS, VARIABLES, read_settings

_R = TypeVar("_R")


def _setting(name: str, metavar: str, help_text: str) -> inspect.Parameter:
    option = typer.Option(
        FLAGS[name],
        metavar=metavar,
        help=f"{help_text} [{VARIABLES[name]}]",
        rich_help_panel="Settings",
        show_default=False,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option]
    )


def _switch(name: str, help_text: str) -> inspect.Parameter:
    """A flag without a value; left out, the environment and the file decide."""
    option = typer.Option(
        FLAGS[name],
        help=f"{help_text} [{VARIABLES[name]}]",
        rich_help_panel="Settings",
        show_default=False,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, option]
    )


SHARED = (
    _setting(
        "database_url",
        "URL",
        "Where everything is kept: sqlite:///path or postgresql://…;"
        " left out: the file lifecycle.db in the working directory.",
    ),
    _setting(
        "config_dir",
        "DIR",
        "The folder of policy.yaml, settings.yaml, channels.yaml and mappings/.",
    ),
    _setting(
        "clock",
        "WHEN[*RATE]",
        "A made-up clock, such as 2011-12-10T00:00:00Z, or the same with *86400 to let it run.",
    ),
    _setting(
        "log",
        "FORM",
        "How lines of the log are written on standard error: text for people, or json, an object a"
        " line; left out: text.",
    ),
    _setting(
        "log_level",
        "LEVEL",
        "From where on lines are logged: warning, info (with one for every decision), debug; left out:"
        " info for a server, warning for a command that ends and for `up` in text, which tells of itself"
        " on standard output.",
    ),
)
TEMPLATES_DIR = _setting(
    "templates_dir",
    "DIR",
    "The folder of the messages, one folder each; left out: those that come with the program.",
)
OUTREACH = (
    TEMPLATES_DIR,
    _setting(
        "public_url",
        "URL",
        "Where customers reach this installation, for links to unsubscribe and to surveys: https://…;"
        " left out: nowhere, and no marketing leaves by a real channel.",
    ),
    _setting(
        "secret_file",
        "FILE",
        "Holds the secret that signs links and hides addresses, at least 32 random characters; left out:"
        " LIFECYCLE_SECRET, or a file that is made beside an SQLite database.",
    ),
)
PORT = _setting("port", "PORT", "Where the API listens; 0 takes any free port.")
METRICS = (
    _setting(
        "metrics_port",
        "PORT",
        "Where Prometheus finds the metrics of a process that answers no HTTP; 0 takes any free port;"
        " left out: nowhere.",
    ),
    _setting(
        "metrics_host",
        "ADDRESS",
        "On which address that port is open; left out: 127.0.0.1, for programs of this machine only.",
    ),
)
MAX_PENDING = _setting(
    "max_pending",
    "N",
    "How many events may wait to be applied while more are taken in; left out: 10,000,000.",
)
NIGHTLY = (
    _setting(
        "night",
        "TIME[ ZONE]",
        "When the work of the night begins, such as 02:15 or '02:15 Europe/Berlin'; left out: 03:30;"
        " without a zone, by the policy's.",
    ),
    _setting(
        "scoring",
        "MODULE:FUNCTION",
        "The function that scores the customers every night, of a module in the config folder or of one"
        " that is installed; left out: none does.",
    ),
    _setting(
        "keep_days",
        "N",
        "For how many days it is remembered what was done in a night; left out: 90.",
    ),
)
BROKER = (
    _setting(
        "broker_url",
        "URL",
        "What carries rings between processes, and where systems may post events: redis://…,"
        " rediss://…, amqp://… or amqps://…; left out: nothing, and every process looks for work by"
        " itself.",
    ),
    _setting(
        "broker_prefix",
        "NAME",
        "What names on the broker begin with, where installations share one; left out: lifecycle.",
    ),
    _switch(
        "require_broker",
        "Refuse to start while the broker is away, does not let us in or is too old; else work is found without it.",
    ),
)

Host = Annotated[
    str,
    typer.Option(
        "--host",
        metavar="HOST",
        help="Where to listen; until there are keys, this machine's own addresses only. 0.0.0.0: all.",
    ),
]


def _text(given: str | bool | None) -> str | None:
    """As the environment would say it."""
    if isinstance(given, bool):
        return "true" if given else None
    return given


def parse_instant(text: str, *, flag: str) -> datetime:
    """An instant that says what it is counted from; raises BadParameter."""
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise typer.BadParameter(
        f"{text!r} is not an instant; write 2011-12-10T00:00:00Z, or with an offset: +08:00",
        param_hint=flag,
    )


@contextlib.contextmanager
def pointing_at_flags() -> Iterator[None]:
    """What the engine says of a parameter is said of the flag by which it came."""
    try:
        yield
    except Problem as problem:
        problem.pointer = f"--{problem.pointer.removeprefix('/')}"
        raise


def login() -> str:
    """Who types this, for the record; `uid 1000` in a container whose user ids have no names."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the latter since Python 3.13
        return f"uid {os.getuid()}"


def with_settings(
    *more: inspect.Parameter,
) -> Callable[[Callable[..., _R]], Callable[..., _R]]:
    """Gives a command the flags of every setting, and hands it, first, the `Settings` that result."""
    shared = (*SHARED, *more)

    def decorate(command: Callable[..., _R]) -> Callable[..., _R]:
        signature = inspect.signature(command, eval_str=True)
        own = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in list(signature.parameters.values())[1:]
        ]

        @functools.wraps(command)
        def wrapper(**given: Any) -> _R:
            flags = {parameter.name: _text(given.pop(parameter.name)) for parameter in shared}
            return command(read_settings(flags), **given)

        # Typer reads these two, and would otherwise look through to the command itself.
        wrapper.__signature__ = signature.replace(parameters=[*own, *shared])  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in (*own, *shared)}
        return wrapper

    return decorate
