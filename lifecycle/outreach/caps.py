"""How many messages may a customer still get, and when does the next one fit?

Whoever asks holds the customer's lock and tells all that was spent, so what is decided here stays true
until it is written down.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from lifecycle.domain.instant import later
from lifecycle.domain.policy import Cap, MessageClass, OutreachRule, Period, Policy, Sending
from lifecycle.outreach.assignment import TASK
from lifecycle.outreach.hours import day_of, midnight


class Spent(NamedTuple):
    """A message that left, may have left or is about to, as caps count them."""

    at: datetime  # when it was claimed
    channel: str
    message_class: MessageClass
    rule: str


class Bound(NamedTuple):
    """A cap that holds for one message, with what has been spent of it."""

    cap: Cap
    spent: Sequence[datetime]  # sorted

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
    for cap in caps(rule, channel, sending):
        if cap is rule.cap:
            mine = [one for one in spent if one.rule == rule.name]
        else:
            about = rule.message_class
            mine = [one for one in spent if one.message_class is about and one.channel != TASK]
        yield _bound(cap, mine)


def caps(rule: OutreachRule, channel: str, sending: Sending) -> Iterator[Cap]:
    """Those that hold for a rule's messages on a channel, in the order in which they are asked."""
    if rule.cap is not None and rule.cap.channel in {None, channel}:
        yield rule.cap
    if not rule.capped or channel == TASK:
        return
    for cap in sending.caps:
        about = cap.message_class or MessageClass.MARKETING
        if about is rule.message_class and cap.channel in {None, channel}:
            yield cap


def longest_window(policies: Iterable[Policy]) -> timedelta:
    """How far back any cap of any of these looks."""
    found: list[Cap] = []
    for policy in policies:
        found += policy.sending.caps
        found += [rule.cap for rule in policy.outreach if rule.cap is not None]
    windows = [
        cap.window if isinstance(cap.window, timedelta) else _LENGTHS[cap.window] for cap in found
    ]
    return max(windows, default=timedelta(0))


_LENGTHS = {
    Period.DAY: timedelta(days=2),  # with room for a zone
    Period.WEEK: timedelta(days=8),
    Period.MONTH: timedelta(days=32),
}


def _bound(cap: Cap, spent: Sequence[Spent]) -> Bound:
    counted = [one.at for one in spent if cap.channel is None or cap.channel == one.channel]
    counted.sort()
    return Bound(cap, counted)


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
