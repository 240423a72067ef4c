"""Workers die, by the hand of an operator and by the events that they fold; the truth does not."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lifecycle.engine.alone import LONE_TRIES
from lifecycle.engine.dead import list_dead
from lifecycle.engine.digest import Digest, digest
from lifecycle.engine.verify import verify
from lifecycle.store import attempts
from tests.engine.histories import RICH_POLICY, Arrival, arrivals
from tests.engine.mortal import HISTORY, POINTS, Death, play
from tests.scenarios.driver import day
from tests.support.engine import installation, opened, pending

ROOT = Path(__file__).resolve().parents[2]


def live(url: str, seed: int, lives: Sequence[Death]) -> list[int]:
    """How each life of a mortal worker ended: a signal, or 0."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.mortal", url, str(seed), json.dumps(lives)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ends: list[int] = json.loads(done.stdout)
    return ends


def quiet(directory: Path, history: Sequence[Arrival]) -> Digest:
    """The digest of a run in which nobody died."""
    with installation(f"sqlite:///{directory / 'quiet.db'}", RICH_POLICY) as inst:
        play(inst, history)
        return digest(inst, day(history[-1].day))


def lives_ending_everywhere(seed: int) -> list[Death]:
    """Three lives for each point, in an order that keeps no point and no customer in a row."""
    lives = [{"point": point, "times": times} for point in POINTS for times in (1, 2, 3)]
    random.Random(seed).shuffle(lives)
    return [*lives, {}]


def test_nothing_is_lost_and_nothing_doubled_wherever_a_worker_is_killed(
    database_url: str, tmp_path: Path
) -> None:
    """SIGKILL between attempt and work, anywhere in the work, around every commit.

    The client repeats what it got no answer for. Each life begins where the last one was cut off,
    and when one is left to live, everything is as if nobody had ever died.
    """
    history = arrivals(seed=1, **HISTORY)
    lives = lives_ending_everywhere(seed=1)
    with installation(database_url, RICH_POLICY):
        pass
    ends = live(database_url, 1, lives)
    assert ends == [signal.SIGKILL] * (len(lives) - 1) + [0]
    with opened(database_url) as inst:
        assert verify(inst) == []
        assert pending(inst) == []
        assert list_dead(inst) == []
        assert digest(inst, day(history[-1].day)) == quiet(tmp_path, history)
        with inst.db.read() as tx:
            assert attempts.unfinished(tx) == []


def test_an_event_that_kills_its_worker_is_put_aside_after_so_many_lone_tries(
    database_url: str, tmp_path: Path
) -> None:
    """Attempts are committed before the work, so that a crash counts too.

    One life is lost to the batch, one to her customer alone, then one to each lone try; in the next
    the event leaves the fold. Its customer's other events and everybody else's are applied.
    """
    history = arrivals(seed=3, **HISTORY)
    culprit = history[len(history) // 2].events[0]
    with installation(database_url, RICH_POLICY):
        pass
    ends = live(database_url, 3, [{"chokes_on": culprit.id}])
    assert ends == [signal.SIGABRT] * (2 + LONE_TRIES) + [0]
    without = [
        Arrival(on, tuple(event for event in events if event.id != culprit.id))
        for on, events in history
    ]
    with opened(database_url) as inst:
        (letter,) = list_dead(inst)
        assert letter.stored.event.id == culprit.id
        assert letter.reason == "fold_failed"
        assert letter.detail == "the process that folded it ended without a word"
        assert letter.attempts == LONE_TRIES
        assert pending(inst) == []
        assert verify(inst) == []
        assert digest(inst, day(history[-1].day)) == quiet(tmp_path, without)
        with inst.db.read() as tx:
            assert attempts.unfinished(tx) == []
