"""`lifecycle log`: which transitions became known, and which of them were overturned."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from lifecycle.cli import output
from lifecycle.cli.opening import opened
from lifecycle.cli.options import pointing_at_flags, with_settings
from lifecycle.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifecycle.bootstrap import Engine
    from lifecycle.cli.lines import Palette
    from lifecycle.engine.reading import LogEntry, LogFilters

LOOK_EVERY = 0.25  # seconds: a follower looks; it costs one small query
PAGE = 500


@with_settings()
def log(
    settings: Settings,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    customer: Annotated[
        str | None, typer.Option(metavar="KEY", help="Only of this customer.")
    ] = None,
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help="Only into or out of this state.")
    ] = None,
    rule: Annotated[str | None, typer.Option(metavar="RULE", help="Only by this rule.")] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=0, max=10_000, help="How many lines of the past.")
    ] = 20,
    json: Annotated[
        bool, typer.Option("--json", help="One object a line with --follow, else one document.")
    ] = False,
) -> None:
    """The log of transitions, or with --follow what comes.

    Lines stand in the order in which they became known; times are UTC. A late event may overturn a
    transition: then a line says so. Nothing ever leaves the log.
    """
    from lifecycle.bootstrap import Access
    from lifecycle.cli.lines import Palette
    from lifecycle.engine import reading

    wanted = reading.LogFilters(customer=customer, state=state, rule=rule)
    with opened(settings, Access.READ) as engine:
        palette = Palette(engine.policy(), engine.versions)
        with pointing_at_flags():
            found, cursor = reading.latest(engine.installation, limit, wanted)
        if follow:
            _follow(engine, found, cursor, wanted, palette, json=json)
        elif json:
            output.json_document({"transitions": [_shape(entry) for entry in found]})
        elif found:
            palette.fit(found)
            _print_each(found, palette, json=False)
        else:
            output.err().print(Text("no transitions yet, or none that were asked for", "dim"))


def _follow(
    engine: Engine,
    found: Sequence[LogEntry],
    cursor: str,
    wanted: LogFilters,
    palette: Palette,
    *,
    json: bool,
) -> None:
    """What was found, then what comes, until Ctrl-C: so following ends, and it is no error."""
    from lifecycle.engine import reading

    with contextlib.suppress(KeyboardInterrupt):
        while True:
            _print_each(found, palette, json=json)
            if len(found) < PAGE:
                time.sleep(LOOK_EVERY)
            found, cursor = reading.transitions(engine.installation, cursor, PAGE, wanted)


def _print_each(found: Sequence[LogEntry], palette: Palette, *, json: bool) -> None:
    from lifecycle.cli.lines import print_line

    console = output.out()
    for entry in found:
        if json:
            output.json_line(_shape(entry))
        else:
            print_line(console, entry, palette)


def _shape(entry: LogEntry) -> dict[str, object]:
    """As `GET /v1/transitions` answers it: one name for one thing everywhere."""
    from lifecycle.web.shapes import log_line

    return log_line(entry).model_dump(mode="json", by_alias=True)
