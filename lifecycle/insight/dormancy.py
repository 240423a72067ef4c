"""How good is a threshold of dormancy? False alarms, misses and days gained, counted over silences.

Exactly, with H the horizon and E the end of the history:

judged      a silence that began at or before E − H, in one of the states that the check leaves. All
            later ones are left out, those too that have ended: else only short ones would be counted.
lull, lost  a judged silence of less than H, and one of H or more, whatever came then.
alarm       the threshold T, at most H, passed within the silence, while she stayed in those states:
            T ≤ length, as a check fires before an event of the same instant.
false alarm an alarm in a lull: she came back within the horizon. A letter may have brought her back
            if one left within the lull: those are counted apart, as *after a letter*. The share of
            false alarms lies between that without them and that with them, of all alarms.
miss        a lost silence without an alarm by `in_time` after its beginning. Silences in which she
            left the states otherwise before H (by a refund, by closing her account) are no misses.
days gained of a lost silence, min(T in force, H) − min(T, H): how much sooner she is declared than by
            the check in force. Whoever is not declared by then counts as declared at H.

A customer's own rhythm is known from her gaps up to the beginning of the silence, and never from what
came later; so *no rhythm yet* is said of the first silence even of those who came back often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum

from lifecycle.insight.silences import Silence, Threshold

_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)


class Came(StrEnum):
    """What became of a judged silence."""

    BACK = "back"  # within the horizon, and no letter had left
    AFTER_LETTER = "after_letter"  # within the horizon, after a letter
    LOST = "lost"  # not within the horizon
    LEFT = "left"  # the same, and she had left the states of the check otherwise


class Whose(StrEnum):
    """Which silences are looked at."""

    ALL = "all"
    RHYTHM = "with_rhythm"  # of customers who had a gap when they began
    NO_RHYTHM = "no_rhythm"  # of those who had none: the first purchase, so far


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """What is to be tried."""

    thresholds: tuple[Threshold, ...]  # the first one is in force; none is beyond the horizon
    horizon: int  # days
    in_time: int  # days, fewer than the horizon
    until: datetime  # the end of the history

    @property
    def within(self) -> timedelta:
        return self.horizon * _DAY


@dataclass(slots=True, kw_only=True)
class Tally:
    """The counts of some customers, by group of customers; those of others are added to it."""

    customers: int = 0
    unfolded: int = 0  # events that the policy cannot fold, and that were left out
    seen_once: int = 0  # customers whose only silence goes on: one interaction, no gap
    elsewhere: int = 0  # silences that began in a state that the check does not leave
    unjudged: int = 0  # those that began less than a horizon before the end
    unjudged_ended: int = 0  # of them: she is back already
    back_later: int = 0  # lost ones that ended after all
    silences: Counter[tuple[int, bool, Came, int]] = field(default_factory=Counter)
    # (group, has a rhythm, what became of it, whole days in which a check could fire) → silences
    alarms: Counter[tuple[int, bool, Came, int]] = field(default_factory=Counter)
    # (group, has a rhythm, what became of it, number of the threshold) → alarms
    late: Counter[tuple[bool, int]] = field(default_factory=Counter)
    # (has a rhythm, number of the threshold) → lost and not declared in time
    waited: Counter[tuple[int, bool, int]] = field(default_factory=Counter)
    # (group, has a rhythm, number of the threshold) → microseconds to being declared, of the lost
    declared: Counter[tuple[bool, int, int]] = field(default_factory=Counter)
    # (has a rhythm, number of the threshold, whole days to being declared) → lost

    def merge(self, other: Tally) -> None:
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            else:
                setattr(self, each.name, mine + theirs)


def count(tally: Tally, found: Iterable[Silence | None], group: int, grid: Grid) -> None:
    """Add one customer, who belongs to a group of 0 … GROUPS − 1."""
    tally.customers += 1
    silences = 0
    seen: Silence | None = None
    for seen in found:
        silences += 1
        if seen is None:
            tally.elsewhere += 1
        elif seen.began_at > grid.until - grid.within:
            tally.unjudged += 1
            tally.unjudged_ended += seen.returned
        else:
            _count_silence(tally, seen, group, grid)
    tally.seen_once += silences == 1 and seen is not None and not seen.has_rhythm


def _count_silence(tally: Tally, silence: Silence, group: int, grid: Grid) -> None:
    within, rhythm = grid.within, silence.has_rhythm
    came = _came(silence, within)
    could = min(silence.open_for, within)
    tally.silences[group, rhythm, came, could // _DAY] += 1
    if came is Came.LOST:
        tally.back_later += silence.returned
    for number, wait in enumerate(silence.waits):
        if wait <= silence.open_for:
            tally.alarms[group, rhythm, came, number] += 1
        if came is Came.LOST:
            declared = min(wait, within)
            tally.waited[group, rhythm, number] += declared // _MICROSECOND
            tally.declared[rhythm, number, declared // _DAY] += 1
            tally.late[rhythm, number] += declared > grid.in_time * _DAY


def _came(silence: Silence, within: timedelta) -> Came:
    if silence.length < within:
        return Came.AFTER_LETTER if silence.letter else Came.BACK
    return Came.LOST if silence.open_for >= within else Came.LEFT
