"""`lifecycle template …`: are the messages well written, and how would they look?"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from lifecycle.cli import exits, output
from lifecycle.cli.findings import print_findings
from lifecycle.cli.options import OUTREACH, TEMPLATES_DIR, with_settings
from lifecycle.errors import Finding, NotFound, Problem
from lifecycle.intake.strict_json import tame
from lifecycle.settings import Settings

if TYPE_CHECKING:
    from lifecycle.domain.policy import OutreachRule, Policy
    from lifecycle.outreach.letter import Rendered
    from lifecycle.outreach.templates.catalogue import Catalogue, Template
    from lifecycle.outreach.templates.check import Checked
    from lifecycle.outreach.templates.names import Missing

app = typer.Typer(help="Check what messages say, and look at them.", no_args_is_help=True)


class To(StrEnum):
    """As what a preview is written."""

    HTML = "html"
    TEXT = "text"
    PNG = "png"


Message = Annotated[str, typer.Argument(metavar="MESSAGE", help="The name of an outreach rule.")]
Messages = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MESSAGE]…", help="Names of outreach rules; left out: all.", show_default=False
    ),
]
Chosen = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Left out: the rule's first.", show_default=False),
]
Language = Annotated[
    str | None,
    typer.Option(metavar="TAG", help="Left out: the customer's, else en.", show_default=False),
]
Step = Annotated[int, typer.Option(metavar="N", min=1, help="Of a series.")]
Json = Annotated[bool, typer.Option("--json", help="As one JSON document.")]


@app.command("check")
@with_settings(TEMPLATES_DIR)
def check(
    settings: Settings,
    messages: Messages = None,
    *,
    customers: Annotated[
        bool,
        typer.Option(
            "--customers", help="Say for how many real customers a variable has no value."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Tell every problem of the templates at once, with file, line and column.

    The policy file says which messages there are, on which channels, and what triggers supply. Each
    template is filled in for a sample customer. Ends with 0 with or without warnings, and with 1 if a
    message could not be sent as it is.
    """
    from lifecycle.outreach.templates.catalogue import Catalogue
    from lifecycle.outreach.templates.check import check as check_all
    from lifecycle.outreach.templates.renderer import Renderer

    policy = _policy(settings)
    for name in messages or ():
        _rule(policy, name)
    missing = _missing(settings) if customers else None
    with Renderer(children=1) as renderer:
        catalogue = Catalogue(settings.templates_dir)
        checked = check_all(catalogue, policy, renderer, messages or (), missing=missing)
    refused = any(not finding.warning for finding in checked.findings)
    if json:
        output.json_document(
            {
                "folder": str(settings.templates_dir),
                "accepted": not refused,
                "findings": checked.findings,
                "sizes": checked.sizes,
            }
        )
    else:
        _tell(settings.templates_dir, checked)
    if refused:
        raise typer.Exit(exits.Code.REFUSED)


@app.command("preview")
@with_settings(*OUTREACH)
def preview(
    settings: Settings,
    message: Message,
    *,
    customer: Annotated[
        str | None,
        typer.Option(metavar="CUSTOMER", help="For her, as of now.", show_default=False),
    ] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="For a made-up customer; without --customer, always.")
    ] = False,
    channel: Chosen = None,
    language: Language = None,
    step: Step = 1,
    variant: Chosen = None,
    to: Annotated[To, typer.Option(help="As what it is written.")] = To.TEXT,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Left out: standard output, or MESSAGE.png for a picture.",
            show_default=False,
        ),
    ] = None,
    width: Annotated[
        int, typer.Option(metavar="PIXELS", min=240, max=2000, help="Of a picture; a phone: 375.")
    ] = 600,
    dark: Annotated[bool, typer.Option("--dark", help="A picture as in dark mode.")] = False,
) -> None:
    """Fill a message in for one customer, and show it. Nothing is sent and nothing is written down."""
    if sample and customer is not None:
        raise typer.BadParameter("leave out one of --customer and --sample", param_hint="--sample")
    _, _, rendered = _filled_in(settings, message, customer, channel, language, step, variant)
    if to is To.PNG:
        _picture(rendered, out or Path(f"{message}.png"), width=width, dark=dark)
        return
    _write(_shown(rendered, to), out)


