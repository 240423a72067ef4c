"""The log as it grows, printed by a thread beside the server."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from rich.text import Text

from lifecycle.cli import exits, output
from lifecycle.cli.lines import Palette, print_line
from lifecycle.domain.instant import BEGINNING

if TYPE_CHECKING:
    from lifecycle.bootstrap import Engine
    from lifecycle.engine.reading import LogEntry

PAGE = 500
LOOK_EVERY = 1.0  # seconds, should a notice be missed
MOST_AT_ONCE = 40  # lines; of a larger burst, the latest


class LiveLog:
    """Prints each transition as it becomes known, and where a new day or policy version begins."""

    def __init__(self, engine: Engine) -> None:
        from lifecycle.engine import reading

        self._engine = engine
        self._palette = Palette(engine.policy(), engine.versions)
        self._wanted = reading.LogFilters()
        self._cursor = reading.log_end(engine.installation, self._wanted)
        self._day: date | None = None
        self._version = engine.version().number
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            rounds = self._engine.rounds
            try:
                if self.look() < PAGE:
                    self._engine.wait_for_steps(LOOK_EVERY, since=rounds)
            except exits.OutputClosed:
                return  # nobody reads any more; the server goes on
            except Exception as error:  # noqa: BLE001 - the log goes on; the complaint is logged
                self._engine.complaints.about("live_log_failed", "the live log", error)
                self._stop.wait(LOOK_EVERY)

    def look(self) -> int:
        """Prints what is new, and says how many transitions that were."""
        from lifecycle.engine import reading

        found, cursor = reading.transitions(
            self._engine.installation, self._cursor, PAGE, self._wanted
        )
        self._print_version()
        self._cursor = cursor
        self._print(found)
        return len(found)

    def _print_version(self) -> None:
        judges = self._engine.version()
        if judges.number == self._version:
            return
        self._version = judges.number
        since = judges.effective_at
        told = (
            "the beginning of all history" if since == BEGINNING else f"{output.moment(since)} UTC"
        )
        line = Text(f"── policy version {judges.number} judges, from {told} ──", "bold")
        output.out().print(line, soft_wrap=True)

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
