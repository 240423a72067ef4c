"""What was measured, and how a table of it reads."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(slots=True, kw_only=True)
class Result:
    """One line of the table."""

    name: str
    what: str  # unit of the rate, such as ev/s
    rate: float  # units a second of wall time
    count: int
    seconds: float
    floor: float | None = None  # what the design demands; of a latency, the most it allows
    goal: float | None = None
    latency: bool = False  # `rate` is milliseconds, or a share, and less is better
    cpu_seconds: float | None = None  # of the process under test
    load_cpu_seconds: float | None = None  # of whoever made the load
    beside: str | None = None  # name of the result that it is compared with
    notes: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        if self.floor is None:
            return ""
        met = self.rate <= self.floor if self.latency else self.rate >= self.floor
        reached = self.goal is not None and (
            self.rate <= self.goal if self.latency else self.rate >= self.goal
        )
        return "goal" if reached else "floor" if met else "BELOW"


@dataclass(slots=True)
class Watch:
    """How long something took, by the wall and in this process's CPU."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0


@contextmanager
def watched() -> Iterator[Watch]:
    watch = Watch()
    wall, cpu = time.perf_counter(), time.process_time()
    yield watch
    watch.seconds = time.perf_counter() - wall
    watch.cpu_seconds = time.process_time() - cpu


def cpu_of(*pids: int) -> float:
    """CPU seconds that these processes have used so far, threads included; Linux only, else 0."""
    return sum(map(_cpu_of, pids))


def _cpu_of(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_megabytes() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def percentile(values: list[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def show(results: list[Result]) -> None:
    """The table, with each result beside what it is compared with."""
    rates = {result.name: result.rate for result in results}
    table = Table(title="lifecycle bench", caption=f"{os.cpu_count()} cores; one run")
    for heading in ("case", "rate", "floor", "goal", "", "CPU", "load's CPU", "ratio"):
        table.add_column(heading, justify="left" if heading in ("case", "ratio") else "right")
    for result in results:
        table.add_row(
            result.name,
            _rate(result),
            _number(result.floor),
            _number(result.goal),
            result.verdict,
            "" if result.cpu_seconds is None else f"{result.cpu_seconds:.1f} s",
            "" if result.load_cpu_seconds is None else f"{result.load_cpu_seconds:.1f} s",
            _ratio(result, rates),
        )
    console = Console(width=132)
    console.print(table)
    for result in results:
        for note in result.notes:
            console.print(f"{result.name}: [dim]{note}[/dim]", highlight=False)


def _rate(result: Result) -> str:
    if result.latency:
        return f"{result.rate:.2f} {result.what}"
    return f"{result.rate:,.0f} {result.what}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value == int(value) else f"{value:.2f}"


def _ratio(result: Result, rates: dict[str, float]) -> str:
    if result.beside is None or not rates.get(result.beside):
        return ""
    return f"{result.rate / rates[result.beside]:.1f} × {result.beside}"
