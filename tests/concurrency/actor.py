"""One process of an installation: `python -m tests.concurrency.actor worker|intake URL [NUMBER]`.

It says `ready`, waits for a line, and begins. A worker says `working` after its first batch, works
until its input ends and then until nothing waits; both tell in the end, as JSON, what they did.
"""

from __future__ import annotations

import json
import select
import sys
from collections import Counter
from dataclasses import asdict, replace

from lifecycle.engine.apply import apply_pending, fire_due
from lifecycle.engine.installation import Installation
from lifecycle.engine.work import Applied
from lifecycle.store import backlog, customers
from tests.engine.histories import Arrival, arrivals
from tests.scenarios.driver import day
from tests.support.engine import opened, post, set_clock

INTAKES = 2
HISTORY = {"seed": 21, "customers": 100, "events": 2000, "batch": 25}
END = day(600)  # after the last arrival
AT_ONCE = 60  # events a batch of work: so that there are many, and workers meet
AGAIN_AFTER = 0.01  # seconds, where nothing was to be done


def history() -> list[Arrival]:
    """The same in every process."""
    return arrivals(**HISTORY)


def share(number: int) -> list[Arrival]:
    """What one intake posts: every other batch, and every fourth of the others' too."""
    return [
        one
        for n, one in enumerate(history())
        if n % INTAKES == number or (n // INTAKES) % 4 == number
    ]


def take_in(inst: Installation, number: int) -> Counter[str]:
    """Post the share; the first intake moves the clock, so that checks fire meanwhile."""
    answers: Counter[str] = Counter()
    for arrival in share(number):
        if number == 0:
            set_clock(inst, day(arrival.day))
        answers.update(type(result).__name__ for result in post(inst, *arrival.events))
    return answers


def apply_until_finished(inst: Installation) -> Applied:
    done = _batch(inst)
    say("working")
    finishing = False
    while not finishing or _waiting(inst):
        batch = _batch(inst)
        done += batch
        if not batch.more:
            finishing = bool(select.select([sys.stdin], [], [], AGAIN_AFTER)[0])
    return done


def _batch(inst: Installation) -> Applied:
    return apply_pending(inst, AT_ONCE) + fire_due(inst, AT_ONCE)


def _waiting(inst: Installation) -> bool:
    with inst.db.read() as tx:
        now = inst.now(tx)
        return backlog.pending_until(tx, now) > 0 or customers.due_count(tx, now) > 0


def say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def main(role: str, url: str, number: str = "0") -> None:
    with opened(url) as inst:
        say("ready")
        sys.stdin.readline()
        told = _told(apply_until_finished(inst)) if role == "worker" else take_in(inst, int(number))
    say(json.dumps(told))


def _told(applied: Applied) -> dict[str, int]:
    """What the test adds up; `asdict` would count the entries of the counters in it."""
    told = asdict(replace(applied, fates=Counter(), edges=Counter()))
    return told | {"fates": applied.fates.total(), "edges": applied.edges.total()}


if __name__ == "__main__":
    main(*sys.argv[1:])
