"""What may have left, and is not handed over again as it might have been, is unknown: nothing else is true."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from lifecycle.domain.fate import Fate
from lifecycle.engine.installation import Installation
from lifecycle.outreach.outcome import Accepted, Outcome
from lifecycle.store import messages, suppressions
from tests.sending.conftest import known, paid_back
from tests.sending.post_office import TestOffice, Wire, send_all, sender
from tests.sending.test_delivery import CUT, REFUSED, hurry, lapse, message, types
from tests.support.engine import arrive


@pytest.fixture
def office(inst: Installation, now: datetime) -> TestOffice:
    """A service message that may have left waits to be handed over once more."""
    answers: list[Outcome] = [CUT, REFUSED]
    office = TestOffice(Wire(answer=lambda _: answers.pop(0)))
    arrive(inst, *known(now), paid_back(now))
    send_all(inst, office)
    assert message(inst, "receipt").fate is Fate.DEFERRED
    hurry(inst)
    return office


def test_refused_for_good_at_the_second_try(inst: Installation, office: TestOffice) -> None:
    send_all(inst, office)
    row = message(inst, "receipt")
    assert (row.fate, row.reason, row.tries) == (Fate.UNKNOWN, "550", 2)
    assert types(inst) == ["lifecycle.unknown"]


def test_its_address_was_suppressed_meanwhile(inst: Installation, office: TestOffice) -> None:
    with inst.db.write() as tx:
        address = office.hashes_of("email", "anna@example.org")[0]
        suppressions.add(tx, address, suppressions.ALL, "hard_bounce", inst.now(tx))
    send_all(inst, office)
    row = message(inst, "receipt")
    assert (row.fate, row.reason, row.tries) == (Fate.UNKNOWN, "address_suppressed", 1)
    assert types(inst) == ["lifecycle.unknown"]


def test_its_text_was_broken_meanwhile(inst: Installation, office: TestOffice) -> None:
    office.texts.broken.add("receipt")
    send_all(inst, office)
    assert message(inst, "receipt").fate is Fate.UNKNOWN
    assert types(inst) == ["lifecycle.unknown"]


def test_its_time_passed_meanwhile(inst: Installation, office: TestOffice, now: datetime) -> None:
    """The sweep leaves it to the claim, which knows that it was handed over."""
    with inst.db.write() as tx:
        tx.connection.execute("UPDATE message SET expires_at = recorded_at")
        assert messages.expire(tx, now + timedelta(hours=1)) == []
    send_all(inst, office)
    row = message(inst, "receipt")
    assert (row.fate, row.reason) == (Fate.UNKNOWN, "expired")


def test_its_cause_fell_while_a_sender_that_died_had_claimed_it(
    inst: Installation, office: TestOffice
) -> None:
    dying = sender(inst, office)
    with inst.db.write() as tx:
        assert len(dying._claim(tx).taken) == 1
        tx.connection.execute("UPDATE message SET live = false")
    lapse(inst)
    assert dying.reclaim() == 1
    assert message(inst, "receipt").fate is Fate.UNKNOWN


def test_what_was_refused_and_never_left_has_failed_all_the_same(
    inst: Installation, now: datetime
) -> None:
    answers: list[Outcome] = [REFUSED, Accepted()]
    office = TestOffice(Wire(answer=lambda _: answers.pop(0)))
    arrive(inst, *known(now), paid_back(now))
    send_all(inst, office)
    assert message(inst, "receipt").fate is Fate.FAILED