@app.command("send-test")
@with_settings(*OUTREACH)
def send_test(
    settings: Settings,
    message: Message,
    *,
    to: Annotated[
        str, typer.Option("--to", metavar="ADDRESS", help="Who gets it: yourself, for a start.")
    ],
    customer: Annotated[
        str | None,
        typer.Option(metavar="CUSTOMER", help="As she would get it now.", show_default=False),
    ] = None,
    channel: Chosen = None,
    language: Language = None,
    step: Step = 1,
    variant: Chosen = None,
) -> None:
    """Send one letter to an address that you name, by the real channel, also while sending is paused.

    For a made-up customer, or as a real one would get it; her consent and her caps are not touched, and
    the links in it act for nobody. Ends with 1 where the provider did not take it.
    """
    from lifecycle.engine.sending.trial import send_trial
    from lifecycle.outreach.outcome import Accepted

    rule, wanted, rendered = _filled_in(
        settings, message, customer, channel, language, step, variant
    )
    outcome = send_trial(settings, rule, wanted, rendered, to)
    if isinstance(outcome, Accepted):
        known = f", who knows it as {outcome.provider_id}" if outcome.provider_id else ""
        output.show(Text.assemble(("✓ ", "green"), f"handed to the provider of {wanted}{known}"))
        return
    output.show(Text.assemble(("✗ ", "red"), (outcome.code, "bold"), tame(f": {outcome.detail}")))
    raise typer.Exit(exits.Code.REFUSED)


def _policy(settings: Settings) -> Policy:
    from lifecycle.cli.sides import POLICY_FILE
    from lifecycle.policy import load

    path = settings.config_dir / POLICY_FILE
    if not path.is_file():
        raise exits.NoInput(f"there is no policy file {str(path)!r}")
    return load(path).policy


def _missing(settings: Settings) -> Missing:
    from lifecycle.bootstrap import Access
    from lifecycle.cli.opening import opened
    from lifecycle.engine import previewing

    done = 0
    with opened(settings, Access.READ) as engine, output.progress("customers") as ticker:

        def on_customers(count: int) -> None:
            nonlocal done
            done += count
            ticker(done)

        return previewing.missing(engine.installation, on_customers)


def _rule(policy: Policy, name: str) -> OutreachRule:
    from lifecycle.policy.report import unlisted

    names = [rule.name for rule in policy.outreach]
    if name not in names:
        raise NotFound(unlisted("outreach rule", name, names))
    return next(rule for rule in policy.outreach if rule.name == name)


def _refuse_unknown(rule: OutreachRule, step: int, variant: str | None) -> None:
    from lifecycle.policy.report import unlisted

    if variant is not None and variant not in rule.variants:
        raise NotFound(unlisted(f"variant of {rule.name}", variant, rule.variants))
    if step > len(rule.delays):
        raise NotFound(f"step of {rule.name}: found {step}; allowed: 1 to {len(rule.delays)}")


def _filled_in(
    settings: Settings,
    message: str,
    customer: str | None,
    channel: str | None,
    language: str | None,
    step: int,
    variant: str | None,
) -> tuple[OutreachRule, str, Rendered]:
    """The rule, the channel that was chosen for it, and how the message reads there."""
    policy = _policy(settings)
    rule = _rule(policy, message)
    _refuse_unknown(rule, step, variant)
    wanted = channel or rule.channels[0]
    chosen = variant or next(iter(rule.variants), None)
    context, hers = _context(settings, policy, rule, customer, language, step, chosen)
    rendered = _rendered(settings, policy, rule, (step, chosen, wanted, hers), context)
    return rule, wanted, rendered


def _context(
    settings: Settings,
    policy: Policy,
    rule: OutreachRule,
    customer: str | None,
    language: str | None,
    step: int,
    variant: str | None,
) -> tuple[dict[str, Any], str]:
    """The variables, and in which language they are wanted."""
    from lifecycle.outreach.templates.sample import sample_of

    if customer is None:
        hers = language or "en"
        return sample_of(policy, rule, hers, step=step, variant=variant), hers
    from lifecycle.bootstrap import Access
    from lifecycle.cli.opening import opened
    from lifecycle.engine import previewing
    from lifecycle.engine.sending.desk import company_of

    with opened(settings, Access.READ) as engine:
        context = previewing.context_for(
            engine.installation,
            customer,
            rule,
            step=step,
            variant=variant,
            company=company_of(settings),
        )
    return context, language or str(context["customer"]["language"])


