"""What happens in a process of the installation before, and while, it is one? It gets its fate.

Called in a fork of the zygote. The command itself is the program's own, from its command line on; only
its kill points are armed, the poisonous events choke it, and its clock may be wrong.
"""

from __future__ import annotations

import os
import random
import resource
import secrets
import signal
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from lifecycle import cli, killpoints
from lifecycle.domain import fold
from lifecycle.domain.event import Event
from lifecycle.killpoints import Point
from lifecycle.store import attempts
from tests.chaos import haste, mail_life, sabotage, skew
from tests.chaos.fates import KILLED, Fate, write_hit
from tests.chaos.material import ABORTS, RAISES

BROKEN = 70  # the exit code of what nobody foresaw


def live(fate: Fate, ledger: int, log: int) -> NoReturn:
    """Be that process until it ends; `ledger` and `log` are open files."""
    code = BROKEN
    try:
        _become_new(log)
        os.environ.update(fate.environment)
        _choke_on_poison()
        if fate.clock_off_by:
            skew.clock_is_off_by(fate.clock_off_by)
        if fate.hurries:
            haste.hurry()
        if fate.sabotage:
            sabotage.apply_defect(fate.sabotage)
        if fate.ends_at is not None:
            killpoints.arm(_doom(fate, ledger))
        code = _run(fate)
    except BaseException:  # noqa: BLE001 - nobody else will tell
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _run(fate: Fate) -> int:
    """A command of the program; or, where the run is about sending alone, only that."""
    own = mail_life.ROLES.get(fate.command[0])
    return own() if own else cli.run(list(fate.command))


def _become_new(log: int) -> None:
    """A forked process is made what a started one would be."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.set_wakeup_fd(-1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    attempts.TOKEN = f"{os.getpid()}-{secrets.token_hex(4)}"
    random.seed()


def _doom(fate: Fate, ledger: int) -> Callable[[Point], None]:
    """Counts how often the point is passed, and then it is the end, whatever thread is there."""
    left = fate.times

    def reached(point: Point) -> None:
        nonlocal left
        if point is not fate.ends_at:
            return
        left -= 1
        if left == 0:
            write_hit(ledger, fate)
            os.kill(os.getpid(), signal.SIGKILL if fate.how == KILLED else signal.SIGSTOP)

    return reached


def _choke_on_poison() -> None:
    """Folding a poisonous event raises, or takes the process with it, as a defect of ours would."""
    take = fold.Run.take

    def choking(self: fold.Run, event: Event) -> None:
        if event.id.startswith(ABORTS):
            os.abort()
        if event.id.startswith(RAISES):
            raise ArithmeticError(f"{event.id} cannot be folded")
        take(self, event)

    fold.Run.take = choking  # type: ignore[method-assign]
