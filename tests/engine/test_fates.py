"""Where exactly one fate ends and the next begins: each border belongs to one side."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from lifecycle.domain.fate import Fate
from lifecycle.domain.policy import MessageClass
from lifecycle.domain.step import PlannedMessage
from lifecycle.engine.fates import IMPORTED, SENT_RECENTLY, first_fate
from tests.scenarios.driver import day

MOMENT = timedelta(microseconds=1)


def planned(at: datetime, expires_at: datetime | None = None) -> PlannedMessage:
    """Planned for an instant, to settle for ten minutes, for a rule that waits thirty days."""
    return PlannedMessage(
        rule="win-back",
        cause="check:quiet@2026-01-01T00:00:00Z#1",
        number=1,
        caused_at=at,
        planned_at=at,
        expires_at=expires_at,
        settle=timedelta(minutes=10),
        again_after=timedelta(days=30),
        message_class=MessageClass.MARKETING,
        channels=("email",),
        version=1,
    )


@pytest.mark.parametrize(
    ("planned_at", "fate", "reason"),
    [
        (day(10) - MOMENT, Fate.WITHHELD, IMPORTED),
        (day(10), Fate.QUEUED, None),
    ],
)
def test_an_import_withholds_what_was_planned_before_it_ended(
    planned_at: datetime, fate: Fate, reason: str | None
) -> None:
    decided = first_fate(planned(planned_at), day(11), withheld_until=day(10), overtaken_at=None)
    assert (decided.fate, decided.reason) == (fate, reason)


@pytest.mark.parametrize(
    ("sent_at", "fate", "reason"),
    [
        (day(1) + timedelta(minutes=10) + MOMENT, Fate.SUPPRESSED, SENT_RECENTLY),
        (day(1) + timedelta(minutes=10), Fate.QUEUED, None),
    ],
)
def test_a_new_message_may_be_sent_when_again_after_is_over(
    sent_at: datetime, fate: Fate, reason: str | None
) -> None:
    """Thirty days from the sending of the overtaken one to the earliest sending of this one."""
    decided = first_fate(planned(day(31)), day(31), withheld_until=None, overtaken_at=sent_at)
    assert decided.not_before == day(31) + timedelta(minutes=10)
    assert (decided.fate, decided.reason) == (fate, reason)


@pytest.mark.parametrize(
    ("expires_at", "fate"),
    [(day(20) + MOMENT, Fate.QUEUED), (day(20), Fate.EXPIRED)],
)
def test_a_message_has_expired_at_the_very_instant(expires_at: datetime, fate: Fate) -> None:
    message = planned(day(19), expires_at=expires_at)
    assert first_fate(message, day(20), withheld_until=None, overtaken_at=None).fate is fate
