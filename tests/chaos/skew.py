"""What if the clock of one machine is wrong? Every module of this process is told another time.

The names under which modules know `time.time` and `datetime` are replaced, as they have been imported
by now. Time that only passes (`time.monotonic`) is right: it is the clock on the wall that is off.
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from typing import Any

_RealDatetime = dt.datetime
_real_time = time.time


class _AnyDatetime(type):
    """So that `isinstance` knows every datetime, as no instance of ours is ever made."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _RealDatetime)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _RealDatetime)


def clock_is_off_by(seconds: float) -> None:
    """From now on, and for good."""
    off = dt.timedelta(seconds=seconds)

    class WrongDatetime(_RealDatetime, metaclass=_AnyDatetime):
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            return _RealDatetime(*args, **kwargs)

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return _RealDatetime.now(tz) + off

    def wrong_time() -> float:
        return _real_time() + seconds

    replaced: dict[int, object] = {id(_RealDatetime): WrongDatetime, id(_real_time): wrong_time}
    for module in list(sys.modules.values()):
        if module.__name__ == __name__:
            continue
        for name, value in list(vars(module).items()):
            if id(value) in replaced:
                setattr(module, name, replaced[id(value)])
