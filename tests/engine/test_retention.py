"""What is forgotten is what was only about the work, once it is old; nothing of a customer ever is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import time, timedelta

import pytest

from lifecycle.engine import retention
from lifecycle.engine.digest import digest
from lifecycle.engine.installation import Installation
from lifecycle.engine.night import Nights, recent
from lifecycle.engine.retention import Retention
from lifecycle.engine.verify import verify
from lifecycle.settings import NightTime
from lifecycle.store import idempotency, unmatched
from lifecycle.store.sql import both
from lifecycle.store.unmatched import UnmatchedRow
from tests.scenarios.driver import day, order
from tests.support.engine import arrive, installation, set_clock

NIGHT = NightTime(at=time(3), zone="UTC")
KEEP = timedelta(days=30)
TRUTH = ("event", "identity", "customer", "step", "step_log", "message", "import_run", "api_key")


@pytest.fixture
def inst(database_url: str) -> Iterator[Installation]:
    with installation(database_url) as made:
        set_clock(made, day(9.5))
        arrive(made, order(1), order(2), order(3))
        yield made


def forget(inst: Installation) -> str | None:
    """In a further night."""
    with inst.db.read() as tx:
        set_clock(inst, inst.now(tx) + timedelta(days=1))
    job = Retention(inst, KEEP)
    assert Nights(inst, NIGHT, [job]).work() == 1
    return recent(inst, 1)[0].outcome


def nights_of(inst: Installation, *ages: int) -> None:
    """So many days ago, of real time, the job of a night was finished."""
    add = both(
        "INSERT INTO schedule_run"
        " (job, fire_key, worker, tries, started_at, lease_until, finished_at, failed)"
        " VALUES ('old', ?, 'one', 1, ?, ?, ?, false)"
    )
    with inst.db.write() as tx:
        for age in ages:
            at = tx.to_db(inst.db.clock(tx) - timedelta(days=age))
            tx.run(add, f"2025-01-{99 - age}", at, at, at)


def counts(inst: Installation) -> list[int]:
    with inst.db.read() as tx:
        return [tx.value(both(f"SELECT count(*) FROM {table}")) for table in TRUTH]


def test_nights_of_long_ago_are_forgotten_and_nothing_of_a_customer_is(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However old her events are: they are the truth, and are asked for at her next late event."""
    monkeypatch.setattr(retention, "AT_ONCE", 1)
    nights_of(inst, 50, 40, 31, 29, 1)
    set_clock(inst, day(9_999))
    arrive(inst)
    before, sum_before = counts(inst), digest(inst)
    assert (
        forget(inst)
        == "forgotten: 3 jobs of past nights, 0 letters of the outbox, 0 unmatched reports, 0 answers that expired"
    )
    assert (
        forget(inst)
        == "forgotten: 0 jobs of past nights, 0 letters of the outbox, 0 unmatched reports, 0 answers that expired"
    )
    assert [run.fire_key for run in recent(inst, 99) if run.job == "old"] == [
        "2025-01-98",
        "2025-01-70",
    ]
    assert (counts(inst), digest(inst)) == (before, sum_before)
    assert verify(inst) == []


def test_answers_under_the_keys_of_requests_are_forgotten_once_they_expired(
    inst: Installation,
) -> None:
    """They carry the instant themselves, and are replaced by the next of their name before that."""
    hours = {-25: "long ago", -1: "just now", 1: "soon"}
    with inst.db.write() as tx:
        now = inst.db.clock(tx)
        for until, name in hours.items():
            answer = {
                idempotency.Name("", "POST /v1/events", name): idempotency.Answer("", 200, "")
            }
            idempotency.keep(tx, answer, now + timedelta(hours=until))
    assert (
        forget(inst)
        == "forgotten: 0 jobs of past nights, 0 letters of the outbox, 0 unmatched reports, 2 answers that expired"
    )
    with inst.db.read() as tx:
        assert tx.value(both("SELECT min(key) FROM idempotency")) == "soon"


def test_reports_of_letters_that_are_not_ours_are_forgotten(inst: Installation) -> None:
    with inst.db.write() as tx:
        now = inst.db.clock(tx)
        for age in (31, 29):
            at = now - timedelta(days=age)
            unmatched.add(tx, UnmatchedRow(at, "hard", f"{age}", "email", ("m1",)))
    assert ", 1 unmatched reports, " in str(forget(inst))
    with inst.db.read() as tx:
        assert [row.code for row in unmatched.newest(tx, 10)] == ["29"]
