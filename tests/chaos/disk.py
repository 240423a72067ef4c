"""What if the disk is full? A small installation on a file system of a few megabytes, which fills up.

    python -m tests.chaos.disk sqlite|postgres SEED FOLDER

Intake says why it cannot, takes nothing by halves, and goes on by itself when there is room again.
FOLDER is such a file system; `filled` mounts one that nobody else sees and that goes with this program.
On PostgreSQL it holds the tables, not the log of the server, without which no server runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from lifecycle.domain.event import Event
from lifecycle.resources import config_dir
from lifecycle.store.database import Database
from lifecycle.store.schema import migrate
from tests.chaos.campaign import LOOK_EVERY, UNTIL, Campaign, Plan, campaign
from tests.chaos.crew import Post
from tests.chaos.expected import quiet_run
from tests.chaos.judge import Verdict, attempts_open, judged, pending_count
from tests.chaos.lives import ROOT
from tests.chaos.material import material, posts
from tests.support import postgres
from tests.support.engine import opened
from tests.support.postgres_warden import free_port, give, unprivileged_account

SIZE = "64m"
CUSTOMERS = 60  # of each set
REFUSED = 12  # posts before there is room again
PATIENCE = 120.0  # seconds for the disk to be noticed, and for everything to be done in the end
CHUNK = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What came of it; without verdicts where no file system could be mounted, and `why` not."""

    refused: int  # posts
    reasons: list[str]
    verdicts: list[Verdict]
    why: str | None = None


# -- for who wants to know


def filled(database: str, seed: int) -> Told:
    """Runs this program on a file system of its own, if this machine permits to mount one."""
    with tempfile.TemporaryDirectory(prefix="lifecycle-disk-") as folder:
        mount = f'mount -t tmpfs -o size={SIZE},mode=0755 none "$0"'
        if why := _refusal([*_namespace(), "sh", "-c", mount, folder]):
            return Told(refused=0, reasons=[], verdicts=[], why=why)
        program = [sys.executable, "-m", "tests.chaos.disk", database, str(seed), folder]
        done = subprocess.run(
            [*_namespace(), "sh", "-c", f'{mount} && exec "$@"', folder, *program],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    told = json.loads(done.stdout.splitlines()[-1])
    return Told(**told | {"verdicts": [Verdict(**each) for each in told["verdicts"]]})


def _namespace() -> list[str]:
    """Run in a mount namespace; who is not root needs one of users as well."""
    users = [] if os.geteuid() == 0 else ["--map-current-user", "--keep-caps"]
    return ["unshare", *users, "--mount"]


def _refusal(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        return str(error)
    return done.stderr.strip() if done.returncode else None


# -- within it


def main(database: str, seed: int, folder: Path) -> None:
    plan = Plan(seed=seed, material=material(seed, at_most=CUSTOMERS), goal=0, seconds=60)
    port = free_port()
    world = {"sqlite": _sqlite, "postgres": _postgres}[database]
    with campaign(plan, [port], lambda _: None) as under_way, world(under_way, folder) as url:
        crew = _crew("up" if database == "sqlite" else "serve", url, port, plan.clock)
        told = _run(under_way, url, crew, folder / "ballast")
    sys.stdout.write(json.dumps(dataclasses.asdict(told)) + "\n")


@contextlib.contextmanager
def _sqlite(under_way: Campaign, folder: Path) -> Iterator[str]:
    url = f"sqlite:///{folder / 'chaos.db'}"
    with contextlib.closing(Database.open(url)) as db:
        migrate(db)
    yield url


@contextlib.contextmanager
def _postgres(under_way: Campaign, folder: Path) -> Iterator[str]:
    tables = folder / "tables"
    tables.mkdir(mode=0o700)
    give(tables, unprivileged_account())
    with (
        postgres.wheel_server(under_way.folder / "postgres") as admin,
        postgres.fresh_database(admin) as url,
    ):
        name = sql.Identifier(url.rpartition("/")[2])
        with psycopg.connect(admin, autocommit=True) as connection:
            place = sql.Literal(str(tables))
            connection.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(place))
            connection.execute(sql.SQL("ALTER DATABASE {} SET TABLESPACE small").format(name))
        with contextlib.closing(Database.open(url)) as db:
            migrate(db)
        try:
            yield url
        finally:
            under_way.crew.leave()


def _crew(command: str, url: str, port: int, clock: str) -> list[Post]:
    """One process on SQLite; on PostgreSQL a server and a worker that looks every second."""
    environment = {
        "LIFECYCLE_DATABASE_URL": url,
        "LIFECYCLE_CONFIG_DIR": str(config_dir()),
        "LIFECYCLE_PORT": str(port),
        "LIFECYCLE_CLOCK": clock,
    }
    commands = (command,) if command == "up" else (command, "work", "schedule")
    return [Post(command=(name,), environment=environment) for name in commands]


def _run(under_way: Campaign, url: str, crew: list[Post], ballast: Path) -> Told:
    batches = posts(under_way.plan.material.of(), under_way.plan.seed)
    before, after = batches[: len(batches) // 3], batches[len(batches) // 3 :]
    under_way.crew.take_places(crew)
    with contextlib.closing(Database.open(url)) as db:
        under_way.post(before)
        _until(under_way, lambda: under_way.posters.left == 0)
        _fill(ballast)
        earlier = under_way.answers.instead["HTTP 503"]
        under_way.post(after)
        _until(under_way, lambda: under_way.answers.instead["HTTP 503"] >= earlier + REFUSED)
        refused = under_way.answers.instead["HTTP 503"] - earlier
        ballast.unlink()
        left = under_way.until_none(
            lambda: (under_way.posters.left, pending_count(db), attempts_open(db))
        )
    under_way.crew.stop()
    return _told(under_way, url, refused, left)


def _told(under_way: Campaign, url: str, refused: int, left: tuple[int, ...] | None) -> Told:
    answers = under_way.answers
    with opened(url) as inst:
        verdicts = judged(
            inst,
            posted=under_way.posted,
            poison=[],
            answers=answers,
            until=UNTIL,
            expected={"a quiet run": quiet_run(under_way.plan.material, UNTIL).digest},
        )
    healed = Verdict(
        promise="it goes on by itself", kept=left is None, found=f"{left or 'nothing'} left"
    )
    reasons = sorted(reason for reason in answers.reasons if _names_the_disk(reason))
    named = Verdict(
        promise="the answer names the disk", kept=bool(reasons), found="; ".join(answers.reasons)
    )
    halves = answers.duplicates - _twice(under_way.posted)
    whole = Verdict(
        promise="what was refused was not stored by halves",
        kept=halves == 0 and not answers.instead.keys() - {"HTTP 503", "ConnectionRefusedError"},
        found=f"{halves} events were known when they were posted again; {dict(answers.instead)}",
    )
    return Told(refused=refused, reasons=reasons, verdicts=[healed, named, whole, *verdicts])


def _names_the_disk(reason: str) -> bool:
    return "disk" in reason or "No space left" in reason


def _twice(posted: list[Event]) -> int:
    return len(posted) - len({event.id for event in posted})


def _until(under_way: Campaign, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {PATIENCE:.0f} s: {under_way.answers.instead}")
        under_way.crew.tend(LOOK_EVERY)


def _fill(ballast: Path) -> None:
    """Until nothing fits any more, to the last page."""
    with ballast.open("wb", buffering=0) as file:
        for size in (CHUNK, 1):
            with contextlib.suppress(OSError):  # ENOSPC: that is what it is for
                while file.write(bytes(size)) == size:
                    pass


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
