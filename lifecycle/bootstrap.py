"""How is an installation put together? The one composition root of every entry point and test."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from lifecycle import policy as policy_file
from lifecycle.clock import ClockSpec, Origin, begin
from lifecycle.domain.policy import Policy, PolicyVersion
from lifecycle.domain.timeline import Version
from lifecycle.engine import accept, apply, decisions, once, policies
from lifecycle.engine.accept import Result
from lifecycle.engine.backlog import Backlog
from lifecycle.engine.feedback import Feedback
from lifecycle.engine.installation import Installation
from lifecycle.engine.night import Job, Nights
from lifecycle.engine.observer import Observer, Unobserved
from lifecycle.engine.readiness import Broker
from lifecycle.engine.recompute import Recomputing
from lifecycle.engine.retention import Retention
from lifecycle.engine.work import Applied
from lifecycle.errors import LifecycleError, Unusable, digest_of
from lifecycle.intake.draft import Draft
from lifecycle.killpoints import Point, killpoint
from lifecycle.logs.failure import told
from lifecycle.logs.lines import Teller
from lifecycle.settings import Settings
from lifecycle.store import clock as clock_row
from lifecycle.store import files, keys, messages, revision, urls
from lifecycle.store.database import Database
from lifecycle.store.sql import Tx

if TYPE_CHECKING:
    from lifecycle.engine.sending.sender import Sender

tell = Teller("lifecycle")

T = TypeVar("T")

POLICY_FILE = "policy.yaml"
COLLECT_EVERY = (50_000, 20, 50)  # objects made, then rounds: when to look for cycles of garbage


class Access(Enum):
    """What an entry point is about to do with the installation."""

    RUN = auto()  # be the installation: take events, apply them, fire what is due
    WRITE = auto()  # change something, and go; on SQLite only while nobody else writes
    READ = auto()  # look, beside whoever runs; changes nothing, not even the schema


def build(
    settings: Settings,
    *,
    access: Access = Access.RUN,
    sends: bool = False,
    ring: Callable[[], object] = lambda: None,
    broker: Callable[[], Broker] = lambda: Broker.UNUSED,
    observer: Observer | None = None,
    complaints: Complaints | None = None,
) -> Engine:
    """Opens the database, and makes it ready for what the caller is about to do.

    An SQLite file is locked against other writing processes until `close`, its schema is brought up
    to date, and an empty database takes the policy file; one that is refused leaves no file behind.
    PostgreSQL's schema is `lifecycle migrate`'s.
    With `sends` it sends the messages that are due, by the channels of the config folder.
    `ring` is called after events were committed, `broker` by whoever asks how the rings fare.
    Raises Unusable, Unavailable, PolicyRefused.
    """
    # Our records die with their last user and make no cycles. Looking through the many thousands of a
    # batch again and again, as is the default, took a quarter of the time of an import.
    gc.set_threshold(*COLLECT_EVERY)
    alone = access is not Access.READ
    if is_missing(settings):
        if not alone:
            refuse_missing(settings)
        policy_file.load(settings.config_dir / POLICY_FILE)
    db = Database.open(settings.database_url, exclusive=alone)
    try:
        embedded = db.dialect == "sqlite"
        if not revision.is_current(db):
            _bring_up_to_date(db, may_change=alone and embedded)
        clock = _clock(db, settings.clock, access, alone=alone and embedded)
        if alone:
            policies.ensure_policy(db, settings.config_dir / POLICY_FILE)
        inst = Installation(db, clock)
        complaints = complaints or Complaints()
        observer = observer or Unobserved()
        return Engine(
            inst,
            sender=_sender(inst, settings, complaints, ring, observer) if sends else None,
            nights=Nights(inst, settings.night, list(_nightly(inst, settings))),
            feedback=_feedback(settings, hears=access is Access.RUN),
            clock=clock,
            stops_clock=alone and embedded,
            ring=ring,
            broker=broker,
            observer=observer,
            complaints=complaints,
            max_pending=settings.max_pending,
        )
    except BaseException:
        db.close()
        raise


def _feedback(settings: Settings, *, hears: bool) -> Feedback:
    if not hears:
        return Feedback(secret=None, public_url=settings.reachable_at)
    # All the channels: a command that only looks need not wait for them.
    from lifecycle.outreach.channels.hooking import hooks_of
    from lifecycle.outreach.channels.opening import KINDS, measures_of
    from lifecycle.outreach.channels.settings import read_channels
    from lifecycle.outreach.hooks import ToldHook
    from lifecycle.outreach.secret import secret_of

    described = read_channels(settings.config_dir, os.environ, KINDS)
    channels = described.channels or ()
    return Feedback(
        secret=secret_of(settings),
        public_url=settings.reachable_at,
        hooks={name: ToldHook(name, hook) for name, hook in hooks_of(channels).items()},
        measures=measures_of(channels),
        company=described.company,
    )


def _nightly(inst: Installation, settings: Settings) -> Iterator[Job]:
    """What is done once a night."""
    yield Retention(inst, timedelta(days=settings.keep_days))
    if settings.scoring is not None:
        from lifecycle.engine.scoring import Scoring

        yield Scoring(inst, settings.scoring, settings.config_dir)


def _sender(
    inst: Installation,
    settings: Settings,
    complaints: Complaints,
    ring: Callable[[], object],
    observer: Observer,
) -> Sender:
    from lifecycle.engine.sending.desk import open_desk
    from lifecycle.engine.sending.pausing import hold_if_restored
    from lifecycle.engine.sending.sender import Sender

    if hold_if_restored(inst):
        tell.warning(
            "sending_paused",
            "this database was restored or copied, so nothing is sent: compare with your providers what"
            " was sent since, then `lifecycle outreach resume all`",
        )
    desk = open_desk(inst, settings)
    return Sender(inst, desk, failed=complaints.about, ring=ring, observer=observer)


def _bring_up_to_date(db: Database, *, may_change: bool) -> None:
    from lifecycle.store import schema

    if may_change:
        schema.migrate(db)
    else:
        schema.require_current(db)


def is_missing(settings: Settings) -> bool:
    """Whether the database is an SQLite file that is not there yet; opening it would make one."""
    path = urls.parse(settings.database_url).path
    return path is not None and not path.exists()


def refuse_missing(settings: Settings) -> None:
    """For what has no meaning in an installation that has just begun. Raises Unusable."""
    if is_missing(settings):
        raise Unusable(
            f"{settings.database_url}: there is no such file yet; `lifecycle up` or `lifecycle import`"
            " makes it, --database names another"
        )


def _clock(
    db: Database, wanted: ClockSpec | None, access: Access, *, alone: bool
) -> ClockSpec | None:
    """The clock that this process reads. Who runs the installation decides it; others follow."""
    with db.read() as tx:
        found = clock_row.read(tx)
    if access is Access.READ and wanted is not None and (not found or found.spec != str(wanted)):
        own = f"LIFECYCLE_CLOCK={found.spec}" if found else "real time"
        raise Unusable(f"LIFECYCLE_CLOCK={wanted}: this database runs on {own}; unset it to read")
    if access is Access.READ or (access is Access.WRITE and wanted is None and found):
        return ClockSpec.parse(found.spec) if found else None

    def start(tx: Tx) -> None:
        before = clock_row.read(tx)
        lived_until = None if before or wanted is None else clock_row.lived_until(tx)
        origin = begin(wanted, before, db.clock(tx), alone=alone, lived_until=lived_until)
        clock_row.write(tx, origin)

    if wanted is not None or found is not None:
        db.run(start)
    return wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """By what events would be judged if they came in now."""

    policy: Policy  # in force, or the one that an empty database would take
    now: datetime  # by the clock that a writing process would set
    db: Database | None  # to be read only; None: there is none yet, so nothing is known


@contextmanager
def looked_over(settings: Settings) -> Iterator[Ground]:
    """What `build` would lay hands on, without making or changing anything; also beside whoever runs.

    No database is made, no schema, no clock set and no policy put in force. Raises as `build` does.
    """
    if is_missing(settings):
        named = urls.parse(settings.database_url)
        assert named.path is not None
        files.refuse_unusable(named.path, named.shown, mounts=files.read_mounts)
        now = settings.clock.start if settings.clock else datetime.now(UTC)
        yield Ground(policy=_policy_file(settings), now=now, db=None)
        return
    db = Database.open(settings.database_url)
    try:
        if not revision.is_current(db):
            _bring_up_to_date(db, may_change=False)
        with db.read() as tx:
            now = _now_if_begun(db, tx, settings.clock)
            versions = policies.versions(tx)
        in_force = (
            policies.timeline_of(versions).at(now).policy if versions else _policy_file(settings)
        )
        yield Ground(policy=in_force, now=now, db=db)
    finally:
        db.close()


@contextmanager
def beside(settings: Settings) -> Iterator[Database]:
    """The database, for a change that does not wait for whoever runs the installation to stop.

    Only for what no clock depends on, and for what every fold looks up anew, as it does which policies
    there are; in short transactions. An installation
    that is not there, or whose SQLite file is of an older schema, is made ready first, as `build` does
    it: nobody can be running it. Raises as `build` does.
    """
    if is_missing(settings) or not _is_current(settings):
        build(settings, access=Access.WRITE).close()
    db = Database.open(settings.database_url)
    try:
        yield db
    finally:
        db.close()


def installation_of(db: Database) -> Installation:
    """The installation behind a database that was opened by `beside`, on the clock that it runs on."""
    with db.read() as tx:
        found = clock_row.read(tx)
    return Installation(db, ClockSpec.parse(found.spec) if found else None)


def is_any_key(settings: Settings) -> bool:
    """Whether a key was ever made; asked before anything is opened for good, and changes nothing."""
    if is_missing(settings):
        return False
    db = Database.open(settings.database_url)
    try:
        if db.dialect == "postgresql" and not revision.is_current(db):
            _bring_up_to_date(db, may_change=False)  # says what to do
        with db.read() as tx:
            return keys.is_any_of_any_schema(tx)
    finally:
        db.close()


def _is_current(settings: Settings) -> bool:
    db = Database.open(settings.database_url)
    try:
        return revision.is_current(db)
    finally:
        db.close()


def _policy_file(settings: Settings) -> Policy:
    return policy_file.load(settings.config_dir / POLICY_FILE).policy


def _now_if_begun(db: Database, tx: Tx, wanted: ClockSpec | None) -> datetime:
    """What the clock would say once a process has begun to write, by the rules of `_clock`."""
    found, real = clock_row.read(tx), db.clock(tx)
    if wanted is None:
        return ClockSpec.parse(found.spec).at(found, real) if found else real
    lived_until = None if found else clock_row.lived_until(tx)
    origin = begin(wanted, found, real, alone=db.dialect == "sqlite", lived_until=lived_until)
    return wanted.at(origin, real) if origin else real


def _until_done(batch: Callable[[], Applied]) -> Applied:
    total = batch()
    while total.more:
        total = replace(total, more=False) + batch()
    return total


class Engine:
    """An installation as entry points and the web use it; safe to share between threads."""

    def __init__(
        self,
        installation: Installation,
        *,
        nights: Nights,
        sender: Sender | None = None,
        clock: ClockSpec | None,
        stops_clock: bool,
        ring: Callable[[], object],
        broker: Callable[[], Broker],
        observer: Observer,
        complaints: Complaints,
        max_pending: int,
        feedback: Feedback | None = None,
    ) -> None:
        self.installation = installation
        self.db = installation.db
        self.observer = observer
        self.complaints = complaints
        self.feedback = feedback or Feedback(secret=None, public_url=None)
        self._nights = nights
        self._recomputing = Recomputing(installation)
        self._sender = sender
        self._clock = clock
        self._stops_clock = stops_clock
        self._ring = ring
        self._broker = broker
        self._backlog = Backlog(installation, max_pending)
        self._rounds = 0  # of work that changed somebody's steps
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- reading

    def policy(self) -> Policy:
        """The policy that judges now."""
        return self.installation.policy()

    def version(self) -> Version:
        """The version of it that judges now."""
        return self.installation.version()

    def versions(self) -> list[PolicyVersion]:
        """Every version that was published."""
        with self.db.read() as tx:
            return policies.versions(tx)

    def now(self) -> datetime:
        """What the engine's clock says."""
        with self.db.read() as tx:
            return self.installation.now(tx)

    def broker(self) -> Broker:
        """What this process knows of the broker that carries its rings; asks nobody."""
        return self._broker()

    # -- work

    def refuse_if_behind(self) -> None:
        """Raises Overloaded while more events wait to be applied than may (`max_pending`)."""
        self._backlog.refuse_if_full()

    def accept(self, drafts: Sequence[Draft]) -> list[Result]:
        """Durable on return. The ring afterwards may fail: the sweep finds the events all the same.

        Raises as `refuse_if_behind` does, with nothing stored.
        """
        return self._rung(lambda: accept.accept(self.installation, drafts))

    def accept_posts(self, posts: Sequence[once.Post]) -> list[once.Outcome]:
        """The same for posts of which some have a key of their sender; one outcome a post."""
        return self._rung(lambda: once.accept_posts(self.installation, posts))

    def _rung(self, store: Callable[[], T]) -> T:
        self.refuse_if_behind()
        stored = store()
        killpoint(Point.INTAKE_AFTER_COMMIT)
        try:
            self._ring()
        except Exception as error:  # noqa: BLE001 - what was accepted must not be answered with a failure
            self.complaints.about("ring_failed", "the ring after accepting", error)
        killpoint(Point.INTAKE_AFTER_RING)
        return stored

    def apply_batch(self) -> Applied:
        """One batch of what waits; `more` says whether to come again."""
        return self._told("apply", apply.apply_pending)

    def fire_batch(self) -> Applied:
        """One batch of the checks that are due; `more` says whether to come again."""
        return self._told("due", apply.fire_due)

    def apply_pending(self) -> Applied:
        """Everything that waits, batch by batch; run twice, the second finds nothing."""
        return _until_done(self.apply_batch)

    def fire_due(self) -> Applied:
        """Everything that is due, batch by batch."""
        return _until_done(self.fire_batch)

    def expire_messages(self) -> int:
        """Queued messages whose time has passed are not sent any more; how many these were."""
        expired = 0
        while found := self.db.run(self._expire):
            expired += found
        return expired

    def _expire(self, tx: Tx) -> int:
        expired = messages.expire(tx, self.installation.now(tx))
        if decisions.are_heard():
            decisions.tell_of_expired(tx, expired)
        return len(expired)

    def reclaim(self) -> int:
        """Forget the attempts of processes that died where nothing is left to try, and let go of what
        they were about to send; how many these were."""
        sent = self._sender.reclaim() if self._sender else 0
        return apply.reclaim(self.installation) + sent

    def settle_fetches(self) -> int:
        """What was fetched of letters some seconds ago becomes events; how many these were."""
        from lifecycle.engine import fetches  # it knows the channels, as `_feedback` does

        return fetches.settle(self.installation, self.feedback.measures)

    @property
    def sends(self) -> bool:
        """Whether messages leave by this process."""
        return self._sender is not None

    def deliver_batch(self) -> bool:
        """Hand over some of the messages that are due; says whether to come again at once."""
        return self._sender is not None and self._sender.batch()

    def send_due(self, timeout: float = 60.0) -> bool:
        """Everything that is due leaves, or is judged otherwise; false: it took more seconds than that."""
        return self._sender is None or self._sender.send_due(timeout)

    def stop_sending(self) -> None:
        """What is on its way is ended, and what was only claimed is let go of."""
        if self._sender is not None:
            self._sender.stop()

    def work_of_the_night(self) -> int:
        """Do what is due of this night and nobody does, such as the scoring; how many jobs were done.

        May take an hour, and returns soon after `stop_work_of_the_night`.
        """
        done = self._nights.work()
        if done:
            self._ring()  # scores are events
        return done

    def recompute(self) -> int:
        """Fold the customers on to a version of the policy that was published, if nobody else does; how
        many were folded. May take an hour, and returns soon after `stop_recomputing`.
        """
        folded = self._recomputing.work()
        if folded:
            with self._changed:
                self._rounds += 1
                self._changed.notify_all()
        return folded

    def stop_recomputing(self) -> None:
        """The page that is under way is ended; whoever asks next goes on behind it."""
        self._recomputing.stop()

    def stop_work_of_the_night(self) -> None:
        """What is under way is given back, for whoever asks next."""
        self._nights.stop()

    # -- waiting

    @property
    def rounds(self) -> int:
        """How many rounds of work in this process have changed steps so far."""
        return self._rounds

    def wait_for_steps(self, timeout: float, *, since: int | None = None) -> bool:
        """Waits, at most `timeout` seconds, until steps are committed; says whether some were.

        With `since`, an earlier value of `rounds`, steps of the time between count as well, so that
        nobody who reads, then waits, misses what happened in between.
        """
        with self._changed:
            before = self._rounds if since is None else since
            return self._changed.wait_for(lambda: self._rounds > before, timeout)

    def _told(self, kind: str, batch: Callable[[Installation], Applied]) -> Applied:
        begun = time.perf_counter()
        applied = batch(self.installation)
        self.observer.worked(kind, applied, time.perf_counter() - begun)
        if applied.steps:
            with self._changed:
                self._rounds += 1
                self._changed.notify_all()
        return applied

    # -- the clock, and the end

    @property
    def winds_clock(self) -> bool:
        """Whether the clock is made up, and stops unless it is wound."""
        return self._clock is not None

    @property
    def runs_faster(self) -> bool:
        """Whether the clock outruns real time, so that checks come due more often than usual."""
        return self._clock is not None and self._clock.rate > 1

    def wind_clock(self) -> None:
        """Lets a made-up clock run on; to be called every second (`clock.WIND_EVERY`)."""
        self._set_clock(ClockSpec.wind)

    def close(self) -> None:
        """Ends everything; a made-up clock of an SQLite file stands still from now on."""
        try:
            if self._stops_clock:
                self._set_clock(ClockSpec.stop)
        finally:
            self.db.close()

    def _set_clock(self, move: Callable[[ClockSpec, Origin, datetime], Origin]) -> None:
        clock = self._clock
        if clock is None:
            return

        def unit(tx: Tx) -> None:
            origin = clock_row.read(tx)
            if origin is not None:
                clock_row.write(tx, move(clock, origin, self.db.clock(tx)))

        self.db.run(unit)


AGAIN_AFTER = timedelta(minutes=1)


class Complaints:
    """Logs what went wrong in the background, the same thing at most once a minute, and counts it.

    A defect is logged with the places it came through the first time; what the system itself refuses,
    such as a database that does not answer, says all in its message.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}  # when, by digest
        self._untold: dict[str, int] = {}  # how often since
        self.total = 0  # since the start, those not logged included

    def about(self, event: str, what: str, error: BaseException) -> None:
        """`event` names the line, `what` is what failed, in words of the program."""
        digest = digest_of(error)
        with self._lock:
            self.total += 1
            now, before = self._monotonic(), self._told.get(digest)
            if before is not None and now - before < AGAIN_AFTER.total_seconds():
                self._untold[digest] = self._untold.get(digest, 0) + 1
                return
            self._told[digest] = now
            untold = self._untold.pop(digest, 0)
        known = isinstance(error, LifecycleError) or before is not None
        tell.error(
            event,
            "{what} failed (and {untold} times since it was last logged): {why}"
            if untold
            else "{what} failed: {why}",
            what=what,
            untold=untold,
            why=told(error),
            digest=digest,
            error=None if known else error,
        )
