"""The command line: one module a noun. It parses, calls the engine, and prints; it decides nothing."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version as version_of
from typing import Annotated, Any, NoReturn

import typer

from lifecycle.cli import (
    backtest,
    bench,
    customer,
    dead,
    exits,
    explain,
    forecast,
    imports,
    key,
    nights,
    output,
    outreach,
    policy,
    processes,
    report,
    schema,
    simulation,
    suggest,
    task,
    template,
    transitions,
    truth,
    up,
)
from lifecycle.intake.strict_json import tame

app = typer.Typer(
    name="lifecycle",
    help="A customer lifecycle engine: events in; states, timed checks and planned messages out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
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


RUN = "Run it, and get events in"
LOOK = "Look"
KEEP = "Keep it in order"
_HANDED_ON = {"ignore_unknown_options": True}

app.command("up", rich_help_panel=RUN)(up.up)
app.command("serve", rich_help_panel=RUN)(processes.serve)
app.command("work", rich_help_panel=RUN)(processes.work)
app.command("schedule", rich_help_panel=RUN)(processes.schedule)
app.command("import", rich_help_panel=RUN)(imports.import_file)
app.command("simulate", rich_help_panel=RUN)(simulation.simulate)
app.command("log", rich_help_panel=LOOK)(transitions.log)
app.command("explain", rich_help_panel=LOOK)(explain.explain)
app.add_typer(customer.app, name="customer", rich_help_panel=LOOK)
app.add_typer(outreach.app, name="outreach", rich_help_panel=LOOK)
app.command("backtest", rich_help_panel=LOOK)(backtest.backtest)
app.command("forecast", rich_help_panel=LOOK)(forecast.forecast)
app.add_typer(report.app, name="report", rich_help_panel=LOOK)
policy.app.add_typer(suggest.app, name="suggest")
app.add_typer(policy.app, name="policy", rich_help_panel=KEEP)
app.add_typer(template.app, name="template", rich_help_panel=KEEP)
app.add_typer(task.app, name="task", rich_help_panel=KEEP)
app.add_typer(dead.app, name="dead", rich_help_panel=KEEP)
app.add_typer(key.app, name="key", rich_help_panel=KEEP)
app.command("nights", rich_help_panel=KEEP)(nights.nights)
app.command("verify", rich_help_panel=KEEP)(truth.verify)
app.command("rebuild", rich_help_panel=KEEP)(truth.rebuild)
app.command("digest", rich_help_panel=KEEP)(truth.digest)
app.command("migrate", rich_help_panel=KEEP)(schema.migrate)
app.command("bench", rich_help_panel=KEEP, context_settings=_HANDED_ON)(bench.bench)


def commands() -> Any:
    """The tree of all commands, with helps that read well.

    Paragraphs flow, whatever the width of the source. A switch shows no type, which would look as if
    it took a value.
    """
    root = typer.main.get_command(app)
    _tidy(root)
    return root


def _tidy(command: Any, above: Any = None) -> None:
    context = command.context_class(command, parent=above, **command.context_settings)
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    for parameter in command.get_params(context):
        if getattr(parameter, "is_bool_flag", False):
            parameter.metavar = ""
    for below in getattr(command, "commands", {}).values():
        _tidy(below, context)


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
    except (output.OutputClosed, BrokenPipeError, SystemExit):  # the last by Typer's own help
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
