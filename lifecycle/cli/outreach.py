"""`lifecycle outreach …`: which messages there are, what is sent just now, and what a person asks for."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from lifecycle.cli import exits, output
from lifecycle.cli.opening import opened
from lifecycle.cli.options import login, with_settings
from lifecycle.domain.fate import Fate
from lifecycle.errors import UNCHANGED, NotFound, Problem, Unusable
from lifecycle.intake.strict_json import tame
from lifecycle.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from lifecycle.domain.policy import Policy
    from lifecycle.engine.sending.desk import Unready
    from lifecycle.engine.sending.overview import Message
    from lifecycle.engine.sending.request import Requested
    from lifecycle.store.mailroom import Listed
    from lifecycle.store.messages import MessageRow
    from lifecycle.store.pauses import Paused

app = typer.Typer(no_args_is_help=True, help="Messages: what is planned, sent, held and asked for.")

Json = Annotated[bool, typer.Option("--json", help="As one JSON document.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Left out: your login.")]
Scope = Annotated[
    str,
    typer.Argument(
        metavar="SCOPE",
        help="all, real (whatever reaches somebody outside), rule:NAME, channel:NAME or marketing:CHANNEL.",
    ),
]


@app.command("list")
@with_settings()
def list_messages(
    settings: Settings,
    *,
    fate: Annotated[Fate | None, typer.Option(help="Only those that fared so.")] = None,
    rule: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this rule.")] = None,
    customer: Annotated[
        str | None, typer.Option(metavar="KEY", help="Only to this customer.")
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=10_000, help="How many, the newest.")
    ] = 50,
    json: Json = False,
) -> None:
    """The messages of which something was decided last, what is paused, and which channels are not ready."""
    from lifecycle.bootstrap import Access
    from lifecycle.engine.sending import overview, pausing

    with opened(settings, Access.READ) as engine:
        listed = overview.newest(
            engine.installation, limit, fate=fate, rule=rule, customer=customer
        )
        paused = pausing.paused(engine.db)
        policy = engine.policy()
    unready = _unready(settings, policy)
    if json:
        output.json_document(
            {
                "messages": [_form(one) for one in listed],
                "paused": [_pause(one) for one in paused],
                "not_ready": None if isinstance(unready, Unusable) else unready,
            }
        )
        return
    for one in paused:
        output.show(_told(one))
    for line in _warnings(unready):
        output.show(Text.assemble(("! ", "yellow"), tame(line)))
    if listed:
        output.show(_listing(listed))
    else:
        output.show(Text("no message is planned yet", "dim"))


@app.command("show")
@with_settings()
def show(
    settings: Settings,
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="As `outreach list` calls it.")],
    *,
    html: Annotated[
        bool, typer.Option("--html", help="The e-mail itself, as the outbox has it.")
    ] = False,
    json: Json = False,
) -> None:
    """One message: why it went or did not, each time it was tried, and what the outbox shows of it."""
    from lifecycle.bootstrap import Access
    from lifecycle.engine.sending import overview

    with opened(settings, Access.READ) as engine:
        message = overview.message(engine.installation, number)
    if html:
        sys.stdout.write(f"{_html_of(message)}\n")
        return
    waits = _text_of(settings, message)
    if json:
        output.json_document({**_whole(message), "waits": waits})
        return
    table = output.table("", "", title=f"message {number}")
    table.show_header = False
    table.columns[0].style = "dim"
    for name, value in _rows(message):
        table.add_row(name, value)
    output.show(table)
    if waits:
        told = f"Its text is written when it leaves, from {waits['template']} as of now:"
        output.show(Text(tame(f"{told if waits['template'] else 'There is no text for it yet:'}")))
        output.out().print(Text(tame(f"  {waits['preview']}")), soft_wrap=True)
    if message.letter:
        for line in message.letter.content["text"].splitlines():
            output.out().print(Text(tame(line)), soft_wrap=True)  # a link stays in one piece


@app.command("pause")
@with_settings()
def pause(
    settings: Settings,
    scope: Scope,
    *,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Shown to whoever asks.")] = "",
    by: By = None,
    json: Json = False,
) -> None:
    """Send nothing more of this, from the next batch on. What is on its way goes on its way.

    Nothing is lost: it waits, until it is resumed or its time has passed.
    """
    from lifecycle.bootstrap import beside, installation_of
    from lifecycle.engine.sending import pausing

    with beside(settings) as db:
        done = pausing.pause(installation_of(db), scope, by=by or login(), why=why)
    _say(
        json=json,
        done="pause" if done else None,
        told=f"{scope} is paused{'' if done else ' already'}.",
    )


@app.command("resume")
@with_settings()
def resume(
    settings: Settings,
    scope: Scope,
    *,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Kept with it.")] = "",
    by: By = None,
    json: Json = False,
) -> None:
    """Send this again. What waited is judged anew: expired messages are not sent any more."""
    from lifecycle.bootstrap import beside, installation_of
    from lifecycle.engine.sending import pausing

    with beside(settings) as db:
        done = pausing.resume(installation_of(db), scope, by=by or login(), why=why)
    _say(
        json=json,
        done="resume" if done else None,
        told=f"{scope} {'is sent again' if done else 'was not paused'}.",
    )


@app.command("send")
@with_settings()
def send(
    settings: Settings,
    rule: Annotated[str, typer.Argument(metavar="RULE", help="A rule that is `on: request`.")],
    *,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", metavar="FILE", help="Customers' identifiers, one a line; - reads them."
        ),
    ] = None,
    customer: Annotated[
        list[str] | None,
        typer.Option("--customer", metavar="KEY", help="One customer; may be repeated."),
    ] = None,
    name: Annotated[
        str,
        typer.Option(
            "--name", metavar="NAME", help="Of this occasion: nobody gets it twice under one name."
        ),
    ],
    by: By = None,
    json: Json = False,
) -> None:
    """Ask for a message to customers whom you name. Consent, caps and quiet hours hold as for any other.

    Ends with 1 when some of them are nobody's: it names these, and asks for the others all the same.
    """
    from lifecycle.bootstrap import beside, installation_of
    from lifecycle.engine.sending import request

    keys = [*(customer or ()), *(_lines(to) if to else ())]
    if not keys:
        raise typer.BadParameter("name customers by --to FILE or --customer KEY")
    with beside(settings) as db:
        done = request.request(installation_of(db), rule, keys, name=name, by=by or login())
    if json:
        output.json_document(
            {
                "new": done.new,
                "before": done.before,
                "repeated": done.repeated,
                "unknown": done.unknown,
                "paused": [_pause(one) for one in done.paused],
            }
        )
    else:
        _tell_of_request(rule, done)
    if done.unknown:
        raise typer.Exit(exits.Code.REFUSED)


def _tell_of_request(rule: str, done: Requested) -> None:
    before = f"; {done.before:,} had been asked for before" if done.before else ""
    repeated = f"; {done.repeated:,} named more than once" if done.repeated else ""
    output.show(f"{output.count(done.new, 'message')} of {rule} asked for{before}{repeated}.")
    if done.unknown:
        shown = ", ".join(f"“{key}”" for key in done.unknown[:10])
        more = f" and {len(done.unknown) - 10:,} more" if len(done.unknown) > 10 else ""
        output.show(
            Text(tame(f"Nobody is known as {shown}{more}: nothing is asked for there."), "yellow")
        )
    for one in done.paused:
        output.show(_told(one))
    if done.new:
        output.show(
            Text(
                "Each leaves when its rule, consent, caps and quiet hours allow it: `lifecycle outreach"
                f" list --rule {rule}` shows when, or why not.",
                "dim",
            )
        )


@app.command("again")
@with_settings()
def again(
    settings: Settings,
    rule: Annotated[str, typer.Argument(metavar="RULE", help="Whose text was broken.")],
    *,
    json: Json = False,
) -> None:
    """Send messages after all whose text could not be written, once it is mended; none of them had left."""
    from lifecycle.bootstrap import beside, installation_of
    from lifecycle.engine.sending.again import send_again

    with beside(settings) as db:
        count = send_again(installation_of(db), rule)
    if json:
        output.json_document({"again": count})
    else:
        output.show(f"{output.count(count, 'message')} of {rule} wait again.")


@app.command("bounce")
@with_settings()
def bounce(settings: Settings, *, json: Json = False) -> None:
    """Read one mail from standard input that came back, as the pipe of a mail server hands it on.

    What it reports is an event of the customer's, and silences her address where it says so. A mail
    that reports nothing, such as an answer from somebody's holiday, changes nothing.
    """
    from lifecycle.bootstrap import beside, installation_of
    from lifecycle.engine import feedback
    from lifecycle.outreach import dsn
    from lifecycle.outreach.replies import Ignored, News
    from lifecycle.outreach.secret import secret_of

    read = dsn.read(sys.stdin.buffer.read())
    if isinstance(read, Ignored):
        told = f"Nothing was changed: {read.why}."
        _report(json=json, told=told, status="ignored", why=read.why)
        return
    with beside(settings) as db:
        taken = feedback.take(installation_of(db), secret_of(settings, make=False), read)
    match taken:
        case feedback.Recorded():
            bounced = read.news not in {News.DELIVERED, News.COMPLAINED}
            what = f"{read.news.value} bounce" if bounced else read.news.value
            told = f"{what.capitalize()}: {taken.rule} by {taken.channel} ({read.code})."
            _report(
                json=json,
                told=told,
                status="recorded",
                news=read.news.value,
                rule=taken.rule,
                channel=taken.channel,
                code=read.code,
            )
        case feedback.KnownAlready():
            told = "Nothing was changed: it was reported before."
            _report(json=json, told=told, status="duplicate", news=read.news.value, code=read.code)
        case feedback.Unmatched():
            told = "Nothing was changed: it names no letter of ours."
            _report(json=json, told=told, status="unmatched", news=read.news.value, code=read.code)


@app.command("unmatched")
@with_settings()
def unmatched_reports(
    settings: Settings,
    *,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=10_000, help="How many, the newest.")
    ] = 50,
    json: Json = False,
) -> None:
    """Bounces and complaints that named no letter of ours: they changed nothing, and are forgotten in time."""
    from lifecycle.bootstrap import beside
    from lifecycle.store import unmatched

    with beside(settings) as db, db.read() as tx:
        rows = unmatched.newest(tx, limit)
    if json:
        output.json_document({"unmatched": [row._asdict() for row in rows]})
        return
    if not rows:
        output.show(Text("no bounce or complaint is kept", "dim"))
        return
    table = output.table("received (UTC)", "news", "code", "channel", "it names")
    for row in rows:
        table.add_row(
            output.moment(row.received_at),
            tame(row.news),
            tame(row.code),
            tame(row.channel or ""),
            tame(", ".join(row.named)),
        )
    output.show(table)


@app.command("suppressed")
@with_settings()
def suppressed(
    settings: Settings,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="As customers have it.")],
    *,
    channel: Annotated[
        str, typer.Option("--channel", metavar="NAME", help="By which it would be written to.")
    ] = "email",
    lift: Annotated[
        str | None,
        typer.Option("--lift", metavar="SCOPE", help="Let it be written to again in this scope."),
    ] = None,
    json: Json = False,
) -> None:
    """Whether an address must not be written to, since when and why; only a person lifts that."""
    from lifecycle.bootstrap import beside
    from lifecycle.outreach.addresses import address_hashes
    from lifecycle.outreach.secret import secret_of
    from lifecycle.store import suppressions

    secret = secret_of(settings, make=False)
    if secret is None:
        raise Unusable(
            "addresses are known by a secret, and none is set: LIFECYCLE_SECRET names it"
        )
    hashes = address_hashes(secret, channel, address)
    with beside(settings) as db:
        lifted = lift is not None and db.run(lambda tx: suppressions.remove(tx, hashes, lift))
        with db.read() as tx:
            rows = suppressions.of(tx, hashes)
    if json:
        found = [
            {"scope": r.scope, "reason": r.reason, "since": r.since, "until": r.until} for r in rows
        ]
        output.json_document({"suppressed": found, "lifted": lift if lifted else None})
        return
    if lift is not None:
        output.show(f"{lift} is lifted." if lifted else f"It was not suppressed in {lift}.")
    for row in rows:
        until = f" until {output.moment(row.until)} UTC" if row.until else ""
        output.show(f"{row.scope} since {output.moment(row.since)} UTC{until}: {row.reason}")
    if not rows:
        output.show(Text.assemble(("✓ ", "green"), "it may be written to"))


def _lines(file: Path) -> Iterator[str]:
    for line in _read(file).splitlines():
        if line.strip():
            yield line.strip()


def _read(file: Path) -> str:
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise exits.NoInput(f"{file}: {error.strerror or error}; {UNCHANGED}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Problem("not_utf_8", f"{file}:{line}: this is not UTF-8 text; {UNCHANGED}") from error


def _report(*, json: bool, told: str, **reported: str) -> None:
    """As a document, in the words of `POST /v1/feedback/mail`, with what the mail said besides."""
    if json:
        output.json_document(reported)
    else:
        output.show(told)


def _say(*, json: bool, done: str | None, told: str) -> None:
    if json:
        output.json_document({"done": done})
    else:
        output.show(told)


def _unready(settings: Settings, policy: Policy) -> list[Unready] | Unusable:
    """Whoever looks may lack the secrets of whoever sends, and is shown the messages all the same."""
    from lifecycle.engine.sending.desk import unready_of

    try:
        return unready_of(settings, policy)
    except Unusable as refused:
        return refused


def _warnings(unready: list[Unready] | Unusable) -> Iterator[str]:
    if isinstance(unready, Unusable):
        yield "as this command is set up, no channel could be opened:"
        yield from str(unready).splitlines()
    else:
        yield from map(str, unready)


def _told(one: Paused) -> Text:
    why = f": {one.why}" if one.why else ""
    return Text.assemble(
        ("⏸ ", "yellow"),
        (one.scope, "bold"),
        tame(f" is paused since {output.moment(one.since)} UTC by {one.by}{why}"),
    )


_STYLES = {
    Fate.SENT: "green",
    Fate.FAILED: "red",
    Fate.UNKNOWN: "red",
    Fate.QUEUED: "cyan",
    Fate.DEFERRED: "yellow",
}


def _listing(listed: list[Listed]) -> Table:
    table = output.table("number", "since (UTC)", "message", "customer", "fate", right=["number"])
    for column in table.columns[:2]:
        column.no_wrap = True
    table.columns[2].min_width = max(len(row.message.rule) for _, row in listed)
    for customer, row in listed:
        table.add_row(str(row.row_id), output.moment(row.fate_at), _name(row), customer, _fate(row))
    return table


def _fate(row: MessageRow) -> Text:
    """`deferred: cap, from 2026-01-05 09:00:00`."""
    told = Text(row.fate.value, _STYLES.get(row.fate, "dim"))
    if row.reason:
        told.append(f": {tame(row.reason)}", "dim")
    if row.fate in {Fate.QUEUED, Fate.DEFERRED}:
        told.append(f", from {output.moment(row.not_before)}", "dim")
    return told


def _name(row: MessageRow) -> str:
    step = f" {row.message.number}" if row.message.number > 1 else ""
    by = f" by {row.channel}" if row.channel else ""
    return f"{row.message.rule}{step}{by}"


def _rows(message: Message) -> Iterator[tuple[str, str | Text]]:
    row = message.row
    yield "customer", message.customer
    yield "message", _name(row)
    yield "class", row.message.message_class.value
    yield "cause", row.message.cause
    yield "planned", f"{output.moment(row.message.planned_at)} UTC"
    if row.message.expires_at:
        yield "expires", f"{output.moment(row.message.expires_at)} UTC"
    yield "fate", _fate(row)
    yield "since", f"{output.moment(row.fate_at)} UTC"
    if row.variant:
        yield "variant", row.variant
    for tried in message.tried:
        ended = tried.outcome or "no answer yet"
        code = f" {tried.code}" if tried.code else ""
        detail = f": {tried.detail}" if tried.detail else ""
        yield (
            f"try {tried.number}",
            f"{tried.channel} {output.moment(tried.began_at)} UTC {ended}{code}{detail}",
        )
        yield (
            "",
            f"letter {tried.letter}, text {tried.content_hash[:12]} of template {tried.template_hash[:12]} ({tried.language})",
        )
    if message.letter:
        content = message.letter.content
        if content.get("address"):
            yield "to", content["address"]
        if content.get("subject"):
            yield "subject", content["subject"]


def _text_of(settings: Settings, message: Message) -> dict[str, str | None] | None:
    """Which text a message would have that waits, and how to see it. None: it does not wait."""
    from lifecycle.outreach.templates.catalogue import Catalogue

    row = message.row
    if row.fate not in {Fate.QUEUED, Fate.DEFERRED}:
        return None
    rule, number = row.message.rule, row.message.number
    channel = row.channel or row.message.channels[0]
    found = Catalogue(settings.templates_dir).find(
        rule, number, row.variant, channel, [message.language]
    )
    words = ["lifecycle", "template", "preview", rule, "--customer", message.customer]
    words += ["--channel", channel, "--step", str(number)]
    words += ["--variant", row.variant] if row.variant else []
    return {
        "template": found.path if found else None,
        "language": found.language if found else message.language,
        "preview": shlex.join(words),
    }


def _html_of(message: Message) -> str:
    """Raises NotFound where the outbox has no e-mail of it."""
    html: str | None = message.letter.content.get("html") if message.letter else None
    if html is None:
        raise NotFound(
            f"the outbox shows no e-mail of message {message.row.row_id}: only what goes by a channel"
            " of the kind outbox is kept there"
        )
    return html


def _form(listed: Listed) -> dict[str, Any]:
    from lifecycle.engine.explain.forms import message_form

    return {"customer": listed.customer, **message_form(listed.row)}


def _whole(message: Message) -> dict[str, Any]:
    from lifecycle.engine.explain.forms import message_form

    return {
        "customer": message.customer,
        **message_form(message.row),
        "tried": [tried._asdict() for tried in message.tried],
        "letter": message.letter.content if message.letter else None,
    }


def _pause(one: Paused) -> dict[str, Any]:
    return {"scope": one.scope, "by": one.by, "why": one.why, "since": one.since}
