"""The run about sending: senders die at every point while the mail server fails at every stage.

All messages are due at once. Meanwhile people pause and resume, customers leave, senders are told to
end, and what comes back of letters is reported by a process that dies too: so much of it that marketing
pauses itself, whenever there was enough of it, and somebody has to let it go on. Then there is quiet, until
nothing waits any more, and what the server took is held against what is recorded.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from lifecycle.domain.event import Event
from lifecycle.engine.installation import Installation
from lifecycle.engine.policies import ensure_policy
from lifecycle.engine.sending.pausing import pause, paused, resume
from lifecycle.errors import Unavailable
from lifecycle.killpoints import Point
from lifecycle.outreach.secret import Secret
from lifecycle.store.database import Database
from lifecycle.store.schema import migrate
from lifecycle.store.sql import both
from tests.chaos.campaign import LOOK_EVERY, Tell
from tests.chaos.crew import Crew, Post, Toll
from tests.chaos.fates import REPORT_POINTS, SEND_POINTS, Ledger
from tests.chaos.judge import Verdict, pending_count
from tests.chaos.lives import zygote
from tests.chaos.mail_life import REPORTER, SENDER, in_the_news, reported
from tests.chaos.mail_world import (
    HAPPENED,
    OFFER,
    SECRET,
    MailServer,
    bought,
    customer,
    environment,
    furnish,
    known,
    mail_server,
    withdrawn,
)
from tests.chaos.sent import Held, Notes, judged, tally
from tests.support import postgres
from tests.support.engine import opened, post, work

AT_ONCE = 2000  # events in one batch
SCOPES = ("all", f"rule:{OFFER}", "real", "channel:email")
BY_ITSELF = "marketing:email"
STOPPED_FOR = 8.0  # seconds, longer than any lease of the run
HOPELESS = 20  # lives that ended as nobody had meant
LITTLE = 40  # messages: with fewer, whoever is to die may find nothing to do

_WAITING = both(
    "SELECT count(*) FROM message WHERE fate IN ('queued', 'deferred', 'claimed', 'in_flight')"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """How much of everything."""

    seed: int
    messages: int
    goal: int  # kills at each point
    limit: float  # seconds, until the kills have to be over
    every: int  # a stage of the protocol fails each so manieth time
    points: Sequence[Point] = SEND_POINTS  # where senders end
    senders: int = 3  # on PostgreSQL; a file has one
    stops: int = 1  # lives that are stopped for longer than a lease, and continued
    leaving: int = 40  # one customer in so many unsubscribes
    meddle_every: float = 0.3  # seconds, between what people do
    overdue_after: float = 8.0
    patience: float = 60.0  # seconds without any progress: it will not end by itself
    sabotage: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """A whole run about sending on one database."""

    database: str
    seed: int
    goal: int
    messages: int
    taken: int  # letters, each as often as it was
    connections: int
    toll: Toll
    faults: dict[str, int]
    fates: Counter[tuple[str, str, int]]  # class, fate, times taken
    verdicts: Sequence[Verdict]
    seconds: float
    seconds_leaving: float  # of these, from the first life to the last
    folder: Path | None  # kept where a promise was broken

    @property
    def kept(self) -> bool:
        return all(verdict.kept for verdict in self.verdicts)

    @property
    def rate(self) -> float:
        return self.messages / self.seconds_leaving


def run_sqlite(storm: Storm, tell: Tell) -> Sending:
    with _folder() as folder:
        return _run(storm, "SQLite", f"sqlite:///{folder.path / 'chaos.db'}", folder, 1, tell)


def run_postgres(storm: Storm, tell: Tell) -> Sending:
    with (
        _folder() as folder,
        postgres.wheel_server(folder.path / "postgres") as admin,
        postgres.fresh_database(admin) as url,
    ):
        return _run(storm, "PostgreSQL", url, folder, storm.senders, tell)


@dataclass(slots=True)
class _Folder:
    path: Path
    keep: bool = False


@contextlib.contextmanager
def _folder() -> Iterator[_Folder]:
    folder = _Folder(Path(tempfile.mkdtemp(prefix="lifecycle-chaos-")))
    try:
        yield folder
    finally:
        if not folder.keep:
            shutil.rmtree(folder.path)


def _run(
    storm: Storm, database: str, url: str, folder: _Folder, senders: int, tell: Tell
) -> Sending:
    begun = time.monotonic()
    with mail_server(folder.path / "taken", storm.every) as server:
        furnish(folder.path, server.port)
        under_way = _UnderWay(storm, url, folder.path, server, tell)
        with under_way.made() as inst:
            leaving = time.monotonic()
            stuck = under_way.endure(inst, senders)
            leaving = time.monotonic() - leaving
            tell("judging")
            taken = server.taken()
            verdicts, found = judged(inst, Secret(SECRET.encode()), taken, under_way.notes)
    healed = Verdict(promise="it heals by itself", kept=stuck is None, found=stuck or "all is done")
    verdicts = [*under_way.hard_enough(), healed, *verdicts]
    folder.keep = not all(verdict.kept for verdict in verdicts)
    return Sending(
        database=database,
        seed=storm.seed,
        goal=storm.goal,
        messages=len(found.messages),
        taken=taken.total(),
        connections=server.connections,
        toll=under_way.crew.toll,
        faults={**_of_the_server(server), **under_way.faults},
        fates=tally(found.messages),
        verdicts=verdicts,
        seconds=time.monotonic() - begun,
        seconds_leaving=leaving,
        folder=folder.path if folder.keep else None,
    )


def _of_the_server(server: MailServer) -> dict[str, int]:
    return {f"SMTP {fault}": server.answers[fault] for fault in HAPPENED}


@dataclass(slots=True)
class _UnderWay:
    storm: Storm
    url: str
    folder: Path
    server: MailServer
    tell: Tell
    notes: Notes = field(default_factory=Notes)
    faults: Counter[str] = field(default_factory=Counter)
    _crew: Crew | None = None
    _orders: Counter[str] = field(default_factory=Counter)

    @property
    def crew(self) -> Crew:
        assert self._crew is not None
        return self._crew

    # -- before

    @contextlib.contextmanager
    def made(self) -> Iterator[Installation]:
        """Everybody is known, and everything is due."""
        self.tell("planning the messages")
        with contextlib.closing(Database.open(self.url)) as db:
            migrate(db)
            ensure_policy(db, self.folder / "config" / "policy.yaml")
        with opened(self.url) as inst:
            now = _now(inst)
            names = [customer(number) for number in range(self.storm.messages // 2)]
            _post(inst, [event for name in names for event in known(name, now)])
            work(inst)
            self.order(inst, names)
            work(inst)
            resume(inst, "real", by="olga", why="the first campaign")
            yield inst

    def order(self, inst: Installation, names: Sequence[str]) -> None:
        """Two more messages to each of these."""
        now = _now(inst)
        events = []
        for name in names:
            self._orders[name] += 1
            events += bought(name, now, self._orders[name])
        _post(inst, events)

    # -- amid it

    def endure(self, inst: Installation, senders: int) -> str | None:
        """Kills until there were enough, then quiet; what is stuck, where it does not come to an end."""
        chance = random.Random(f"sending {self.storm.seed}")
        ledger = Ledger(self.folder / "hits")
        with zygote(ledger.path, self.folder / "log") as parent:
            self._crew = Crew(
                parent,
                ledger,
                random.Random(f"crew {self.storm.seed}"),
                goal=self.storm.goal,
                overdue_after=self.storm.overdue_after,
                stopped_for=STOPPED_FOR,
            )
            self._dying(inst, senders, chance)
            stuck = self._quiet(inst, senders)
            self._crew.stop()
            self.notes.reported = reported(self.folder / "reported")
            return stuck

    def _posts(self, senders: int, *, dying: bool) -> list[Post]:
        around = environment(self.folder, self.url, self.server.log)
        several = senders > 1
        sending = [
            Post(
                command=(SENDER,),
                environment=around,
                points=self.storm.points if dying else (),
                stops=_share(self.storm.stops, number) if dying and several else 0,
                sabotage=self.storm.sabotage,
            )
            for number in range(senders)
        ]
        points = REPORT_POINTS if dying else ()
        return [*sending, Post(command=(REPORTER,), environment=around, points=points)]

    def _dying(self, inst: Installation, senders: int, chance: random.Random) -> None:
        deadline = time.monotonic() + self.storm.limit
        self.crew.take_places(self._posts(senders, dying=True))
        meddler = _Meddler(self, inst, chance)
        while time.monotonic() < deadline and not (self.crew.reached and meddler.done):
            if len(self.crew.toll.unforeseen) > HOPELESS:
                break
            self.crew.tend(LOOK_EVERY)
            with contextlib.suppress(Unavailable):
                self.let_go_on(inst)
            meddler.meddle()
            self.tell(f"{self.crew.toll.kills.total()} kills, {self.crew.missing} to come")
        meddler.end()
        self.crew.leave()

    def _quiet(self, inst: Installation, senders: int) -> str | None:
        """Nobody is killed any more, until nothing waits."""
        self.crew.take_places(self._posts(senders, dying=False))
        best, since = None, time.monotonic()
        while any(left := self.left(inst)):
            self.tell(f"quiet: {left[0]} messages wait")
            self.let_go_on(inst)
            if best is None or left < best:
                best, since = left, time.monotonic()
            elif time.monotonic() - since > self.storm.patience:
                return (
                    f"no progress for {self.storm.patience:.0f} s: {left[0]} messages and {left[1]}"
                    f" events wait, {left[2]} letters are not reported"
                )
            self.crew.tend(0.2)
        return None

    def left(self, inst: Installation) -> tuple[int, int, int]:
        """Messages that wait or are on their way, events that wait, letters of which there is news."""
        news = set(in_the_news(self.server.log)) - set(reported(self.folder / "reported"))
        return self.waiting(inst), pending_count(inst.db), len(news)

    def waiting(self, inst: Installation) -> int:
        with inst.db.read() as tx:
            count: int = tx.value(_WAITING)
            return count

    def let_go_on(self, inst: Installation) -> None:
        """What paused itself, as so many letters come back, a person looks into, and resumes."""
        for one in paused(inst.db):
            if one.scope == BY_ITSELF and resume(inst, one.scope, by="olga", why="a test"):
                self.faults[f"paused itself: {one.scope}"] += 1

    # -- afterwards

    def hard_enough(self) -> Iterator[Verdict]:
        """What no run has been through is not proven by it."""
        toll, goal = self.crew.toll, self.storm.goal
        kills = {point: toll.kills[point] for point in (*SEND_POINTS, *REPORT_POINTS)}
        missing = [f"{point}: {count}" for point, count in kills.items() if count < goal]
        yield Verdict(
            promise=f"every point was hit at least {goal} times",
            kept=not missing,
            found="; ".join(missing) or f"the rarest {min(kills.values())} times",
        )
        never = [fault for fault in HAPPENED if not self.server.answers[fault]]
        never += [what for what, count in self.faults.items() if not count]
        yield Verdict(
            promise="every fault happened", kept=not never, found="; ".join(never) or "all"
        )
        ends = Counter(f"{life.role} ended with {life.code}" for life in toll.unforeseen)
        yield Verdict(
            promise="nobody ended but as meant, and who was told to left nothing on its way",
            kept=not ends and toll.dismissed > 0,
            found="; ".join(f"{what}: {count}" for what, count in ends.items())
            or f"{toll.lives} lives, {toll.dismissed} of them told to end",
        )


class _Meddler:
    """People, while all this happens: one thing at a time, in turn."""

    def __init__(self, under_way: _UnderWay, inst: Installation, chance: random.Random) -> None:
        self._under_way, self._inst, self._chance = under_way, inst, chance
        count = under_way.storm.messages // 2
        names = [customer(number) for number in range(count)]
        chance.shuffle(names)
        self._leaving = names[: max(4, count // under_way.storm.leaving)]
        self._others = names[len(self._leaving) :]
        self._turn = 0
        self._next = 0.0
        self._held: tuple[str, datetime] | None = None
        under_way.faults = Counter(
            {
                **{f"paused and resumed: {scope}": 0 for scope in SCOPES},
                "a customer left meanwhile": 0,
            }
        )

    @property
    def done(self) -> bool:
        """Everything has happened at least once, to somebody who had the time to end as he was told."""
        happened = self._under_way.crew.toll.dismissed and all(self._under_way.faults.values())
        return self._held is None and bool(happened)

    def meddle(self) -> None:
        """Who is stopped amid a claim keeps people waiting, until they are told to try again."""
        if time.monotonic() >= self._next:
            with contextlib.suppress(Unavailable):
                self._meddle()

    def _meddle(self) -> None:
        self._next = time.monotonic() + self._under_way.storm.meddle_every
        if self._held is not None:
            self._resume()
            return
        self._turn += 1
        deeds: Sequence[Callable[[], object]] = (self._pause, self._leave, self._dismiss)
        deeds[self._turn % len(deeds)]()
        if self._under_way.waiting(self._inst) < LITTLE:
            names = self._chance.sample(self._others, min(LITTLE, len(self._others)))
            self._under_way.order(self._inst, names)

    def end(self) -> None:
        while self._held is not None:
            with contextlib.suppress(Unavailable):
                self._resume()

    def _pause(self) -> None:
        scope = SCOPES[self._turn // 3 % len(SCOPES)]
        pause(self._inst, scope, by="olga", why="have a look")
        self._held = (scope, _now(self._inst))

    def _resume(self) -> None:
        assert self._held is not None
        scope, since = self._held
        until = _now(self._inst)
        resume(self._inst, scope, by="olga", why="it is well")
        self._held = None
        self._under_way.notes.held.append(Held(scope, since, until))
        self._under_way.faults[f"paused and resumed: {scope}"] += 1

    def _leave(self) -> None:
        """Some at once, as long as there are any; what was accepted is durable by then."""
        names = self._leaving[:4]
        for name in names:
            self._leaving.remove(name)
            post(self._inst, withdrawn(name, _now(self._inst)))
            self._under_way.notes.left[name] = _now(self._inst)
            self._under_way.faults["a customer left meanwhile"] += 1

    def _dismiss(self) -> None:
        self._under_way.crew.dismiss_one(SENDER)


def _share(stops: int, number: int) -> int:
    """Of the first two places, so that there is always somebody who takes over."""
    return (stops + 1 - number) // 2 if number < 2 else 0


def _now(inst: Installation) -> datetime:
    with inst.db.read() as tx:
        return inst.now(tx)


def _post(inst: Installation, events: Sequence[Event]) -> None:
    for start in range(0, len(events), AT_ONCE):
        post(inst, *events[start : start + AT_ONCE])


RUNS = {"sqlite": run_sqlite, "postgres": run_postgres}
