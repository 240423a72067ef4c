"""How is code of the customer's own run, so that whatever it does hurts nobody? In a process of its own.

One that hangs can be ended, one that crashes takes nobody along, and what it costs in memory is given
back in the morning; what it has started ends with it. Files without a name lie between: neither side
ever waits for the other.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from lifecycle.engine import hooked
from lifecycle.engine.night import Shift
from lifecycle.errors import ScoringFailed

LOOK_EVERY = 0.2  # seconds
TOLD = 500  # characters of what the hook printed last, where it ended without a word

Scores = dict[str, Any]


class Hook:
    """A hook that is given customers, then run, then asked for its scores, as often as one likes."""

    def __init__(self, name: str, given: BinaryIO, answered: BinaryIO, said: BinaryIO) -> None:
        self._name = name
        self._given = given
        self._answered = answered
        self._said = said

    def give(self, data: bytes) -> None:
        self._given.write(data)

    def run(self, shift: Shift, limit: timedelta) -> None:
        """Until it has answered; the claim is kept meanwhile. Raises ScoringFailed, and as `stay` does."""
        self._given.seek(0)
        # -P: what lies in the working directory is nobody's module. -B: a module that is edited within
        # a second of its last run, and is as long as before, would be taken from the cache.
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-P", "-B", hooked.__file__],
            stdin=self._given,
            stdout=self._answered,
            stderr=self._said,
            start_new_session=True,  # Ctrl-C is for us, who end it with all of its group
        )
        try:
            self._watch(process, shift, limit)
        finally:
            with contextlib.suppress(ProcessLookupError):  # nobody of it is left
                os.killpg(process.pid, signal.SIGKILL)  # and whatever the hook has started
            process.wait()
        self._refuse_failure(process.returncode)

    def scores(self) -> Iterator[tuple[str, Scores]]:
        """What it answered, a customer's key with her scores each."""
        self._answered.seek(0)
        for line in self._answered:
            answer = orjson.loads(line)
            if isinstance(answer, list):
                yield answer[0], answer[1]

    def _watch(self, process: subprocess.Popen[bytes], shift: Shift, limit: timedelta) -> None:
        begun = time.monotonic()
        while True:
            shift.stay()
            try:
                process.wait(LOOK_EVERY)
            except subprocess.TimeoutExpired:
                if time.monotonic() - begun > limit.total_seconds():
                    raise ScoringFailed(
                        f"{self._name} had not answered after {limit}, and was ended;"
                        " no score was changed"
                    ) from None
            else:
                return

    def _refuse_failure(self, code: int) -> None:
        """The last line says how it went."""
        last = self._last_line()
        if "failed" in last:
            raise ScoringFailed(f"{last['failed']}; no score was changed")
        if "scored" not in last:
            self._said.seek(0)
            said = self._said.read()[-TOLD:].decode("utf-8", "replace").strip()
            how = f"exit code {code}" if code >= 0 else f"signal {-code}"
            raise ScoringFailed(
                f"{self._name} ended with {how} before it had answered; no score was changed"
                + (f". It said: {said}" if said else "")
            )

    def _last_line(self) -> dict[str, Any]:
        self._answered.seek(0)
        last: Any = {}
        for line in self._answered:
            if line.startswith(b"{") and line.endswith(b"\n"):
                last = orjson.loads(line)
        return dict(last)


@contextlib.contextmanager
def hook(name: str, folder: Path, at: datetime) -> Iterator[Hook]:
    """The hook `module:function`, of a module in a folder or of one that is installed."""
    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as answered,
        tempfile.TemporaryFile() as said,
    ):
        opened = Hook(name, given, answered, said)
        opened.give(pickle.dumps((name, str(folder), at, os.getpid())))
        yield opened
