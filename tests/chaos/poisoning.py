"""What do events that nothing can fold cost everybody else? First those that raise, then those that kill.

Throughput is compared within one run: the same load with and without poison, turn by turn. Nothing is
sent from then on, so that letters, which leave when they come to it, are no part of what is compared.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from lifecycle.domain.event import Event
from lifecycle.engine.sending import pausing
from lifecycle.store import pauses
from lifecycle.store.database import Database
from lifecycle.store.sql import Statement, both
from tests.chaos.campaign import Campaign, Plan
from tests.chaos.crew import Post
from tests.chaos.material import SOURCE, poison
from tests.support.engine import opened

ONE_IN = 1_000
LOOK_EVERY = 0.02  # seconds
TURNS = (False, True, True, False, False, True, True, False)  # with poison? In no order that drifts

_OF_OTHERS = both(  # than those who ever had a poisonous event
    "SELECT count(*) FROM pending WHERE identity_id NOT IN (SELECT identity_id FROM event"
    f" WHERE source = '{SOURCE}' AND event_id >= 'poison-' AND event_id < 'poison.')"
)
_ALL = both("SELECT count(*) FROM pending")


@dataclass(slots=True)
class Pace:
    """Events of the healthy that were folded, in all turns of a kind together."""

    events: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


@dataclass(slots=True)
class Rates:
    without: Pace = field(default_factory=Pace)
    with_poison: Pace = field(default_factory=Pace)

    @property
    def ratio(self) -> float:
        return self.with_poison.rate / self.without.rate


def divided(
    plan: Plan, batches: Sequence[list[Event]]
) -> tuple[Sequence[list[Event]], Sequence[list[Event]]]:
    """What is posted before, and what beside poison."""
    at = int(len(batches) * (1 - plan.beside_poison))
    return batches[:at], batches[at:]


def suffer(
    under_way: Campaign, url: str, posts: Sequence[Post], batches: Sequence[list[Event]]
) -> Rates | None:
    """Everybody lives, until poison kills; returns when nothing is pending any more."""
    if not batches:
        return None
    chance, rates = under_way.plan.chance("poison"), Rates()
    with under_way.a_pass("poison"), opened(url) as inst:
        db = inst.db
        pausing.pause(inst, pauses.ALL, by="chaos", why="the pace of the fold is measured")
        under_way.crew.take_places(posts)
        _drained(under_way, db)
        order = TURNS * under_way.plan.turns
        *turns, last = _parts(batches, len(order) + 1)
        for part, poisoned in zip(turns, order, strict=True):
            healthy = [event for batch in part for event in batch]
            bad = []
            if poisoned:
                count = max(1, len(healthy) // ONE_IN)
                bad = _poison(under_way, healthy, raises=count)
            pace = rates.with_poison if poisoned else rates.without
            pace.seconds += _seconds_to_fold(under_way, db, part, bad, chance)
            pace.events += len(healthy)
            _drained(under_way, db)
        _killed_by_it(under_way, db, last, chance)
        under_way.crew.leave()
    return rates


def _seconds_to_fold(
    under_way: Campaign,
    db: Database,
    part: Sequence[list[Event]],
    bad: Sequence[Event],
    chance: random.Random,
) -> float:
    begun = time.perf_counter()
    _post(under_way, part, bad, chance)
    _until_none(under_way, db, _OF_OTHERS)
    return time.perf_counter() - begun


def _killed_by_it(
    under_way: Campaign, db: Database, part: Sequence[list[Event]], chance: random.Random
) -> None:
    """Each of these takes a process with it, again and again, until it is put aside."""
    healthy = [event for batch in part for event in batch]
    bad = _poison(under_way, healthy, aborts=under_way.plan.aborts)
    under_way.crew.may_abort = True
    _post(under_way, part, bad, chance)
    _drained(under_way, db)
    under_way.count("processes ended by poison", under_way.crew.toll.aborts)


def _poison(
    under_way: Campaign, healthy: Sequence[Event], *, raises: int = 0, aborts: int = 0
) -> list[Event]:
    first = len(under_way.poison)
    return poison(healthy, under_way.plan.seed, first=first, raises=raises, aborts=aborts)


def _post(
    under_way: Campaign,
    part: Sequence[list[Event]],
    bad: Sequence[Event],
    chance: random.Random,
) -> None:
    mixed = [list(batch) for batch in part]
    for event in bad:
        chance.choice(mixed).append(event)
    under_way.post(mixed)
    under_way.poison += bad
    if bad:
        under_way.count("poison posted", len(bad))


def _drained(under_way: Campaign, db: Database) -> None:
    _until_none(under_way, db, _ALL)


def _until_none(under_way: Campaign, db: Database, question: Statement) -> None:
    """Until everything is answered for and nothing of that kind waits; what is stuck is judged later."""

    def left() -> tuple[int, int]:
        with db.read() as tx, tx.whole_tables():
            return under_way.posters.left, tx.value(question)

    if stuck := under_way.until_none(left, LOOK_EVERY):
        under_way.tell(f"nothing moves any more beside poison: {stuck}")


def _parts(batches: Sequence[list[Event]], count: int) -> list[Sequence[list[Event]]]:
    size = -(-len(batches) // count)
    return [batches[start : start + size] for start in range(0, count * size, size)]
