"""Publishing, recomputation and restatement are killed at every point, and end as if nobody had died."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from lifecycle.engine.apply import apply_pending, fire_due
from lifecycle.engine.digest import Digest, digest
from lifecycle.engine.installation import Installation
from lifecycle.engine.publishing.history import Standing, history
from lifecycle.engine.verify import verify
from lifecycle.killpoints import Point
from tests.engine.histories import RICH_POLICY, Arrival, arrivals
from tests.engine.mortal import HISTORY, Death
from tests.engine.mortal_publisher import SECOND, THIRD, play
from tests.scenarios.driver import day
from tests.support.engine import installation, opened, pending, post, set_clock, work
from tests.support.publishing import published, recompute

ROOT = Path(__file__).resolve().parents[2]
OF_PUBLISHING = (Point.PUBLISH_BEFORE_COMMIT, Point.PUBLISH_AFTER_COMMIT)
OF_A_PAGE = (
    Point.RECOMPUTE_CLAIMED,
    Point.WORKER_LOCKED,
    Point.WORKER_STEPS,
    Point.WORKER_MESSAGES,
    Point.RECOMPUTE_FOLDED,
    Point.RECOMPUTE_BEFORE_COMMIT,
)


def deaths() -> list[Death]:
    """At the publication, at every point of its first page, and on the way through the two others."""
    first = [{"point": point, "times": 1} for point in (*OF_PUBLISHING, *OF_A_PAGE)]
    next_page = [
        {"point": Point.RECOMPUTE_CLAIMED, "times": 2},
        {"point": Point.RECOMPUTE_FOLDED, "times": 1},
        {"point": Point.RECOMPUTE_BEFORE_COMMIT, "times": 1},
    ]
    of_one = [*first, *next_page, *next_page]
    return [*of_one, *of_one, {}]


def live(url: str, seed: int, lives: Sequence[Death]) -> list[int]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.mortal_publisher", url, str(seed), json.dumps(lives)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ends: list[int] = json.loads(done.stdout)
    return ends


def quiet(directory: Path, told: Sequence[Arrival]) -> Digest:
    with installation(f"sqlite:///{directory / 'quiet.db'}", RICH_POLICY) as inst:
        play(inst, told)
        return digest(inst, day(told[-1].day))


def test_whoever_is_killed_while_publishing_and_recomputing_the_truth_is_that_of_a_quiet_run(
    database_url: str, tmp_path: Path
) -> None:
    """SIGKILL around both commits, before, in and after each page, events arriving in between."""
    told = arrivals(seed=5, **{**HISTORY, "customers": 60})
    lives = deaths()
    with installation(database_url, RICH_POLICY):
        pass
    ends = live(database_url, 5, lives)
    assert ends == [signal.SIGKILL] * (len(lives) - 1) + [0]
    with opened(database_url) as inst:
        assert verify(inst) == []
        assert pending(inst) == []
        assert digest(inst, day(told[-1].day)) == quiet(tmp_path, told)
        entries = history(inst)
        standings = [entry.standing for entry in entries]
        assert standings == [Standing.REPLACED, Standing.REPLACED, Standing.JUDGES]
        for entry in entries[1:]:
            assert entry.recomputation is not None
            assert entry.recomputation.done == entry.recomputation.customers
            assert not entry.recomputation.overtaken


def test_events_arrive_and_are_folded_while_a_version_is_published_and_recomputed(
    database_url: str, tmp_path: Path
) -> None:
    """Three threads that know nothing of each other; nobody waits for the recomputation."""
    told = arrivals(seed=6, **{**HISTORY, "customers": 60})
    last = told[-1].day
    with installation(f"sqlite:///{tmp_path / 'quiet.db'}", RICH_POLICY) as inst:
        set_clock(inst, day(last))
        for arrival in told:
            post(inst, *arrival.events)
        work(inst)
        publish_both(inst)
        expected = after_a_while(inst, last)
    with installation(database_url, RICH_POLICY) as inst:
        set_clock(inst, day(last))
        done = threading.Event()

        def post_all() -> None:
            for arrival in told:
                post(inst, *arrival.events)
            done.set()

        def apply_all() -> None:
            while not done.is_set() or pending(inst):
                apply_pending(inst)
                fire_due(inst)

        in_threads(post_all, apply_all, lambda: publish_both(inst))
        work(inst)
        assert verify(inst) == []
        assert after_a_while(inst, last) == expected


def publish_both(inst: Installation) -> None:
    for text, restates in ((SECOND, False), (THIRD, True)):
        published(inst, text, restates=restates)
        recompute(inst)


def after_a_while(inst: Installation, last: float) -> Digest:
    set_clock(inst, day(last + 50))
    work(inst)
    return digest(inst, day(last + 50))


def in_threads(*all_of_them: Callable[[], object]) -> None:
    raised: list[BaseException] = []

    def guarded(run: Callable[[], object]) -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001 - told below
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=(run,)) for run in all_of_them]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == []
