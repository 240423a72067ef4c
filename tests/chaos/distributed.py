"""The run on PostgreSQL and Redis: many processes, any of which may die, and servers that fail too."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from lifecycle.resources import config_dir
from lifecycle.store.database import Database
from lifecycle.store.schema import migrate
from tests.chaos import disk, monkeys, poisoning
from tests.chaos.campaign import UNTIL, Campaign, Plan, Tell, campaign
from tests.chaos.crew import Post
from tests.chaos.expected import expected
from tests.chaos.fates import INTAKE_POINTS, WORK_POINTS
from tests.chaos.judge import nothing_waits
from tests.chaos.material import posts
from tests.chaos.outcome import Outcome, concluded
from tests.support import postgres
from tests.support import redis as redis_server
from tests.support.postgres_warden import free_port
from tests.support.redis import WheelServer

SERVERS, SCHEDULERS = 2, 5
TEN_MINUTES = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the processes of the run share."""

    directory: Path  # of PostgreSQL
    url: str
    redis: WheelServer
    ports: tuple[int, ...]
    workers: int
    clock: str
    sabotage: str | None

    def environment(self, *, port: int = 0, broker: bool = True, url: str = "") -> dict[str, str]:
        """What a process of the installation finds around it."""
        found = {
            "LIFECYCLE_DATABASE_URL": url or self.url,
            "LIFECYCLE_CONFIG_DIR": str(config_dir()),
            "LIFECYCLE_PORT": str(port),
            "LIFECYCLE_CLOCK": self.clock,
        }
        return found | ({"LIFECYCLE_BROKER_URL": self.redis.url} if broker else {})

    def crew(self, *, broker: bool = True, line: str = "") -> list[Post]:
        """Everybody; where a `line` to the database is given, one of each kind uses it."""
        return [
            *(
                self.server(port, line=line if not number else "", broker=broker)
                for number, port in enumerate(self.ports)
            ),
            *(
                self.worker(line=line if not number else "", broker=broker)
                for number in range(self.workers)
            ),
            *(self.scheduler(works=not broker) for _ in range(SCHEDULERS)),
        ]

    def server(self, port: int, *, line: str = "", broker: bool = True) -> Post:
        return Post(
            command=("serve",),
            environment=self.environment(port=port, url=line, broker=broker),
            points=INTAKE_POINTS,
            sabotage=self.sabotage,
        )

    def worker(self, *, line: str = "", broker: bool = True) -> Post:
        return Post(
            command=("work",),
            environment=self.environment(url=line, broker=broker),
            points=WORK_POINTS,
            sabotage=self.sabotage,
        )

    def scheduler(self, *, works: bool = False) -> Post:
        """Without a broker the work is the scheduler's, and it may end in it; else it only rings."""
        return Post(
            command=("schedule",),
            environment=self.environment(broker=not works),
            points=WORK_POINTS if works else (),
            sabotage=self.sabotage,
        )

    def nothing_waits(self) -> bool:
        return nothing_waits(self.url)

    def calm(self) -> list[Post]:
        """As many as are needed, none of whom is to end."""
        posts = [*map(self.server, self.ports), self.worker(), self.worker(), self.scheduler()]
        return [dataclasses.replace(post, points=()) for post in posts]


def run(plan: Plan, tell: Tell) -> Outcome:
    """From an empty database to the verdicts."""
    begun = time.monotonic()
    ports = tuple(free_port() for _ in range(SERVERS))
    with (
        expected(plan.material, UNTIL) as wanted,
        campaign(plan, ports, tell) as under_way,
        _world(under_way, ports) as world,
    ):
        batches, beside_poison = poisoning.divided(plan, posts(plan.material.of(), plan.seed))
        passes = [each for each in _PASSES if plan.passes is None or each.name in plan.passes]
        whole, so_far = sum(each.share for each in passes), 0.0
        first = time.monotonic()
        for each in passes:
            start, so_far = so_far, so_far + each.share / whole
            under_way.crew.goal = min(plan.goal, math.ceil(plan.goal * so_far))
            under_way.post(batches[round(len(batches) * start) : round(len(batches) * so_far)])
            # What one pass leaves of its time is the next one's.
            until = first + (plan.limit or plan.seconds) * so_far
            each.endured(under_way, world, until - time.monotonic())
        rates = poisoning.suffer(under_way, world.url, world.calm(), beside_poison)
        filled = disk.filled("postgres", plan.seed) if plan.disk else None
        return concluded(
            under_way,
            "PostgreSQL and Redis",
            world.url,
            world.calm(),
            wanted,
            rates,
            filled,
            begun,
        )


