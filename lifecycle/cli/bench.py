"""`lifecycle bench`: runs the benchmarks of a checkout; an installed package does not carry them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

import lifecycle
from lifecycle.cli import exits
from lifecycle.errors import Unusable

ARGPARSE_USAGE = 2


def bench(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="CASE", help="Handed on, such as: fold --scale 0.1"),
    ] = None,
) -> None:
    """Measure this machine, and print a table of ratios; from a checkout of the repository."""
    checkout = Path(lifecycle.__file__).resolve().parent.parent
    if not (checkout / "benchmarks" / "__main__.py").is_file():
        raise Unusable(
            "the benchmarks are not part of the installed package;"
            " run `lifecycle bench` from a checkout of the repository"
        )
    command = [sys.executable, "-m", "benchmarks", *(arguments or ())]
    code = subprocess.run(command, cwd=checkout, check=False).returncode  # noqa: S603
    raise typer.Exit(exits.Code.USAGE if code == ARGPARSE_USAGE else code)
