"""`lifecycle key …`: who may use the HTTP interface, for what, and how much."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from lifecycle.cli import output
from lifecycle.cli.options import login, parse_instant, with_settings
from lifecycle.domain.scope import Scope
from lifecycle.settings import Settings

if TYPE_CHECKING:
    from rich.table import Table

    from lifecycle.engine.keys import KeyRow, NewKey

app = typer.Typer(
    no_args_is_help=True,
    help="Keys to the HTTP interface; from the first one on, nobody is answered without.",
)

By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Left out: your login.")]
Json = Annotated[bool, typer.Option("--json", help="As one JSON document.")]

_RATE = re.compile(r"(?P<events>[0-9]{1,9}(\.[0-9]{1,6})?)/s")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@app.command("create")
@with_settings()
def create(
    settings: Settings,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Of the system that will use it; events that name no source get it as theirs.",
        ),
    ],
    *,
    scope: Annotated[
        list[Scope] | None,
        typer.Option(
            "--scope",
            help="What it may do; give it once for each. Left out: events:write.",
            show_default=False,
        ),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            "--rate",
            metavar="N/s",
            help="Events a second, such as 100/s, in each process that answers HTTP; left out: not limited.",
        ),
    ] = None,
    burst: Annotated[
        int | None,
        typer.Option(
            "--burst",
            metavar="N",
            help="Events that may come at once before the rate counts; left out: ten seconds of it.",
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires",
            metavar="DURATION|DATE",
            help="From now, such as 90d; or when, as 2027-01-01 (UTC) or an instant; left out: never.",
        ),
    ] = None,
    by: By = None,
    json: Json = False,
) -> None:
    """Make a key. It is shown this once, alone on standard output, and only its hash is kept.

    Works beside whatever runs, and opens within a second. A second key of one name may take over from
    the first: give it to the system, then revoke the first by its id.
    """
    from lifecycle.bootstrap import beside
    from lifecycle.engine import keys

    events_per_second, until = _rate(rate), _until(expires)
    with beside(settings) as db:
        made = keys.create(
            db,
            name,
            scope or [Scope.EVENTS_WRITE],
            by=by or login(),
            events_per_second=events_per_second,
            burst=burst,
            expires_at=until,
        )
    if json:
        output.json_document({"key": made.text, **_form(made.row)})
        return
    output.show(Text(made.text))
    for line in _notes(made):
        output.err().print(line, soft_wrap=True)


@app.command("list")
@with_settings()
def list_keys(settings: Settings, *, json: Json = False) -> None:
    """Every key that was ever made, with what became of it."""
    from lifecycle.bootstrap import Access
    from lifecycle.cli.opening import opened
    from lifecycle.engine import keys

    with opened(settings, Access.READ) as engine:
        made = keys.list_keys(engine.db)
    if json:
        output.json_document({"keys": [_form(row) for row in made]})
    elif made:
        output.show(_listing(made))
    else:
        output.show(
            Text("no key was ever made: whoever is on this machine is answered without one")
        )


@app.command("revoke")
@with_settings()
def revoke(
    settings: Settings,
    key: Annotated[str, typer.Argument(metavar="NAME-or-id", help="As `key list` shows it.")],
    *,
    by: By = None,
    json: Json = False,
) -> None:
    """Let a key open nothing any more, a second from now at the latest. It cannot be taken back.

    Works beside whatever runs. Twice changes nothing.
    """
    from lifecycle.bootstrap import beside
    from lifecycle.engine import keys

    with beside(settings) as db:
        done = keys.revoke(db, key, by=by or login())
    already = isinstance(done, keys.AlreadyRevoked)
    if json:
        output.json_document({"done": None if already else "revoke", **_form(done.row)})
    elif already:
        output.show(
            f"Nothing was changed: {_named(done.row)} was revoked {_when_revoked(done.row)}."
        )
    else:
        output.show(f"{_named(done.row)} is revoked, and opens nothing a second from now.")


def _rate(text: str | None) -> float | None:
    if text is None:
        return None
    found = _RATE.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no rate; write 100/s, or 0.5/s", param_hint="--rate")
    return float(found["events"])


def _until(text: str | None) -> datetime | None:
    from lifecycle.policy.shapes import NotThis
    from lifecycle.policy.words import duration

    if text is None:
        return None
    if _DATE.fullmatch(text):
        return parse_instant(f"{text}T00:00:00Z", flag="--expires")
    if "T" in text:
        return parse_instant(text, flag="--expires")
    try:
        return datetime.now(UTC) + duration(text)
    except NotThis as error:
        raise typer.BadParameter(
            f"{error}; or write a date: 2027-01-01", param_hint="--expires"
        ) from error


def _notes(made: NewKey) -> list[str]:
    row = made.row
    notes = [
        f"{_named(row)} may do {', '.join(sorted(row.scopes))}. Keep it: it cannot be shown again."
    ]
    if made.namesakes:
        ids = ", ".join(key.id for key in made.namesakes)
        notes.append(
            f"There is another key called {row.name} ({ids}): events of both have that source."
        )
    return notes


def _named(row: KeyRow) -> str:
    return f"The key {row.name} ({row.id})"


def _when_revoked(row: KeyRow) -> str:
    return f"by {row.revoked_by} on {output.moment(row.revoked_at)} UTC" if row.revoked_at else ""


def _listing(made: list[KeyRow]) -> Table:
    now = datetime.now(UTC)
    table = output.table("name", "id", "may do", "rate", "made (UTC)", "last used (UTC)", "state")
    for row in made:
        table.add_row(
            row.name,
            row.id,
            ", ".join(sorted(row.scopes)),
            _limit(row),
            f"{output.moment(row.created_at)} by {row.created_by}",
            output.moment(row.last_used_at) if row.last_used_at else "never",
            _state(row, now),
        )
    return table


def _limit(row: KeyRow) -> str:
    if row.events_per_second is None:
        return "not limited"
    return f"{row.events_per_second:g}/s, {row.burst:,} at once"


def _state(row: KeyRow, now: datetime) -> Text:
    if row.revoked_at is not None:
        return Text(f"revoked {_when_revoked(row)}", "dim")
    if row.expires_at is None:
        return Text("valid", "green")
    told = f"{output.moment(row.expires_at)} UTC"
    return (
        Text(f"valid until {told}", "green")
        if now < row.expires_at
        else Text(f"expired {told}", "dim")
    )


def _form(row: KeyRow) -> dict[str, Any]:
    """All but the hash."""
    return {
        "id": row.id,
        "name": row.name,
        "scopes": sorted(row.scopes),
        "events_per_second": row.events_per_second,
        "burst": row.burst,
        "created_at": row.created_at,
        "created_by": row.created_by,
        "expires_at": row.expires_at,
        "revoked_at": row.revoked_at,
        "revoked_by": row.revoked_by,
        "last_used_at": row.last_used_at,
    }
