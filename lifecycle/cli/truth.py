"""Is what is recorded true? `verify` asks, `rebuild` computes it again, `digest` sums it up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from lifecycle.cli import exits, output
from lifecycle.cli.opening import opened
from lifecycle.cli.options import parse_instant, with_settings
from lifecycle.settings import Settings

if TYPE_CHECKING:
    from lifecycle.engine.verify import Violation

Json = Annotated[bool, typer.Option("--json", help="As one JSON document.")]


@with_settings()
def verify(settings: Settings, *, json: Json = False) -> None:
    """Check that all that is recorded follows from the events.

    Folds every customer and compares; changes nothing. Ends with 1 when a promise does not hold.
    May run beside everything else.
    """
    from lifecycle.bootstrap import Access
    from lifecycle.engine.verify import verify as find_violations

    checked = 0
    with opened(settings, Access.READ) as engine, output.progress("verifying customers") as bar:

        def more(customers: int) -> None:
            nonlocal checked
            checked += customers
            bar(checked, None)

        violations = find_violations(engine.installation, more)
    if json:
        output.json_document({"customers": checked, "violations": violations})
    else:
        _show(checked, violations)
    if violations:
        raise typer.Exit(exits.Code.REFUSED)


def _show(checked: int, violations: list[Violation]) -> None:
    if violations:
        table = output.table("customer", "code", "what does not hold")
        for violation in violations:
            table.add_row(violation.customer or "—", violation.code, violation.detail)
        output.show(table)
        output.show(
            Text(
                f"{output.count(len(violations), 'promise')} broken,"
                f" {output.count(checked, 'customer')} looked at."
                " `lifecycle rebuild` computes everything again from the events.",
                "bold red",
            )
        )
    else:
        output.show(
            Text.assemble(
                ("✓ ", "green"),
                f"{output.count(checked, 'customer')}: all that is recorded follows from events.",
            )
        )


@with_settings()
def rebuild(settings: Settings, *, json: Json = False) -> None:
    """Compute all states, steps and planned messages again.

    In a sound installation nothing changes. Revoked steps and the fates of messages are kept. May
    be interrupted and run again at any time.
    """
    from lifecycle.bootstrap import Access
    from lifecycle.engine.rebuild import rebuild as compute_again

    done = 0
    with opened(settings, Access.WRITE) as engine, output.progress("folding customers") as bar:

        def more(customers: int) -> None:
            nonlocal done
            done += customers
            bar(done, None)

        try:
            applied = compute_again(engine.installation, more)
        except KeyboardInterrupt as error:
            raise exits.Interrupted(
                f"interrupted after {output.count(done, 'customer')}; the others are as they were,"
                " or wait to be folded.\nRun the same command again to do all of them."
            ) from error
    if json:
        output.json_document(applied)
    else:
        output.show(
            f"{output.count(done, 'customer')} folded again;"
            f" {output.count(applied.steps, 'step')} and"
            f" {output.count(applied.messages, 'message')} had to be corrected."
        )


@with_settings()
def digest(
    settings: Settings,
    *,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help="The instant, such as 2011-12-10T00:00:00Z; left out: that of the last event.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """One number for all that is derived from events.

    Equal numbers mean equal truths: on any database, by whatever way the events came in.
    """
    from lifecycle.bootstrap import Access
    from lifecycle.engine.digest import digest as sum_up

    instant = None if at is None else parse_instant(at, flag="--at")
    with opened(settings, Access.READ) as engine:
        summed = sum_up(engine.installation, instant)
    if json:
        output.json_document(summed)
    else:
        output.show(
            f"{summed.hex}  {output.instant(summed.at)}  "
            f"{output.count(summed.customers, 'customer')}"
        )
