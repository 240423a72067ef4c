"""`lifecycle migrate`: the database's schema, brought to what this program needs."""

from __future__ import annotations

from typing import Annotated

import typer

from lifecycle.cli import output
from lifecycle.cli.options import with_settings
from lifecycle.settings import Settings


@with_settings()
def migrate(
    settings: Settings,
    *,
    json: Annotated[bool, typer.Option("--json", help="As one JSON document.")] = False,
) -> None:
    """Bring the database's schema up to date.

    Twice changes nothing. An SQLite file is also brought up to date by whatever writes to it first.
    On PostgreSQL run this before a new release is started; processes of the release before may go on
    meanwhile.
    """
    from lifecycle.store import schema
    from lifecycle.store.database import Database

    db = Database.open(settings.database_url, exclusive=True)
    try:
        applied = schema.migrate(db)
    finally:
        db.close()
    if json:
        output.json_document({"database": db.shown, "applied": applied})
    elif applied:
        output.show(f"{db.shown}: applied {', '.join(applied)}")
    else:
        output.show(f"{db.shown}: up to date, nothing to do")
