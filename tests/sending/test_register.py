"""Letters that are begun and ended at the same time share a transaction, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

import pytest

from lifecycle.domain.fate import Fate
from lifecycle.engine.installation import Installation
from lifecycle.engine.sending.claim import Taken
from lifecycle.engine.sending.deliver import _letter
from lifecycle.engine.sending.register import Register
from lifecycle.outreach.outcome import Accepted, Fault, Outcome, Refused
from tests.sending.conftest import bought, known
from tests.sending.post_office import TestOffice, Wire, sender
from tests.support.engine import arrive, message_rows

WOMEN = ("anna", "berta", "clara")
UNWRITABLE = Refused(code="\ud800", detail="no", fault=Fault.RECIPIENT, permanent=True)


def claimed(inst: Installation, office: TestOffice, now: datetime) -> Sequence[Taken]:
    for customer in WOMEN:
        arrive(inst, *known(now, customer), bought(now, customer))
    with inst.db.write() as tx:
        return sender(inst, office)._claim(tx).taken


def together(register: Register, *calls: Callable[[], bool]) -> list[Future[bool]]:
    """All of them come while a transaction is under way, and so are in the next one."""
    with ThreadPoolExecutor() as threads:
        with register._turn:
            futures = [threads.submit(call) for call in calls]
            deadline = time.monotonic() + 30
            while len(register._waiting) < len(calls):
                assert time.monotonic() < deadline
        return futures


def transactions(inst: Installation, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    run, counted = inst.db.run, [0]

    def counting(unit: Callable[..., object]) -> object:
        counted[0] += 1
        return run(unit)

    monkeypatch.setattr(inst.db, "run", counting)
    return counted


def fates(inst: Installation) -> dict[str, Fate]:
    return {customer: message_rows(inst, customer)[0].fate for customer in WOMEN}


def test_who_comes_while_another_commits_shares_the_next_commit(
    inst: Installation, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One letter begins while another ends; a claim that was lost is told to its own letter alone."""
    office = TestOffice(Wire())
    register = Register(inst, office)
    anna, berta, clara = claimed(inst, office, now)
    assert register.begin(anna, _letter(office, anna), 1)
    register.release(clara)
    counted = transactions(inst, monkeypatch)
    ended, begun, lost = together(
        register,
        lambda: register.conclude(anna, Accepted(), 1),
        lambda: register.begin(berta, _letter(office, berta), 1),
        lambda: register.begin(clara, _letter(office, clara), 1),
    )
    assert (ended.result(), begun.result(), lost.result()) == (True, True, False)
    assert counted == [1]
    assert fates(inst) == {
        "anna": Fate.SENT,
        "berta": Fate.IN_FLIGHT,
        "clara": Fate.QUEUED,
    }


def test_what_cannot_be_written_of_one_letter_is_nothing_to_the_others(
    inst: Installation, now: datetime
) -> None:
    office = TestOffice(Wire())
    register = Register(inst, office)
    taken = claimed(inst, office, now)
    for one in taken:
        assert register.begin(one, _letter(office, one), 1)
    outcomes: list[Outcome] = [Accepted(), UNWRITABLE, Accepted()]
    first, second, third = together(
        register,
        *(
            lambda one=one, outcome=outcome: register.conclude(one, outcome, 1)
            for one, outcome in zip(taken, outcomes, strict=True)
        ),
    )
    assert (first.result(), third.result()) == (True, True)
    with pytest.raises((UnicodeEncodeError, TypeError)):
        second.result()
    assert fates(inst) == {"anna": Fate.SENT, "berta": Fate.IN_FLIGHT, "clara": Fate.SENT}
