"""`lifecycle nights`: what was done once a night, by whom, and how it ended."""

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

    from lifecycle.store.schedule import Run


@with_settings()
def nights(
    settings: Settings,
    *,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=10_000, help="How many, the newest.")
    ] = 20,
    json: Annotated[bool, typer.Option("--json", help="As one JSON document.")] = False,
) -> None:
    """What was done in the latest nights, such as the scoring, and what went wrong."""
    from lifecycle.bootstrap import Access
    from lifecycle.engine import night

    with opened(settings, Access.READ) as engine:
        runs = night.recent(engine.installation, limit)
        with engine.db.read() as tx:
            now = engine.db.clock(tx)
    if json:
        output.json_document({"nights": [_form(run, now) for run in runs]})
    elif runs:
        output.show(_listing(runs, now))
    else:
        output.show(
            Text("no night has begun yet while `lifecycle up` or `lifecycle schedule` ran", "dim")
        )


def _status(run: Run, now: datetime) -> str:
    if run.finished_at is not None:
        return "failed" if run.failed else "done"
    return "running" if run.lease_until > now and not run.failed else "waits"


def _listing(runs: list[Run], now: datetime) -> Table:
    table = output.table(
        "night", "job", "status", "ended (UTC)", "tries", "outcome", right=["tries"]
    )
    for column in table.columns[:5]:
        column.no_wrap = True
    style = {"failed": "red", "waits": "yellow", "running": "cyan", "done": "green"}
    for run in runs:
        status = _status(run, now)
        table.add_row(
            run.fire_key,
            run.job,
            Text(status, style[status]),
            output.moment(run.finished_at) if run.finished_at else "",
            str(run.tries),
            tame(run.outcome or ""),
        )
    return table


def _form(run: Run, now: datetime) -> dict[str, Any]:
    return {
        "night": run.fire_key,
        "job": run.job,
        "status": _status(run, now),
        "by": run.worker,
        "tries": run.tries,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "outcome": run.outcome,
    }
