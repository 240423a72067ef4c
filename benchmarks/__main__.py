"""`python -m benchmarks [case …] [--scale 0.1] [--json]`: measure, and print a table of ratios."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
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
from lifecycle.cli import exits
from lifecycle.errors import Unusable
from tests.support import postgres, redis

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

ALONE = frozenset({"fold", "backtest", "late"})  # these need no PostgreSQL
WITH_REDIS = frozenset({"distributed"})


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="lifecycle bench", description=__doc__)
    parser.add_argument(
        "case", nargs="*", choices=[[], *CASES], help="which; all when none is named"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size")
    parser.add_argument("--json", action="store_true", help="results as JSON instead of a table")
    chosen = parser.parse_args(arguments)
    cases = chosen.case or list(CASES)
    try:
        _servers_must_be_there(cases)
    except Unusable as error:
        return exits.tell(error)
    results: list[Result] = []
    for name in cases:
        print(f"measuring {name} …", file=sys.stderr)
        results += CASES[name](chosen.scale)
    if chosen.json:
        print(json.dumps([asdict(result) | {"verdict": result.verdict} for result in results]))
    else:
        show(results)
    return 0


def _servers_must_be_there(cases: Sequence[str]) -> None:
    """Before anything is measured, which takes minutes. Raises Unusable."""
    try:
        if not ALONE.issuperset(cases):
            postgres.must_be_there()
        if not WITH_REDIS.isdisjoint(cases):
            redis.must_be_there()
    except (postgres.PostgresUnavailable, redis.RedisUnavailable) as missing:
        without = " ".join(sorted(ALONE))
        raise Unusable(
            f"nothing was measured. {' '.join(str(missing).split())}"
            f" Without any server: lifecycle bench {without}"
        ) from missing


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
