"""The figures of a publication, taken from a comparison of both policies on the recorded history."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import orjson

from lifecycle.domain.policy import Policy, PolicyVersion
from lifecycle.engine.backtest import asking
from lifecycle.engine.backtest.asking import Candidate, Period
from lifecycle.engine.backtest.course import Ways
from lifecycle.engine.backtest.effect_report import Effect
from lifecycle.engine.backtest.run import OnCustomers
from lifecycle.engine.publishing.measured import Measured
from lifecycle.policy import policy_hash
from lifecycle.store import backlog
from lifecycle.store.database import Database


def measure(
    db: Database,
    url: str,
    by: Ways,
    before: Sequence[PolicyVersion],
    after: Policy,
    *,
    processes: int | None = None,
    on_customers: OnCustomers = lambda _, __: None,
) -> Measured:
    """The policy as if it had always been in force. Where nothing has happened yet, nothing differs."""
    with db.read() as tx:
        is_empty = backlog.last_event_at(tx) is None
    if is_empty:
        return _NOTHING
    effect = asking.effect(
        Candidate(versions=tuple(before), source="before"),
        Candidate.of(after, policy_hash(after), "after"),
        asking.recorded(db, url),
        by,
        Period(),
        processes=processes,
        on_customers=on_customers,
    )
    return _measured(effect)


def _measured(effect: Effect) -> Measured:
    was, now = effect.letters_before, effect.letters_after
    return Measured(
        customers=effect.customers,
        moved=effect.moved,
        messages_before=was.sent,
        messages_after=now.sent,
        capped_before=was.capped,
        capped_after=now.capped,
        most_in_a_week_before=was.most_in_a_week,
        most_in_a_week_after=now.most_in_a_week,
        peak_day_before=was.on_peak_day,
        peak_day_after=now.on_peak_day,
        digest=_digest(effect),
        unfolded_before=sum(effect.unfolded_before.values()),
        unfolded_after=sum(effect.unfolded_after.values()),
        unreached=now.unreached,
        waiting=now.waiting,
        unreachable=now.unreachable,
    )


def _digest(effect: Effect) -> str:
    """Of all that the comparison found: the same history and policies give the same."""
    options = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    written = orjson.dumps(effect, default=_plain, option=options)
    return hashlib.sha256(written).hexdigest()


def _plain(value: object) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{value!r} has no place in a report")


_NOTHING = Measured(
    customers=0,
    moved=0,
    messages_before=0,
    messages_after=0,
    capped_before=0,
    capped_after=0,
    most_in_a_week_before=0,
    most_in_a_week_after=0,
    peak_day_before=0,
    peak_day_after=0,
    digest=hashlib.sha256(b"").hexdigest(),
)
