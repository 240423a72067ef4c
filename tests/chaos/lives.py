"""How does the harness begin lives, and hear of their ends? It writes to the zygote, and reads from it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.fates import Fate

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    pid: int
    code: int  # negative: the signal


class Zygote:
    """One thread may use it: the one that tends the crew."""

    def __init__(self, ledger: Path, log: Path) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("LIFECYCLE_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.zygote", str(ledger), str(log)],
            cwd=ROOT,
            env=clean,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C ends the harness; only then, and thereby, all this
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        self._half = b""
        self._begun: list[int] = []
        self._ended: list[End] = []

    def begin(self, fate: Fate) -> int:
        """The process id of a new life."""
        self._to.write(fate.dumps().encode() + b"\n")
        self._to.flush()
        while not self._begun:
            self._hear(None)
        return self._begun.pop()

    def ends(self, within: float) -> list[End]:
        """Who has ended; waits so many seconds for somebody to."""
        if not self._ended:
            self._hear(within)
        ended, self._ended = self._ended, []
        return ended

    def close(self) -> None:
        """Everybody is killed, whatever they do."""
        with contextlib.suppress(BrokenPipeError):
            self._to.close()
        self._process.wait()
        self._from.close()

    def _hear(self, within: float | None) -> None:
        if not select.select([self._from], [], [], within)[0]:
            return
        said = os.read(self._from.fileno(), 65_536)
        if not said:
            raise RuntimeError(f"the zygote ended with code {self._process.wait()}")
        *lines, self._half = (self._half + said).split(b"\n")
        for line in lines:
            told = json.loads(line)
            if "begun" in told:
                self._begun.append(told["begun"])
            else:
                self._ended.append(End(pid=told["ended"], code=told["code"]))


@contextlib.contextmanager
def zygote(ledger: Path, log: Path) -> Iterator[Zygote]:
    parent = Zygote(ledger, log)
    try:
        yield parent
    finally:
        parent.close()


def send(pid: int, how: signal.Signals) -> None:
    """To a life that may just have ended, and whose end is not heard of yet."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, how)
