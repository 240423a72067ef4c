"""How good thresholds of dormancy are on Online Retail II, in plain loops from the file alone.

Nothing of the engine is used, and everything is kept in lists: this is what it is held against. What
is meant by each word is said in docs/dormancy.md; `HORIZON` … say which question is asked.
"""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from tests.realdata import naive

HORIZON = 180
IN_TIME = 90
IN_FORCE = 60
DAYS = [30, 45, 90, 120, 180]
QUANTILES = ["0.8", "0.9", "0.95"]
AT_LEAST, AT_MOST, OTHERWISE = 30, 180, 60
GROUPS, RESAMPLES, SEED = 200, 400, 20111209
AS_FAR_AS = 100  # days: those for all that an own rhythm is compared with are fewer
Z = 1.959963984540054


@dataclass
class Silence:
    customer: str
    began: datetime
    length: timedelta
    ended: bool
    there: timedelta  # how long she stayed a buyer within it
    gaps: list[timedelta]  # those before it


@dataclass
class Threshold:
    name: str
    days: int = 0
    quantile: str = ""

    def of(self, silence: Silence) -> timedelta:
        if not self.quantile:
            return timedelta(days=self.days)
        if not silence.gaps:
            return timedelta(days=OTHERWISE)
        ordered = sorted(silence.gaps)
        own = ordered[math.ceil(Decimal(self.quantile) * len(ordered)) - 1]
        return min(max(own, timedelta(days=AT_LEAST)), timedelta(days=AT_MOST))


@dataclass
class Row:
    alarms: int
    false: int
    interval: tuple[float, float]
    missed: int
    lost: int
    mean: float
    median: int
    gained: float


@dataclass
class Compared:
    fixed: float
    earlier: float
    low: float
    high: float


THRESHOLDS = [
    Threshold("in force", days=IN_FORCE),
    *(Threshold(f"{days}", days=days) for days in DAYS),
    *(Threshold(quantile, quantile=quantile) for quantile in QUANTILES),
]


def silences(rows: list[naive.Invoice]) -> tuple[list[Silence], int, datetime]:
    """Every silence of a buyer, how many began while she was none, and when the history ends."""
    end = max(row.instant for row in rows if row.amount != 0)
    found: list[Silence] = []
    elsewhere = 0
    for customer, own in naive.by_customer(rows).items():
        told = sorted(own, key=lambda row: (row.instant, row.number))
        told = [row for row in told if row.amount != 0]
        bought: list[datetime] = []
        buyer, revenue = False, Decimal(0)
        changes: list[tuple[datetime, bool]] = []
        for row in told:
            revenue += row.amount
            if not row.cancelled:
                buyer = True
                bought.append(row.instant)
            elif buyer and revenue <= 0:  # the purchase was undone
                buyer = False
            changes.append((row.instant, buyer))
        distinct = sorted(set(bought))
        gaps: list[timedelta] = []
        for place, began in enumerate(distinct):
            if place:
                gaps.append(began - distinct[place - 1])
            ended = place + 1 < len(distinct)
            until = distinct[place + 1] if ended else end
            state = False
            for at, was in changes:
                if at <= began:
                    state = was
            if not state:
                elsewhere += 1
                continue
            there = until - began
            for at, was in changes:
                if began < at and not was:
                    there = min(there, at - began)
            found.append(Silence(customer, began, until - began, ended, there, list(gaps)))
    return found, elsewhere, end


def judged(found: list[Silence], end: datetime) -> list[Silence]:
    return [each for each in found if each.began <= end - timedelta(days=HORIZON)]


def is_lull(silence: Silence) -> bool:
    return silence.length < timedelta(days=HORIZON)


def is_lost(silence: Silence) -> bool:
    return not is_lull(silence) and silence.there >= timedelta(days=HORIZON)


def alarms(found: list[Silence], threshold: Threshold) -> list[Silence]:
    return [each for each in found if threshold.of(each) <= each.there]


