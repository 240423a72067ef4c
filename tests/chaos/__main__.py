"""`make chaos`: the whole program while everything around it fails, and the proof that nothing is lost.

    SEED=7 python -m tests.chaos [sending] [sqlite] [postgres] [--json FILE] [--minutes N]

With `sending` it is the run about sending: a mail server that fails, and senders that die.
CHAOS_FULL=1 takes longer, and does more of everything.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.chaos import distributed, embedded, report, sending
from tests.chaos.campaign import Plan
from tests.chaos.material import material
from tests.chaos.outcome import Outcome

RUNS = {"sqlite": embedded.run, "postgres": distributed.run}
GOAL = 20  # kills at each point
MINUTES = 10.0  # for all of one database
PASSES = 0.7  # of it, at most; the rest is for poison, the disk, healing and judging
FULL_GOAL, FULL_MINUTES = 60, 45.0
SENDING = "sending"  # asks for the run about sending
MESSAGES = 10_000  # of it


def main() -> int:
    asked = _asked()
    console = Console(highlight=False, emoji=False, markup=False)
    seed = random.SystemRandom().randrange(10**6) if asked.seed is None else asked.seed
    names = [name for name in asked.what if name != SENDING] or list(RUNS)
    console.print(f"SEED={seed}: the same seed does the same things in the same order")
    if SENDING in asked.what:
        kept, figures = _of_sending(console, names, seed, asked.minutes)
    else:
        kept, figures = _of_the_whole(console, names, _plan(seed, asked.minutes))
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=2))
    return 0 if kept else 1


Told = tuple[bool, list[dict[str, Any]]]
"""Whether every promise was kept, and the figures of each database."""


def _of_the_whole(console: Console, names: Sequence[str], plan: Plan) -> Told:
    outcomes = [_one(console, name, plan) for name in names]
    return all(one.kept for one in outcomes), [report.as_json(one) for one in outcomes]


def _of_sending(console: Console, names: Sequence[str], seed: int, minutes: float | None) -> Told:
    storm = _storm(seed, minutes)
    told = []
    for name in names:
        with console.status(name) as status:
            run = sending.RUNS[name]
            told.append(run(storm, lambda what, name=name: status.update(f"{name}: {what}")))  # type: ignore[misc]
        report.show_sending(console, told[-1])
    return all(one.kept for one in told), [report.sending_as_json(one) for one in told]


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument(
        "what", nargs="*", type=_known, help=f"sqlite, postgres; default: both; {SENDING}"
    )
    parser.add_argument("--seed", type=int, default=os.environ.get("SEED") or None)
    parser.add_argument("--minutes", type=float, help=f"a database at most; default: {MINUTES:g}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the figures, for programs")
    return parser.parse_args()


def _known(name: str) -> str:
    if name not in {*RUNS, SENDING}:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(RUNS)}, {SENDING}")
    return name


def _storm(seed: int, minutes: float | None) -> sending.Storm:
    full = bool(os.environ.get("CHAOS_FULL"))
    minutes = minutes or (FULL_MINUTES if full else MINUTES)
    return sending.Storm(
        seed=seed,
        messages=MESSAGES,
        goal=FULL_GOAL if full else GOAL,
        limit=minutes * 60 * PASSES,
        every=60,
        stops=10 if full else 3,
    )


def _plan(seed: int, minutes: float | None) -> Plan:
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
