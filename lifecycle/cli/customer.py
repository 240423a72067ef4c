"""`lifecycle customer …`: one customer, as she is, and what is done to her by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from lifecycle.cli import output
from lifecycle.cli.opening import opened
from lifecycle.cli.options import login, pointing_at_flags, with_settings
from lifecycle.domain.instant import instant_from
from lifecycle.domain.policy import FactKind
from lifecycle.intake.strict_json import tame
from lifecycle.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from lifecycle.bootstrap import Engine
    from lifecycle.domain.policy import Policy
    from lifecycle.engine.reading import Customer
    from lifecycle.store.consents import ConsentRow

app = typer.Typer(no_args_is_help=True, help="One customer.")

Key = Annotated[str, typer.Argument(metavar="CUSTOMER", help="Any identifier of hers.")]
MaybeKey = Annotated[str | None, typer.Argument(metavar="CUSTOMER", help="Any identifier of hers.")]
Number = Annotated[
    int | None,
    typer.Option("--number", metavar="N", help="Instead: the number by which the log calls her."),
]
Json = Annotated[bool, typer.Option("--json", help="As one JSON document.")]


@app.command("show")
@with_settings()
def show(
    settings: Settings, customer: MaybeKey = None, *, number: Number = None, json: Json = False
) -> None:
    """Her state, facts, attributes and consents as of now, and the next timed check."""
    from lifecycle.bootstrap import Access
    from lifecycle.engine import reading

    with opened(settings, Access.READ) as engine:
        policy = engine.policy()
        found = reading.customer(engine.installation, whom(engine, customer, number))
    if json:
        from lifecycle.web.shapes import customer_shape

        output.json_document(customer_shape(found).model_dump(mode="json", by_alias=True))
    else:
        output.show(_card(found, policy))


@app.command("consents")
@with_settings()
def consents(
    settings: Settings, customer: MaybeKey = None, *, number: Number = None, json: Json = False
) -> None:
    """Every consent that she gave or took back: when, for what, by whom it was told, with its evidence.

    From the log of events, where nothing is ever changed; the last line for a purpose and a channel is
    what holds.
    """
    from lifecycle.bootstrap import Access
    from lifecycle.engine import wishes

    with opened(settings, Access.READ) as engine:
        found = wishes.ledger(engine.installation, whom(engine, customer, number))
    if json:
        output.json_document({"consents": [_consent(row) for row in found]})
        return
    table = output.table("when", "", "purpose", "channel", "source", "event", "evidence", "")
    for row in found:
        table.add_row(
            output.moment(row.at),
            "given" if row.given else "withdrawn",
            row.purpose,
            row.channel,
            row.source,
            row.id,
            row.evidence or "none",
            f"counts for nothing: {row.dead}" if row.dead else "",
        )
    output.show(table)


@app.command("move")
@with_settings()
def move(
    settings: Settings,
    customer: Key,
    *,
    to: Annotated[str, typer.Option("--to", metavar="STATE", help="The state to move her to.")],
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Kept with the transition.")],
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Left out: your login.")
    ] = None,
    json: Json = False,
) -> None:
    """Move her by hand. Her timed checks get their full time again; her events go on as usual."""
    from lifecycle.bootstrap import Access, refuse_missing
    from lifecycle.cli.lines import Palette
    from lifecycle.engine import reading
    from lifecycle.engine.move import move as move_by_hand

    if not why.strip():
        raise typer.BadParameter("say why, for those who read it later", param_hint="--why")
    refuse_missing(settings)
    with opened(settings, Access.WRITE) as engine:
        with pointing_at_flags():
            move_by_hand(engine.installation, customer, to, by=by or login(), why=why)
        palette = Palette(engine.policy())
        found = reading.customer(engine.installation, customer)
    if json:
        from lifecycle.web.shapes import customer_shape

        output.json_document(customer_shape(found).model_dump(mode="json", by_alias=True))
    else:
        output.show(
            Text.assemble((tame(found.key), "bold"), " is now ", palette.state(found.state))
        )


def _consent(row: ConsentRow) -> dict[str, object]:
    return {
        "at": row.at,
        "received_at": row.received_at,
        "given": row.given,
        "purpose": row.purpose,
        "channel": row.channel,
        "source": row.source,
        "id": row.id,
        "evidence": row.evidence,
        "dead": row.dead,
    }


def whom(engine: Engine, customer: str | None, number: int | None) -> str:
    """Her key, however she was named."""
    from lifecycle.engine import reading

    if (customer is None) is (number is None):
        raise typer.BadParameter("name the customer either by an identifier, or by --number")
    if number is None:
        assert customer is not None
        return customer
    return reading.key_of(engine.installation, number)


def _card(found: Customer, policy: Policy) -> Table:
    table = output.table("", "", title=found.key)
    table.show_header = False
    table.columns[0].style = "dim"
    for section in (_standing(found, policy), _facts(found, policy), _profile(found)):
        for name, value in section:
            table.add_row(name, value)
        table.add_section()
    return table


def _standing(found: Customer, policy: Policy) -> Iterator[tuple[str, str | Text]]:
    from lifecycle.cli.lines import Palette

    if len(found.identifiers) > 1:
        yield "identifiers", ", ".join(found.identifiers)
    since = f"since {output.moment(found.entered_at)}" if found.entered_at else "from the start"
    yield "state", Text.assemble(Palette(policy).state(found.state), " ", since)
    if found.next:
        yield "next check", f"{found.next.name} at {output.moment(found.next.at)}"
    else:
        yield "next check", "none: nothing happens without a new event"
    yield "as of", f"{output.moment(found.as_of)} UTC, as all times here"


_INSTANTS = {FactKind.FIRST, FactKind.LAST}


def _facts(found: Customer, policy: Policy) -> Iterator[tuple[str, str]]:
    from lifecycle.engine.explain.words import span

    kinds = {fact.name: fact.kind for fact in policy.facts}
    for name, value in found.facts.items():
        if value is None:
            yield name, "—"
        elif kinds.get(name) is FactKind.GAP:
            yield name, span(timedelta(seconds=float(value)))
        elif kinds.get(name) in _INSTANTS:
            yield name, output.moment(instant_from(value))
        else:
            yield name, _said(value)


def _said(value: object) -> str:
    """As `explain` says it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _profile(found: Customer) -> Iterator[tuple[str, str]]:
    for name, value in found.attributes.items():
        yield name, _said(value)
    if found.tags:
        yield "tags", ", ".join(found.tags)
    for name, given in found.consents.items():
        yield name, "consent given" if given else "consent withdrawn"
