"""Is a world done, and is what it came to the truth? Whoever looks on is seen by nobody in it."""

from __future__ import annotations

from collections.abc import Sequence

from lifecycle.domain.fate import Fate
from lifecycle.engine.digest import digest
from lifecycle.engine.verify import verify
from lifecycle.store import attempts, customers, events
from lifecycle.store.sql import Tx, both
from tests.properties.installed import all_messages, truth_at
from tests.scenarios.driver import day
from tests.simulation.encounters import DEADLY
from tests.simulation.ground import Ground
from tests.simulation.history import END, truth
from tests.simulation.world import FAULTS_END, World

WITHIN = 60.0  # seconds after the last fault, in which everything must be done
WITHIN_IF_DEADLY = 180.0  # each of its lone tries costs a process, and time until that is noticed

_IDS = both("SELECT event_id FROM event ORDER BY event_id")
_PENDING = both("SELECT count(*) FROM pending")
_DEAD = both("SELECT e.event_id FROM dead AS d JOIN event AS e ON e.id = d.event_id")


class Broken(AssertionError):
    """A promise that does not hold in a world."""


def settle(world: World) -> None:
    """Lives on until everything is done, which must be soon after the last fault."""
    within = WITHIN_IF_DEADLY if world.history.deadly else WITHIN
    left = ["everything"]

    def look() -> None:
        if world.loop.now >= FAULTS_END:
            left[:] = _left(world)
        world.loop.later(1.0, look)

    look()
    if not world.loop.run(lambda: not left, FAULTS_END + within):
        raise Broken(f"not done within {within:.0f} s after the last fault: {left}")


def _left(world: World) -> list[str]:
    """What is not done yet."""
    if world.posting:
        return [f"{world.posting} posters have had no answer"]
    with world.onlooker.db.read() as tx:
        left = [
            *([f"{found} events pending"] if (found := tx.value(_PENDING)) else []),
            *(str(each) for each in attempts.unfinished(tx) if _waits(tx, each.customers)),
            *(["the clock"] if world.onlooker.now(tx) < day(END) else []),
            *([f"{found} due"] if (found := customers.due_count(tx, day(END))) else []),
        ]
        dead = {row[0] for row in tx.rows(_DEAD)}
    if dead != world.history.dead:
        left.append(
            f"out of the fold are {dead or None}, and {world.history.dead or None} should be"
        )
    return left or [str(each) for each in verify(world.onlooker)]


def _waits(tx: Tx, customer_ids: Sequence[int]) -> bool:
    """Whether work is left with any of them; else the next that there is clears what was begun."""
    due = [row.wake_at for row in customers.rows(tx, customer_ids).values()]
    return bool(events.pending_of(tx, customer_ids)) or any(at and at <= day(END) for at in due)


def judge(world: World, ground: Ground) -> None:
    """What must be true at the end; `settle` has seen that nothing is left, and `verify` content."""
    told, inst = world.history, world.onlooker
    with inst.db.read() as tx:
        stored = [row[0] for row in tx.rows(_IDS)]
    _equal(stored, sorted(told.events), "events")
    _equal(world.surprises, [], "errors that no fault explains")
    expected = ground.digest(told)
    if expected is None or digest(inst, day(END)).hex != expected:
        _equal(truth_at(inst, day(END)), truth(told.number), "the oracle's truth")
    for row in all_messages(inst):
        stands = {Fate.QUEUED: True, Fate.CANCELLED: False}.get(row.fate, row.live)
        _equal(row.live, stands, f"whether {row.message.key} stands, which is {row.fate}")
    if told.deadly is None:
        _equal(world.ends[DEADLY], 0, DEADLY)


def _equal(found: object, expected: object, what: str) -> None:
    if found != expected:
        raise Broken(f"{what}: found {found}\nexpected {expected}")
