"""The log as it grows, printed by a thread beside the server."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from rich.text import Text

from lifecycle.cli import exits, output
from lifecycle.cli.lines import Palette, print_line

if TYPE_CHECKING:
    from lifecycle.bootstrap import Engine
    from lifecycle.engine.reading import LogEntry

PAGE = 500
LOOK_EVERY = 1.0  # seconds, should a notice be missed
MOST_AT_ONCE = 40  # lines; of a larger burst, the latest


class LiveLog:
    """Prints each transition as it becomes known, with a rule where a new day begins."""

    def __init__(self, engine: Engine) -> None:
        from lifecycle.engine import reading

        self._engine = engine
        self._palette = Palette(engine.policy(), engine.versions())
        self._wanted = reading.LogFilters()
        self._cursor = reading.log_end(engine.installation, self._wanted)
        self._day: date | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._look()
            except exits.OutputClosed:
                return  # nobody reads any more; the server goes on
            except Exception as error:  # noqa: BLE001 - the log goes on; the complaint is logged
                self._engine.complaints.about("live_log_failed", "the live log", error)
                self._stop.wait(LOOK_EVERY)

    def _look(self) -> None:
        """Prints what is new, and waits for more."""
        from lifecycle.engine import reading

        rounds = self._engine.rounds
        found, self._cursor = reading.transitions(
            self._engine.installation, self._cursor, PAGE, self._wanted
        )
        self._print(found)
        if len(found) < PAGE:
            self._engine.wait_for_steps(LOOK_EVERY, since=rounds)

    def _print(self, found: Sequence[LogEntry]) -> None:
        console = output.out()
        said = _short if console.is_terminal else output.moment
        left_out = len(found) - MOST_AT_ONCE
        if left_out > 0:
            console.print(f"… {output.count(left_out, 'transition')} more …", style="dim")
        for entry in found[-MOST_AT_ONCE:]:
            at = entry.entry.row.recorded_at
            if at.date() != self._day:
                self._day = at.date()
                console.print(Text(f"── {at:%A, %d %B %Y} ──", "dim"))
            print_line(console, entry, self._palette, said)


def _short(at: datetime) -> str:
    """`02 Jan 09:30`: the line above the day has the year, and a narrow terminal little room."""
    return f"{at.astimezone(UTC):%d %b %H:%M}"
