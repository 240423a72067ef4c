"""The command line: one module a noun. It parses, calls the engine, and prints; it decides nothing."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer

from lifecycle.cli import exits
from lifecycle.cli.later import Entry, group_of
from lifecycle.intake.strict_json import tame

RUN = "Run it, and get events in"
LOOK = "Look"
KEEP = "Keep it in order"
_HANDED_ON = {"ignore_unknown_options": True}

_COMMANDS = {
    "up": Entry(module="up", name="up", panel=RUN),
    "serve": Entry(module="processes", name="serve", panel=RUN),
    "work": Entry(module="processes", name="work", panel=RUN),
    "schedule": Entry(module="processes", name="schedule", panel=RUN),
    "import": Entry(module="imports", name="import_file", panel=RUN),
    "simulate": Entry(module="simulation", name="simulate", panel=RUN),
    "log": Entry(module="transitions", name="log", panel=LOOK),
    "explain": Entry(module="explain", name="explain", panel=LOOK),
    "backtest": Entry(module="backtest", name="backtest", panel=LOOK),
    "forecast": Entry(module="forecast", name="forecast", panel=LOOK),
    "nights": Entry(module="nights", name="nights", panel=KEEP),
    "verify": Entry(module="truth", name="verify", panel=KEEP),
    "rebuild": Entry(module="truth", name="rebuild", panel=KEEP),
    "digest": Entry(module="truth", name="digest", panel=KEEP),
    "migrate": Entry(module="schema", name="migrate", panel=KEEP),
    "bench": Entry(module="bench", name="bench", panel=KEEP, context=_HANDED_ON),
    "customer": Entry(module="customer", panel=LOOK),
    "outreach": Entry(module="outreach", panel=LOOK),
    "report": Entry(module="report", panel=LOOK),
    "policy": Entry(module="policy", panel=KEEP),
    "template": Entry(module="template", panel=KEEP),
    "task": Entry(module="task", panel=KEEP),
    "dead": Entry(module="dead", panel=KEEP),
    "key": Entry(module="key", panel=KEEP),
}

app = typer.Typer(
    name="lifecycle",
    cls=group_of(_COMMANDS),
    help="A customer lifecycle engine: events in; states, timed checks and planned messages out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version as version_of

        typer.echo(f"lifecycle {version_of('lifecycle-engine')}")
        raise typer.Exit


@app.callback()
def lifecycle(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and end.", is_eager=True, callback=_version
        ),
    ] = False,
) -> None:
    """What stands before a command."""


def commands() -> Any:
    """The tree of all commands, with helps that read well; each is imported when it is asked for."""
    return typer.main.get_command(app)


def main() -> NoReturn:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """The exit code; everything that can be said has been said, and stdout is flushed."""
    _say_what_can_be_said()
    try:
        _refuse_other_encodings(arguments)
        code = commands().main(args=list(arguments), prog_name="lifecycle", standalone_mode=False)
        sys.stdout.flush()
    except (exits.OutputClosed, BrokenPipeError, SystemExit):  # the last by Typer's own help
        _leave_stdout()
        return exits.Code.OK
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the end of the line: all are told
        return exits.tell(error)
    if code == exits.Code.INTERRUPTED:  # which Typer makes of Ctrl-C, without a word
        return exits.tell(KeyboardInterrupt())
    return code if isinstance(code, int) else exits.Code.OK


def _refuse_other_encodings(arguments: Sequence[str]) -> None:
    """Bytes that are no text could be stored nowhere, and would fail somewhere inside."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise typer.BadParameter(
                f"{tame(argument)} is not UTF-8, as everything on the command line must be;"
                " is the terminal set to another encoding?"
            ) from error


def _say_what_can_be_said() -> None:
    """A terminal that cannot show an arrow or a Chinese label gets an escape, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _leave_stdout() -> None:
    """Nobody reads it any more; without this the interpreter complains when it flushes at exit."""
    with contextlib.suppress(OSError, ValueError):  # stdout is no file: nothing to leave
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
