"""What does each process of a large installation do? Answer, work, or tick: as many of each as one likes.

All of them share one PostgreSQL, which is the queue; the broker between them only carries rings.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

import dramatiq
from dramatiq.middleware import TimeLimit
from dramatiq.worker import Worker

from lifecycle.bootstrap import Access, Complaints, Engine, build
from lifecycle.engine.observer import Observer, Unobserved
from lifecycle.engine.readiness import Broker
from lifecycle.errors import Unusable
from lifecycle.settings import VARIABLES, Settings
from workers import bells
from workers.bells import APPLY, DELIVER, DUE
from workers.broker import broker_for, examine, line_of
from workers.clockwork import RECLAIM_EVERY, SWEEP_EVERY, Clockwork, Tick, ticks
from workers.intake import intake_of
from workers.line import Line
from workers.metrics_port import metrics_served
from workers.middleware import AboutTheRing, Beside, OneRingOfEachBell
from workers.ringer import NoRinger, Ringer
from workers.rounds import Rounds, batches_of

THREADS = 3  # a process takes one ring of each of its three bells at a time
POLL_EVERY = timedelta(seconds=1)  # while the broker is away
BATCH_LIMIT = (
    120_000  # ms: far beyond any ring; what takes longer is cut off, and counts as an attempt
)
STOP_WITHIN = 25_000  # ms: for the batches that are running

Ring = Callable[[str], object]


@contextlib.contextmanager
def serving(settings: Settings) -> Iterator[Engine]:
    """An engine that rings for what it accepts. It does no work, and needs no broker to accept."""
    from lifecycle.metrics import Metrics

    _refuse_file(settings)
    examine(settings)
    line = line_of(settings, "workers find what is accepted by themselves, within seconds")
    with (
        _ringing(settings, line) as ringer,
        _engine(settings, Complaints(), ringer.ring, ringer.broker, Metrics()) as engine,
    ):
        ringer.ring(APPLY)  # or nobody would know before the first post whether the broker answers
        yield engine


@contextlib.contextmanager
def scheduling(settings: Settings) -> Iterator[Engine]:
    """Ticks that ring. Any number of such processes do the work of one; without a broker, it is theirs."""
    _refuse_file(settings)
    examine(settings)
    complaints = Complaints()
    line = line_of(settings, "ticking without it, and workers look into the database by themselves")
    with contextlib.ExitStack() as opened:
        ringer = opened.enter_context(_ringing(settings, line))
        engine = opened.enter_context(
            _engine(
                settings,
                complaints,
                ringer.ring,
                ringer.broker,
                _counting(settings),
                sends=settings.broker_url is None,
            )
        )
        opened.enter_context(metrics_served(engine, settings.metrics_port, settings.metrics_host))
        rounds = Rounds(batches_of(engine), ring=ringer.ring, complaints=complaints)
        do = rounds.answer if settings.broker_url is None else ringer.ring
        needed = ticks(
            engine, apply=partial(do, APPLY), fire=partial(do, DUE), deliver=partial(do, DELIVER)
        )
        clockwork = Clockwork(needed, complaints)
        clockwork.start()
        try:
            yield engine
        finally:
            rounds.stop()
            engine.stop_work_of_the_night()
            engine.stop_recomputing()
            clockwork.stop()
            engine.stop_sending()


@contextlib.contextmanager
def working(settings: Settings) -> Iterator[dramatiq.Broker]:
    """Workers in this process. At the end of the block running batches finish, and no other begins."""
    broker = workers_of(settings)
    broker.emit_after("process_boot")  # starts the time limit's watch
    worker = Worker(broker, worker_threads=THREADS)
    worker.start()
    try:
        yield broker
    finally:
        worker.stop(timeout=STOP_WITHIN)
        broker.close()


def workers_of(settings: Settings) -> dramatiq.Broker:
    """The broker that dramatiq's workers listen to, with the engine behind its actors.

    With the workers start the sweeps of this process, and its intake of what systems post to the broker;
    with them they end; then the engine is closed.
    """
    _refuse_file(settings)
    examine(settings)
    with contextlib.ExitStack() as opened:
        complaints = Complaints()
        broker, line = broker_for(settings)
        ring = opened.enter_context(_ringing(settings, line)).ring
        heard = partial(_heard, settings, line)
        engine = opened.enter_context(
            _engine(settings, complaints, ring, heard, _counting(settings), sends=True)
        )
        opened.enter_context(metrics_served(engine, settings.metrics_port, settings.metrics_host))
        rounds = Rounds(batches_of(engine), ring=ring, complaints=complaints)
        clockwork = Clockwork(_looks(engine, rounds, line), complaints)
        intake = intake_of(engine, settings, line)
        closing = opened.pop_all()

    def start() -> None:
        clockwork.start()
        intake.start()
        for bell in (APPLY, DUE, DELIVER):  # for what was left behind before
            ring(bell)

    def stop() -> None:
        rounds.stop()
        intake.stop()
        engine.stop_recomputing()
        clockwork.stop()
        engine.stop_sending()

    for middleware in (
        TimeLimit(time_limit=BATCH_LIMIT),
        OneRingOfEachBell(),
        AboutTheRing(),
        Beside(start=start, stop=stop, close=closing.close),
    ):
        broker.add_middleware(middleware)
    _declare(broker, settings.broker_prefix, rounds)
    return broker


def _refuse_file(settings: Settings) -> None:
    """First of all: nobody is told of a broker or a port by a process that will not be."""
    if settings.database_url.startswith("sqlite:"):
        raise Unusable(
            f"{settings.database_url}: an SQLite file is for one process, so run `lifecycle up`, which"
            f" does everything in one; or name a PostgreSQL database with"
            f" {VARIABLES['database_url']}=postgresql://…"
        )


def _declare(broker: dramatiq.Broker, prefix: str, rounds: Rounds) -> None:
    """A queue for each bell, so that a worker that does not know a bell leaves its rings alone."""

    @dramatiq.actor(broker=broker, actor_name=APPLY, queue_name=bells.queue_of(prefix, APPLY))
    def apply() -> None:
        """Fold what waits."""
        rounds.answer(APPLY)

    @dramatiq.actor(broker=broker, actor_name=DUE, queue_name=bells.queue_of(prefix, DUE))
    def due() -> None:
        """Fire the checks that are due."""
        rounds.answer(DUE)

    @dramatiq.actor(broker=broker, actor_name=DELIVER, queue_name=bells.queue_of(prefix, DELIVER))
    def deliver() -> None:
        """Send the messages that are due."""
        rounds.answer(DELIVER)


def _looks(engine: Engine, rounds: Rounds, line: Line) -> list[Tick]:
    """For rings that were lost, and in place of a broker or a scheduler that is away."""

    def poll() -> None:
        if line.away:
            rounds.look()

    return [
        Tick(name="sweep", every=SWEEP_EVERY, do=rounds.look),
        Tick(name="poll", every=POLL_EVERY, do=poll),
        Tick(name="reclaim", every=RECLAIM_EVERY, do=engine.reclaim),
        Tick(name="fetches", every=SWEEP_EVERY, do=engine.settle_fetches),
        Tick(name="recompute", every=SWEEP_EVERY, do=engine.recompute),
    ]


def _heard(settings: Settings, line: Line) -> Broker:
    """What listening for rings tells of the broker."""
    if settings.broker_url is None:
        return Broker.UNUSED
    return Broker.AWAY if line.away else Broker.ANSWERS


@contextlib.contextmanager
def _ringing(settings: Settings, line: Line) -> Iterator[Ringer | NoRinger]:
    """How this process rings, without ever waiting for it; without a broker nobody hears it."""
    if settings.broker_url is None:
        yield NoRinger()
        return
    broker, _ = broker_for(settings, line=line)
    ringer = Ringer(partial(bells.ring, broker, settings.broker_prefix), line)
    ringer.start()
    try:
        yield ringer
    finally:
        ringer.stop()
        broker.close()


def _counting(settings: Settings) -> Observer:
    """Of a process without an API: only where somebody can ask."""
    if settings.metrics_port is None:
        return Unobserved()
    from lifecycle.metrics import Metrics  # nobody else waits for the library behind it

    return Metrics()


def _engine(
    settings: Settings,
    complaints: Complaints,
    ring: Ring,
    broker: Callable[[], Broker],
    observer: Observer,
    *,
    sends: bool = False,
) -> Engine:
    return build(
        settings,
        access=Access.RUN,
        sends=sends,
        ring=partial(ring, APPLY),
        broker=broker,
        observer=observer,
        complaints=complaints,
    )
