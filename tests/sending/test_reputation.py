"""Marketing by a channel stops where its letters are called spam, or go to nobody, too often."""

from __future__ import annotations

from datetime import datetime

import pytest

from lifecycle.domain.fate import Fate
from lifecycle.engine.installation import Installation
from lifecycle.engine.sending import reputation
from lifecycle.engine.sending.pausing import paused, resume
from lifecycle.engine.sending.reputation import Reputation, told
from lifecycle.store import suppressions
from lifecycle.store.sending import Reception
from tests.sending.conftest import bought, known, paid_back
from tests.sending.post_office import TestOffice, Wire, send_all
from tests.support.engine import arrive, message_rows


@pytest.mark.parametrize(
    ("letters", "complaints", "bounces", "stops"),
    [
        (499, 499, 499, False),
        (500, 0, 10, False),
        (500, 0, 11, True),
        (1000, 1, 0, False),
        (1000, 2, 0, True),
    ],
)
def test_below_five_hundred_letters_a_share_says_nothing(
    letters: int, complaints: int, bounces: int, stops: bool
) -> None:
    found = Reception(letters=letters, complaints=complaints, bounces=bounces)
    assert (told(found) is not None) == stops


def test_marketing_is_paused_and_service_goes_on_until_a_person_has_looked(
    inst: Installation, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reputation, "LEAST", 2)
    for person in ("anna", "ben", "cleo"):
        arrive(inst, *known(now, person), bought(now, person))
    send_all(inst, TestOffice(Wire()))
    assert heard(inst) == []
    with inst.db.write() as tx:
        hashed = "hash of ben@example.org"
        suppressions.add(tx, hashed, suppressions.MARKETING, "complaint", inst.db.clock(tx))
    assert heard(inst) == ["marketing:email"]

    arrive(inst, bought(now, "anna", "more"), paid_back(now, "anna"))
    wire = Wire()
    send_all(inst, TestOffice(wire))
    assert [letter.rule for letter in wire.letters] == ["receipt"]
    waits = [row for row in message_rows(inst, "anna") if row.fate is Fate.DEFERRED]
    assert [(row.message.rule, row.reason) for row in waits] == [("offer", "paused")]

    assert resume(inst, "marketing:email", by="olga", why="the list was cleaned")
    send_all(inst, TestOffice(wire))
    assert [letter.rule for letter in wire.letters] == ["receipt", "offer"]
    assert heard(inst) == []  # what happened until she looked pauses it no more


def test_a_channel_is_counted_at_most_once_a_minute() -> None:
    clock = [0.0]
    watch = Reputation(lambda: clock[0])
    asked = [watch._is_due("email"), watch._is_due("email"), watch._is_due("sms")]
    clock[0] = 60.0
    assert [*asked, watch._is_due("email")] == [True, False, True, True]


def heard(inst: Installation) -> list[str]:
    """What is paused after bad news came."""
    with inst.db.write() as tx:
        Reputation().heard(tx, "email", inst.db.clock(tx))
    return [one.scope for one in paused(inst.db)]
