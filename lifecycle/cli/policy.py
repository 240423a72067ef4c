"""`lifecycle policy …`: is this policy file all right, how does it look, how does it differ, what may stand in it?"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from lifecycle.cli import exits, output, publishing, suggest, trying
from lifecycle.cli.findings import print_findings_of
from lifecycle.cli.options import with_settings
from lifecycle.cli.sides import CURRENT, POLICY_FILE, read_sides
from lifecycle.errors import Finding, PolicyRefused
from lifecycle.settings import Settings, read_settings

if TYPE_CHECKING:
    from lifecycle.policy import Loaded

app = typer.Typer(
    help="Check a policy file, draw it, compare it, put it in force, describe it to an editor.",
    no_args_is_help=True,
)
app.add_typer(suggest.app, name="suggest")

File = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE",
        help="The policy; left out: policy.yaml in the config folder.",
        show_default=False,
    ),
]


class Format(StrEnum):
    MERMAID = "mermaid"
    SVG = "svg"


@app.command()
def check(
    file: File = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Tell every problem of a policy file at once, with its line and column.

    Ends with 0 if the policy could be put in force, with or without warnings, and with 1 if not.
    """
    path = _chosen(file)
    try:
        loaded = _loaded(path)
    except PolicyRefused as refused:
        _tell(path, refused.findings, None, as_json=as_json)
        raise typer.Exit(exits.Code.REFUSED) from refused
    _tell(path, loaded.findings, loaded, as_json=as_json)


