"""The run about publishing: who publishes, recomputes or takes events in is killed, and events go on coming.

One policy is scheduled for an instant that comes while the customers are recomputed; another restates
all of the past, and waits for an approval. Twice everybody is left alone, and the truth is held against
that of a quiet run: before history is restated, as that would mend what went wrong before, and in the end.
"""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from lifecycle.bootstrap import POLICY_FILE
from lifecycle.cli.exits import Code
from lifecycle.domain.event import Event
from lifecycle.domain.instant import instant_text
from lifecycle.engine.digest import digest
from lifecycle.engine.installation import Installation
from lifecycle.engine.publishing.history import Entry, Standing, history
from lifecycle.engine.publishing.rules import PUBLISHING_FILE
from lifecycle.killpoints import Point
from lifecycle.store import customers
from tests.chaos.company import ANYWHERE, PATIENCE, Company, Death, Doom, Role
from tests.chaos.fates import Ledger, by_point
from tests.chaos.judge import Verdict, attempts_open, judged, pending_count
from tests.chaos.lives import zygote
from tests.chaos.posters import Answers, Posters
from tests.engine.histories import RICH_POLICY, Arrival, arrivals
from tests.scenarios.driver import day
from tests.support.engine import DAY_0_CLOCK, installation, post, set_clock, work
from tests.support.postgres_warden import free_port
from tests.support.publishing import published, recompute

LIVELY = {"customers": 40, "events": 800, "days": 300}
SILENT = {"customers": 80, "events": 320, "days": 125}  # before anything judges them anew
IN_A_POST = 2  # events
BEGUN, SCHEDULED, EFFECTIVE, RESTATED, LAST = map(day, (90, 130, 160, 175, 450))
SECOND = RICH_POLICY.replace("after: 60d", "after: 20d").replace("spent >= 50.0", "spent >= 30.0")
THIRD = SECOND.replace("orders >= 3", "orders >= 2").replace("name: first,", "name: begun,")
STOPS_NOTHING = "version: 1\n"

ONE_PROCESS = (Role(command="up"),)
MANY_PROCESSES = (
    Role(command="serve", recomputes=False),
    Role(command="work"),
    Role(command="schedule"),
)
BEFORE, AFTER = Point.PUBLISH_BEFORE_COMMIT, Point.PUBLISH_AFTER_COMMIT
RECOMPUTING: tuple[Doom, ...] = (
    Point.RECOMPUTE_CLAIMED,
    Point.RECOMPUTE_FOLDED,
    Point.RECOMPUTE_BEFORE_COMMIT,
    ANYWHERE,
    ANYWHERE,
)
A_FEW = 2  # deaths, after which the instant comes of the version that was scheduled


# -- what happens ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What arrives."""

    first: Sequence[Arrival]  # before anything is published
    early: Sequence[Arrival]  # while one is scheduled
    middle: Sequence[Arrival]  # when its instant has come
    late: Sequence[Arrival]  # while another restates history

    @classmethod
    def of(cls, seed: int) -> Story:
        """Most customers fall silent: nothing but the recomputation will see to them again."""
        lively = arrivals(seed=seed, batch=IN_A_POST, **LIVELY)
        silent = [_of_others(one) for one in arrivals(seed=seed, batch=IN_A_POST, **SILENT)]
        found = [*lively, *(one for one in silent if day(one.day) < SCHEDULED)]
        found.sort(key=lambda one: one.day)

        def part(since: datetime, until: datetime) -> list[Arrival]:
            return [one for one in found if since <= day(one.day) < until]

        return cls(
            first=part(day(0), BEGUN),
            early=part(BEGUN, SCHEDULED),
            middle=part(SCHEDULED, RESTATED),
            late=part(RESTATED, LAST),
        )


