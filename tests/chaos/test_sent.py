"""Whom does the judge of a sending run believe? Senders may come back, and know better than it was said."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lifecycle.domain.event import UNKNOWN
from lifecycle.domain.fate import Fate
from lifecycle.engine.installation import Installation
from lifecycle.engine.sending.claim import Taken
from lifecycle.engine.sending.deliver import _letter
from lifecycle.engine.sending.register import Register
from lifecycle.outreach.outcome import Ambiguous, Fault, Outcome, Refused
from lifecycle.outreach.secret import Secret
from lifecycle.outreach.tokens import letter_key
from lifecycle.store import suppressions
from lifecycle.store.messages import MessageRow
from tests.chaos.sent import found
from tests.policies import scenario_policy
from tests.sending.conftest import RULES, bought, known
from tests.sending.post_office import TestOffice, Wire, let_real, sender
from tests.sending.test_delivery import hurry, lapse, message
from tests.support.engine import arrive, installation, work

SECRET = Secret(b"a secret of thirty-two bytes or so")
BUSY = Refused(code="421", detail="try again", fault=Fault.PROVIDER, permanent=False)
CUT = Ambiguous(code="cut_after_dot", detail="the connection ended")


class Office(TestOffice):
    def key_of(self, customer: str, row: MessageRow) -> str:
        return letter_key(SECRET, row.row_id)


@pytest.fixture
def inst(database_url: str) -> Iterator[Installation]:
    with installation(database_url, scenario_policy(outreach=RULES), clock=None) as made:
        let_real(made)
        yield made


@pytest.mark.parametrize(
    ("first", "unknown_ends"),
    [pytest.param(BUSY, 1, id="was refused"), pytest.param(None, 2, id="never came back")],
)
def test_an_unknown_end_that_its_sender_took_back_is_no_second_end(
    inst: Installation, first: Outcome | None, unknown_ends: int
) -> None:
    """Taken for gone, he comes back and knows that it was refused; the next try is unknown for good."""
    office, register, asleep = taken_for_gone(inst)
    if first is None:  # a sender that does what none may: it tries again all the same
        again(inst)
    else:
        assert register.conclude(asleep, first, 1)
    hurry(inst)
    work(inst)
    second = begun(inst, office, register)
    assert register.conclude(second, CUT, 2)

    row = message(inst, "offer")
    assert (row.fate, row.tries) == (Fate.UNKNOWN, 2)
    assert found(inst, SECRET, {}).events[row.row_id][UNKNOWN] == unknown_ends


def test_nor_is_it_one_where_what_was_taken_back_is_then_suppressed(inst: Installation) -> None:
    """As where her address came back of another letter before this one was tried again."""
    office, register, asleep = taken_for_gone(inst)
    assert register.conclude(asleep, BUSY, 1)
    (hashed,) = office.hashes_of("email", asleep.address)
    inst.db.run(
        lambda tx: suppressions.add(tx, hashed, suppressions.ALL, "hard_bounce", inst.now(tx))
    )
    hurry(inst)
    work(inst)
    with inst.db.write() as tx:
        assert not sender(inst, office)._claim(tx).taken

    row = message(inst, "offer")
    assert (row.fate, row.reason) == (Fate.SUPPRESSED, "address_suppressed")
    assert not found(inst, SECRET, {}).events[row.row_id]


def taken_for_gone(inst: Installation) -> tuple[Office, Register, Taken]:
    """A letter whose sender sleeps for too long, so that it is said to be unknown."""
    with inst.db.read() as tx:
        now = inst.now(tx)
    arrive(inst, *known(now), bought(now))
    office = Office(Wire())
    register = Register(inst, office)
    asleep = begun(inst, office, register)
    lapse(inst)
    assert sender(inst, office).reclaim() == 1
    assert message(inst, "offer").fate is Fate.UNKNOWN
    return office, register, asleep


def begun(inst: Installation, office: Office, register: Register) -> Taken:
    """A letter on its way, of which nobody knows more."""
    with inst.db.write() as tx:
        (taken,) = sender(inst, office)._claim(tx).taken
    assert register.begin(taken, _letter(office, taken), taken.row.tries + 1)
    return taken


def again(inst: Installation) -> None:
    with inst.db.write() as tx:
        tx.connection.execute("UPDATE message SET fate = 'deferred'")