def row(found: list[Silence], threshold: Threshold) -> Row:
    raised = alarms(found, threshold)
    false = sum(1 for each in raised if is_lull(each))
    lost = [each for each in found if is_lost(each)]
    waits = sorted(threshold.of(each) for each in lost)
    mean = days_of(waits)
    return Row(
        alarms=len(raised),
        false=false,
        interval=wilson(false, len(raised)),
        missed=sum(1 for wait in waits if wait > timedelta(days=IN_TIME)),
        lost=len(lost),
        mean=mean,
        median=waits[(len(waits) - 1) // 2].days,
        gained=IN_FORCE - mean,
    )


def days_of(waits: list[timedelta]) -> float:
    return sum(waits, timedelta()) / timedelta(days=1) / len(waits)


def wilson(count: int, of: int) -> tuple[float, float]:
    """The two solutions p of (count/of − p)² = z² p (1 − p) / of."""
    share = count / of
    a, b, c = 1 + Z * Z / of, -2 * share - Z * Z / of, share * share
    root = math.sqrt(max(b * b - 4 * a * c, 0))
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def fixed_for(share: float, fires: list[int], false: list[int]) -> float:
    """The least number of days, from 1 on, at which alarms are false at most so often."""
    before = 0.0
    for days in range(1, AS_FAR_AS):
        now = false[days] / fires[days] if fires[days] else 0.0
        if now <= share:
            return 1.0 if days == 1 else days - 1 + (before - share) / (before - now)
        before = now
    raise AssertionError(f"more than {AS_FAR_AS} days: look further")


def group(customer: str) -> int:
    digest = hashlib.sha256(f"resampling:{customer}".encode()).hexdigest()
    return int(int(digest[:13], 16) / 16**13 * GROUPS)


def compared(found: list[Silence]) -> dict[str, Compared]:
    """Each own rhythm against days for all, and between which figures resampling puts the difference."""
    own_rhythms = [threshold for threshold in THRESHOLDS if threshold.quantile]
    groups: list[list[Silence]] = [[] for _ in range(GROUPS)]
    for each in found:
        groups[group(each.customer)].append(each)
    fires = []  # by group and number of days
    false = []
    counts = []  # by group and own rhythm: alarms, false ones, lost, and days to declaring them
    for own in groups:
        fires.append([len(alarms(own, Threshold("", days=days))) for days in range(AS_FAR_AS)])
        lulls = [each for each in own if is_lull(each)]
        false.append([len(alarms(lulls, Threshold("", days=days))) for days in range(AS_FAR_AS)])
        lost = [each for each in own if is_lost(each)]
        counts.append(
            [
                (
                    len(alarms(own, threshold)),
                    len(alarms(lulls, threshold)),
                    len(lost),
                    sum((threshold.of(each) for each in lost), timedelta()) / timedelta(days=1),
                )
                for threshold in own_rhythms
            ]
        )
    chance = random.Random(SEED)
    draws = [list(range(GROUPS))]
    draws += [chance.choices(range(GROUPS), k=GROUPS) for _ in range(RESAMPLES)]
    figures: list[list[tuple[float, float]]] = [[] for _ in own_rhythms]
    for drawn in draws:
        all_fires = [sum(days) for days in zip(*(fires[place] for place in drawn), strict=True)]
        all_false = [sum(days) for days in zip(*(false[place] for place in drawn), strict=True)]
        for number in range(len(own_rhythms)):
            raised = sum(counts[place][number][0] for place in drawn)
            wrong = sum(counts[place][number][1] for place in drawn)
            lost_of_all = sum(counts[place][number][2] for place in drawn)
            waited = sum(counts[place][number][3] for place in drawn)
            fixed = fixed_for(wrong / raised, all_fires, all_false)
            figures[number].append((fixed, fixed - waited / lost_of_all))
    answers = {}
    for threshold, ((fixed, earlier), *others) in zip(own_rhythms, figures, strict=True):
        spread = sorted(each[1] for each in others)
        last = len(spread) - 1
        answers[threshold.quantile] = Compared(
            fixed, earlier, spread[math.floor(0.025 * last)], spread[math.ceil(0.975 * last)]
        )
    return answers
