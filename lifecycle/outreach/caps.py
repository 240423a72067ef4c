"""How many messages may a customer still get, and when does the next one fit?

Whoever asks holds the customer's lock and tells all that was spent, so what is decided here stays true
until it is written down.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from lifecycle.domain.instant import later
from lifecycle.domain.policy import Cap, MessageClass, OutreachRule, Period, Sending
from lifecycle.outreach.assignment import TASK
from lifecycle.outreach.hours import day_of, midnight


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """A message that left, may have left or is about to, as caps count them."""

    at: datetime  # when it was claimed
    channel: str
    message_class: MessageClass
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A cap that holds for one message, with what has been spent of it."""

    cap: Cap
    spent: tuple[datetime, ...]  # sorted

    def full_until(self, at: datetime, zone: ZoneInfo) -> datetime | None:
        """The first instant after `at` at which one more fits; None where it fits at `at`.

        What was claimed after `at` counts too: clocks of two machines may differ.
        """
        window = self.cap.window
        if isinstance(window, Period):
            since, until = period_of(at, window, zone)
            return until if sum(one >= since for one in self.spent) >= self.cap.most else None
        leaves = [freed for one in self.spent if (freed := later(one, window)) > at]
        return leaves[len(leaves) - self.cap.most] if len(leaves) >= self.cap.most else None


def bounds(
    rule: OutreachRule, channel: str, sending: Sending, spent: Sequence[Spent]
) -> Iterator[Bound]:
    """The rule's own cap first, then those of all messages in the order of the policy.

    The own one counts the rule's messages alone, of whatever class. Those of all count, and hold, the
    messages of the class they name; where they name none, marketing. A task for an employee is no
    message to the customer: of them it counts for none, and none holds it.
    """
    if rule.cap is not None and rule.cap.channel in {None, channel}:
        mine = [one for one in spent if one.rule == rule.name]
        yield _bound(rule.cap, mine)
    if not rule.capped or channel == TASK:
        return
    for cap in sending.caps:
        about = cap.message_class or MessageClass.MARKETING
        if about is rule.message_class and cap.channel in {None, channel}:
            yield _bound(
                cap, [one for one in spent if one.message_class is about and one.channel != TASK]
            )


def _bound(cap: Cap, spent: Sequence[Spent]) -> Bound:
    counted = (one.at for one in spent if cap.channel in {None, one.channel})
    return Bound(cap=cap, spent=tuple(sorted(counted)))


def period_of(at: datetime, period: Period, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The customer's day, week or month in which an instant lies, half open."""
    today = day_of(at, zone)
    if period is Period.DAY:
        first, following = today, today + timedelta(days=1)
    elif period is Period.WEEK:
        first = today - timedelta(days=today.weekday())
        following = first + timedelta(days=7)
    else:
        first = today.replace(day=1)
        following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return midnight(first, zone), midnight(following, zone)
