"""`lifecycle up`: the whole installation in one process, API, workers and clockwork."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from lifecycle.cli import demo as demonstration
from lifecycle.cli import output
from lifecycle.cli.opening import not_in_force
from lifecycle.cli.options import BROKER, MAX_PENDING, NIGHTLY, OUTREACH, PORT, Host, with_settings
from lifecycle.logs.lines import Teller
from lifecycle.logs.stderr import log_to_stderr
from lifecycle.loopback import LOOPBACK
from lifecycle.settings import LogForm, Settings

if TYPE_CHECKING:
    from lifecycle.bootstrap import Engine
    from lifecycle.clock import ClockSpec

tell = Teller("lifecycle")

CURL = """\
curl {address}/v1/events -H 'content-type: application/json' -d '{{"events": [
  {{"id": "{id}", "customer_id": "you", "type": "order_paid",
   "properties": {{"amount": "99.50", "currency": "CNY", "order_id": "{id}"}}}}]}}'"""


@with_settings(PORT, MAX_PENDING, *OUTREACH, *NIGHTLY, *BROKER)
def up(
    settings: Settings,
    *,
    host: Host = LOOPBACK,
    demo: Annotated[
        bool,
        typer.Option(
            "--demo",
            help="Show simulated customers on a fast clock, in the database var/demo.db.",
        ),
    ] = False,
) -> None:
    """Run the whole installation in this process, until Ctrl-C.

    API, workers and clockwork. An SQLite file is made if it is not there, and is held: a second up, an
    import, a rebuild and a few others are refused meanwhile; whatever looks, and policy publish, may
    run beside. Where a broker is named, events that systems post to it are taken in. Stopped or
    killed, the next start loses nothing.
    """
    from lifecycle.bootstrap import is_any_key
    from lifecycle.web.server import listen, serve
    from workers.embedded import running

    def has_keys() -> bool:
        return is_any_key(demonstration.settings_for_demo(settings) if demo else settings)

    # As text, it says in its own words, on standard output, what other servers log.
    told = logging.INFO if settings.log is LogForm.JSON else logging.WARNING
    log_to_stderr(settings, told, serving=True)
    with contextlib.ExitStack() as stack:
        # First of all: whoever finds the port taken leaves no database behind.
        listening = stack.enter_context(listen(host, settings.port, is_any_key=has_keys))
        if demo:
            settings = demonstration.settings_for_demo(settings)
        engine = stack.enter_context(running(settings))
        beside = list(_demonstration(engine, settings)) if demo else []

        def started(address: str) -> None:
            output.show(_header(engine, settings, address, demo=demo))
            tell.info(
                "started",
                "answering on {address}, and doing all the work",
                address=address,
                version=version("lifecycle-engine"),
            )
            for each in beside:
                each.start()
                stack.callback(each.stop)

        serve(engine, listening, started=started)
    tell.info("stopped", "stopped")
    output.show(Text("Stopped. Everything that was accepted is kept.", "bold"))


class _Beside(Protocol):
    """Something that runs beside the server."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


def _demonstration(engine: Engine, settings: Settings) -> Iterator[_Beside]:
    from lifecycle.cli.live import LiveLog

    world = demonstration.Demo(engine, settings.clock or demonstration.CLOCK)
    with output.progress("making up a year of history") as bar:
        world.tell_history(bar)
    yield LiveLog(engine)
    yield world


def _header(engine: Engine, settings: Settings, address: str, *, demo: bool) -> Group:
    from lifecycle.engine import report

    customers = report.states(engine.installation).customers
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim")
    lines.add_column(overflow="fold")
    lines.add_row(
        "API", Text.assemble((address, "bold cyan"), (f"   reference: {address}/docs", "dim"))
    )
    lines.add_row("database", f"{_near(engine.db.shown)}   {output.count(customers, 'customer')}")
    lines.add_row("policy", _policy(engine, settings))
    if settings.clock:
        lines.add_row("clock", _clock(settings.clock, engine))
    if demo:
        lines.add_row("customers", Text.assemble(("SIMULATED", "bold yellow"), _SIMULATED))
    anew = f"; delete {demonstration.FOLDER}/ to begin anew" if demo else ""
    lines.add_row("stop", f"Ctrl-C; nothing is lost, and the next start goes on{anew}")
    title = "lifecycle, with simulated customers" if demo else "lifecycle"
    panel = Panel(lines, title=title, title_align="left", border_style="cyan", expand=False)
    return Group(panel, *_try(engine, address)) if demo else Group(panel)


_SIMULATED = ": made up by a generator, named sim-…; none of them is real"


def _policy(engine: Engine, settings: Settings) -> Text:
    version = engine.version()
    told = Text(f"version {version.number}, {version.hash[:12]}")
    differs = not_in_force(engine.db, settings)
    return told if differs is None else told.append(f"\n{differs}", "yellow")


def _clock(clock: ClockSpec, engine: Engine) -> str:
    now = output.moment(engine.now())
    if not clock.rate:
        return f"made up: it stands still at {now} UTC"
    seconds = 86_400 / clock.rate
    return f"made up: it is {now} UTC, and a day passes every {float(seconds):g} seconds"


def _try(engine: Engine, address: str) -> Iterator[Text]:
    """What to paste into another terminal: the event has no time, so it happens now."""
    here = f"--database {_near(engine.db.shown)}"
    yield Text("\nTry, in another terminal:\n", "bold")
    yield Text(CURL.format(address=address, id="order-1"))
    yield Text("")
    yield Text(f"{_command()} explain you {here}")
    yield Text(f"{_command()} report states {here}\n")


def _command() -> str:
    """How this program can be called from here."""
    if shutil.which("lifecycle"):
        return "lifecycle"
    return os.path.relpath(sys.argv[0]) if Path(sys.argv[0]).exists() else "lifecycle"


def _near(url: str) -> str:
    """A file below the working directory by the way to it from here."""
    path = Path(url.removeprefix("sqlite:///"))
    if url.startswith("sqlite:///") and path.is_relative_to(Path.cwd()):
        return f"sqlite:///{path.relative_to(Path.cwd())}"
    return url