def _of_others(arrival: Arrival) -> Arrival:
    """The same, of customers under names of their own."""
    events = [
        event._replace(customer=f"silent-{event.customer}", id=f"silent-{event.id}")
        for event in arrival.events
    ]
    return Arrival(arrival.day, tuple(events))


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Digests."""

    before: str  # history is restated
    after: str


def quiet(url: str, story: Story) -> Truth:
    """One thing after the other, and nobody dies."""

    def arrive(part: Sequence[Arrival], until: datetime) -> None:
        set_clock(inst, until)
        for arrival in part:
            post(inst, *arrival.events)
        work(inst)

    with installation(url, RICH_POLICY) as inst:
        arrive([*story.first, *story.early], SCHEDULED)
        published(inst, SECOND, wanted_at=EFFECTIVE)
        recompute(inst)
        arrive(story.middle, RESTATED)
        before = digest(inst, RESTATED)
        arrive(story.late, LAST)
        published(inst, THIRD, restates=True)
        recompute(inst)
        return Truth(before=before.hex, after=digest(inst, LAST).hex)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    seed: int
    story: Story
    truth: Truth


class Stream:
    """What is posted: some at every look, and some is left for each of those who are to die."""

    def __init__(self, posters: Posters) -> None:
        self._posters = posters
        self._share = 0.0
        self.posted: list[Event] = []

    def add(self, part: Sequence[Arrival], deaths: int = 0) -> None:
        batches = [[*arrival.events] for arrival in part]
        self.posted += [event for batch in batches for event in batch]
        self._posters.post(batches)
        self._share = self._posters.left / (deaths + 1) if deaths else 0.0

    def flow(self, missing: int) -> None:
        """So many are still to die; for nobody, all the rest is posted at once."""
        if not (missing and self._share):
            self._posters.allow(None)
        elif self._posters.left > self._share * missing:
            self._posters.allow(1)

    @property
    def left(self) -> int:
        return self._posters.left


# -- the run -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    verdicts: Sequence[Verdict]
    deaths: Sequence[Death]
    points: Counter[Point]  # at which anybody died
    unforeseen: Sequence[str]  # ends that nobody had meant
    taken: int  # events that were answered for while customers were recomputed, and processes died
    crossed: bool  # whether customers were left to be recomputed when the instant of one had come
    entries: Sequence[Entry]  # of the history of policies

    @property
    def broken(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if not verdict.kept]


@dataclass(slots=True, kw_only=True)
class _Run:
    inst: Installation
    config: Path
    roles: Sequence[Role]
    company: Company
    stream: Stream
    answers: Answers
    chance: random.Random
    verdicts: list[Verdict] = field(default_factory=list)
    taken: int = 0
    crossed: bool = False

    def live(self, story: Story, truth: Truth) -> None:
        self._begin(SCHEDULED, self._dooms())
        self._post(story.first)
        self._schedule_amid(story.early)
        self._cross_amid(story.middle)
        self._calm(RESTATED, truth.before)
        self._restate_amid(story.late)
        self._calm(LAST, truth.after)

    def _post(self, part: Sequence[Arrival]) -> None:
        self.stream.add(part)
        self._until(self._is_quiet)

    def _schedule_amid(self, part: Sequence[Arrival]) -> None:
        self.stream.add(part, self.company.missing)
        self._publish(SECOND, [BEFORE, ANYWHERE, AFTER], "--effective", instant_text(EFFECTIVE))
        self._die(A_FEW)

    def _cross_amid(self, part: Sequence[Arrival]) -> None:
        left = self.company.end()
        self.crossed = self.company.recomputation() is not None
        self._begin(RESTATED, left)
        self.stream.add(part, self.company.missing)
        self._die()

    def _restate_amid(self, part: Sequence[Arrival]) -> None:
        """As the rules are shipped: what changes so much waits for approval."""
        (self.config / PUBLISHING_FILE).unlink()
        self._begin(LAST, self._dooms())
        self.stream.add(part, self.company.missing)
        self._publish(THIRD, [ANYWHERE, AFTER, BEFORE, ANYWHERE, AFTER], "--restate")
        self._die()

    def _dooms(self) -> list[Doom]:
        return self.chance.sample(RECOMPUTING, len(RECOMPUTING))

    def _begin(self, now: datetime, dooms: Sequence[Doom]) -> None:
        set_clock(self.inst, now)
        self.company.begin(self.roles, dooms)

    def _die(self, at_most: int | None = None) -> None:
        """Until everybody has who is to, or a few have, or there is nothing left to die at."""
        deaths, answered = self.company.deaths, len(self.answers.answered)
        self._until(
            lambda: (
                not self.company.missing
                or self.company.recomputation() is None
                or (at_most is not None and len(deaths) >= at_most)
            )
        )
        self.taken += len(self.answers.answered) - answered

    def _calm(self, now: datetime, expected: str) -> None:
        """Nobody dies any more, and the installation does the rest by itself."""
        self.company.end()
        self.company.begin(self.roles)
        self._until(self._is_quiet)
        self.company.end()
        self.verdicts += judged(
            self.inst,
            posted=self.stream.posted,
            poison=(),
            answers=self.answers,
            until=now,
            expected={"a quiet run": expected},
        )

    def _is_quiet(self) -> bool:
        with self.inst.db.read() as tx:
            due = customers.due_count(tx, self.inst.now(tx))
        return not (
            self.stream.left
            or due
            or self.company.recomputation()
            or pending_count(self.inst.db)
            or attempts_open(self.inst.db)
        )

    def _publish(self, text: str, dooms: Sequence[Doom], *flags: str) -> None:
        """By one who looks whether a draft waits, and asks again until the answer is that it is done."""
        file, left = self.config / "next.yaml", [*dooms]
        file.write_text(text, "utf-8")
        code = None
        while code != Code.OK:
            draft = self._draft()
            if draft is None:
                asked = ("publish", str(file), *flags)
            else:
                asked = ("approve", str(draft), "--by", "olga", "--why", "agreed")
            code = self.company.command("policy", *asked, doom=left.pop(0) if left else None)
            assert code in {Code.OK, Code.REFUSED, -signal.SIGKILL}, f"{asked} ended with {code}"

    def _draft(self) -> int | None:
        waiting = [one.number for one in history(self.inst) if one.standing is Standing.WAITING]
        return waiting[0] if waiting else None

    def _until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"nothing comes of it: {self.company.told}"
            self.company.tend()


def run(url: str, roles: Sequence[Role], plan: Plan, folder: Path) -> Outcome:
    """From a database in which nothing has happened to the verdicts."""
    config, ledger, port = folder / "config", Ledger(folder / "hits"), free_port()
    config.mkdir()
    (config / POLICY_FILE).write_text(RICH_POLICY, "utf-8")
    (config / PUBLISHING_FILE).write_text(STOPS_NOTHING, "utf-8")
    chance = random.Random(plan.seed)
    with (
        installation(url, RICH_POLICY) as inst,
        contextlib.closing(Answers(folder / "answers")) as answers,
        zygote(ledger.path, folder / "log") as parent,
        Posters([port], answers) as posters,
    ):
        stream = Stream(posters)
        company = Company(
            zygote=parent,
            inst=inst,
            environment={
                "LIFECYCLE_DATABASE_URL": url,
                "LIFECYCLE_CONFIG_DIR": str(config),
                "LIFECYCLE_PORT": str(port),
                "LIFECYCLE_CLOCK": DAY_0_CLOCK,
            },
            chance=chance,
            meanwhile=stream.flow,
        )
        under_way = _Run(
            inst=inst,
            config=config,
            roles=roles,
            company=company,
            stream=stream,
            answers=answers,
            chance=chance,
        )
        under_way.live(plan.story, plan.truth)
        return Outcome(
            verdicts=under_way.verdicts,
            deaths=company.deaths,
            points=by_point(ledger.new()),
            unforeseen=company.unforeseen,
            taken=under_way.taken,
            crossed=under_way.crossed,
            entries=history(inst),
        )