@contextlib.contextmanager
def _world(under_way: Campaign, ports: tuple[int, ...]) -> Iterator[World]:
    """Servers of the run's own, PostgreSQL with fsync, and an empty database."""
    directory = under_way.folder / "postgres"
    under_way.tell("starting servers")
    with (
        postgres.wheel_server(directory, fsync=True) as admin,
        redis_server.wheel_server() as redis,
        postgres.fresh_database(admin) as url,
    ):
        with contextlib.closing(Database.open(url)) as db:
            migrate(db)
        try:
            yield World(
                directory=directory,
                url=url,
                redis=redis,
                ports=ports,
                workers=under_way.plan.workers,
                clock=under_way.plan.clock,
                sabotage=under_way.plan.sabotage,
            )
        finally:
            under_way.crew.leave()


# -- the passes


def _flushed(under_way: Campaign, world: World, seconds: float) -> None:
    with (
        under_way.a_pass("Redis is flushed every second; five schedulers"),
        monkeys.flushing(world.redis.url, under_way.count),
    ):
        under_way.endure(
            world.crew(),
            seconds,
            nothing_waits=world.nothing_waits,
            meanwhile=_killing_schedulers(under_way),
        )


def _without_redis(under_way: Campaign, world: World, seconds: float) -> None:
    world.redis.stop()
    under_way.count("Redis stopped for a whole pass")
    try:
        with under_way.a_pass("Redis is stopped"):
            under_way.endure(
                world.crew(),
                seconds,
                nothing_waits=world.nothing_waits,
                meanwhile=_killing_schedulers(under_way),
            )
    finally:
        world.redis.start()


def _falling_over(under_way: Campaign, world: World, seconds: float) -> None:
    """PostgreSQL restarts, connections break at COMMIT, a worker's clock is wrong, others sleep."""
    plan, port = under_way.plan, urlsplit(world.url).port
    assert port is not None
    chance = plan.chance("restarts")
    wrong = dataclasses.replace(world.worker(), clock_off_by=chance.choice([1, -1]) * TEN_MINUTES)
    sleepy = dataclasses.replace(world.worker(), stops=plan.stops)
    under_way.count("clock ten minutes off")
    with (
        under_way.a_pass("PostgreSQL restarts; TCP is cut at COMMIT; SIGSTOP; a wrong clock"),
        monkeys.cutting(port, plan.seed, under_way.count) as cut,
        monkeys.flushing(world.redis.url, under_way.count),
        monkeys.restarting(world.directory, chance, plan.restart_within, under_way.count),
    ):
        crew = world.crew(line=_through(world.url, cut))
        under_way.endure(
            [*crew, wrong, sleepy],
            seconds,
            nothing_waits=world.nothing_waits,
            also=lambda: under_way.faults.get("PostgreSQL restarted", 0) >= plan.restarts,
            meanwhile=_killing_schedulers(under_way),
        )


def _without_broker(under_way: Campaign, world: World, seconds: float) -> None:
    with under_way.a_pass("no broker is named; schedulers do the work"):
        under_way.endure(world.crew(broker=False), seconds, nothing_waits=world.nothing_waits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    name: str
    share: float  # of time, events and kills
    endured: Callable[[Campaign, World, float], None]


_PASSES = (
    Pass(name="flushed", share=0.4, endured=_flushed),
    Pass(name="without redis", share=0.2, endured=_without_redis),
    Pass(name="falling over", share=0.2, endured=_falling_over),
    Pass(name="without broker", share=0.2, endured=_without_broker),
)


def _killing_schedulers(under_way: Campaign) -> Callable[[], None]:
    """One for every other process that dies: they only ring, so no point of theirs is worse than another."""
    toll, killed = under_way.crew.toll, under_way.crew.toll.kills.total()

    def kill() -> None:
        nonlocal killed
        if toll.kills.total() > killed:
            killed = toll.kills.total()
            under_way.crew.kill_one("schedule")

    return kill


def _through(url: str, port: int) -> str:
    """The same database, by another way."""
    parts = urlsplit(url)
    before, _, _ = parts.netloc.rpartition(":")
    return urlunsplit(parts._replace(netloc=f"{before}:{port}"))