def _rendered(
    settings: Settings,
    policy: Policy,
    rule: OutreachRule,
    wanted: tuple[int, str | None, str, str],
    context: dict[str, Any],
) -> Rendered:
    from lifecycle.outreach.templates.catalogue import Catalogue
    from lifecycle.outreach.templates.part import TemplateFailed
    from lifecycle.outreach.templates.renderer import Renderer

    step, variant, channel, language = wanted
    catalogue = Catalogue(settings.templates_dir)
    template = catalogue.find(rule.name, step, variant, channel, [language])
    if template is None:
        _refuse_unusable(catalogue, rule, channel)
        raise NotFound(_no_text(catalogue, rule, step, variant, channel))
    _warn_of_others(catalogue, template)
    zone = context["customer"].get("timezone") or policy.timezone
    with Renderer(children=1) as renderer:
        made = renderer.render(
            template, context, language=language, zone=zone, currency=policy.currency
        )
    if isinstance(made, TemplateFailed):
        raise Problem(made.code, f"{template.path}: {made.detail}", pointer=made.where)
    return made


def _refuse_unusable(catalogue: Catalogue, rule: OutreachRule, channel: str) -> None:
    """Where the text that she would get is wrong, no other one is shown instead."""
    wrong = [finding for finding in catalogue.broken() if not finding.warning]
    own = [each for each in wrong if each.file.startswith(f"{rule.name}/")]
    if catalogue.has_unusable(rule.name, channel) and wrong:
        _print_findings(own or wrong)
        raise Problem(
            "template_broken",
            f"the text of {rule.name} for {channel} is wrong, and nothing is shown in its place",
            hint=f"lifecycle template check {rule.name}",
        )


def _print_findings(findings: Iterable[Finding]) -> None:
    for finding in findings:
        output.err().print(Text(str(finding), "yellow"), soft_wrap=True)


def _no_text(
    catalogue: Catalogue, rule: OutreachRule, step: int, variant: str | None, channel: str
) -> str:
    there = sorted(catalogue.channels_of(rule.name, step, variant))
    told = f"{rule.name} has no text for {channel} in {catalogue.folder}"
    return f"{told}; there is one for: {', '.join(there)}" if there else told


def _warn_of_others(catalogue: Catalogue, template: Template) -> None:
    _print_findings(each for each in catalogue.broken() if each.file == template.path)


def _shown(rendered: Rendered, to: To) -> str:
    if to is To.HTML:
        if rendered.html is None:
            raise Problem("no_html", "this message has no HTML: it is no e-mail; use --to text")
        return rendered.html
    heads = (("Subject", rendered.subject), ("Preheader", rendered.preheader))
    lines = [f"{name}: {value}" for name, value in heads if value]
    return "\n".join([*lines, *([""] if lines else []), rendered.text, ""])


def _write(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text)
        return
    try:
        out.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise exits.CannotWrite(f"{out} cannot be written: {error.strerror or error}") from error


def _picture(rendered: Rendered, out: Path, *, width: int, dark: bool) -> None:
    from lifecycle.cli.picture import picture_of

    if rendered.html is None:
        raise Problem("no_html", "this message has no HTML: it is no e-mail; use --to text")
    drawn = picture_of(rendered.html, width=width, dark=dark)
    try:
        out.write_bytes(drawn)
    except OSError as error:
        raise exits.CannotWrite(f"{out} cannot be written: {error.strerror or error}") from error
    output.out().print(Text(f"{out}: {rendered.subject or ''}"), soft_wrap=True)


def _tell(folder: Path, checked: Checked) -> None:
    for finding in checked.findings:
        print_findings([finding], _lines(folder / finding.file))
    for sized in checked.sizes:
        if counted := sized.segments:
            line = f"{sized.path}: {output.count(counted.count, 'short message')}"
            output.out().print(Text(f"{line} ({counted.encoding}, {counted.places} places)", "dim"))
    output.out().print(_verdict(folder, checked.findings, len(checked.sizes)), soft_wrap=True)


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def _verdict(folder: Path, findings: tuple[Finding, ...], rendered: int) -> Text:
    errors = sum(not finding.warning for finding in findings)
    counted = f"{output.count(errors, 'error')}, {output.count(len(findings) - errors, 'warning')}"
    if errors:
        return Text(f"{folder}: refused: {counted}", style="bold red")
    return Text(
        f"{folder}: fine: {counted}; {output.count(rendered, 'template')} filled in",
        style="bold green",
    )
