"""`make chaos`: the whole program while everything around it fails, and the proof that nothing is lost.

    SEED=7 python -m tests.chaos [sqlite] [postgres] [--json FILE] [--minutes N]

CHAOS_FULL=1 takes longer, and does more of everything.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
from pathlib import Path

from rich.console import Console

from tests.chaos import distributed, embedded, report
from tests.chaos.campaign import Plan
from tests.chaos.material import material
from tests.chaos.outcome import Outcome

RUNS = {"sqlite": embedded.run, "postgres": distributed.run}
GOAL = 20  # kills at each point
MINUTES = 10.0  # for all of one database
PASSES = 0.7  # of it, at most; the rest is for poison, the disk, healing and judging
FULL_GOAL, FULL_MINUTES = 60, 45.0


def main() -> int:
    asked = _asked()
    console = Console(highlight=False, emoji=False, markup=False)
    plan = _plan(asked.seed, asked.minutes)
    console.print(f"SEED={plan.seed}: the same seed does the same things in the same order")
    outcomes = [_one(console, name, plan) for name in asked.database or RUNS]
    if asked.json:
        asked.json.write_text(json.dumps([report.as_json(one) for one in outcomes], indent=2))
    return 0 if all(outcome.kept for outcome in outcomes) else 1


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("database", nargs="*", type=_known, help="sqlite, postgres; default: both")
    parser.add_argument("--seed", type=int, default=os.environ.get("SEED") or None)
    parser.add_argument("--minutes", type=float, help=f"a database at most; default: {MINUTES:g}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the figures, for programs")
    return parser.parse_args()


def _known(name: str) -> str:
    if name not in RUNS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(RUNS)}")
    return name


def _plan(seed: int | None, minutes: float | None) -> Plan:
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    full = bool(os.environ.get("CHAOS_FULL"))
    minutes = minutes or (FULL_MINUTES if full else MINUTES)
    return Plan(
        seed=seed,
        material=material(seed),
        goal=FULL_GOAL if full else GOAL,
        seconds=minutes * 60 * PASSES,
        beside_poison=0.35,  # the pace is judged: the longer it is measured, the less chance decides
        turns=2,
        aborts=20 if full else 4,
        restarts=20 if full else 4,
        stops=10 if full else 4,
        overdue_after=20.0,  # a whole round with many customers, each by herself, takes a while
        judge_rates=True,
    )


def _one(console: Console, name: str, plan: Plan) -> Outcome:
    with console.status(name) as status:
        outcome = RUNS[name](plan, lambda what: status.update(f"{name}: {what}"))
    report.show(console, outcome)
    return outcome


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the same as Ctrl-C
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Interrupted; every server and process of the run has ended.")
