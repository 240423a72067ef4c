"""Which processes does an installation have? The same parts as in production, their threads as actors."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial

from lifecycle.bootstrap import Engine
from lifecycle.engine.group_commit import GroupCommit
from lifecycle.engine.readiness import Broker
from tests.simulation.broker import BrokerAway
from tests.simulation.loop import Process
from tests.simulation.world import World
from workers.bells import APPLY, DUE
from workers.clockwork import Tick, ticks
from workers.inprocess import THREADS, InProcessWorkers
from workers.line import Line
from workers.processes import _looks
from workers.ringer import Ringer
from workers.rounds import Rounds, batches_of

SECOND = timedelta(seconds=1)


class Server:
    """Takes posts: a commit goes on while others wait for the next one."""

    def __init__(self, world: World, process: Process, engine: Engine) -> None:
        self.process = process
        self.commits = GroupCommit(engine.accept)
        self._world = world
        self._busy = False
        world.servers = [other for other in world.servers if other.process.alive]
        world.servers.append(self)

    def commit_soon(self) -> None:
        if not self._busy:
            self._busy = True
            self._world.loop.start(self.process, "commit", self._commit)

    def _commit(self) -> None:
        self._world.pause()
        while self.commits._lanes:
            self.commits.commit_next()
        self._busy = False


def serve(world: World, process: Process) -> None:
    ring = _ringer(world, process)
    Server(world, process, world.engine(partial(ring.ring, APPLY), ring.broker))


def work(world: World, process: Process) -> None:
    ring = _ringer(world, process).ring
    line = Line("the broker")
    engine = world.engine(partial(ring, APPLY), lambda: Broker.UNHEARD)
    rounds = Rounds(
        batches_of(engine),
        ring=ring,
        complaints=engine.complaints,
        monotonic=lambda: world.loop.now,
    )
    for bell in (APPLY, DUE):
        world.loop.start(process, bell, partial(_listen, world, line, rounds, bell))
        ring(bell)
    _tick(world, process, engine, _looks(engine, rounds, line))


def schedule(world: World, process: Process) -> None:
    ringer = _ringer(world, process)
    engine = world.engine(partial(ringer.ring, APPLY), ringer.broker)
    needed = ticks(
        engine, apply=partial(ringer.ring, APPLY), fire=partial(ringer.ring, DUE), deliver=_nothing
    )
    _tick(world, process, engine, needed)


def up(world: World, process: Process) -> None:
    """All of it in one process, which needs no broker."""
    hands = _Hands(world, process)
    apply, fire = partial(hands.ring, APPLY), partial(hands.ring, DUE)
    engine = world.engine(apply, lambda: Broker.UNUSED)
    hands.start(batches_of(engine))
    Server(world, process, engine)
    _tick(world, process, engine, ticks(engine, apply=apply, fire=fire, deliver=_nothing))


def _nothing() -> None:
    """Sending has a chaos run of its own."""


class _Hands(InProcessWorkers):
    """With actors in place of dramatiq's threads."""

    def __init__(self, world: World, process: Process) -> None:
        super().__init__(world.complaints())
        self._world = world
        self._process = process
        self._rung: deque[str] = deque()

    def _listen(self) -> None:
        for number in range(THREADS):
            self._world.loop.start(self._process, f"hand-{number}", self._work)

    def _sender(self, name: str) -> Callable[[], object]:
        return lambda: self._rung.append(name)

    def _work(self) -> None:
        while True:
            while self._rung:
                self.answer(self._rung.popleft())
            self._world.loop.sleep(self._world.chance.uniform(0.02, 0.2))


def _ringer(world: World, process: Process) -> Ringer:
    """Rings a moment after it was asked to."""

    def ring_later() -> None:
        world.pause()
        if ringer._wanted:
            ringer.ring_next()

    class Asked(Ringer):
        def ring(self, bell: str) -> None:
            super().ring(bell)
            world.loop.start(process, "ringer", ring_later)

    ringer = Asked(world.broker.ring, Line("the broker"))
    return ringer


def _listen(world: World, line: Line, rounds: Rounds, bell: str) -> None:
    """Waits for rings of a bell, as the consumers of both brokers do."""
    while True:
        try:
            rung = world.broker.heard(bell)
        except BrokerAway as error:
            line.lost(bell, error)
            world.loop.sleep(1)
            continue
        line.found(bell)
        if rung:
            rounds.answer(bell)
        world.loop.sleep(world.chance.uniform(0.05, 0.3))


def _tick(world: World, process: Process, engine: Engine, needed: Iterable[Tick]) -> None:
    """Each tick every so often, never twice at once; what is due can wait, on a clock that runs so fast."""
    slow_for_due = world.chance.choice([2, 10, 20])

    def keep(tick: Tick) -> None:
        slow = slow_for_due if tick.every < SECOND else 2
        while True:
            world.loop.sleep(tick.every.total_seconds() * world.chance.uniform(1, slow))
            try:
                tick.do()
            except Exception as error:  # noqa: BLE001 - as in `Clockwork`: the next tick must come
                engine.complaints.about("tick_failed", f"tick {tick.name!r}", error)

    for tick in needed:
        world.loop.start(process, tick.name, partial(keep, tick))
