"""What is there to see for a newcomer? A world of made-up customers, on a clock that runs fast.

Everything is simulated and says so: the source of its events is `simulation`, its customers are
called `sim-…`, and it lives in a database of its own.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from lifecycle.clock import ClockSpec
from lifecycle.errors import Unusable
from lifecycle.settings import Settings

if TYPE_CHECKING:
    from lifecycle.bootstrap import Engine
    from lifecycle.cli.output import Ticker
    from lifecycle.domain.event import Event

FOLDER = "var"
CLOCK = ClockSpec.parse("2026-01-01T00:00:00Z*28800")  # a day every three seconds
SEED = 1
PER_DAY = 2.0  # new customers
HISTORY = timedelta(days=365)  # before the clock starts, so that checks are about to come due
FEED_EVERY = 0.2  # seconds of real time
AT_ONCE = 500  # events
# After a kill, what had been made up and not yet posted is posted again, and much more than that.
AGAIN = timedelta(days=30)


def settings_for_demo(settings: Settings) -> Settings:
    """With a database of its own in `var/` of the working directory, whatever else is configured."""
    folder = Path.cwd() / FOLDER
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise Unusable(
            f"{folder}: cannot be made for the demo's database: {error.strerror}"
        ) from error
    return replace(
        settings,
        database_url=f"sqlite:///{folder / 'demo.db'}",
        clock=settings.clock or CLOCK,
    )


class Demo:
    """The world, its history, and the thread that tells the engine what happens in it."""

    def __init__(self, engine: Engine, clock: ClockSpec) -> None:
        from lifecycle.intake import simulate

        self._engine = engine
        self._start = clock.start
        self._world = simulate.live(
            seed=SEED, start=clock.start - HISTORY, per_day=PER_DAY, policy=engine.policy()
        )
        self._history = self._world.advance(clock.start)
        self._untold: list[Event] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo", daemon=True)

    def tell_history(self, bar: Ticker) -> None:
        """A year of the world, once, as an import: what it would have sent is withheld."""
        from lifecycle.engine.imports import run_import
        from lifecycle.intake.simulate import draft

        history, self._history = self._history, []
        if self._is_told():
            return
        now = self._engine.now()
        run_import(
            self._engine.installation,
            "a made-up year",
            f"demo {self._world.tag}",
            lambda: (draft(event, now) for event in history),
            on_applied=lambda applied, _: bar(applied.events, len(history)),
        )

    def start(self) -> None:
        """From now on things happen in the world as the clock runs."""
        lived = self._engine.now()
        self._untold = [
            event for event in self._world.advance(lived) if event.occurred_at > lived - AGAIN
        ]
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _is_told(self) -> bool:
        """An import that was broken off is gone on with."""
        from lifecycle.store import reading

        with self._engine.db.read() as tx:
            return reading.count_events(tx) > 0 and reading.backlog(tx).held == 0

    def _run(self) -> None:
        while not self._stop.wait(FEED_EVERY):
            try:
                self._tell()
            except Exception as error:  # noqa: BLE001 - the world goes on; the complaint is logged
                self._engine.complaints.about("demo_failed", "the demo's world", error)

    def _tell(self) -> None:
        """What could not be told now is told the next time."""
        from lifecycle.intake.simulate import draft

        now = self._engine.now()
        self._untold.extend(self._world.events(now))
        while self._untold:
            self._engine.accept([draft(event, now) for event in self._untold[:AT_ONCE]])
            del self._untold[:AT_ONCE]
