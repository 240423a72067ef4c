"""What is to become of a life? Written by the harness, carried by the zygote, fulfilled by `entry`."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from lifecycle.killpoints import Point

KILLED, STOPPED = "killed", "stopped"

INTAKE_POINTS = (
    Point.INTAKE_BEFORE_COMMIT,
    Point.INTAKE_AFTER_COMMIT,
    Point.INTAKE_AFTER_RING,
)
SEND_POINTS = tuple(point for point in Point if point.startswith("send."))
REPORT_POINTS = (Point.BOUNCE_BEFORE_COMMIT,)
# Those of publishing have a run of their own (`publishing`), and each a test: test_publishing_crash.py
PUBLISH_POINTS = tuple(point for point in Point if point.startswith(("publish.", "recompute.")))
WORK_POINTS = tuple(
    point
    for point in Point
    if point not in {*INTAKE_POINTS, *SEND_POINTS, *REPORT_POINTS, *PUBLISH_POINTS}
)
ENGINE_POINTS = (
    *INTAKE_POINTS,
    *WORK_POINTS,
)  # what is posted passes these; what is sent, the others


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """One process: which command of the program it is, and how it ends."""

    command: tuple[str, ...]  # of `lifecycle`
    environment: Mapping[str, str] = field(default_factory=dict)
    ends_at: Point | None = None  # None: it lives until it is told otherwise
    times: int = 1  # the n-th time it is there
    how: str = KILLED  # or STOPPED, to be continued
    clock_off_by: float = 0.0  # seconds
    sabotage: str | None = None  # a defect of `sabotage`, to see the harness go red
    hurries: bool = False  # leases and pauses are those of `haste`, and so is how much a page holds

    def dumps(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def loads(cls, text: str) -> Self:
        found = json.loads(text)
        found["command"] = tuple(found["command"])
        found["ends_at"] = found["ends_at"] and Point(found["ends_at"])
        return cls(**found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """That a process was at its point, written before anything happened to it there."""

    point: Point
    how: str
    role: str
    pid: int


class Ledger:
    """Hits, a line each. A line is one write to a file opened for appending, so it outlives its writer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0
        path.touch()

    def new(self) -> list[Hit]:
        """Those that came since the last call."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        return [_hit(line) for line in whole.decode().splitlines()]


def write_hit(file: int, fate: Fate) -> None:
    """From within the process that is at its point."""
    line = f"{fate.ends_at} {fate.how} {fate.command[0]} {os.getpid()}\n"
    os.write(file, line.encode())


def _hit(line: str) -> Hit:
    point, how, role, pid = line.split()
    return Hit(point=Point(point), how=how, role=role, pid=int(pid))


def by_point(hits: list[Hit]) -> Counter[Point]:
    return Counter(hit.point for hit in hits if hit.how == KILLED)
