"""Who runs an installation while policies are published? Whoever recomputes ends as it is doomed to.

At a point, or anywhere: then at a look that shows it at work. With it ends whoever takes events in alone.
All are replaced. Commands run beside, and may die as well.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lifecycle.engine.installation import Installation
from lifecycle.killpoints import Point
from lifecycle.store import recomputations
from lifecycle.store.recomputations import Recomputation
from tests.chaos.fates import Fate
from tests.chaos.lives import End, Zygote, send

LOOK_EVERY = 0.02  # seconds
LONGEST_COMMAND = 0.4  # seconds, of one that is killed at any moment
PATIENCE = 120.0  # seconds, which only what hangs uses up
LATEST_PAGE = 3  # a life ends the first, second or third time that it is at its point
MOST_CUSTOMERS = 8  # who may be recomputed in a life that ends anywhere, before it is looked for
ANYWHERE = "anywhere"

Doom = Point | str
"""A point, or `ANYWHERE`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    command: str  # of `lifecycle`
    recomputes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """Of one who recomputes."""

    command: str
    doom: Doom
    at: Recomputation | None  # how far all were then; None: nothing was to be recomputed

    @property
    def is_amid(self) -> bool:
        return self.at is not None and 0 < self.at.done < self.at.customers


@dataclass(slots=True)
class _Life:
    role: Role
    doom: Doom | None
    is_wanted: bool  # whether its doom is one of those that were asked for
    spared_until: int  # so many customers are recomputed


@dataclass(slots=True)
class Company:
    """Used by one thread, which tends it all the time."""

    zygote: Zygote
    inst: Installation  # another one on the same database, to look at it
    environment: Mapping[str, str]
    chance: random.Random
    meanwhile: Callable[[int], object]  # is told at every look how many are still to die
    deaths: list[Death] = field(default_factory=list)
    unforeseen: list[str] = field(default_factory=list)
    _wanted: list[Doom] = field(default_factory=list)
    _lives: dict[int, _Life] = field(default_factory=dict)

    def begin(self, roles: Sequence[Role], wanted: Sequence[Doom] = ()) -> None:
        """Everybody starts. Who recomputes is doomed, until each that is wanted has come true."""
        self._wanted = [*wanted]
        for role in roles:
            self._live(role)

    def end(self) -> list[Doom]:
        """Everybody is killed at once, and nobody takes over; what is wanted still."""
        wanted = [*self._wanted, *(one.doom for one in self._lives.values() if one.is_wanted)]
        left, self._lives, self._wanted = set(self._lives), {}, []
        for pid in left:
            send(pid, signal.SIGKILL)
        while left:
            left -= {end.pid for end in self.zygote.ends(1.0)}
        return [doom for doom in wanted if doom is not None]

    @property
    def missing(self) -> int:
        """How many of those that are wanted have still to come true."""
        return len(self._wanted) + sum(life.is_wanted for life in self._lives.values())

    @property
    def told(self) -> str:
        """For who wonders why nothing goes on."""
        return (
            f"{self.deaths}, {self.missing} more to die, {self.recomputation()}, {self.unforeseen}"
        )

    def tend(self) -> None:
        """A look at everybody: who has ended is replaced."""
        self._hear()

    def command(self, *arguments: str, doom: Doom | None = None) -> int:
        """How it ended: by itself, at its point, or at any moment."""
        pid = self.zygote.begin(self._fate(arguments, doom, 1))
        lives = self.chance.uniform(0, LONGEST_COMMAND) if doom == ANYWHERE else PATIENCE
        killed_at = time.monotonic() + lives
        while True:
            for end in self._hear():
                if end.pid == pid:
                    return end.code
            if time.monotonic() >= killed_at:
                send(pid, signal.SIGKILL)

    def recomputation(self) -> Recomputation | None:
        """The one that is under way."""
        with self.inst.db.read() as tx:
            return recomputations.unfinished(tx)

    # -- one life

    def _live(self, role: Role) -> None:
        doom, is_wanted = self._doom() if role.recomputes else (None, False)
        under_way = self.recomputation()
        fate = self._fate([role.command], doom, self.chance.randint(1, LATEST_PAGE))
        self._lives[self.zygote.begin(fate)] = _Life(
            role=role,
            doom=doom,
            is_wanted=is_wanted,
            spared_until=(0 if under_way is None else under_way.done)
            + self.chance.randint(0, MOST_CUSTOMERS),
        )

    def _doom(self) -> tuple[Doom | None, bool]:
        """While somebody is on his way to what is wanted, nobody does the whole work before him."""
        if self._wanted:
            return self._wanted.pop(0), True
        return (ANYWHERE, False) if self.missing else (None, False)

    def _fate(self, command: Sequence[str], doom: Doom | None, times: int) -> Fate:
        return Fate(
            command=tuple(command),
            environment=self.environment,
            ends_at=doom if isinstance(doom, Point) else None,
            times=times,
            hurries=True,
        )

    def _hear(self) -> list[End]:
        """A look at everybody; the ends of those who are not replaced."""
        self.meanwhile(self.missing)
        others = []
        for end in self.zygote.ends(LOOK_EVERY):
            life = self._lives.pop(end.pid, None)
            if life is None:
                others.append(end)
                continue
            self._bury(life, end)
            self._live(life.role)
        self._strike()
        return others

    def _bury(self, life: _Life, end: End) -> None:
        command = life.role.command
        if end.code != -signal.SIGKILL:
            self.unforeseen.append(f"{command} ended with {end.code}")
        elif life.doom is not None:
            self.deaths.append(Death(command=command, doom=life.doom, at=self.recomputation()))
            for pid, other in self._lives.items():
                if not other.role.recomputes:
                    send(pid, signal.SIGKILL)

    def _strike(self) -> None:
        """Kill who recomputes and is to die anywhere, when enough was done since it began."""
        under_way = self.recomputation()
        if under_way is None or under_way.worker is None:
            return
        pid = int(under_way.worker.split("-")[-2])
        life = self._lives.get(pid)
        if life is not None and life.doom == ANYWHERE and under_way.done > life.spared_until:
            send(pid, signal.SIGKILL)
