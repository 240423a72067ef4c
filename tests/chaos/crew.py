"""Who runs the installation, and who takes over? A place for each process; whoever ends is replaced.

The replacement is told where to end, and how: at the point that is furthest from its goal.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lifecycle.cli.exits import Code
from lifecycle.killpoints import Point
from tests.chaos.fates import KILLED, STOPPED, Fate, Hit, Ledger
from tests.chaos.lives import End, Zygote, send

LATEST_PASSING = 3  # a life ends the first, second or third time that it is at its point
GOES_ON = 3.0  # seconds: for so long somebody who was stopped lives on
AGAIN_AFTER = 0.3  # seconds, where a life ended before it had begun


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What the process in one place does."""

    command: tuple[str, ...]  # of `lifecycle`
    environment: Mapping[str, str]
    points: Sequence[Point] = ()  # where it may be ended
    stops: int = 0  # so many of its lives are stopped at such a point for a while, instead of ended
    clock_off_by: float = 0.0
    sabotage: str | None = None


@dataclass(slots=True)
class _Place:
    post: Post
    stops_left: int
    pid: int | None = None
    fate: Fate | None = None
    until: float = 0.0  # when it is ended anywhere, if it lives then
    not_before: float = 0.0  # when somebody may take it again


@dataclass(frozen=True, slots=True, kw_only=True)
class Unforeseen:
    """A life that ended in a way that nobody had meant."""

    role: str
    code: int


@dataclass(slots=True)
class Toll:
    """What has happened so far to those who run the installation."""

    kills: Counter[Point] = field(default_factory=Counter)
    killed_by_role: Counter[str] = field(default_factory=Counter)
    stops: Counter[Point] = field(default_factory=Counter)
    at_random: Counter[str] = field(default_factory=Counter)  # kills at no point, by role
    dismissed: int = 0  # lives that were told to end by SIGTERM, and did as they should
    aborts: int = 0  # by poison
    unable: int = 0  # lives that ended at once, as the database was away
    lives: int = 0
    doomed: int = 0  # of these, those who were told to end at a point
    unforeseen: list[Unforeseen] = field(default_factory=list)


