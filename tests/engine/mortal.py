"""A worker that dies where it is told to: `python -m tests.engine.mortal URL SEED LIVES`.

The program forks one process a life, each of which opens the database anew, posts the whole
history again (a client that got no answer repeats itself), applies it, and dies at its point by
SIGKILL, or by SIGABRT in the fold of the event that it is told to choke on. It prints how each life
ended. Nothing of the engine is replaced: its points are only armed.
"""

from __future__ import annotations

import json
import os
import resource
import secrets
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import ModuleType
from typing import Any

from lifecycle import killpoints
from lifecycle.domain.event import Event
from lifecycle.engine import apply, recompute
from lifecycle.engine import work as unit
from lifecycle.engine.installation import Installation
from lifecycle.killpoints import Point
from lifecycle.store import attempts
from tests.engine.histories import Arrival, arrivals
from tests.scenarios.driver import day
from tests.support.engine import opened, post, set_clock, work

HISTORY = {"customers": 10, "events": 300, "batch": 10}
LIVES_AT_MOST = 60

# Where a life may end: everywhere but around the ring, as there is none here.
POINTS = tuple(
    point
    for point in Point
    if point is not Point.INTAKE_AFTER_RING
    and not point.startswith(("send.", "bounce.", "publish.", "recompute."))
)

Death = dict[str, Any]
"""`point` and `times` (the n-th passing ends the life), or `chokes_on` (an event's id), or nothing."""


def play(inst: Installation, history: Sequence[Arrival]) -> None:
    """Post and apply a history as its days go by, from wherever an earlier life has stopped."""
    for arrival in history:
        with inst.db.read() as tx:
            now = inst.now(tx)
        set_clock(inst, max(now, day(arrival.day)))
        post(inst, *arrival.events)
        killpoints.killpoint(Point.INTAKE_AFTER_COMMIT)
        apply.apply_pending(inst)
        apply.fire_due(inst)
    work(inst)


def main(url: str, seed: str, lives: str) -> None:
    """Live all lives; where the last one chokes, it is lived again until it ends well."""
    history = arrivals(seed=int(seed), **HISTORY)
    ends = []
    for death in json.loads(lives):
        ends.append(_live(url, history, death))
        while "chokes_on" in death and ends[-1] and len(ends) < LIVES_AT_MOST:
            ends.append(_live(url, history, death))
    json.dump(ends, sys.stdout)


def _live(url: str, history: Sequence[Arrival], death: Death) -> int:
    """The signal that ended this life; 0 where it ended well."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            _begin_anew(url)
            _fate(death)
            with opened(url) as inst:
                play(inst, history)
            code = 0
        except BaseException:  # noqa: BLE001 - the parent must see it, and nobody else will tell
            traceback.print_exc()
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        sys.exit(f"a life ended with exit code {os.WEXITSTATUS(status)}")
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def _begin_anew(url: str) -> None:
    """A forked process is made what a started one would be."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    attempts.TOKEN = f"{os.getpid()}-{secrets.token_hex(4)}"
    if url.startswith("postgresql"):
        # Whoever was here before is dead for certain: that need not be waited for in real time.
        apply.CRASHED_AFTER = timedelta(0)
        recompute.LEASE = timedelta(0)


def _fate(death: Death) -> None:
    """Have every point passed through, and the end come when it is this life's."""
    passings: Counter[str] = Counter()

    def passing(point: Point) -> None:
        passings[point] += 1
        if point == death.get("point") and passings[point] == death["times"]:
            os.kill(os.getpid(), signal.SIGKILL)

    killpoints.arm(passing)
    if "chokes_on" in death:
        _before(unit, "fold", lambda *given: _choke(given[2], death["chokes_on"]))


def _choke(history: Sequence[Event], name: str) -> None:
    if any(event.id == name for event in history):
        os.abort()


def _before(module: ModuleType, name: str, hook: Callable[..., None]) -> None:
    function = getattr(module, name)

    def passed(*args: Any, **kwargs: Any) -> Any:
        hook(*args)
        return function(*args, **kwargs)

    setattr(module, name, passed)


if __name__ == "__main__":
    main(*sys.argv[1:])
