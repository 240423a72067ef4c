"""What do the runs on both databases share? A plan, a folder, posters, a crew; passes, and then quiet."""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

from lifecycle.clock import ClockSpec
from lifecycle.domain.event import Event
from lifecycle.killpoints import Point
from lifecycle.store.database import Database
from tests.chaos.crew import Crew, Post, Toll
from tests.chaos.fates import Ledger
from tests.chaos.judge import Verdict, attempts_open, pending_count
from tests.chaos.lives import zygote
from tests.chaos.material import AFTERWARDS, SETS, Material
from tests.chaos.posters import Answers, Posters

UNTIL = AFTERWARDS + timedelta(days=300)  # the digests are of this instant
LOOK_EVERY = 0.05  # seconds
STUCK_AFTER = 60.0  # seconds without any progress: it will not end by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of everything; how long it takes follows from it, and is bounded by `seconds`."""

    seed: int
    material: Material
    goal: int  # kills at each point
    seconds: float  # for all passes together, at most
    aborts: int = 4  # poisonous events that end the process
    restarts: int = 3  # of PostgreSQL, at least
    stops: int = 3  # lives that are stopped amid their work, and continued
    sabotage: str | None = None

    @property
    def clock(self) -> str:
        """It begins after the last event, and runs to `UNTIL` while the passes last."""
        rate = Fraction(int((UNTIL - AFTERWARDS).total_seconds()), max(1, int(self.seconds * 0.8)))
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A whole run on one database."""

    database: str
    seed: int
    real: bool
    customers: int
    events: int  # distinct
    posted: int  # with what was posted twice on purpose
    goal: int
    toll: Toll
    passes: list[Told]
    faults: dict[str, int]
    rates: dict[str, float]  # events a second
    verdicts: list[Verdict]
    answers: Answers
    seconds: float
    folder: Path | None  # kept where a promise was broken

    @property
    def kept(self) -> bool:
        return all(verdict.kept for verdict in self.verdicts)


Tell = Callable[[str], object]
"""Is told in a few words what is going on."""


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
        seconds: float,
        *,
        also: Callable[[], bool] = lambda: True,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        """Until every point has been hit often enough, all is posted, and `also` holds; or time is up.

        The posters' pace is such that there is something to post for as long as it may take.
        """
        begun = time.monotonic()
        self.crew.take_places(posts)
        while (passed := time.monotonic() - begun) < seconds:
            reached = self.crew.reached and also()
            if reached and not self.posters.left:
                break
            remaining = 1.0 if reached else max(1.0, 0.9 * seconds - passed)
            self.posters.pace = None if reached else max(20.0, self.posters.left / remaining)
            self.crew.tend(LOOK_EVERY)
            meanwhile()
        self.posters.pace = None
        self.crew.leave()


def hits(under_way: Campaign, stuck: str | None) -> list[Verdict]:
    """Whether the run was as hard as it is meant to be, and came to an end."""
    toll, goal = under_way.crew.toll, under_way.plan.goal
    missing = [f"{point}: {toll.kills[point]}" for point in Point if toll.kills[point] < goal]
    least = min(toll.kills[point] for point in Point)
    ends = Counter(f"{life.role} ended with {life.code}" for life in toll.unforeseen)
    return [
        Verdict(
            promise=f"every point was hit at least {goal} times",
            kept=not missing,
            found="; ".join(missing) or f"the rarest {least} times, {toll.kills.total()} in all",
        ),
        Verdict(
            promise="nobody ended but as meant",
            kept=not ends,
            found=f"{toll.lives} lives; " + ("; ".join(ends) or "none otherwise"),
        ),
        Verdict(promise="it heals by itself", kept=stuck is None, found=stuck or "nothing left"),
    ]


def outcome(
    under_way: Campaign,
    database: str,
    verdicts: list[Verdict],
    seconds: float,
    rates: dict[str, float],
) -> Outcome:
    """What is told of the run."""
    plan = under_way.plan
    kept = all(verdict.kept for verdict in verdicts)
    return Outcome(
        database=database,
        seed=plan.seed,
        real=plan.material.real,
        customers=len(plan.material.histories) * len(SETS),
        events=len({event.id for event in under_way.posted}),
        posted=len(under_way.posted),
        goal=plan.goal,
        toll=under_way.crew.toll,
        passes=under_way.passes,
        faults=under_way.faults,
        rates=rates,
        verdicts=verdicts,
        answers=under_way.answers,
        seconds=seconds,
        folder=None if kept else under_way.folder,
    )


def until_quiet(campaign: Campaign, db: Database) -> str | None:
    """Everybody lives, and all that waits is done. What is stuck, if it does not come to that."""
    state, since = None, time.monotonic()
    while True:
        campaign.crew.tend(LOOK_EVERY * 4)
        now = campaign.posters.left, pending_count(db), attempts_open(db)
        if now == (0, 0, 0):
            return None
        if now != state:
            state, since = now, time.monotonic()
        elif time.monotonic() - since > STUCK_AFTER:
            left, waiting, open_ = now
            return (
                f"no progress for {STUCK_AFTER:.0f} s: {left} events are not answered for,"
                f" {waiting} are pending, {open_} attempts are open"
            )


@contextlib.contextmanager
def campaign(plan: Plan, ports: Sequence[int], tell: Tell) -> Iterator[Campaign]:
    """Everything that a run needs beside its database; its folder is the caller's to remove."""
    folder = Path(tempfile.mkdtemp(prefix="lifecycle-chaos-"))
    ledger = Ledger(folder / "hits")
    answers = Answers(folder / "answers")
    try:
        with (
            zygote(ledger.path, folder / "log") as parent,
            Posters(ports, answers) as posters,
        ):
            crew = Crew(parent, ledger, plan.chance("crew"), goal=plan.goal)
            yield Campaign(
                plan=plan, folder=folder, crew=crew, posters=posters, answers=answers, tell=tell
            )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        answers.close()
