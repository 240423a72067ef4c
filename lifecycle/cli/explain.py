"""`lifecycle explain`: why is a customer where she is, was, or would be under another policy?"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from lifecycle.cli import exits, output
from lifecycle.cli.customer import Json, MaybeKey, Number, whom
from lifecycle.cli.opening import opened
from lifecycle.cli.options import parse_instant, pointing_at_flags, with_settings
from lifecycle.cli.sides import CURRENT, is_version
from lifecycle.intake.strict_json import tame
from lifecycle.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from lifecycle.bootstrap import Engine
    from lifecycle.engine.explain.asked import Hypothesis
    from lifecycle.engine.explain.explanation import Explanation


class LateEvents(StrEnum):
    EXCLUDED = "excluded"
    INCLUDED = "included"


@with_settings()
def explain(
    settings: Settings,
    customer: MaybeKey = None,
    *,
    number: Number = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help="As of a past moment, such as 2011-12-10T00:00:00Z: what was known and believed then.",
        ),
    ] = None,
    late_events: Annotated[
        LateEvents | None,
        typer.Option(
            "--late-events",
            help="With --at, whether what had happened by then and arrived later counts: excluded"
            " tells what was known then, included what is known today of that moment."
            " Left out: excluded.",
            show_default=False,
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="POLICY",
            help="What if this policy, a file, the number of a version or current, had been in force"
            " from the beginning of time? Nothing of it is recorded.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, help="Only so many of the newest entries of what happened."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Tell a customer's story in plain words: why she is where she is, and what happens next.

    Each event with what it changed, each message with what became of it, and the next timed check
    with its date and what would change it.

    With --at the same of a past moment, with --policy as it would be under another policy, with how
    that differs from what is recorded. Neither changes anything.
    """
    from lifecycle.bootstrap import Access
    from lifecycle.engine.explain.asked import Asked
    from lifecycle.engine.explain.gather import explain as tell

    if late_events is not None and at is None:
        raise typer.BadParameter(
            "late events are those that arrived after a moment: name it with --at",
            param_hint="--late-events",
        )
    instant = None if at is None else parse_instant(at, flag="--at")
    from_file = None if policy is None or is_version(policy) else _of_file(policy)
    with opened(settings, Access.READ) as engine:
        asked = Asked(
            at=instant,
            late_events=late_events is LateEvents.INCLUDED,
            policy=_of_version(engine, policy) if policy and is_version(policy) else from_file,
        )
        with pointing_at_flags():
            told = tell(engine.installation, whom(engine, customer, number), asked)
    if json:
        output.json_document(told.to_json(limit))
    else:
        _show(told, limit)


def _of_file(name: str) -> Hypothesis:
    """Read before the database is opened, so that a wrong file is told at once."""
    path = Path(name)
    if not path.is_file():
        raise exits.NoInput(
            f"there is no policy file {name!r}; a published version is its number, or {CURRENT}"
        )
    from lifecycle.engine.explain.asked import of_file

    return of_file(path)


def _of_version(engine: Engine, name: str) -> Hypothesis:
    from lifecycle.engine.explain.asked import of_version

    with engine.db.read() as tx:
        return of_version(tx, name, engine.installation.now(tx))


def _show(told: Explanation, limit: int | None) -> None:
    from lifecycle.engine.explain.story import TITLES

    console = output.out()
    for line in map(tame, told.lines(limit)):
        if console.is_terminal:
            console.print(_styled(line, console, TITLES), soft_wrap=True)
        else:
            console.print(line, soft_wrap=True)


_DATED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)? +")
_HANGING = 2  # columns, by which the rest of a long sentence stands further in
_NARROWEST = 20  # columns, that are left to a sentence on a terminal however narrow


def _styled(line: str, console: Console, titles: frozenset[str]) -> Text:
    """The words are the engine's; the rest of a long sentence stands under it, not under its date."""
    sentence = line.lstrip()
    first = Text(" " * (len(line) - len(sentence)))
    dated = _DATED.match(sentence)
    if dated:
        first.append(dated[0], "cyan")
        sentence = sentence[dated.end() :]
    indent = " " * (len(first) + (0 if dated else _HANGING))
    text = Text(sentence, "bold" if line in titles else "")
    wrapped = text.wrap(console, max(console.width - len(indent), _NARROWEST))
    rest = [Text.assemble(indent, each) for each in wrapped[1:]]
    return Text("\n").join([Text.assemble(first, *wrapped[:1]), *rest])
