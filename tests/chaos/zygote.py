"""Where do the processes of the installation come from? They are forks of this one: a life costs a fork.

    python -m tests.chaos.zygote LEDGER LOG

It has imported the whole program and runs nothing of it: no thread, no connection. A line on its input
is a fate to be forked; a line on its output says that a life has begun or how it ended. When its input
ends, as it does with whoever started it, it kills everyone and ends.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import sys
from typing import NoReturn

from tests.chaos.entry import BROKEN, live
from tests.chaos.fates import Fate

_NEEDED = (  # what a life imports at its first use; else each would, in most of its time
    "encodings.idna",
    "lifecycle.engine.sending.desk",
    "lifecycle.web.server",
    "typer._adapters",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "uvloop",
    "tests.chaos.mail_life",
    "workers.embedded",
    "workers.intake.redis_stream",
    "workers.processes",
    "workers.redis_bells",
)
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class Zygote:
    def __init__(self, ledger: str, log: str) -> None:
        append = os.O_APPEND | os.O_CREAT | os.O_WRONLY
        self._ledger = os.open(ledger, append, 0o600)
        self._log = os.open(log, append, 0o600)
        self._lives: set[int] = set()
        self._waker, woken = os.pipe()
        os.set_blocking(woken, False)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self) -> None:
        """Until the input ends."""
        with selectors.DefaultSelector() as waiting:
            waiting.register(sys.stdin, selectors.EVENT_READ)
            waiting.register(self._waker, selectors.EVENT_READ)
            try:
                while True:
                    for key, _ in waiting.select():
                        if key.fileobj == self._waker:
                            os.read(self._waker, 1024)
                        elif line := sys.stdin.readline():
                            self._begin(Fate.loads(line))
                        else:
                            return
                    self._bury()
            finally:
                self._kill_all()

    def _begin(self, fate: Fate) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._be_born(fate, parent)
        self._lives.add(pid)
        _say({"begun": pid})

    def _be_born(self, fate: Fate, parent: int) -> NoReturn:
        try:
            _die_with(parent)
        except BaseException:  # noqa: BLE001 - this is no second zygote, whatever happens
            os._exit(BROKEN)
        live(fate, self._ledger, self._log)

    def _bury(self) -> None:
        while self._lives:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._lives.discard(pid)
            code = os.waitstatus_to_exitcode(status)  # negative: the signal that ended it
            _say({"ended": pid, "code": code})

    def _kill_all(self) -> None:
        for pid in self._lives:
            os.kill(pid, signal.SIGKILL)
        for _ in self._lives:
            os.waitpid(-1, 0)


def _die_with(parent: int) -> None:
    """Should the zygote itself be killed, the kernel ends its children; it knows how on Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(BROKEN)


def _say(what: dict[str, int]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    for name in _NEEDED:
        importlib.import_module(name)
    gc.freeze()  # so that looking for garbage does not copy what all share
    Zygote(sys.argv[1], sys.argv[2]).run()
