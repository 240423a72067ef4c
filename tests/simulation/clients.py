"""Who posts, and who looks after what failed? They ask again until they are answered."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from lifecycle.engine.accept import Accepted, Conflict, Duplicate, Result
from lifecycle.engine.dead import Status, discard, list_dead, replay
from lifecycle.engine.readiness import Broker
from lifecycle.errors import Unavailable
from lifecycle.intake.draft import Draft
from lifecycle.store.sql import both
from tests.engine.histories import Arrival
from tests.scenarios.driver import day
from tests.simulation.history import BROKEN, END, MENDED
from tests.simulation.loop import Crash, Process
from tests.simulation.processes import Server
from tests.simulation.world import DAYS_A_SECOND, World
from tests.support.engine import draft

POSTERS = 2
PATIENCE = 5.0  # seconds, with a server

_MEND = both("UPDATE event SET properties = ? WHERE event_id = ?")


def post_everything(world: World) -> None:
    """Each poster has some of the arrivals, and a time for each; some come twice, or at any time."""
    plans: list[list[tuple[float, Arrival]]] = [[] for _ in range(POSTERS)]
    for arrival in world.history.arrivals:
        times = 1 + (world.chance.random() < world.intended.repeated)
        for _ in range(times):
            at = arrival.day / DAYS_A_SECOND
            if world.chance.random() < world.intended.shuffled:
                at = world.chance.uniform(0, END / DAYS_A_SECOND)
            world.chance.choice(plans).append((at, arrival))
    world.posting = len(plans)
    for number, plan in enumerate(plans):
        plan.sort(key=lambda one: one[0])
        process = Process(f"poster-{number}", again=lambda: None)
        world.loop.start(process, "post", partial(_post, world, plan))


def _post(world: World, plan: Sequence[tuple[float, Arrival]]) -> None:
    for at, arrival in plan:
        world.loop.sleep(max(0.0, at - world.loop.now))
        received = day(world.loop.now * DAYS_A_SECOND)
        drafts = [draft(event._replace(received_at=received)) for event in arrival.events]
        for result in _answered(world, drafts):
            assert isinstance(result, Accepted | Duplicate), result
        if world.chance.random() < world.intended.repeated:
            _forge(world, drafts[0])
    world.posting -= 1


def _forge(world: World, original: Draft) -> None:
    """The id of an event that was answered for, with other content: that is told, and changes nothing."""
    forged = draft(original.event._replace(type="account_closed", properties={"forged": True}))
    (result,) = _answered(world, [forged])
    assert isinstance(result, Conflict), result


def _answered(world: World, drafts: Sequence[Draft]) -> list[Result]:
    """The answer to a post that is repeated until there is one."""
    while True:
        found = None if world.chance.random() < world.faults.unheard else _asked(world, drafts)
        if found is not None and world.chance.random() >= world.faults.unanswered:
            world.loop.tell(f"is answered {[type(result).__name__ for result in found]}")
            return found
        world.loop.sleep(world.chance.uniform(0.05, 1))


def _asked(world: World, drafts: Sequence[Draft]) -> list[Result] | None:
    """None where no answer comes, whatever became of the post."""
    living = [server for server in world.servers if server.process.alive]
    if not living:
        return None
    server: Server = world.chance.choice(living)
    world.loop.tell(f"posts {[one.event.id for one in drafts]} to {server.process.name}")
    stored = server.commits.submit(drafts)
    server.commit_soon()
    deadline = world.loop.now + PATIENCE
    while not stored.done():
        if not server.process.alive or world.loop.now > deadline:
            return None
        world.loop.sleep(0.02)
    try:
        return stored.result()
    except (Unavailable, Crash):
        return None


def operate(world: World, process: Process) -> None:
    """An operator looks for dead letters now and then: mends, replays in vain, discards."""
    world.loop.start(process, "look", partial(_look, world))


def _look(world: World) -> None:
    told = world.history
    inst = world.engine(lambda: None, lambda: Broker.UNUSED).installation
    in_vain = world.chance.random() < 0.5
    while True:
        world.loop.sleep(world.chance.uniform(1, 4))
        try:
            for letter in list_dead(inst, 10, Status.QUARANTINED):
                event = letter.stored.event
                if event.id == told.poison and told.mended:
                    change = f'{{"amount":"{MENDED}"}}'
                    inst.db.run(lambda tx, name=event.id, c=change: tx.run(_MEND, c, name))  # type: ignore[misc]
                    replay(inst, event.source, event.id, by="olga", why="mended")
                elif event.properties.get("amount") == BROKEN and in_vain:
                    in_vain = False
                    replay(inst, event.source, event.id, by="olga", why="let us see")
                else:
                    discard(inst, event.source, event.id, by="olga", why=None)
        except Unavailable:
            world.loop.tell("is refused")
