"""A file of history through the whole of `lifecycle import`, on one core."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

from benchmarks import databases
from benchmarks.material import INVOICES, ROOT
from benchmarks.measure import Result, watched
from lifecycle.bootstrap import Engine
from lifecycle.engine.imports import run_import
from lifecycle.intake import mapping_file, table
from lifecycle.resources import config_dir

FLOOR, GOAL = 30_000, 100_000
CLOCK = "2011-12-10T00:00:00Z"


def run(scale: float) -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        path = INVOICES if INVOICES.exists() else _made_up(Path(folder), int(40_000 * scale))
        return [_measure(kind, path) for kind in databases.KINDS]


def _measure(kind: str, path: Path) -> Result:
    with databases.empty(kind) as url, databases.engine(url, CLOCK) as engine, watched() as watch:
        accepted = _import(engine, path)
    return Result(
        name=f"import, {kind}",
        what="ev/s",
        rate=accepted / watch.seconds,
        count=accepted,
        seconds=watch.seconds,
        floor=FLOOR,
        goal=GOAL,
        cpu_seconds=watch.cpu_seconds,
        notes=[f"{path.name}: read, checked, stored, folded; opening and closing included"],
    )


def _import(engine: Engine, path: Path) -> int:
    policy, now = engine.policy(), engine.now()
    mapping = mapping_file.load(config_dir() / "mappings" / "online-retail.yaml", policy)
    report = run_import(
        engine.installation,
        "bench",
        "bench",
        lambda: table.drafts(path, mapping, policy, now),
    )
    assert report.stored, report
    assert not report.problems, report
    return report.accepted


def _made_up(folder: Path, rows: int) -> Path:
    """A file of the same shape, where the real one is not beside the project."""
    assert ROOT.exists()
    path = folder / "made-up.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                "Invoice",
                "CustomerID",
                "InvoiceDate",
                "Country",
                "lines",
                "units",
                "amount",
                "cancelled",
            ]
        )
        for row in range(rows):
            day = f"2010-{row % 12 + 1:02d}-{row % 28 + 1:02d} 12:{row % 60:02d}:00"
            writer.writerow([row, row % (rows // 8), day, "France", 3, 9, "120.50", 0])
    return path
