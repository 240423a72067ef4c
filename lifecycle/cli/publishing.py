"""`lifecycle policy publish|approve|discard|history|show|rollback`: how does a policy come into force?"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from lifecycle.cli import exits, output, trying
from lifecycle.cli.findings import print_findings, print_findings_of
from lifecycle.cli.opening import published_in
from lifecycle.cli.options import (
    TEMPLATES_DIR,
    login,
    parse_instant,
    pointing_at_flags,
    with_settings,
)
from lifecycle.errors import Finding, PolicyRefused
from lifecycle.settings import Settings

if TYPE_CHECKING:
    from lifecycle.domain.policy import Policy, PolicyVersion
    from lifecycle.engine.installation import Installation
    from lifecycle.engine.publishing.history import Entry
    from lifecycle.engine.publishing.measured import Changes, Measure, Measured
    from lifecycle.engine.publishing.publish import InForce, Proposal, Published, Waits, Weighed
    from lifecycle.policy import Loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a publication is weighed with."""

    changes: Callable[[], Changes]
    measure: Callable[[Settings, Installation, bool], Measure]  # whether everybody is reached


class Effects(StrEnum):
    ON = "on"
    OFF = "off"


def _words() -> Changes:
    from lifecycle.policy.diff import changes

    return lambda before, after: [change.words for change in changes(before, after)]


def _measure(settings: Settings, inst: Installation, everybody: bool) -> Measure:
    from lifecycle.engine.backtest import asking
    from lifecycle.engine.publishing import measuring

    by = asking.ways(settings.config_dir, os.environ, everybody=everybody)

    def measure(before: Sequence[PolicyVersion], after: Policy) -> Measured:
        url = settings.database_url
        try:
            with output.progress("trying both policies on customers") as bar:
                return measuring.measure(inst.db, url, by, before, after, on_customers=bar)
        except KeyboardInterrupt as error:
            raise exits.Interrupted("interrupted: nothing was changed") from error

    return measure


TOOLS = Tools(changes=_words, measure=_measure)


Json = Annotated[bool, typer.Option("--json", help="As one JSON document.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Left out: your login.")]
Who = Annotated[str, typer.Option("--by", metavar="NAME", help="Who decides.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, for the record.")]
Effective = Annotated[
    str | None,
    typer.Option(
        metavar="WHEN",
        help="From when on it judges, such as 2026-12-01T00:00:00Z; left out: from now on.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Measure and compare, and leave everything as it is.")
]
Draft = Annotated[
    int, typer.Argument(metavar="N", help="The draft, as `policy history` numbers it.")
]


def register(app: typer.Typer, tools: Tools = TOOLS) -> None:
    """Give the noun its commands; `tools` measure what a policy would do."""

    @app.command()
    @with_settings(TEMPLATES_DIR)
    def publish(
        settings: Settings,
        file: Annotated[
            Path | None,
            typer.Argument(
                metavar="FILE",
                help="The policy; left out: policy.yaml in the config folder.",
                show_default=False,
            ),
        ] = None,
        *,
        effective: Effective = None,
        by: By = None,
        why: Annotated[
            str | None, typer.Option("--why", metavar="TEXT", help="The reason, for the record.")
        ] = None,
        restate: Annotated[
            bool,
            typer.Option(
                "--restate", help="Judge all of the past anew, in place of every version before."
            ),
        ] = False,
        effects: Annotated[
            Effects,
            typer.Option(
                help="With --restate: whether messages that it alone plans for the past are sent."
            ),
        ] = Effects.OFF,
        everybody: trying.Everybody = False,
        dry_run: DryRun = False,
        json: Json = False,
    ) -> None:
        """Put a policy in force, after comparing what it would do with what the one in force does.

        It is checked, compared and measured on the recorded history. Within the thresholds of
        publishing.yaml it is published; beyond them it waits as a draft, and the command ends with 1.
        A rule for whose channels no template is written is warned of.
        """
        from lifecycle.engine.publishing.publish import Proposal

        _refuse_blank(by, why)
        loaded = _checked(settings, file, as_json=json)
        proposal = Proposal(
            policy=loaded.policy,
            by=by or login(),
            why=why,
            wanted_at=_instant(effective),
            restates=restate,
            effects=effects is Effects.ON,
        )
        with published_in(settings, reads=dry_run) as inst:
            _propose(
                settings,
                inst,
                tools,
                lambda: proposal,
                findings=loaded.findings,
                everybody=everybody,
                dry_run=dry_run,
                json=json,
            )

    @app.command()
    @with_settings(TEMPLATES_DIR)
    def rollback(
        settings: Settings,
        number: Annotated[
            int, typer.Argument(metavar="N", help="The version whose content is to come back.")
        ],
        *,
        by: Who,
        why: Why,
        effective: Effective = None,
        everybody: trying.Everybody = False,
        dry_run: DryRun = False,
        json: Json = False,
    ) -> None:
        """Publish what an earlier version said as a new version, by the same way."""
        from lifecycle.engine.publishing.publish import roll_back

        _refuse_blank(by, why)
        wanted = _instant(effective)
        with published_in(settings, reads=dry_run) as inst:
            _propose(
                settings,
                inst,
                tools,
                lambda: roll_back(inst, number, by=by, why=why, wanted_at=wanted),
                everybody=everybody,
                dry_run=dry_run,
                json=json,
            )

    app.command()(approve)
    app.command()(discard)
    app.command()(history)
    app.command()(show)


