"""Letters that are due: taken, judged, filled in, and handed by SMTP to a server on the same machine.

The real sender, the shipped texts of a rule, the processes that fill them in, and a mail server in a
process of its own that takes everything. Only the instants of the rule are moved, so that whoever measures
at night does not measure quiet hours. On PostgreSQL two workers send as well, as they do in production.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks import databases
from benchmarks.material import ROOT, drafts
from benchmarks.measure import Result, cpu_of, watched
from benchmarks.served import await_done, begun
from lifecycle.bootstrap import Engine, build
from lifecycle.domain.builtin import CONSENT_GIVEN, PROFILE_CHANGED
from lifecycle.domain.event import Event
from lifecycle.domain.fate import Fate
from lifecycle.engine.sending.desk import Desk, open_desk
from lifecycle.engine.sending.pausing import pause, resume
from lifecycle.engine.sending.sender import Sender
from lifecycle.resources import config_dir
from lifecycle.settings import Settings
from lifecycle.store import messages, pauses

FLOOR, GOAL = 300, 1_000
LETTERS = 5_000
WORKERS = 2
LOOK_EVERY = 0.2  # seconds
WARMING = 200  # before the clock runs: processes start, and templates are read
PATIENCE = 600.0
RULE = "win-back-first"
QUIET_FOR = timedelta(days=61)
SECRET = b"a secret of the benchmarks, nobody's else"
PUBLIC_URL = "https://shop.example.com"
CHANGES = (  # at once, to everybody, and by day and night
    (r"on: \{transition: goes-quiet\}\n    when: revenue >= 100.0", "on: {transition: goes-quiet}"),
    (r"delay: 1h\n    settle: 10min\n    priority: 70", "priority: 70"),
    (r"  quiet: \{since.*\n", ""),
    (r"again_after: 30d\n", "holdout: 0%\n"),
)
CHANNELS = """
company: {{name: Example, address: "1 Example Road, 200000 Shanghai, China"}}
channels:
  email:
    kind: smtp
    host: 127.0.0.1
    port: {port}
    security: none
    signed_by: mail.example.com
    senders: {{care: {{name: Example Care, address: care@mail.example.com}}}}
  sms: {{kind: outbox}}
