"""`lifecycle task …`: what employees are asked to do for customers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from lifecycle.cli import output
from lifecycle.cli.opening import opened
from lifecycle.cli.options import with_settings
from lifecycle.intake.strict_json import tame
from lifecycle.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    from rich.table import Table

    from lifecycle.engine.tasks import Listing, Task

app = typer.Typer(no_args_is_help=True, help="What employees are asked to do for customers.")

Key = Annotated[str, typer.Argument(metavar="KEY", help="As `task list` shows it.")]
Json = Annotated[bool, typer.Option("--json", help="As one JSON document.")]


@app.command("list")
@with_settings()
def list_tasks(
    settings: Settings,
    *,
    owner: Annotated[
        str | None, typer.Option("--owner", metavar="LOGIN", help="Only those of one employee.")
    ] = None,
    only_open: Annotated[
        bool, typer.Option("--open", help="Only those that are not done.")
    ] = False,
    only_overdue: Annotated[
        bool, typer.Option("--overdue", help="Only those that should have been done by now.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="How many.")
    ] = 100,
    json: Json = False,
) -> None:
    """What is not done, first what is due first; then what was done, the newest first."""
    from lifecycle.bootstrap import Access
    from lifecycle.engine import tasks

    if only_open and only_overdue:
        raise typer.BadParameter("give either --open or --overdue: what is overdue is open")
    which = tasks.Which.OVERDUE if only_overdue else tasks.Which.OPEN
    which = which if only_open or only_overdue else tasks.Which.ALL
    with opened(settings, Access.READ) as engine:
        found = tasks.list_tasks(engine.db, which, owner=owner, limit=limit)
    if json:
        output.json_document({"tasks": [_form(task, found.as_of) for task in found.tasks]})
    elif found.tasks:
        output.show(_listing(found))
    else:
        output.show(Text.assemble(("✓ ", "green"), "no tasks"))


@app.command("show")
@with_settings()
def show(settings: Settings, key: Key, *, json: Json = False) -> None:
    """One task, with all that it asks for."""
    from lifecycle.bootstrap import Access
    from lifecycle.engine import tasks

    with opened(settings, Access.READ) as engine:
        task, now = tasks.show(engine.db, key), engine.now()
    if json:
        output.json_document(_form(task, now))
        return
    table = output.table("", "", title=task.title)
    table.show_header = False
    table.columns[0].style = "dim"
    table.add_row("customer", task.customer)
    table.add_row("owner", task.owner or "")
    table.add_row("status", _status(task, now))
    table.add_row("rule", task.rule)
    for name in ("created_at", "due_at", "accepted_at", "done_at"):
        if at := getattr(task, name):
            table.add_row(name.removesuffix("_at"), f"{output.moment(at)} UTC")
    if task.note:
        table.add_row("note", task.note)
    for line in task.text.splitlines():
        table.add_row("", line)
    output.show(table)


@app.command("accept")
@with_settings()
def accept(settings: Settings, key: Key, *, json: Json = False) -> None:
    """Say that somebody is at it. Works beside whatever runs; twice changes nothing."""
    from lifecycle.bootstrap import beside
    from lifecycle.engine import tasks

    with beside(settings) as db:
        done = tasks.accept(db, key)
    if isinstance(done, tasks.AlreadyDone):
        _say_already(done.task, json=json)
    elif json:
        output.json_document({"done": "accept"})
    else:
        output.show(tame(f"Accepted: {done.task.title}"))


@app.command("done")
@with_settings()
def finish(
    settings: Settings,
    key: Key,
    *,
    note: Annotated[
        str | None, typer.Option("--note", metavar="TEXT", help="Kept with the task.")
    ] = None,
    json: Json = False,
) -> None:
    """Say that it is done, accepted or not. Works beside whatever runs; twice changes nothing."""
    from lifecycle.bootstrap import beside
    from lifecycle.engine import tasks

    with beside(settings) as db:
        done = tasks.finish(db, key, note=note)
    if isinstance(done, tasks.AlreadyDone):
        _say_already(done.task, json=json)
    elif json:
        output.json_document({"done": "done"})
    else:
        output.show(tame(f"Done: {done.task.title}"))


def _say_already(task: Task, *, json: bool) -> None:
    at = task.done_at or task.accepted_at
    if json:
        output.json_document({"done": None, "already": {"status": task.status, "at": at}})
    elif at is not None:
        output.show(f"Nothing was changed: it was {task.status} on {output.moment(at)} UTC.")


def _listing(found: Listing) -> Table:
    table = output.table("due (UTC)", "status", "owner", "customer", "task", "key")
    for column in table.columns[:2]:
        column.no_wrap = True
    for task in found.tasks:
        table.add_row(
            output.moment(task.due_at) if task.due_at else "",
            _status(task, found.as_of),
            task.owner or "",
            task.customer,
            task.title,
            Text(task.key, "dim"),
        )
    return table


def _status(task: Task, now: datetime) -> Text:
    if task.is_overdue(now):
        return Text(f"{task.status}, overdue", "red")
    return Text(task.status, "dim" if task.done_at else "")


def _form(task: Task, now: datetime) -> dict[str, Any]:
    return {
        "key": task.key,
        "customer": task.customer,
        "rule": task.rule,
        "owner": task.owner,
        "status": task.status,
        "overdue": task.is_overdue(now),
        "title": task.title,
        "text": task.text,
        "created_at": task.created_at,
        "due_at": task.due_at,
        "accepted_at": task.accepted_at,
        "done_at": task.done_at,
        "note": task.note,
    }
