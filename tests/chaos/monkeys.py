"""What goes wrong around the processes? One function a fault, each of which does it while its block runs."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.chaos.lives import ROOT
from tests.support import postgres

FLUSH_EVERY = 1.0  # seconds
RESTART_AFTER = 5.0  # seconds, at least
CUT_ONE_COMMIT_IN = 25

Count = Callable[[str], object]
"""Is told the name of a fault each time that it has happened."""


@contextlib.contextmanager
def flushing(url: str, count: Count) -> Iterator[None]:
    """Redis forgets everything, every second."""

    def flush() -> None:
        with redis.Redis.from_url(url) as client:
            client.flushall()
        count("Redis flushed")

    with _again_and_again(flush, lambda: FLUSH_EVERY):
        yield


@contextlib.contextmanager
def restarting(
    directory: Path, chance: random.Random, within: float, count: Count
) -> Iterator[None]:
    """PostgreSQL falls over and starts again, five seconds to `within` after the last time."""

    def restart() -> None:
        postgres.restart(directory)
        count("PostgreSQL restarted")

    with _again_and_again(restart, lambda: chance.uniform(RESTART_AFTER, within)):
        yield


@contextlib.contextmanager
def _again_and_again(do: Callable[[], object], pause: Callable[[], float]) -> Iterator[None]:
    """On a thread of its own; what it raises is raised when the block has ended."""
    over = threading.Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            while not over.wait(pause()):
                do()
        except BaseException as error:  # noqa: BLE001 - it is raised below, by whoever waits for us
            failed.append(error)

    thread = threading.Thread(target=run, name="monkey", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failed:
        raise failed[0]


@dataclass(slots=True)
class Cuts:
    port: int  # of the line that is cut
    before: int = 0
    after: int = 0


@contextlib.contextmanager
def cutting(port: int, seed: int, count: Callable[[str, int], object]) -> Iterator[int]:
    """The port of a line to PostgreSQL that is cut at COMMIT now and then."""
    from tests.chaos.proxy import AFTER, BEFORE

    proxy = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.proxy", str(port), str(seed), str(CUT_ONE_COMMIT_IN)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert proxy.stdin is not None
    assert proxy.stdout is not None
    with proxy.stdout:
        yield json.loads(proxy.stdout.readline())["port"]
        proxy.stdin.close()
        cuts = json.loads(proxy.stdout.readline())
    proxy.wait()
    for where in (BEFORE, AFTER):
        count(f"TCP cut at COMMIT, {where}", cuts.get(where, 0))