@app.command()
def diagram(
    file: File = None,
    *,
    format_: Annotated[
        Format | None,
        typer.Option(
            "--format", help="Left out: by the ending of --out, else mermaid.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file to write: .svg, or .mmd, .mermaid or .md; left out: standard output.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Draw the stages of a policy and what moves a customer between them."""
    from lifecycle.policy.diagram import mermaid, svg

    wanted = _format(format_, out)
    policy = _loaded(_chosen(file)).policy
    drawn = svg(policy) if wanted is Format.SVG else mermaid(policy)
    if out is not None and out.suffix.lower() == ".md":
        drawn = f"```mermaid\n{drawn}```\n"  # as Markdown shows it
    _write(drawn, out)


@app.command()
@with_settings()
def diff(
    settings: Settings,
    *,
    first: Annotated[
        str | None,
        typer.Argument(
            metavar="A",
            help=f"A file, the number of a version, or {CURRENT}: the version in force."
            " A file whose name is a number is written ./3.",
            show_default=False,
        ),
    ] = None,
    second: Annotated[
        str | None,
        typer.Argument(
            metavar="B",
            help=f"The same. Left out: A is compared with {CURRENT}, as that which comes after it;"
            " both left out: policy.yaml in the config folder is.",
            show_default=False,
        ),
    ] = None,
    effect: Annotated[
        bool,
        typer.Option(
            "--effect",
            help="Tell too what the two would have done to the customers whose history is known: who moves"
            " earlier, later, never or otherwise, and which letters are gained and lost.",
        ),
    ] = False,
    history: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="For --effect: a table of history, read through --mapping without any database; left out:"
            " what the installation has recorded.",
            show_default=False,
        ),
    ] = None,
    mapping: trying.Mapping = None,
    since: trying.Since = None,
    until: trying.Until = None,
    sample: trying.Sample = None,
    everybody: trying.Everybody = False,
    accept_valid: trying.AcceptValid = False,
    processes: trying.Processes = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Tell in words what policy B says otherwise than policy A, and with --effect what that does.

    Ends with 0 whether they differ or not, and with 1 if one of them is refused or there is no such
    version. The database is read, and only where a version is asked for, or its history; nothing is
    changed. The same policies on the same history give the same document, to the byte.
    """
    from lifecycle.cli import differences, effects
    from lifecycle.policy.diff import changes

    if not effect:
        _refuse_without_effect(
            {
                "--history": history is not None,
                "--mapping": mapping is not None,
                "--from": since is not None,
                "--to": until is not None,
                "--sample": sample is not None,
                "--everybody": everybody,
                "--accept-valid": accept_valid,
                "--processes": processes is not None,
            }
        )
    source = trying.Source.of(settings, history, mapping, accept_valid=accept_valid)
    period = trying.period(since, until, sample)
    before, after = read_sides(settings, first, second)
    if before.policy is None or after.policy is None:
        if as_json:
            output.json_document(differences.document(before, after, None))
        else:
            for line in differences.refusals(before, after):
                output.err().print(line, soft_wrap=True)
        raise typer.Exit(exits.Code.REFUSED)
    said = changes(before.policy, after.policy)
    told = None
    if effect:
        told = trying.effect(
            source, before, after, period, everybody=everybody, processes=processes
        )
    if as_json:
        document = differences.document(before, after, said)
        output.json_document(document if told is None else document | {"effect": told})
        return
    output.show(differences.structure(before, after, said, width=output.out().width))
    if told is not None:
        output.show(effects.shown(told))


def _refuse_without_effect(given: Mapping[str, bool]) -> None:
    """A history, and how it is looked at, would otherwise be passed over without a word."""
    flags = [flag for flag, is_given in given.items() if is_given]
    if flags:
        belong = "belongs" if len(flags) == 1 else "belong"
        raise typer.BadParameter(
            f"{' and '.join(flags)} {belong} to --effect; add --effect", param_hint=flags[0]
        )


@app.command()
def schema() -> None:
    """Print the JSON Schema of policy files, for editors; it ships as config/policy.schema.json."""
    from lifecycle.policy.schema import schema_text

    _write(schema_text(), None)


publishing.register(app)


_ENDINGS = {
    ".svg": Format.SVG,
    ".mmd": Format.MERMAID,
    ".mermaid": Format.MERMAID,
    ".md": Format.MERMAID,
    ".txt": Format.MERMAID,
    "": None,  # says nothing
}


def _format(asked: Format | None, out: Path | None) -> Format:
    """What the ending of the file says, and what was asked for, which must not contradict it."""
    ending = "" if out is None else out.suffix.lower()
    if ending not in _ENDINGS:
        raise typer.BadParameter(
            f"no picture is written as {ending}: name a .svg (a picture), or a .mmd, .mermaid or"
            " .md (Mermaid text)",
            param_hint="--out",
        )
    by_ending = _ENDINGS[ending]
    if asked and by_ending and asked is not by_ending:
        raise typer.BadParameter(
            f"a file that ends in {ending} is no {asked.value}; leave --format out, or name another",
            param_hint="--out",
        )
    return asked or by_ending or Format.MERMAID


def _chosen(file: Path | None) -> Path:
    return file if file is not None else read_settings().config_dir / POLICY_FILE


def _loaded(path: Path) -> Loaded:
    if not path.is_file():
        raise exits.NoInput(f"there is no policy file {str(path)!r}")
    from lifecycle.policy import load

    return load(path)


def _tell(
    path: Path, findings: tuple[Finding, ...], loaded: Loaded | None, *, as_json: bool
) -> None:
    if as_json:
        output.json_document(
            {
                "file": str(path),
                "accepted": loaded is not None,
                "hash": loaded.hash if loaded else None,
                "findings": findings,
            }
        )
        return
    print_findings_of(path, findings)
    output.out().print(_verdict(path, findings, loaded), soft_wrap=True)


def _verdict(path: Path, findings: tuple[Finding, ...], loaded: Loaded | None) -> Text:
    errors = sum(not finding.warning for finding in findings)
    warnings = len(findings) - errors
    counted = f"{output.count(errors, 'error')}, {output.count(warnings, 'warning')}"
    if loaded is None:
        return Text(f"{path}: refused: {counted}", style="bold red")
    policy = loaded.policy
    return Text(
        f"{path}: fine: {counted}; {output.count(len(policy.states), 'state')}, "
        f"{output.count(len(policy.transitions), 'transition')}, "
        f"{output.count(len(policy.outreach), 'outreach rule')}; hash {loaded.hash[:12]}",
        style="bold green",
    )


def _write(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise exits.CannotWrite(f"{out} cannot be written: {error.strerror or error}") from error
