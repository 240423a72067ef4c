"""`python -m benchmarks [case …] [--scale 0.1] [--json]`: measure, and print a table of ratios."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict

from benchmarks import (
    backtesting,
    distributed,
    due,
    folding,
    importing,
    intake,
    late,
    noisy,
    sending,
)
from benchmarks.measure import Result, show

CASES: dict[str, Callable[[float], list[Result]]] = {
    "fold": folding.run,
    "import": importing.run,
    "backtest": backtesting.run,
    "intake": intake.run,
    "distributed": distributed.run,
    "due": due.run,
    "late": late.run,
    "noisy": noisy.run,
    "sending": sending.run,
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="lifecycle bench", description=__doc__)
    parser.add_argument(
        "case", nargs="*", choices=[[], *CASES], help="which; all when none is named"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size")
    parser.add_argument("--json", action="store_true", help="results as JSON instead of a table")
    chosen = parser.parse_args(arguments)
    results: list[Result] = []
    for name in chosen.case or CASES:
        print(f"measuring {name} …", file=sys.stderr)
        results += CASES[name](chosen.scale)
    if chosen.json:
        print(json.dumps([asdict(result) | {"verdict": result.verdict} for result in results]))
    else:
        show(results)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
