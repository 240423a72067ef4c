"""How long was a customer silent, and when would each threshold have called her dormant?

A *silence* begins with an interaction, an event that moves the `since` fact of the dormancy check, and
ends with the next one at a later instant, or lasts to the end of the history.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from lifecycle.domain.event import OUR_PREFIX, SENT, Event
from lifecycle.domain.facts import Gap
from lifecycle.domain.policy import INTERACTION, OwnRhythm, Policy
from lifecycle.domain.step import Step

_NEVER = timedelta.max


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Which events move a fact that looks at one type, or at every interaction."""

    event: str  # an event type, or INTERACTION
    passive: frozenset[str]  # declared types that are no interaction

    @classmethod
    def of(cls, event: str, policy: Policy) -> Signal:
        passive = {kind.name for kind in policy.events.values() if not kind.interaction}
        return cls(event=event, passive=frozenset(passive))

    def hears(self, kind: str) -> bool:
        if self.event != INTERACTION:
            return kind == self.event
        return kind not in self.passive and not kind.startswith(OUR_PREFIX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """After how long a silence a customer is called dormant: so many days, or by her own rhythm."""

    wait: timedelta | OwnRhythm
    quantile: Decimal | None = None  # of an own rhythm: that of its gap fact
    in_force: bool = False  # as the check of the policy says

    def after(self, gap: timedelta | None) -> timedelta:
        """As the fold waits: her own quantile between the bounds, `otherwise` while she has none."""
        if isinstance(self.wait, timedelta):
            return self.wait
        if gap is None:
            return self.wait.otherwise
        return min(max(gap, self.wait.at_least), self.wait.at_most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """One silence of a customer who was in one of the check's states when it began."""

    began_at: datetime
    length: timedelta  # up to her next interaction, or to the end of the history
    returned: bool
    open_for: timedelta  # within it: how long she stayed where the check looks; at most `length`
    letter: bool  # a letter left before she came back, so nobody knows whether she came by herself
    has_rhythm: bool  # when it began there was a gap to know her rhythm by
    waits: tuple[timedelta, ...]  # one a threshold: how far into it she would be called dormant


@dataclass(slots=True)
class _Open:
    """A silence that goes on."""

    began_at: datetime
    has_rhythm: bool
    waits: list[timedelta]
    letter: bool = False


class Listener:
    """Finds the silences of one customer after the other."""

    def __init__(
        self,
        *,
        since: Signal,
        gap: Signal,
        states: frozenset[str],
        thresholds: Sequence[Threshold],
        until: datetime,
    ) -> None:
        self._since, self._gap, self._states = since, gap, states
        self._thresholds, self._until = thresholds, until
        self._quantiles = [
            None if each.quantile is None else Gap(each.quantile) for each in thresholds
        ]
        self._kept = Gap(Decimal("0.5"))  # one cell serves every quantile
        self._update = self._kept.updater(0, "add")

    def silences(
        self, history: Iterable[Event], initial: str, steps: Sequence[Step]
    ) -> Iterator[Silence | None]:
        """In their order; None for one that began where the check does not look.

        `history` is sorted as events are; `steps` are those that she makes with no dormancy check.
        """
        stays = _Stays(initial, steps, self._states)
        cells: list[Any] = [self._kept.empty()]
        current: _Open | None = None
        for event in history:
            at = event.occurred_at
            if at > self._until:
                break
            in_gap, seen = self._gap.hears(event.type), self._since.hears(event.type)
            if in_gap:
                self._update(cells, event)
            if seen and (current is None or at > current.began_at):
                if current is not None:
                    yield self._closed(current, at, stays, returned=True)
                waits = [self._wait(number, cells[0]) for number in range(len(self._thresholds))]
                current = _Open(at, bool(cells[0][1]), waits)
            elif in_gap and current is not None:
                self._listen_anew(current, cells[0], at)
            elif event.type == SENT and current is not None:
                current.letter = True
        if current is not None:
            yield self._closed(current, self._until, stays, returned=False)

    def _wait(self, number: int, cell: Any) -> timedelta:
        threshold, quantile = self._thresholds[number], self._quantiles[number]
        return threshold.after(None if quantile is None else quantile.read(cell, self._until))

    def _listen_anew(self, current: _Open, cell: Any, at: datetime) -> None:
        """Her rhythm changed within the silence; what was due before stays as it was."""
        passed = at - current.began_at
        if not passed:
            current.has_rhythm = bool(cell[1])
        for number, wait in enumerate(current.waits):
            if wait > passed:
                current.waits[number] = max(self._wait(number, cell), passed)

    @staticmethod
    def _closed(current: _Open, at: datetime, stays: _Stays, *, returned: bool) -> Silence | None:
        length = at - current.began_at
        open_for = stays.left_after(current.began_at)
        if open_for is None:
            return None
        return Silence(
            began_at=current.began_at,
            length=length,
            returned=returned,
            open_for=min(open_for, length),
            letter=current.letter,
            has_rhythm=current.has_rhythm,
            waits=tuple(current.waits),
        )


class _Stays:
    """When she was in the states that the check leaves; asked in the order of time."""

    def __init__(self, initial: str, steps: Sequence[Step], states: frozenset[str]) -> None:
        self._steps = steps
        self._inside = [initial in states, *(step.to_state in states for step in steps)]
        self._place = 0  # how many steps she has made
        self._exits: list[datetime | None] = [None] * (len(steps) + 1)  # the next one from there
        for place in range(len(steps) - 1, -1, -1):
            left = not self._inside[place + 1]
            self._exits[place] = steps[place].at if left else self._exits[place + 1]

    def left_after(self, instant: datetime) -> timedelta | None:
        """How long she then stayed in them, without end if she still does; None: she was in none."""
        while self._place < len(self._steps) and self._steps[self._place].at <= instant:
            self._place += 1
        if not self._inside[self._place]:
            return None
        leaves_at = self._exits[self._place]
        return _NEVER if leaves_at is None else leaves_at - instant
