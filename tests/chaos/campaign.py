"""What do the runs on both databases share? A plan, a folder, posters, a crew; passes, and then quiet."""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

from lifecycle.clock import ClockSpec
from lifecycle.domain.event import Event
from tests.chaos.crew import Crew, Post
from tests.chaos.fates import Ledger
from tests.chaos.lives import zygote
from tests.chaos.material import AFTERWARDS, Material
from tests.chaos.posters import Answers, Posters

UNTIL = AFTERWARDS + timedelta(days=300)  # the digests are of this instant
LOOK_EVERY = 0.05  # seconds
SPARE = 1.5  # so many more shares than kills are reckoned with
A_FEW = 3  # shares for those who begin
STALLED_AFTER = 2.0  # seconds without a kill or an answer: there may be nothing to do
IDLE = 60.0  # seconds without a kill or an answer: this pass will not come to its end
SPARED = 8  # where there is nothing to do no more than such a part of what is left is given
ENOUGH_ABORTS = 20  # of one poisonous event


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of everything; how long it takes follows from it, and is bounded by `seconds`."""

    seed: int
    material: Material
    goal: int  # kills at each point
    seconds: float  # for all passes together, about; the clock's pace follows from it
    limit: float | None = None  # seconds for all passes, after which it is over; None: `seconds`
    beside_poison: float = 0.2  # share of all events
    turns: int = 1  # how often the turns with and without poison are gone through
    aborts: int = 4  # poisonous events that end the process
    restarts: int = 3  # of PostgreSQL, at least
    restart_within: float = 40.0  # seconds, at most, from one restart to the next
    workers: int = 3  # of PostgreSQL's; where much else goes wrong there are two more
    stops: int = 3  # lives that are stopped amid their work, and continued
    passes: Sequence[str] | None = None  # of PostgreSQL's; None: all
    disk: bool = True  # whether a disk is filled as well
    sabotage: str | None = None
    overdue_after: float = (
        8.0  # seconds without coming to its point, after which a life ends anywhere
    )
    patience: float = 60.0  # seconds without any progress: it will not end by itself
    judge_rates: bool = False  # whether poison may cost others time is judged, or only told

    @property
    def clock(self) -> str:
        """It begins after the last event, and is halfway to `UNTIL` when the passes are over.

        So checks fall due until the last of them; whatever is left of its way it is set to in the end.
        """
        rate = Fraction(int((UNTIL - AFTERWARDS).total_seconds()), max(1, int(self.seconds * 2)))
        return str(ClockSpec(start=AFTERWARDS, rate=Fraction(int(rate))))

    def chance(self, of: str) -> random.Random:
        return random.Random(f"{of} {self.seed}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One pass, afterwards."""

    name: str
    seconds: float
    events: int  # answered for meanwhile
    faults: dict[str, int]


Tell = Callable[[str], object]
"""Is told in a few words what is going on."""


class _Ration:
    """How much of a pass may be posted: each kill brings the share of the next one.

    So some is left until the last of them, however fast or slow the machine is. Where nothing waits and
    nobody comes to his point there is more, but ever less the less is left.
    """

    def __init__(self, events: int, crew: Crew, nothing_waits: Callable[[], bool]) -> None:
        self._crew = crew
        self._all = events
        self._share = events / max(1.0, crew.missing * SPARE)
        self._kills = crew.toll.kills.total()
        self._nothing_waits = nothing_waits
        self._more = A_FEW * self._share
        self._seen = (0, 0)
        self._since = self._looked = time.monotonic()

    def allowed(self, left: int) -> int:
        """From now on, of those that are left."""
        now, seen = time.monotonic(), (self._crew.toll.kills.total(), left)
        if seen != self._seen:
            self._seen, self._since = seen, now
        if now - max(self._since, self._looked) > STALLED_AFTER:
            self._looked = now
            if self._nothing_waits():
                self._more += max(1.0, min(self._share, left / SPARED))
        kills = seen[0] - self._kills
        return round(self._share * kills + self._more) - (self._all - left)

    def nothing_for(self, seconds: float) -> bool:
        """Neither a kill nor an answer."""
        return time.monotonic() - self._since > seconds


