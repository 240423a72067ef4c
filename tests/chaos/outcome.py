"""How did a run end? When all is quiet again it is judged, and this is what is told of it."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lifecycle.store.database import Database
from tests.chaos import disk
from tests.chaos.campaign import UNTIL, Campaign, Told
from tests.chaos.crew import Post, Toll
from tests.chaos.expected import Expected
from tests.chaos.fates import ENGINE_POINTS
from tests.chaos.judge import Verdict, attempts_open, judged, pending_count
from tests.chaos.material import SETS
from tests.chaos.poisoning import Rates
from tests.chaos.posters import Answers
from tests.support.engine import opened

BESIDE_POISON = 0.95  # of their pace is what others keep


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
    rates: dict[str, float]  # events a second, and their ratio
    left_out: str | None  # what could not be done on this machine, and why
    verdicts: list[Verdict]
    answers: Answers
    seconds: float
    folder: Path | None  # kept where a promise was broken

    @property
    def kept(self) -> bool:
        return all(verdict.kept for verdict in self.verdicts)


def concluded(
    under_way: Campaign,
    database: str,
    url: str,
    calm: Sequence[Post],
    wanted: Expected,
    rates: Rates | None,
    filled: disk.Told | None,
    begun: float,
) -> Outcome:
    """The `calm` do what is left to be done, and nobody is killed any more; then everything is judged."""
    stuck = _healed(under_way, url, calm)
    under_way.tell("waiting for the oracle")
    oracle, quiet = wanted.oracle.result(), wanted.quiet.result()
    under_way.tell("judging")
    with opened(url) as inst:
        verdicts = [
            *_hard_enough(under_way),
            Verdict(promise="it heals by itself", kept=stuck is None, found=stuck or "all is done"),
            *judged(
                inst,
                posted=under_way.posted,
                poison=under_way.poison,
                answers=under_way.answers,
                until=UNTIL,
                expected={"a quiet run": quiet.digest, "the oracle": oracle},
            ),
            *_pace(under_way, rates),
            *_disk(filled),
        ]
    under_way.keep = not all(verdict.kept for verdict in verdicts)
    plan = under_way.plan
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
        rates=_told(rates),
        left_out=_left_out(filled),
        verdicts=verdicts,
        answers=under_way.answers,
        seconds=time.monotonic() - begun,
        folder=under_way.folder if under_way.keep else None,
    )


def _healed(under_way: Campaign, url: str, calm: Sequence[Post]) -> str | None:
    """What is stuck, where it does not come to an end."""
    under_way.tell("quiet again")
    under_way.crew.take_places(calm)
    with contextlib.closing(Database.open(url)) as db:
        stuck = under_way.until_none(
            lambda: (under_way.posters.left, pending_count(db), attempts_open(db))
        )
    under_way.crew.stop()
    if stuck is None:
        return None
    unanswered, waiting, open_ = stuck
    return (
        f"no progress for {under_way.plan.patience:.0f} s: {unanswered} events are not answered for,"
        f" {waiting} are pending, {open_} attempts are open"
    )


def _hard_enough(under_way: Campaign) -> Iterator[Verdict]:
    """What no run has been through is not proven by it."""
    toll, goal = under_way.crew.toll, under_way.plan.goal
    missing = [
        f"{point}: {toll.kills[point]}" for point in ENGINE_POINTS if toll.kills[point] < goal
    ]
    least = min(toll.kills[point] for point in ENGINE_POINTS)
    yield Verdict(
        promise=f"every point was hit at least {goal} times",
        kept=not missing,
        found="; ".join(missing) or f"the rarest {least} times, {toll.kills.total()} in all",
    )
    never = [fault for fault, count in under_way.faults.items() if count == 0]
    yield Verdict(
        promise="every fault happened", kept=not never, found="; ".join(never) or "all of them"
    )
    ends = Counter(f"{life.role} ended with {life.code}" for life in toll.unforeseen)
    yield Verdict(
        promise="nobody ended but as meant",
        kept=not ends,
        found=f"{toll.lives} lives; {'; '.join(ends) or 'none otherwise'}",
    )


def _pace(under_way: Campaign, rates: Rates | None) -> Iterator[Verdict]:
    if rates and under_way.plan.judge_rates:
        yield Verdict(
            promise=f"others keep {BESIDE_POISON:.0%} of their pace beside poison",
            kept=rates.ratio >= BESIDE_POISON,
            found=f"{rates.ratio:.1%}",
        )


def _left_out(filled: disk.Told | None) -> str | None:
    if filled is None or filled.why is None:
        return None
    return f"no disk was filled, as no file system can be mounted here ({filled.why})"


def _disk(filled: disk.Told | None) -> Iterator[Verdict]:
    """In one line, unless something of it is wrong."""
    if filled is None or filled.why:
        return
    broken = [each for each in filled.verdicts if not each.kept]
    yield Verdict(
        promise="a full disk is told, takes nothing by halves, and heals",
        kept=not broken,
        found="; ".join(f"{each.promise}: {each.found}" for each in broken)
        or f"{filled.refused} posts refused, then all was taken",
    )


def _told(rates: Rates | None) -> dict[str, float]:
    if rates is None:
        return {}
    return {
        "without poison": rates.without.rate,
        "beside poison": rates.with_poison.rate,
        "ratio": rates.ratio,
    }