@with_settings()
def approve(settings: Settings, number: Draft, *, by: Who, why: Why, json: Json = False) -> None:
    """Publish a draft that goes beyond the thresholds; publishing.yaml says who may."""
    from lifecycle.engine.publishing.publish import approve as approve_draft
    from lifecycle.engine.publishing.rules import read_rules

    rules = read_rules(settings.config_dir)
    _refuse_blank(by, why)
    with published_in(settings) as inst:
        _tell_published(approve_draft(inst, number, rules, by=by, why=why), json=json)


@with_settings()
def discard(settings: Settings, number: Draft, *, by: Who, why: Why, json: Json = False) -> None:
    """Put a draft aside for good; its record stays."""
    from lifecycle.engine.publishing.publish import discard as discard_draft

    _refuse_blank(by, why)
    with published_in(settings) as inst:
        done = discard_draft(inst, number, by=by, why=why)
    if json:
        output.json_document({"outcome": "discarded", "number": done.number, "by": by, "why": why})
        return
    output.show(f"draft {done.number} is discarded; the policy in force is as it was.")


@with_settings()
def history(settings: Settings, *, json: Json = False) -> None:
    """Every version and draft: who, when, why, what it changed, and how far the customers are."""
    from lifecycle.engine.policies import NONE_YET
    from lifecycle.engine.publishing.history import history as every_one

    with published_in(settings, reads=True) as inst:
        entries = every_one(inst)
    if json:
        output.json_document({"policies": [_form(entry) for entry in entries]})
        return
    if not entries:
        output.show(NONE_YET)
    for entry in entries:
        _tell_entry(entry)


@with_settings()
def show(
    settings: Settings,
    number: Annotated[int, typer.Argument(metavar="N", help="Of a version or a draft.")],
) -> None:
    """Print the policy of a version or draft, as a file that loads to the same hash."""
    from lifecycle.engine.publishing.history import policy_of
    from lifecycle.policy.written import to_yaml

    with published_in(settings, reads=True) as inst:
        policy = policy_of(inst, number)
    typer.echo(to_yaml(policy), nl=False)


# -- putting forward ---------------------------------------------------------------------------


def _propose(
    settings: Settings,
    inst: Installation,
    tools: Tools,
    proposing: Callable[[], Proposal],
    *,
    findings: Sequence[Finding] = (),
    everybody: bool,
    dry_run: bool,
    json: bool,
) -> None:
    from lifecycle.engine.publishing.publish import InForce, Published, weigh
    from lifecycle.engine.publishing.publish import publish as put_forward
    from lifecycle.engine.publishing.rules import read_rules

    rules, proposal = read_rules(settings.config_dir), proposing()
    measure = tools.measure(settings, inst, everybody)
    with pointing_at_flags():
        weighed = weigh(inst, proposal, rules, tools.changes(), measure)
    if isinstance(weighed, InForce):
        _tell_in_force(weighed, json=json)
        return
    findings = [*findings, *_unwritten(settings, proposal.policy, as_json=json)]
    if dry_run:
        _tell_weighed(weighed, proposal, findings, json=json)
        if weighed.exceeded:
            raise typer.Exit(exits.Code.REFUSED)
        return
    if not json:
        _tell_figures(weighed.changes, weighed.measured)
    with pointing_at_flags():
        outcome = put_forward(inst, proposal, weighed)
    if isinstance(outcome, Published):
        _tell_published(outcome, findings, json=json)
        return
    _tell_waits(outcome, findings, json=json)
    raise typer.Exit(exits.Code.REFUSED)


