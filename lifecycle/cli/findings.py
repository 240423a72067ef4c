"""How is a problem of a file shown? With its place, and under it the line with a caret."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.text import Text

from lifecycle.cli import output
from lifecycle.errors import Finding


def print_findings_of(path: Path, findings: Iterable[Finding]) -> None:
    """Print all that is found in one file."""
    print_findings(findings, path.read_text(encoding="utf-8", errors="replace").splitlines())


def print_findings(findings: Iterable[Finding], lines: Sequence[str] = ()) -> None:
    """Print them; `lines` are those of their file."""
    for finding in findings:
        output.out().print(told(finding, lines), soft_wrap=True)  # one finding, one line


def told(finding: Finding, lines: Sequence[str]) -> Text:
    """The finding, and under it the line with a caret; `lines` are those of its file."""
    colour = "yellow" if finding.warning else "red"
    kind = "warning" if finding.warning else "error"
    shown = Text(f"{finding.file}:{finding.line}:{finding.column}: ", style="bold")
    shown.append(f"{kind} {finding.code}", style=f"bold {colour}")
    shown.append(f": {finding.message}")
    if finding.line <= len(lines) and lines[finding.line - 1].strip():
        line = lines[finding.line - 1]
        start = max(0, finding.column - 60)
        before = line[start : finding.column - 1]
        shown.append(f"\n    {line[start : start + 110]}\n    ", style="dim")
        # a wide character takes two places, a tab as many as before
        shown.append("".join("\t" if c == "\t" else " " * Text(c).cell_len for c in before))
        shown.append("^", style=f"bold {colour}")
    return shown
