"""What becomes of a message, given what came of handing it over? Pure decisions.

Marketing is never handed over again where it may have left; a service message once more; and by a
provider that knows a letter by its key, as often as it takes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from lifecycle.domain.fate import Fate
from lifecycle.domain.policy import MessageClass
from lifecycle.engine.fates import SUPERSEDED
from lifecycle.outreach.outcome import Accepted, Ambiguous, Fault, Outcome, Refused
from lifecycle.store.messages import MessageRow
from lifecycle.store.sending import Tried

FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
MOST_REFUSALS = 8  # of one message, by fault of its own or of its recipient
MOST_FAILURES = 50  # of the provider's own, over days
MOST_SERVICE = 2  # times that a service message may leave

ACCEPTED, REFUSED, FOR_GOOD, AMBIGUOUS = "accepted", "refused", "refused_for_good", "ambiguous"
GONE = "sender_gone"  # whoever handed it over died before an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Becomes:
    fate: Fate
    reason: str | None = None
    retry_in: timedelta | None = None  # of real time; None: at once, or never


def named(outcome: Outcome) -> str:
    """As an attempt's outcome is recorded."""
    match outcome:
        case Accepted():
            return ACCEPTED
        case Refused(permanent=True, fault=Fault.RECIPIENT):
            return FOR_GOOD
        case Refused():
            return REFUSED
        case Ambiguous():
            return AMBIGUOUS


def becomes(
    row: MessageRow,
    outcome: Outcome,
    before: Sequence[Tried],
    *,
    same_key: bool,
) -> Becomes:
    """`before` are earlier attempts; `same_key` says that the provider knows this letter by its key."""
    match outcome:
        case Accepted():
            return _left(row)
        case Refused():
            return _refused(row, outcome, before)
        case Ambiguous():
            return _doubtful(row, outcome.code, before, same_key=same_key)


def _left(row: MessageRow) -> Becomes:
    if not row.live:
        return Becomes(fate=Fate.OVERTAKEN, reason=SUPERSEDED)
    return Becomes(fate=Fate.SENT)


def _refused(row: MessageRow, refused: Refused, before: Sequence[Tried]) -> Becomes:
    if not row.live:
        return Becomes(fate=Fate.CANCELLED, reason=SUPERSEDED)
    if refused.permanent and refused.fault is Fault.MESSAGE:
        return Becomes(fate=Fate.FAILED, reason=refused.code)
    if refused.permanent and refused.fault is Fault.RECIPIENT:
        closed = {tried.channel for tried in before if tried.failed_for_good} | {row.channel}
        if closed.issuperset(row.message.channels):
            return Becomes(fate=Fate.FAILED, reason=refused.code)
        return Becomes(fate=Fate.QUEUED)
    most = MOST_FAILURES if refused.fault is Fault.PROVIDER else MOST_REFUSALS
    count = 1 + sum(1 for tried in before if tried.outcome == REFUSED)
    if count >= most:
        return Becomes(fate=Fate.FAILED, reason=refused.code)
    wait = backoff(row, count)
    if refused.retry_after is not None:
        wait = max(wait, min(refused.retry_after, LONGEST_WAIT))
    return Becomes(fate=Fate.DEFERRED, reason=refused.code, retry_in=wait)


def _doubtful(row: MessageRow, code: str, before: Sequence[Tried], *, same_key: bool) -> Becomes:
    earlier = sum(1 for tried in before if tried.may_have_left)
    if row.live and (same_key or _is_owed(row, earlier)):
        return Becomes(fate=Fate.DEFERRED, reason=code, retry_in=backoff(row, earlier + 1))
    return Becomes(fate=Fate.UNKNOWN, reason=code)


def _is_owed(row: MessageRow, earlier: int) -> bool:
    service = row.message.message_class is MessageClass.SERVICE
    return service and earlier + 1 < MOST_SERVICE


_STAYED = frozenset({Fate.FAILED, Fate.CANCELLED, Fate.EXPIRED, Fate.SUPPRESSED, Fate.HELD_OUT})


def given_up(becoming: Becomes, before: Sequence[Tried]) -> Becomes:
    """What is not handed over again and may have left before is unknown: no other word were true."""
    if becoming.fate in _STAYED and any(tried.may_have_left for tried in before):
        return replace(becoming, fate=Fate.UNKNOWN)
    return becoming


def backoff(row: MessageRow, count: int) -> timedelta:
    """Doubling from half a minute to an hour, half of it by chance, which is the same for the same try."""
    longest = min(FIRST_WAIT * (1 << min(count - 1, 20)), LONGEST_WAIT)
    digest = hashlib.sha256(f"{row.row_id}|{count}".encode()).digest()
    return longest * (0.5 + int.from_bytes(digest[:4]) / 2**33)


def abandoned(row: MessageRow, before: Sequence[Tried], *, same_key: bool) -> Becomes:
    """Of a message whose sender died while it was in flight; the last of `before` is that attempt."""
    return _doubtful(row, GONE, before[:-1], same_key=same_key)


def is_known_by_key(
    before: Sequence[Tried], same_key_for: timedelta | None, real: datetime
) -> bool:
    """Whether the provider still takes a letter of the same key for the one it had before."""
    if same_key_for is None:
        return False
    first = min((tried.began_at for tried in before if tried.may_have_left), default=real)
    return real - first < same_key_for
