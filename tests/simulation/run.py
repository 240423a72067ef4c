"""How is one seed lived through, and what is told of it if it ends badly?"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from tests.simulation.clients import operate, post_everything
from tests.simulation.encounters import meeting
from tests.simulation.ground import Ground
from tests.simulation.processes import schedule, serve, up, work
from tests.simulation.verdict import Broken, judge, settle
from tests.simulation.world import World

Sabotage = Callable[[World], AbstractContextManager[object]]
"""Breaks production code in a world on purpose."""


def _none(world: World) -> AbstractContextManager[object]:
    return nullcontext()


def live(ground: Ground, seed: int, sabotage: Sabotage = _none) -> World:
    """The world of a seed at its end; raises `Broken`, with the way back to it, where a promise fails."""
    world = World(seed, ground.fresh())
    with _silent():
        try:
            with meeting(world), sabotage(world):
                _populate(world)
                settle(world)
            judge(world, ground)
        except Exception as error:
            raise Broken(_told(world, error)) from error
    return world


def _populate(world: World) -> None:
    world.turn()
    if world.embedded:
        world.bear("up", up)
    else:
        for name, birth in (("serve", serve), ("work", work), ("schedule", schedule)):
            for number in range(2 if birth is work else world.chance.choice([1, 2])):
                world.bear(f"{name}-{number}", birth)
    if world.history.poison or world.history.deadly:
        world.bear("operator", operate)
    post_everything(world)


def _told(world: World, error: Exception) -> str:
    faults = {name: rate for name in world.intended.names() if (rate := world.intended.rate(name))}
    return "\n".join(
        [
            f"seed {world.seed}: {type(error).__name__}: {error}",
            f"again, alone: SIM_SEED={world.seed} pytest tests/simulation",
            f"{'embedded' if world.embedded else 'many processes'}, {world.at_once} events at once",
            f"poison {world.history.poison}, deadly {world.history.deadly}",
            f"faults: {faults}",
            f"ends: {dict(world.ends)}",
            *world.loop.trace,
        ]
    )


@contextmanager
def _silent() -> Iterator[None]:
    """The engine logs every fault; so many of them would be all that is ever read."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
