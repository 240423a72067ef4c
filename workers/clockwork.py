"""What happens every so often, and how often? APScheduler in memory; every tick may come twice or late.

Nothing is scheduled for one customer: what is due lies in the database, and a tick only has a look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, timedelta

from lifecycle.bootstrap import Complaints, Engine
from lifecycle.clock import WIND_EVERY

DUE_EVERY = timedelta(seconds=1)  # what is due fires at most this much late
DELIVER_EVERY = timedelta(seconds=1)  # a message leaves at most this much late
DUE_EVERY_FASTER = timedelta(milliseconds=200)  # on a clock that outruns real time
SWEEP_EVERY = timedelta(seconds=5)  # for rings that were lost
RECLAIM_EVERY = timedelta(seconds=10)
NIGHT_EVERY = timedelta(seconds=10)  # the work of a night begins at most this much late
NIGHT_EVERY_FASTER = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    name: str
    every: timedelta  # of real time
    do: Callable[[], object]


class Clockwork:
    """Calls each tick in a thread of its own, never twice at once; a late one is not made up for."""

    def __init__(self, ticks: Iterable[Tick], complaints: Complaints) -> None:
        from apscheduler.executors.pool import ThreadPoolExecutor  # not for who only answers
        from apscheduler.schedulers.background import BackgroundScheduler

        ticks = list(ticks)
        self._complaints = complaints
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(max(1, len(ticks)))},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        for tick in ticks:
            self._scheduler.add_job(
                self._guarded(tick),
                "interval",
                seconds=tick.every.total_seconds(),
                id=tick.name,
            )

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        """Waits for the ticks that are running."""
        self._scheduler.shutdown(wait=True)

    def _guarded(self, tick: Tick) -> Callable[[], None]:
        def run() -> None:
            try:
                tick.do()
            except Exception as error:  # noqa: BLE001 - the next tick must come; the complaint is logged
                self._complaints.about("tick_failed", f"tick {tick.name!r}", error)

        return run


def ticks(
    engine: Engine,
    *,
    apply: Callable[[], object],
    fire: Callable[[], object],
    deliver: Callable[[], object],
) -> list[Tick]:
    """What an installation needs, whoever does the work: by ringing for it, or on the spot."""
    often = DUE_EVERY_FASTER if engine.runs_faster else DUE_EVERY
    nightly = NIGHT_EVERY_FASTER if engine.runs_faster else NIGHT_EVERY
    needed = [
        Tick(name="due", every=often, do=fire),
        Tick(
            name="deliver",
            every=DUE_EVERY_FASTER if engine.runs_faster else DELIVER_EVERY,
            do=deliver,
        ),
        Tick(name="sweep", every=SWEEP_EVERY, do=apply),
        Tick(name="expire", every=SWEEP_EVERY, do=engine.expire_messages),
        Tick(name="reclaim", every=RECLAIM_EVERY, do=engine.reclaim),
        Tick(name="fetches", every=SWEEP_EVERY, do=engine.settle_fetches),
        Tick(name="recompute", every=SWEEP_EVERY, do=engine.recompute),
        Tick(name="night", every=nightly, do=engine.work_of_the_night),
    ]
    if engine.winds_clock:
        needed.append(Tick(name="clock", every=WIND_EVERY, do=engine.wind_clock))
    return needed
