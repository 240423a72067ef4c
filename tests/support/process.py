"""Commands as processes of their own: read line by line as they speak, signalled, and cleaned up."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import IO

PATIENCE = 120  # seconds: how long a process may take to end before a test gives up on it


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
        self.out: IO[str] = self.process.stdout
        self.err: IO[str] = self.process.stderr
        self.read: list[str] = []  # every line so far, of either

    def line(self, pattern: str) -> re.Match[str]:
        """The first line to come that has the pattern in it.

        Fails when the process ends before, or does not say it in time and is killed for it.
        """
        return self._first(self.out, pattern)

    def logged(self, pattern: str) -> re.Match[str]:
        """The same for its log, on standard error."""
        return self._first(self.err, pattern)

    def _first(self, stream: IO[str], pattern: str) -> re.Match[str]:
        too_late = threading.Timer(PATIENCE, self.process.kill)
        too_late.start()
        try:
            for line in stream:
                self.read.append(line)
                if found := re.search(pattern, line):
                    return found
        finally:
            too_late.cancel()
        raise AssertionError(f"it ended without {pattern!r}: {self.ended()}")

    def ended(self) -> tuple[int, str, str]:
        """Waits for its end: its code, and what it said since the last line that was read."""
        out, err = self.process.communicate(timeout=PATIENCE)
        self.read += [*out.splitlines(keepends=True), *err.splitlines(keepends=True)]
        return self.process.returncode, out, err

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
            each.process.communicate()
