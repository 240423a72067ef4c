"""`lifecycle simulate`: made-up customers with plausible histories, the same for one seed."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from lifecycle.cli import exits, output
from lifecycle.cli.opening import opened, warn_of_policy
from lifecycle.cli.options import parse_instant, with_settings
from lifecycle.domain.fate import Fate
from lifecycle.errors import Unusable
from lifecycle.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from lifecycle.bootstrap import Engine
    from lifecycle.cli.output import Ticker
    from lifecycle.domain.event import Event
    from lifecycle.engine.work import Applied
    from lifecycle.intake.draft import Draft


@with_settings()
def simulate(
    settings: Settings,
    *,
    customers: Annotated[
        int, typer.Option(metavar="N", min=1, max=10_000_000, help="How many.")
    ] = 1000,
    days: Annotated[
        int, typer.Option(metavar="N", min=1, max=36_500, help="How long a history.")
    ] = 365,
    start: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="The first instant; left out: so many days ago."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Another seed, other customers.")] = 1,
    beside_real_data: Annotated[
        bool,
        typer.Option("--beside-real-data", help="Although others have posted to this database."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="As one JSON document.")] = False,
) -> None:
    """Fill a database with SIMULATED customers.

    Leads, enquiries, orders with rhythms of their own, quiet times, returns. Nothing of it is real:
    their events have the source `simulation`, their names begin with sim-. The same seed, start and
    numbers give the same events, so running it again adds nothing.
    """
    from lifecycle.bootstrap import Access
    from lifecycle.engine.imports import run_import
    from lifecycle.intake.simulate import bulk, draft

    first = None if start is None else parse_instant(start, flag="--start")
    with (
        opened(settings, Access.WRITE) as engine,
        output.progress("making up histories") as bar,
    ):
        _refuse_real(engine, allowed=beside_real_data)
        warn_of_policy(engine.db, settings)
        now = engine.now()
        begins = first or _midnight(now) - timedelta(days=days)
        if begins + timedelta(days=days) > now:
            raise typer.BadParameter(
                f"{output.instant(begins)} and {days} days end after now, {output.instant(now)}",
                param_hint="--start",
            )
        policy = engine.policy()

        def read() -> Iterator[Draft]:
            made = bulk(seed=seed, customers=customers, start=begins, days=days, policy=policy)
            for event in _counted(made, bar):
                yield draft(event, now)

        try:
            report = run_import(
                engine.installation,
                "simulated",
                f"simulated {seed} {customers} {begins} {days}",
                read,
                on_applied=lambda applied, of: bar.now("folding customers", applied.customers, of),
            )
        except KeyboardInterrupt as error:
            raise exits.Interrupted(
                "interrupted: the simulation has not ended, and nothing of it counts yet.\n"
                "Run the same command again: it goes on, and adds nothing twice."
            ) from error
    if json:
        output.json_document({"simulated": True, "start": begins, "seed": seed, "report": report})
        return
    output.show(
        Text.assemble(
            ("SIMULATED: ", "bold yellow"),
            f"{output.count(report.accepted, 'event')} of"
            f" {output.count(customers, 'customer')} stored"
            f" ({report.duplicates:,} were there already);"
            f" {output.count(report.applied.steps, 'step')} followed.",
            _messages(report.applied),
        )
    )


def _messages(applied: Applied) -> str:
    if not applied.messages:
        return ""
    withheld = applied.fates[Fate.WITHHELD]
    return (
        f" {output.count(applied.messages, 'message')} planned, {withheld:,} of them withheld:"
        " nobody is written to about the past."
    )


def _refuse_real(engine: Engine, *, allowed: bool) -> None:
    """What is in the event log stays there: made-up customers are not put among real ones."""
    from lifecycle.intake.simulate import SOURCE
    from lifecycle.store import reading

    with engine.db.read() as tx:
        if not allowed and reading.has_events_beside(tx, SOURCE):
            raise Unusable(
                f"{engine.db.shown} holds events of others, and made-up ones could not be taken out"
                " again; name another database, or say --beside-real-data; nothing was changed"
            )


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def _counted(events: Iterator[Event], bar: Ticker) -> Iterator[Event]:
    for done, event in zip(count(1), events, strict=False):
        if done % 1000 == 0:
            bar(done)
        yield event