def _checked(settings: Settings, file: Path | None, *, as_json: bool) -> Loaded:
    """Every problem of the file is told as `policy check` tells it, warnings too."""
    from lifecycle.bootstrap import POLICY_FILE
    from lifecycle.policy import load

    path = file if file is not None else settings.config_dir / POLICY_FILE
    if not path.is_file():
        raise exits.NoInput(f"there is no policy file {str(path)!r}")
    try:
        loaded = load(path)
    except PolicyRefused as refused:
        if as_json:
            output.json_document({"outcome": "refused", "findings": refused.findings})
        else:
            print_findings_of(path, refused.findings)
            output.out().print(
                Text(f"{path}: refused; nothing was changed", "bold red"), soft_wrap=True
            )
        raise typer.Exit(exits.Code.REFUSED) from refused
    if not as_json:
        print_findings_of(path, loaded.findings)
    return loaded


def _unwritten(settings: Settings, policy: Policy, *, as_json: bool) -> tuple[Finding, ...]:
    """What `template check` would refuse under this policy, as messages without a text never leave."""
    from lifecycle.outreach.templates.catalogue import Catalogue
    from lifecycle.outreach.templates.check import unwritten

    found = unwritten(Catalogue(settings.templates_dir), policy)
    if not as_json:
        print_findings(found)
    return found


def _instant(text: str | None) -> datetime | None:
    return None if text is None else parse_instant(text, flag="--effective")


def _refuse_blank(by: str | None, why: str | None) -> None:
    """What is left out is not blank."""
    for flag, text, blank in (
        ("--by", by, "the name is empty; say who decides"),
        ("--why", why, "the reason is empty; say why"),
    ):
        if text is not None and not text.strip():
            raise typer.BadParameter(
                f"{blank}, as whoever looks into the history will ask", param_hint=flag
            )


# -- what is told ------------------------------------------------------------------------------


def _tell_in_force(found: InForce, *, json: bool) -> None:
    version = found.version
    if json:
        output.json_document(
            {"outcome": "in_force", "number": version.number, "hash": version.hash}
        )
        return
    output.show(
        f"version {version.number} (hash {version.hash[:12]}) says the same already:"
        " there is nothing to publish."
    )


def _tell_weighed(
    weighed: Weighed, proposal: Proposal, findings: Sequence[Finding], *, json: bool
) -> None:
    if json:
        output.json_document(
            {
                "outcome": "would_wait" if weighed.exceeded else "would_be_published",
                "beside": weighed.base.number,
                "effective_at": proposal.wanted_at,
                "restates": proposal.restates,
                "changes": weighed.changes,
                "measured": weighed.measured,
                "exceeded": [str(one) for one in weighed.exceeded],
                "findings": findings,
            }
        )
        return
    _tell_figures(weighed.changes, weighed.measured)
    for one in weighed.exceeded:
        output.show(Text(f"! {one}", "yellow"))
    verdict = "would wait for approval" if weighed.exceeded else "would be published"
    output.show(Text(f"it {verdict}; nothing was changed", "bold"))


def _tell_figures(changes: tuple[str, ...], measured: Measured) -> None:
    output.show(Text("what changes", "bold"))
    for line in changes:
        output.show(f"  {line}")
    table = output.table("", "before", "after", right=("before", "after"))
    for name, before, after in _figures(measured):
        table.add_row(name, before, after)
    output.show(table)
    if measured.customers and measured.unreached == measured.customers:
        why = trying.unreached(measured.waiting, measured.unreachable)
        output.show(
            Text(" ".join(filter(None, ("No customer would get a letter.", why))), "yellow")
        )


def _figures(m: Measured) -> list[tuple[str, str, str]]:
    return [
        ("messages that would be sent", f"{m.messages_before:,}", f"{m.messages_after:,}"),
        ("customers who meet a cap", f"{m.capped_before:,}", f"{m.capped_after:,}"),
        (
            "most messages to one customer in 7 days",
            f"{m.most_in_a_week_before:,}",
            f"{m.most_in_a_week_after:,}",
        ),
        ("messages on the busiest day", f"{m.peak_day_before:,}", f"{m.peak_day_after:,}"),
        ("customers with other steps, over all of it", "", f"{m.moved:,} of {m.customers:,}"),
        ("events that cannot be folded", f"{m.unfolded_before:,}", f"{m.unfolded_after:,}"),
    ]


