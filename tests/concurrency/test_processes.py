"""Real processes on one PostgreSQL: workers that apply the same customers, intakes that post them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lifecycle.engine.dead import list_dead
from lifecycle.engine.digest import Digest, digest
from lifecycle.engine.verify import verify
from lifecycle.store import attempts
from tests.concurrency.actor import END, INTAKES, history, share
from tests.engine.histories import RICH_POLICY
from tests.support.engine import installation, pending, post, reach, set_clock

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.postgres


class Actor:
    """A process of the installation, which has said that it is ready."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.concurrency.actor", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self.says("ready")

    def says(self, word: str) -> None:
        assert self._output.readline() == f"{word}\n"

    def begin(self) -> None:
        self._input.write("begin\n")
        self._input.flush()

    def finish(self) -> dict[str, Any]:
        """What it did, when it is done."""
        self._input.close()
        told: dict[str, Any] = json.loads(self._output.readline())
        assert self._process.wait() == 0
        return told

    def kill(self) -> None:
        """SIGKILL, in the middle of whatever it does; harmless when it has ended."""
        self._process.kill()
        self._process.wait()
        self._output.close()
        with contextlib.suppress(BrokenPipeError):
            self._input.close()


@contextlib.contextmanager
def actors(url: str, *roles: tuple[str, ...]) -> Iterator[list[Actor]]:
    """All of them, ready; whoever is left in the end is killed."""
    with contextlib.ExitStack() as stack:
        ready = []
        for role, *number in roles:
            actor = Actor(role, url, *number)
            stack.callback(actor.kill)
            ready.append(actor)
        yield ready


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Digest:
    """The digest of one process on SQLite that had everything at once."""
    path = tmp_path_factory.mktemp("quiet") / "quiet.db"
    with installation(f"sqlite:///{path}", RICH_POLICY) as inst:
        set_clock(inst, END)
        post(inst, *[event for one in history() for event in one.events])
        reach(inst, END)
        return digest(inst, END)


INTAKE = [("intake", str(number)) for number in range(INTAKES)]
WORKERS = [("worker",), ("worker",)]


@pytest.mark.parametrize("killed", [0, 1], ids=["all live on", "one worker is killed"])
def test_processes_lose_nothing_and_double_nothing(
    postgres_database_url: str, quiet: Digest, killed: int
) -> None:
    """Two workers apply the same customers while two intakes post overlapping batches of them, with
    duplicates and late events; another worker is killed in the middle of it."""
    url = postgres_database_url
    with (
        installation(url, RICH_POLICY) as inst,
        actors(url, *INTAKE, *WORKERS, *WORKERS[:killed]) as all_of_them,
    ):
        intakes, workers, victims = all_of_them[:2], all_of_them[2:4], all_of_them[4:]
        for actor in all_of_them:
            actor.begin()
        for victim in victims:
            victim.says("working")
            victim.kill()
        for worker in workers:
            worker.says("working")
        taken = sum((Counter(intake.finish()) for intake in intakes), Counter[str]())
        set_clock(inst, END)
        done = [worker.finish() for worker in workers]
        distinct = {event.id for one in history() for event in one.events}
        posted = sum(len(one.events) for number in range(INTAKES) for one in share(number))
        assert taken["Accepted"] == len(distinct)
        assert taken["Duplicate"] == posted - len(distinct)
        assert all(each["events"] > 0 for each in done)
        assert all(each["quarantined"] == 0 for each in done)
        if not victims:
            assert sum(each["events"] for each in done) == len(distinct)
        assert pending(inst) == []
        assert list_dead(inst) == []
        assert verify(inst) == []
        assert digest(inst, END) == quiet
        with inst.db.read() as tx:
            assert attempts.unfinished(tx) == []
