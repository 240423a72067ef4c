"""`python -m lifecycle.cli.reference docs/cli.md`: the reference of the command line, from the commands.

A test compares the file with what is made here, so it cannot go stale.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lifecycle.cli import commands, exits
from lifecycle.cli.options import BROKER, MAX_PENDING, METRICS, NIGHTLY, OUTREACH, PORT, SHARED
from lifecycle.settings import DEBUG_VARIABLE, FLAGS, SETTINGS_FILE, VARIABLES

HEAD = """\
# The command line

<!-- Made by `python -m lifecycle.cli.reference docs/cli.md`. Change the commands, not this file. -->

`lifecycle COMMAND --help` shows the same; `lifecycle --version` tells which version it is of.
Every listing has `--json`: one JSON document, or one object a line with `log --follow`.
Answers go to standard output; errors, warnings and progress go to standard error.
Progress is drawn only on a terminal.
Instants are written `2011-12-10T00:00:00Z` or with an offset; tables show UTC.
"""

SETTINGS_TEXT = f"""\
Every command that needs the database takes these flags; `--port` belongs to `up` and `serve`, `--max-pending` to both and to `work`, `--metrics-port` to `work` and `schedule`, \
`--broker` and `--broker-prefix` to `serve`, `work` and `schedule`.
A flag wins over its environment variable, which wins over `{SETTINGS_FILE}` in the config folder.
A variable that is set but empty counts as unset; a misspelt one is refused.
"""

# Those that open an SQLite file for themselves alone.
ALONE = (
    "up",
    "import",
    "simulate",
    "rebuild",
    "migrate",
    "customer move",
    "dead replay",
    "dead discard",
)

BESIDE = f"""\
An SQLite file is held by one process that takes events in and folds customers.
While `lifecycle up` runs, these are refused with the id of the process that holds the file, as `up` is \
while one of them runs: {", ".join(f"`{name}`" for name in ALONE)}.
All others work beside it.
Most of them only look, an `import --dry-run` and a `policy publish --dry-run` too.
The rest change something in short transactions, and what runs goes by it from then on: `policy publish`, \
`policy approve`, `policy discard` and `policy rollback`; `outreach pause`, `resume`, `send`, `again`, \
`bounce` and `suppressed`; `task accept` and `task done`; `key create` and `key revoke`.
On PostgreSQL all of them work side by side, and `serve`, `work` and `schedule`, which refuse an SQLite \
file, divide among many processes what `up` does in one: see [operations.md](operations.md).
"""


def reference() -> str:
    root = commands()
    return "\n".join(
        [
            HEAD,
            *_settings(),
            *_codes(),
            "## What may run beside what\n",
            BESIDE,
            "## Commands\n",
            *(
                part
                for path, command in each_command(root, "lifecycle")
                for part in _entry(path, command)
            ),
        ]
    )


def _settings() -> Iterator[str]:
    yield "## Settings\n"
    yield SETTINGS_TEXT
    yield "| flag | variable | meaning |\n| --- | --- | --- |"
    for parameter in (
        *SHARED,
        PORT,
        MAX_PENDING,
        *OUTREACH,
        *NIGHTLY,
        *METRICS,
        *BROKER,
    ):
        variable = VARIABLES[parameter.name]
        text = parameter.annotation.__metadata__[0].help.removesuffix(f" [{variable}]")
        yield f"| `{FLAGS[parameter.name]}` | `{variable}` | {_cell(text)} |"
    yield "| | `LIFECYCLE_SECRET` | The secret itself, instead of a file; never a flag. |"
    yield "| | `LIFECYCLE_SECRET_PREVIOUS` | The one before it, while links that it signed are to be good. |"
    yield f"| | `{DEBUG_VARIABLE}` | Any value: a defect shows its traceback. |\n"


def _codes() -> Iterator[str]:
    yield "## Exit codes\n"
    yield "| code | meaning |\n| --- | --- |"
    for code, meaning in exits.MEANING.items():
        yield f"| {code.value} | {_cell(meaning)} |"
    yield ""


_ARGUMENT_TYPE = re.compile(r"(?<=\S) <(path|str|list\[str\])>$")  # the name says it all


def each_command(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        here = f"{path} {name}"
        if hasattr(command, "commands"):
            yield from each_command(command, here)
        else:
            yield here, command


def _entry(path: str, command: Any) -> Iterator[str]:
    context = command.make_context(path, [], resilient_parsing=True)
    pieces = [
        piece.strip("{}") for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]"
    ]
    yield f"### `{' '.join([path, *pieces])}`\n"
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        yield " ".join(paragraph.split()) + "\n"
    records = [
        record
        for parameter in command.params
        if parameter.name not in {*VARIABLES, "help"}
        and (record := parameter.get_help_record(context)) is not None
    ]
    if records:
        yield "| | |\n| --- | --- |"
        for names, text in records:
            yield f"| `{_cell(_ARGUMENT_TYPE.sub('', names))}` | {_cell(text)} |"
        yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), "utf-8")