def _tell_published(done: Published, findings: Sequence[Finding] = (), *, json: bool) -> None:
    version, record = done.version, done.publication
    if json:
        output.json_document(
            {
                "outcome": "published",
                "number": version.number,
                "hash": version.hash,
                "effective_at": None if record.restates else version.effective_at,
                "restates": record.restates,
                "late": done.late,
                "changes": record.changes,
                "measured": record.measured,
                "findings": findings,
            }
        )
        return
    if record.restates:
        since = "judges all of the past and what comes"
    else:
        since = f"judges from {output.moment(version.effective_at)} UTC on"
    output.show(
        Text.assemble(
            ("✓ ", "green"),
            f"version {version.number} (hash {version.hash[:12]}) is published, and {since}.",
        )
    )
    if done.late and record.wanted_at is not None:
        wanted = output.moment(record.wanted_at)
        output.show(f"It was wanted from {wanted} UTC on, which had passed when it was approved.")
    output.show(
        "The customers are folded on to it in the background, by `lifecycle up` or by workers;"
        " `lifecycle policy history` says how far they are."
    )


def _tell_waits(waits: Waits, findings: Sequence[Finding], *, json: bool) -> None:
    draft = waits.draft
    if json:
        output.json_document(
            {
                "outcome": "waiting",
                "number": draft.number,
                "hash": draft.hash,
                "changes": draft.changes,
                "measured": draft.measured,
                "exceeded": draft.exceeded,
                "findings": findings,
            }
        )
        return
    if waits.already:
        told = f"draft {draft.number} says the same and waits already, put forward by {draft.by}"
    else:
        told = f"draft {draft.number} waits: it goes beyond what may be published without approval"
    output.show(Text(told, "bold yellow"))
    for line in draft.exceeded:
        output.show(Text(f"! {line}", "yellow"))
    output.show(
        f"The policy in force is as it was. Go on with\n"
        f"  lifecycle policy approve {draft.number} --by NAME --why TEXT\n"
        f"  lifecycle policy discard {draft.number} --by NAME --why TEXT"
    )


def _tell_entry(entry: Entry) -> None:
    what = "draft" if entry.published_at is None else "version"
    head = f"{what} {entry.number}  {entry.hash[:12]}  {entry.standing.value}"
    output.show(Text(f"{head}, {_since(entry)}" if _since(entry) else head, "bold"))
    table = output.table("", "")
    table.show_header = False
    table.columns[0].style = "dim"
    for name, value in _rows(entry):
        table.add_row(name, value)
    output.show(table)


def _since(entry: Entry) -> str:
    from lifecycle.domain.instant import BEGINNING

    if entry.effective_at is None:
        return ""
    if entry.effective_at == BEGINNING:
        return "restates all of the past" if entry.restates else "from the beginning"
    return f"from {output.moment(entry.effective_at)} UTC"


def _rows(entry: Entry) -> list[tuple[str, str]]:
    rows = [("by", entry.by if entry.why is None else f"{entry.by}: {entry.why}")]
    if entry.published_at is not None:
        rows.append(("published", f"{output.moment(entry.published_at)} UTC"))
    if entry.content_of is not None:
        rows.append(("content of", f"version {entry.content_of}"))
    if entry.restates:
        rows.append(("past messages", "sent" if entry.effects else "withheld"))
    rows += [("changes", line) for line in entry.changes]
    if entry.measured is not None:
        rows += [
            (name, f"{before} → {after}" if before else after)
            for name, before, after in _figures(entry.measured)
        ]
    rows += [("exceeded", line) for line in entry.exceeded]
    if entry.approval is not None:
        decided = "discarded" if entry.standing.value == "discarded" else "approved"
        rows.append((decided, f"{entry.approval.by}: {entry.approval.why}"))
    if entry.recomputation is not None:
        rows.append(("customers", _progress(entry)))
    return rows


def _progress(entry: Entry) -> str:
    done = entry.recomputation
    assert done is not None
    if done.overtaken:
        return f"{done.done:,} of {done.customers:,} folded on, then by a later version"
    if done.ended_at is not None:
        return f"all folded on, since {output.moment(done.ended_at)} UTC"
    return f"{done.done:,} of {done.customers:,} folded on so far"


def _form(entry: Entry) -> dict[str, Any]:
    from lifecycle.domain.instant import BEGINNING

    form: dict[str, Any] = output.plain(entry)
    if entry.effective_at == BEGINNING:
        form["effective_at"] = None
    return form | {"from_the_beginning": entry.effective_at == BEGINNING}