@dataclass(slots=True, kw_only=True)
class Campaign:
    """A run under way."""

    plan: Plan
    folder: Path
    crew: Crew
    posters: Posters
    answers: Answers
    tell: Tell
    passes: list[Told] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    posted: list[Event] = field(default_factory=list)  # what ever was, poison included
    poison: list[Event] = field(default_factory=list)
    keep: bool = False  # the folder, as something is to be looked at in it

    def post(self, batches: Sequence[list[Event]]) -> None:
        self.posters.post(batches)
        self.posted += [event for batch in batches for event in batch]

    def count(self, fault: str, times: int = 1) -> None:
        self.faults[fault] = self.faults.get(fault, 0) + times

    @contextlib.contextmanager
    def a_pass(self, name: str) -> Iterator[None]:
        """What happens in the block is told as one pass."""
        begun, answered, before = time.monotonic(), len(self.answers.answered), dict(self.faults)
        self.tell(name)
        yield
        changed = {
            fault: count - before.get(fault, 0)
            for fault, count in self.faults.items()
            if count != before.get(fault, 0)
        }
        self.passes.append(
            Told(
                name=name,
                seconds=time.monotonic() - begun,
                events=len(self.answers.answered) - answered,
                faults=changed,
            )
        )

    def endure(
        self,
        posts: Sequence[Post],
        limit: float,
        *,
        nothing_waits: Callable[[], bool],
        also: Callable[[], bool] = lambda: True,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        """Until every point has been hit often enough, all is posted, and `also` holds.

        Or until time is up, or nothing has happened for too long. Events are posted as lives end, so
        that none is left without anything to do, however fast the machine is.
        """
        deadline = time.monotonic() + limit
        self.crew.take_places(posts)
        ration = _Ration(self.posters.left, self.crew, nothing_waits)
        while not (reached := self.crew.reached and also()) or self.posters.left:
            if time.monotonic() >= deadline:
                self.count("a pass ran out of time")
                break
            if ration.nothing_for(IDLE):
                self.count("a pass stood still")
                break
            allowed = ration.allowed(self.posters.left)
            self.posters.allow(None if reached else allowed)
            self.crew.tend(LOOK_EVERY)
            meanwhile()
        self.posters.allow(None)
        self.crew.leave()

    def until_none(
        self, left: Callable[[], tuple[int, ...]], look_every: float = 0.2
    ) -> tuple[int, ...] | None:
        """Until nothing is left; what is left where that has not changed for too long.

        That poison has ended a process is progress too, as there is an end to that.
        """
        best: tuple[int, ...] | None = None
        since = time.monotonic()
        while any(state := left()):
            aborts = min(self.crew.toll.aborts, len(self.poison) * ENOUGH_ABORTS)
            now = (
                sum(state[:2]) - aborts,
                *state[2:],
            )  # what waits first, then what is merely open
            if best is None or now < best:
                best, since = now, time.monotonic()
            elif time.monotonic() - since > self.plan.patience:
                return state
            self.crew.tend(look_every)
        return None


@contextlib.contextmanager
def campaign(plan: Plan, ports: Sequence[int], tell: Tell) -> Iterator[Campaign]:
    """Everything that a run needs beside its database; its folder stays if there is something to see."""
    folder = Path(tempfile.mkdtemp(prefix="lifecycle-chaos-"))
    keep = False
    try:
        with contextlib.ExitStack() as stack:
            ledger = Ledger(folder / "hits")
            answers = stack.enter_context(contextlib.closing(Answers(folder / "answers")))
            parent = stack.enter_context(zygote(ledger.path, folder / "log"))
            posters = stack.enter_context(Posters(ports, answers))
            under_way = Campaign(
                plan=plan,
                folder=folder,
                crew=Crew(
                    parent,
                    ledger,
                    plan.chance("crew"),
                    goal=plan.goal,
                    overdue_after=plan.overdue_after,
                ),
                posters=posters,
                answers=answers,
                tell=tell,
            )
            yield under_way
            keep = under_way.keep
    finally:
        if not keep:
            shutil.rmtree(folder)
