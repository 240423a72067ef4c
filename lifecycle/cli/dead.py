"""`lifecycle dead …`: events that left the fold, and what a person does about them."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from lifecycle.cli import exits, output
from lifecycle.cli.opening import opened
from lifecycle.cli.options import login, with_settings
from lifecycle.intake.strict_json import tame
from lifecycle.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from lifecycle.store.dead import Action, DeadLetter
    from lifecycle.store.events import StoredEvent


class Which(StrEnum):
    """The store's `Status`, told here again so that the help need not wait for the store."""

    QUARANTINED = "quarantined"
    DISCARDED = "discarded"


app = typer.Typer(no_args_is_help=True, help="Events that left the fold, and why.")

Source = Annotated[str, typer.Argument(metavar="SOURCE", help="The system that posted it.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="Its id there.")]
MaybeSource = Annotated[
    str | None, typer.Argument(metavar="SOURCE", help="The system that posted it.")
]
MaybeId = Annotated[str | None, typer.Argument(metavar="ID", help="Its id there.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Left out: your login.")]
Why = Annotated[str | None, typer.Option("--why", metavar="TEXT", help="Kept with the event.")]
Json = Annotated[bool, typer.Option("--json", help="As one JSON document.")]


@app.command("list")
@with_settings()
def list_letters(
    settings: Settings,
    *,
    status: Annotated[Which | None, typer.Option(help="Only of this status.")] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=10_000, help="How many, the newest.")
    ] = 100,
    json: Json = False,
) -> None:
    """The newest dead letters: quarantined ones wait for a person."""
    from lifecycle.bootstrap import Access
    from lifecycle.engine import dead

    with opened(settings, Access.READ) as engine:
        letters = dead.list_dead(
            engine.installation, limit, dead.Status(status) if status else None
        )
    if json:
        output.json_document({"dead": [_letter_form(letter) for letter in letters]})
    elif letters:
        output.show(_listing(letters))
    else:
        output.show(Text.assemble(("✓ ", "green"), "no dead letters"))


@app.command("show")
@with_settings()
def show(
    settings: Settings,
    source: MaybeSource = None,
    id: MaybeId = None,
    *,
    number: Annotated[
        int | None,
        typer.Option(metavar="N", help="Instead of both: the number by which the log calls it."),
    ] = None,
    json: Json = False,
) -> None:
    """One event that is dead or was: what it says, why it left, and what was done about it."""
    from lifecycle.bootstrap import Access
    from lifecycle.engine import dead
    from lifecycle.engine.explain.forms import event_form

    if (number is None) is (source is None or id is None):
        raise typer.BadParameter("name the event either by SOURCE and ID, or by --number")
    with opened(settings, Access.READ) as engine:
        if source is None or id is None:
            assert number is not None
            source, id = dead.name_of(engine.installation, number)
        shown = dead.show(engine.installation, source, id)
    if json:
        output.json_document(
            {
                "event": event_form(shown.stored),
                "letter": _letter_form(shown.letter) if shown.letter else None,
                "actions": shown.actions,
            }
        )
        return
    table = output.table("", "", title=f"{source}/{id}")
    table.show_header = False
    table.columns[0].style = "dim"
    for name, value in (*_of_event(shown.stored), *_of_letter(shown.letter)):
        table.add_row(name, value)
    for action in shown.actions:
        table.add_row("done", _told(action))
    output.show(table)


@app.command("replay")
@with_settings()
def replay(
    settings: Settings,
    source: Source,
    id: Id,
    *,
    by: By = None,
    why: Why = None,
    json: Json = False,
) -> None:
    """Let the event count after all, in its own time: what it overturns is overturned.

    Ends with 1 when it fails again, and is dead again. Twice changes nothing.
    """
    from lifecycle.bootstrap import Access
    from lifecycle.engine import dead

    with opened(settings, Access.WRITE) as engine:
        done = dead.replay(engine.installation, source, id, by=by or login(), why=why)
    if isinstance(done, dead.AlreadyDone):
        _say_already(done.action, json=json)
        return
    again = done.applied.quarantined > 0
    if json:
        output.json_document({"done": "replay", "failed_again": again, "applied": done.applied})
    elif again:
        output.show(Text("It failed again, and is quarantined again: see `dead show`.", "bold red"))
    else:
        output.show(f"It counts now: {output.count(done.applied.steps, 'step')} made.")
    if again:
        raise typer.Exit(exits.Code.REFUSED)


@app.command("discard")
@with_settings()
def discard(
    settings: Settings,
    source: Source,
    id: Id,
    *,
    by: By = None,
    why: Why = None,
    json: Json = False,
) -> None:
    """Say that the event shall never count. It is kept, and may still be replayed."""
    from lifecycle.bootstrap import Access
    from lifecycle.engine import dead

    with opened(settings, Access.WRITE) as engine:
        done = dead.discard(engine.installation, source, id, by=by or login(), why=why)
    if isinstance(done, dead.AlreadyDone):
        _say_already(done.action, json=json)
    elif json:
        output.json_document({"done": "discard"})
    else:
        output.show("It will not count. `dead replay` takes that back.")


def _say_already(action: Action, *, json: bool) -> None:
    if json:
        output.json_document({"done": None, "already": action})
    else:
        output.show(tame(f"Nothing was changed: it was already {_told(action)}."))


def _told(action: Action) -> str:
    done = {"replay": "replayed", "discard": "discarded"}.get(action.action, action.action)
    why = f", because “{action.why}”" if action.why else ""
    return f"{done} by {action.by} on {output.moment(action.at)} UTC{why}"


def _listing(letters: list[DeadLetter]) -> Table:
    table = output.table("since (UTC)", "status", "event", "customer", "reason")
    for column in table.columns[:2]:
        column.no_wrap = True
    for letter in letters:
        event = letter.stored.event
        table.add_row(
            output.moment(letter.since),
            Text(letter.status, "red" if letter.status.value == Which.QUARANTINED else "dim"),
            Text.assemble(event.type, (tame(f" {event.source}/{event.id}"), "dim")),
            event.customer,
            Text.assemble((letter.reason, "bold"), tame(f": {letter.detail}")),
        )
    return table


def _of_event(stored: StoredEvent) -> Iterator[tuple[str, str]]:
    event = stored.event
    yield "customer", event.customer
    yield "type", event.type
    yield "occurred", f"{output.moment(event.occurred_at)} UTC"
    yield "received", f"{output.moment(event.received_at)} UTC"
    if stored.request_id is not None:
        yield "request", stored.request_id
    for name, value in event.properties.items():
        yield name, str(value)


def _of_letter(letter: DeadLetter | None) -> Iterator[tuple[str, str]]:
    if letter is None:
        yield "status", "counts, or is on its way"
        return
    if letter.discarded_at:
        yield "left", f"{output.moment(letter.at)} UTC"
    preposition = "on" if letter.discarded_at else "since"
    yield "status", f"{letter.status} {preposition} {output.moment(letter.since)} UTC"
    yield "reason", f"{letter.reason}: {letter.detail}"
    if letter.attempts:
        yield "attempts", f"{letter.attempts} alone"


def _letter_form(letter: DeadLetter) -> dict[str, Any]:
    from lifecycle.engine.explain.forms import event_form

    return {
        "event": event_form(letter.stored),
        "status": letter.status,
        "reason": letter.reason,
        "detail": letter.detail,
        "attempts": letter.attempts,
        "at": letter.at,
        "discarded_at": letter.discarded_at,
    }