"""


@dataclass(slots=True)
class Shares:
    """Where the threads that send spend their time; a second of four threads is four seconds."""

    seconds: dict[str, float] = field(default_factory=dict)
    transactions: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def over(self, one: object, method: str, part: str) -> None:
        """The method counts its time from now on."""
        own = getattr(one, method)

        def timed(*arguments: Any, **named: Any) -> Any:
            begun = time.perf_counter()
            try:
                return own(*arguments, **named)
            finally:
                self._count(part, time.perf_counter() - begun)

        setattr(one, method, timed)

    def _count(self, part: str, seconds: float) -> None:
        with self._lock:
            self.seconds[part] = self.seconds.get(part, 0.0) + seconds
            self.transactions += part == "database"

    def forget(self) -> None:
        self.seconds.clear()
        self.transactions = 0

    def told(self) -> str:
        total = sum(self.seconds.values()) or 1.0
        return ", ".join(
            f"{part} {seconds / total:.0%}"
            for part, seconds in sorted(self.seconds.items(), key=lambda pair: -pair[1])
        )


def run(scale: float) -> list[Result]:
    count = max(int(LETTERS * scale), 100)
    return [*(_measured(kind, count) for kind in databases.KINDS), _by_workers(count)]


def _measured(kind: str, count: int) -> Result:
    shares = Shares()
    with ExitStack() as stack:
        url = stack.enter_context(databases.empty(kind))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sink, port = stack.enter_context(_sink())
        settings = _settings(url, folder, port)
        engine = stack.enter_context(build(settings))
        sender = stack.enter_context(_sender(engine, settings, shares))
        _fall_due(engine, 0, WARMING)
        _send(sender)
        _fall_due(engine, WARMING, count)
        shares.forget()
        before = cpu_of(sink), cpu_of(*_renderers(os.getpid()))
        with watched() as watch:
            _send(sender)
        load = cpu_of(sink) - before[0]
        rendering = cpu_of(*_renderers(os.getpid())) - before[1]
        sent = _counted(engine, Fate.SENT)
    assert sent == WARMING + count, f"{sent} of {WARMING + count} letters were sent"
    cpu = watch.cpu_seconds + rendering
    return Result(
        name=f"render and send, {kind}",
        what="letters/s",
        rate=count / watch.seconds,
        count=count,
        seconds=watch.seconds,
        floor=FLOOR,
        goal=GOAL,
        cpu_seconds=cpu,
        load_cpu_seconds=load,
        notes=[
            (
                f"{count:,} of {RULE}, by SMTP; CPU seconds for 1,000: {cpu / count * 1000:.2f}, of these"
                f" {rendering / count * 1000:.2f} in the processes that render;"
                f" {shares.transactions / count:.2f} transactions a letter; time of threads: {shares.told()}"
            )
        ],
    )


def _by_workers(count: int) -> Result:
    """They have sent some letters before, one of them perhaps all, and wait while the rest falls due."""
    with ExitStack() as stack:
        url = stack.enter_context(databases.empty("postgresql"))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sink, port = stack.enter_context(_sink())
        engine = stack.enter_context(build(_settings(url, folder, port)))
        _fall_due(engine, 0, WARMING)
        environment = {
            "LIFECYCLE_DATABASE_URL": url,
            "LIFECYCLE_CONFIG_DIR": str(folder),
            "LIFECYCLE_PUBLIC_URL": PUBLIC_URL,
            "LIFECYCLE_SECRET": SECRET.decode(),
        }
        command = [sys.executable, "-m", "lifecycle", "work"]
        workers = [stack.enter_context(begun(command, environment)).pid for _ in range(WORKERS)]
        _await_sent(engine, WARMING)
        pause(engine.installation, pauses.ALL, by="bench", why="until all are due")
        _fall_due(engine, WARMING, count)
        before = _cpu(workers, sink)
        started = time.perf_counter()
        resume(engine.installation, pauses.ALL, by="bench", why="all are due")
        _await_sent(engine, WARMING + count)
        seconds = time.perf_counter() - started
        sending, rendering, load = (
            after - was for was, after in zip(before, _cpu(workers, sink), strict=True)
        )
    cpu = sending + rendering
    return Result(
        name=f"render and send, postgresql, {WORKERS} workers",
        what="letters/s",
        rate=count / seconds,
        count=count,
        seconds=seconds,
        floor=FLOOR,
        goal=GOAL,
        cpu_seconds=cpu,
        load_cpu_seconds=load,
        beside="render and send, postgresql",
        notes=[
            (
                f"{count:,} of {RULE}, by SMTP; CPU seconds for 1,000: {cpu / count * 1000:.2f}, of these"
                f" {rendering / count * 1000:.2f} in the processes that render"
            )
        ],
    )


def _await_sent(engine: Engine, count: int) -> None:
    """Looks now and then only: to count costs the server what it needs for letters."""
    deadline = time.monotonic() + PATIENCE
    while (sent := _counted(engine, Fate.SENT)) < count:
        assert time.monotonic() < deadline, f"{sent} of {count} letters were sent"
        time.sleep(LOOK_EVERY)


def _cpu(workers: Sequence[int], sink: int) -> tuple[float, float, float]:
    """Of those who send, those who render for them, and the mail server."""
    renderers = [pid for worker in workers for pid in _renderers(worker)]
    return cpu_of(*workers), cpu_of(*renderers), cpu_of(sink)


# -- who sends, and to whom ------------------------------------------------------------------


@contextmanager
def _sink() -> Iterator[tuple[int, int]]:
    """A process that takes every letter: its id and port. It is ended by its id."""
    command = [sys.executable, "-m", "tests.support.smtp"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    with process.stdout:
        listening = re.search(r":(\d+)$", process.stdout.readline().strip())
        assert listening is not None, "the sink does not listen"
        try:
            yield process.pid, int(listening[1])
        finally:
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
            process.wait()


@contextmanager
def _sender(engine: Engine, settings: Settings, shares: Shares) -> Iterator[Sender]:
    def failed(event: str, what: str, error: BaseException) -> None:
        raise RuntimeError(f"{event}: {what}") from error

    desk = open_desk(engine.installation, settings)
    _time(desk, engine, shares)
    sender = Sender(engine.installation, desk, failed=failed)
    try:
        yield sender
    finally:
        sender.stop()


def _time(desk: Desk, engine: Engine, shares: Shares) -> None:
    shares.over(desk.texts, "write", "render")
    shares.over(desk.channels["email"], "send", "SMTP")
    shares.over(engine.db, "run", "database")


def _send(sender: Sender) -> None:
    assert sender.send_due(PATIENCE), "it took too long"


def _renderers(of: int) -> list[int]:
    """The processes that one has started to fill texts in; Linux only, else none."""
    found: list[int] = []
    for thread in Path(f"/proc/{of}/task").glob("*/children"):
        found += map(int, thread.read_text(encoding="ascii").split())
    return [pid for pid in found if _is_renderer(pid)]


def _is_renderer(pid: int) -> bool:
    return b"templates.child" in Path(f"/proc/{pid}/cmdline").read_bytes()


# -- what is due -----------------------------------------------------------------------------


def _settings(url: str, folder: Path, port: int) -> Settings:
    text = (config_dir() / "policy.yaml").read_text(encoding="utf-8")
    for found, instead in CHANGES:
        text, times = re.subn(found, instead, text)
        assert times == 1, f"the default policy has changed: {found!r} is not in it"
    folder.joinpath("policy.yaml").write_text(text, encoding="utf-8")
    folder.joinpath("channels.yaml").write_text(CHANNELS.format(port=port), encoding="utf-8")
    return Settings(database_url=url, config_dir=folder, public_url=PUBLIC_URL, secret=SECRET)


def _fall_due(engine: Engine, first: int, count: int) -> None:
    """So many customers have been quiet for long enough, and each is owed one letter."""
    now = datetime.now(UTC)
    for start in range(first, first + count, 500):
        people = range(start, min(start + 500, first + count))
        told = [event for number in people for event in _told(number, now)]
        engine.accept(drafts(told))
    engine.apply_pending()
    engine.fire_due()
    with engine.db.write() as tx:
        pauses.remove(tx, pauses.REAL)
        pauses.allow(
            tx, RULE, by="bench", why="a crowd on purpose", since=engine.installation.now(tx)
        )
    await_done(lambda: _counted(engine, Fate.QUEUED) == count)  # others may be at some of them


def _told(number: int, now: datetime) -> Iterator[Event]:
    begun = now - QUIET_FOR
    known = {
        "name": f"Customer {number}",
        "email": f"c{number}@example.org",
        "language": ("en", "zh")[number % 2],
    }
    said = {"purpose": "marketing", "channel": "email"}
    bought = {"amount": "120.50", "order_id": f"A-{number}", "product": "Teapot 800 ml"}
    for name, type_, properties in (
        ("profile", PROFILE_CHANGED, {"attributes": known}),
        ("agreed", CONSENT_GIVEN, said),
        ("order", "order_paid", bought),
    ):
        yield Event(
            source="bench",
            id=f"{number}-{name}",
            customer=f"c{number}",
            type=type_,
            occurred_at=begun,
            received_at=now,
            properties=properties,
        )


def _counted(engine: Engine, fate: Fate) -> int:
    with engine.db.read() as tx:
        return messages.count_by_rule_and_fate(tx).get((RULE, fate), 0)