class Crew:
    """Everyone; tended by one thread."""

    def __init__(
        self,
        zygote: Zygote,
        ledger: Ledger,
        chance: random.Random,
        *,
        goal: int,
        overdue_after: float,
        stopped_for: float = 8.0,
        may_abort: bool = False,
    ) -> None:
        self._zygote = zygote
        self._ledger = ledger
        self._chance = chance
        self.goal = goal  # kills at each point; may be raised
        self._overdue_after = overdue_after  # seconds: who is not at its point then ends anywhere
        self._stopped_for = stopped_for
        self._places: list[_Place] = []
        self._to_continue: list[tuple[float, int]] = []
        self._doomed: set[int] = set()  # whom we have killed or told to end, unheard of yet
        self._dismissed: set[int] = set()  # told to end by SIGTERM, likewise
        self.may_abort = may_abort
        self.toll = Toll()

    # -- who is there

    def take_places(self, posts: Sequence[Post]) -> None:
        """Beside those who are there."""
        self._places += [_Place(post=post, stops_left=post.stops) for post in posts]
        self.tend(0)

    def leave(self) -> None:
        """Everybody is killed, wherever it is, and nobody takes over."""
        for place in self._places:
            if place.pid is not None:
                self._end(place.pid, signal.SIGKILL)
        places, self._places = self._places, []
        left = {place.pid for place in places if place.pid is not None}
        while left:
            for end in self._zygote.ends(1.0):
                left.discard(end.pid)
                self._doomed.discard(end.pid)
                self._dismissed.discard(end.pid)
        self._read_ledger()
        self._to_continue.clear()

    def stop(self) -> None:
        """Everybody is told to end, finishes what is at hand, and nobody takes over."""
        there = {place.pid: place for place in self._places if place.pid is not None}
        for pid in there:
            send(pid, signal.SIGTERM)
        self._places = []
        while there:
            for end in self._zygote.ends(1.0):
                role = there.pop(end.pid).post.command[0]
                if end.code not in {Code.OK, -signal.SIGTERM}:  # the latter: it had not begun yet
                    self.toll.unforeseen.append(Unforeseen(role=role, code=end.code))

    @property
    def missing(self) -> int:
        """Kills that have not come yet, of those who are here."""
        return sum(max(0, self.goal - self.toll.kills[point]) for point in self._points)

    @property
    def _points(self) -> set[Point]:
        return {point for place in self._places for point in place.post.points}

    @property
    def reached(self) -> bool:
        """Whether every point at which anybody here may end has been hit as often as is asked for."""
        return not self.missing and not any(place.stops_left for place in self._places)

    def kill_one(self, role: str) -> None:
        """At whatever point it is."""
        there = [
            place
            for place in self._places
            if place.pid is not None and place.post.command[0] == role
        ]
        if there:
            self._end_anywhere(self._chance.choice(there))

    def dismiss_one(self, role: str) -> None:
        """Told to end, as by whoever deploys anew; it finishes what is at hand, and is replaced."""
        there = [
            place.pid
            for place in self._places
            if place.pid is not None
            and place.pid not in self._dismissed
            and place.post.command[0] == role
        ]
        if there:
            pid = self._chance.choice(there)
            self._dismissed.add(pid)
            send(pid, signal.SIGTERM)

    def tend(self, within: float) -> None:
        """Hear who has ended, within so many seconds; replace them; wake who has slept enough."""
        for end in self._zygote.ends(within):
            self._replace_later(end)
        self._read_ledger()
        now = time.monotonic()
        for place in self._places:
            if place.pid is None and now >= place.not_before:
                self._begin(place)
            elif place.fate and place.fate.ends_at and now >= place.until and not self.reached:
                self._end_anywhere(place)
        due = [each for each in self._to_continue if each[0] <= now]
        for each in due:
            self._to_continue.remove(each)
            send(each[1], signal.SIGCONT)

    # -- one life

    def _begin(self, place: _Place) -> None:
        fate = self._fate(place)
        place.fate, place.until = fate, time.monotonic() + self._overdue_after
        place.pid = self._zygote.begin(fate)
        self.toll.lives += 1
        self.toll.doomed += fate.ends_at is not None

    def _fate(self, place: _Place) -> Fate:
        post = place.post
        plain = Fate(
            command=post.command,
            environment=dict(post.environment),
            clock_off_by=post.clock_off_by,
            sabotage=post.sabotage,
        )
        if place.stops_left:
            point, how = self._chance.choice(post.points), STOPPED
        elif (wanted := self._wanted(post.points)) is not None:
            point, how = wanted, KILLED
        else:
            return plain
        times = self._chance.randint(1, LATEST_PASSING)
        return Fate(
            command=plain.command,
            environment=plain.environment,
            ends_at=point,
            times=times,
            how=how,
            clock_off_by=plain.clock_off_by,
            sabotage=plain.sabotage,
        )

    def _wanted(self, points: Sequence[Point]) -> Point | None:
        """A point, the likelier the more is missing at it, counting those who are on their way there."""
        awaited = Counter(
            place.fate.ends_at for place in self._places if place.pid is not None and place.fate
        )
        missing = [max(0, self.goal - self.toll.kills[each] - awaited[each]) for each in points]
        return self._chance.choices(points, missing)[0] if any(missing) else None

    def _replace_later(self, end: End) -> None:
        place = next(each for each in self._places if each.pid == end.pid)
        role, place.pid = place.post.command[0], None
        dismissed = end.pid in self._dismissed
        self._dismissed.discard(end.pid)
        if end.pid in self._doomed:
            self._doomed.discard(end.pid)
        elif dismissed and end.code in {Code.OK, -signal.SIGTERM}:  # the latter: not begun yet
            self.toll.dismissed += end.code == Code.OK
        elif end.code == -signal.SIGKILL:
            pass  # at its point: the ledger has it
        elif end.code == -signal.SIGABRT and self.may_abort:
            self.toll.aborts += 1
        elif end.code == Code.UNAVAILABLE:
            self.toll.unable += 1
            place.not_before = time.monotonic() + AGAIN_AFTER
        else:
            self.toll.unforeseen.append(Unforeseen(role=role, code=end.code))
            place.not_before = time.monotonic() + AGAIN_AFTER

    def _read_ledger(self) -> None:
        for hit in self._ledger.new():
            if hit.how == STOPPED:
                self._sleeps(hit)
            else:
                self.toll.kills[hit.point] += 1
                self.toll.killed_by_role[hit.role] += 1

    def _sleeps(self, hit: Hit) -> None:
        self.toll.stops[hit.point] += 1
        self._to_continue.append((time.monotonic() + self._stopped_for, hit.pid))
        for place in self._places:
            if place.pid == hit.pid:
                place.stops_left = max(0, place.stops_left - 1)
                place.until = time.monotonic() + self._stopped_for + GOES_ON

    def _end_anywhere(self, place: _Place) -> None:
        assert place.pid is not None
        self._end(place.pid, signal.SIGKILL)
        place.fate = None
        self.toll.at_random[place.post.command[0]] += 1

    def _end(self, pid: int, how: signal.Signals) -> None:
        self._doomed.add(pid)
        send(pid, how)
