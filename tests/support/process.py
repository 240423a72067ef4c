"""Commands as processes of their own: read line by line as they speak, signalled, and cleaned up."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO

PATIENCE = 120  # seconds: how long a process may take to end before a test gives up on it


class _Listener:
    """Takes down what a process says to one stream, so that it never waits for a test to listen."""

    def __init__(self, stream: IO[str]) -> None:
        self.lines: list[str] = []
        self._asked = 0  # how many of them somebody has looked at
        self._over = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._listen, args=(stream,), daemon=True)
        self._thread.start()

    def first(self, pattern: str) -> re.Match[str] | None:
        """The next line that has the pattern in it; None where it ends before, or lets wait too long."""
        deadline = time.monotonic() + PATIENCE
        while (line := self._next(deadline)) is not None:
            if found := re.search(pattern, line):
                return found
        return None

    def rest(self) -> str:
        """What nobody has looked at, once the stream is over."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "somebody holds the stream open"
        asked, self._asked = self._asked, len(self.lines)
        return "".join(self.lines[asked:])

    def _next(self, deadline: float) -> str | None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._over or len(self.lines) > self._asked, deadline - time.monotonic()
            )
            if len(self.lines) == self._asked:
                return None
            self._asked += 1
            return self.lines[self._asked - 1]

    def _listen(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                with self._changed:
                    self.lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()


class Running:
    """A Python process, its output read line by line as it comes."""

    def __init__(self, *arguments: str) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "160"}
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._out = _Listener(self.process.stdout)
        self._err = _Listener(self.process.stderr)

    @property
    def read(self) -> list[str]:
        """Every line so far, of either stream."""
        return [*self._out.lines, *self._err.lines]

    def line(self, pattern: str) -> re.Match[str]:
        """The first line to come that has the pattern in it.

        Fails when the process ends before, or does not say it in time and is killed for it.
        """
        return self._first(self._out, pattern)

    def logged(self, pattern: str) -> re.Match[str]:
        """The same for its log, on standard error."""
        return self._first(self._err, pattern)

    def _first(self, listener: _Listener, pattern: str) -> re.Match[str]:
        if found := listener.first(pattern):
            return found
        self.process.kill()
        raise AssertionError(f"it ended without {pattern!r}: {self.ended()}")

    def ended(self) -> tuple[int, str, str]:
        """Waits for its end: its code, and what it said since the last line that was read."""
        code = self.process.wait(PATIENCE)
        return code, self._out.rest(), self._err.rest()

    def end(self, how: signal.Signals) -> tuple[int, str, str]:
        self.process.send_signal(how)
        return self.ended()


Start = Callable[..., Running]


@contextlib.contextmanager
def started(*program: str) -> Iterator[Start]:
    """Starts the program, by default `-m lifecycle`; what still runs at the end is killed."""
    running: list[Running] = []

    def start(*arguments: str) -> Running:
        running.append(Running(*(program or ("-m", "lifecycle")), *arguments))
        return running[-1]

    try:
        yield start
    finally:
        for each in running:
            with contextlib.suppress(ProcessLookupError):
                each.process.kill()
            each.ended()
