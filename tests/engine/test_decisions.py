"""Every decision is a line of the log, with its customer, its event and its request, once it is durable."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg
import pytest

from lifecycle.domain.event import Event, key_in
from lifecycle.engine import decisions
from lifecycle.engine.accept import accept
from lifecycle.engine.alone import LONE_TRIES
from lifecycle.engine.apply import CRASHED_AFTER, apply_pending, fire_due
from lifecycle.engine.installation import Installation
from lifecycle.engine.rebuild import rebuild
from lifecycle.engine.work import work as work_on
from lifecycle.errors import PoisonEvent
from lifecycle.store import attempts, customers, events, messages, steps
from lifecycle.store.attempts import Level
from lifecycle.store.sql import Tx, both
from tests.policies import CARE, scenario_policy
from tests.scenarios.driver import ANNA, day, order, page
from tests.support.engine import draft, installation, reach, set_clock, work
from tests.support.logs import Heard, heard

DECISIONS = (
    "transition",
    "transition_revoked",
    "message_planned",
    "message_changed",
    "message_expired",
    "check_refused",
    "outreach_refused",
)
RARELY = (
    "{name: rarely, on: {after: 40d, since: last_order_at}, when: orders >= 9, channels: [email]}"
)


@pytest.fixture
def inst(database_url: str) -> Iterator[Installation]:
    policy = scenario_policy(
        quiet_when="orders >= 2",
        facts=["revenue: {sum: order_paid.amount}"],
        outreach=[CARE, RARELY],
    )
    with installation(database_url, policy) as found:
        yield found


@pytest.fixture
def log() -> Iterator[Heard]:
    with heard() as found:
        yield found


def arrive(inst: Installation, *told: Event, request: str | None = None) -> None:
    accept(inst, [draft(event)._replace(request_id=request) for event in told])
    work(inst)


def number(inst: Installation, event: Event) -> int:
    with inst.db.read() as tx:
        stored = events.get(tx, event.source, event.id)
    assert stored is not None
    return stored.row_id


def anna(inst: Installation) -> int:
    with inst.db.read() as tx:
        return customers.find(tx, ANNA)


def spoil(inst: Installation, event: Event) -> None:
    """What was accepted cannot be folded any more."""
    broken = both('UPDATE event SET properties = \'{"amount":"no number"}\' WHERE event_id = ?')
    with inst.db.write() as tx:
        assert tx.run(broken, event.id) == 1


def origin(line: dict[str, Any]) -> tuple[object, object]:
    return line.get("event_number"), line.get("request_id")


# -- decisions


def test_a_step_goes_back_to_its_event_and_its_request(inst: Installation, log: Heard) -> None:
    first = order(0)
    arrive(inst, first, request="r1")
    assert log.of(*DECISIONS) == [
        {
            "event": "transition",
            "customer_number": anna(inst),
            "rule": "first",
            "from": "potential",
            "to": "deal",
            "policy_version": 1,
            "cause": "event",
            "event_number": number(inst, first),
            "request_id": "r1",
        }
    ]


def test_what_time_brings_about_goes_back_to_no_event(inst: Installation, log: Heard) -> None:
    arrive(inst, order(0), order(1), request="r1")
    log.clear()
    reach(inst, day(100))
    told = log.of("transition", "message_planned")
    assert {(line["event"], line["rule"]) for line in told} == {
        ("transition", "quiet"),
        ("message_planned", "care"),
        ("message_planned", "win-back"),
    }
    assert {line["cause"] for line in told} == {"check"}
    assert {origin(line) for line in told} == {(None, None)}


def test_of_a_message_its_fate_is_told_with_the_reason(inst: Installation, log: Heard) -> None:
    arrive(inst, order(0), order(1))
    reach(inst, day(100))
    (line,) = [line for line in log.of("message_planned") if line["rule"] == "win-back"]
    assert (line["number"], line["fate"], line["reason"]) == (1, "expired", None)


def test_a_check_whose_guard_says_no_is_told_once(inst: Installation, log: Heard) -> None:
    """`quiet` wants two orders and `rarely` nine; neither is told again where she is folded anew."""
    arrive(inst, order(0))
    reach(inst, day(100))
    assert log.of("check_refused", "outreach_refused") == [
        {"event": "outreach_refused", "customer_number": 1, "rule": "rarely", "cause": "check"},
        {"event": "check_refused", "customer_number": 1, "check": "quiet", "cause": "check"},
    ]
    log.clear()
    rebuild(inst)
    arrive(inst, page(90))
    assert log.of("check_refused", "outreach_refused") == []


def test_what_a_late_event_overturns_goes_back_to_that_event(
    inst: Installation, log: Heard
) -> None:
    """A new step of an event that was folded long ago goes back to its own request."""
    arrive(inst, order(0), order(1), request="r1")
    reach(inst, day(62))
    log.clear()
    late = page(40)
    arrive(inst, late, request="r2")
    (gone,) = log.of("transition_revoked")
    assert (gone["rule"], origin(gone)) == ("quiet", (number(inst, late), "r2"))
    (changed,) = log.of("message_changed")
    assert (changed["rule"], changed["before"], changed["fate"], changed["reason"]) == (
        "win-back",
        "queued",
        "cancelled",
        "superseded",
    )
    log.clear()
    arrive(inst, order(-1), request="r3")
    again = {origin(line) for line in log.of("transition")}
    assert (number(inst, order(0)), "r1") in again or (number(inst, order(1)), "r1") in again
    assert (number(inst, order(-1)), "r3") in again


def test_messages_that_expire_are_told_one_by_one(inst: Installation, log: Heard) -> None:
    arrive(inst, order(0), order(1))
    reach(inst, day(61.5))
    log.clear()
    inst.db.run(_expire)
    assert log.of(*DECISIONS) == [
        {
            "event": "message_expired",
            "customer_number": anna(inst),
            "rule": "win-back",
            "number": 1,
            "policy_version": 1,
            "cause": "check",
        }
    ]


def _expire(tx: Tx) -> None:
    decisions.tell_of_expired(tx, messages.expire(tx, day(99)))


@pytest.mark.parametrize("source", ["shop", "a|b", "50%", "%7C", "a%25|b%7C"])
def test_the_event_that_a_cause_names_is_found_whatever_its_source(source: str) -> None:
    event = order(0)._replace(source=source, id="x|%7C")
    assert key_in(event.cause) == (source, "x|%7C")
    assert key_in("check:quiet@2026-01-01T00:00:00Z#1") is None


def test_no_line_holds_what_was_posted(inst: Installation, log: Heard) -> None:
    """Not her identifier, not the source and id of an event, not its day, not a property."""
    canary = "jane@example.com"
    order_of = [
        order(at)._replace(customer=canary, source=canary, id=f"{canary}-{at}") for at in (0, 1, 3)
    ]
    arrive(inst, *order_of[:2])
    reach(inst, day(70))
    late = page(40)._replace(customer=canary, source=canary, id=f"{canary}-p")
    arrive(inst, late)
    spoiled = order_of[2]
    accept(inst, [draft(spoiled)])
    with inst.db.write() as tx:
        tx.run(
            both("UPDATE event SET properties = ? WHERE event_id = ?"),
            f'{{"amount":"{canary}"}}',
            spoiled.id,
        )
    work(inst)
    assert {"transition", "transition_revoked", "message_planned", "event_quarantined"} <= {
        *log.events
    }
    assert canary not in "".join(f"{line}{line.message}" for _, line, _ in log.records)


# -- when


def test_it_is_told_once_others_can_see_it(inst: Installation, log: Heard) -> None:
    seen: list[int] = []

    def look() -> None:
        with inst.db.read() as tx:
            seen.append(tx.value(both("SELECT count(*) FROM step")))

    log.meanwhile = look
    arrive(inst, order(0))
    assert seen == [1]


def test_what_is_rolled_back_is_never_told(inst: Installation, log: Heard) -> None:
    class Lost(Exception):
        pass

    accept(inst, [draft(order(0))])

    def unit(tx: Tx) -> None:
        work_on(inst, tx, [anna_in(tx)])
        raise Lost

    with pytest.raises(Lost):
        inst.db.run(unit)
    assert log.records == []


def anna_in(tx: Tx) -> int:
    return customers.find(tx, ANNA)


def test_a_unit_that_had_to_be_done_again_is_told_once(inst: Installation, log: Heard) -> None:
    accept(inst, [draft(order(0))])
    left = [2]

    def unit(tx: Tx) -> None:
        work_on(inst, tx, [anna_in(tx)])
        if left[0]:
            left[0] -= 1
            raise _passing(tx)

    inst.db.run(unit)
    assert log.events == ["transition"]


def _passing(tx: Tx) -> Exception:
    """What the driver raises when others were in the way."""
    if tx.dialect == "postgresql":
        return psycopg.errors.DeadlockDetected("deadlock detected")
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return error


def test_where_nobody_hears_it_nothing_is_found_out(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def must_not(*_: object) -> None:
        raise AssertionError

    for name in ("tell_of_work", "tell_of_expired", "refusals_of_time"):
        monkeypatch.setattr(decisions, name, must_not)
    with heard(logging.WARNING) as log:
        arrive(inst, order(0))
        reach(inst, day(100))
    assert log.records == []


def test_what_follows_a_commit_is_done_after_it_and_only_then(inst: Installation) -> None:
    done: list[str] = []
    with inst.db.write() as tx:
        tx.after_commit(partial(done.append, "kept"))
        assert done == []
    assert done == ["kept"]

    def failing(tx: Tx) -> None:
        tx.after_commit(partial(done.append, "lost"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        inst.db.run(failing)
    assert done == ["kept"]


# -- what somebody should look at


def test_an_event_that_cannot_be_folded_is_told_with_its_request(inst: Installation) -> None:
    bad = order(0.5)
    set_clock(inst, day(1))
    accept(inst, [draft(order(0)), draft(bad)._replace(request_id="r1")])
    spoil(inst, bad)
    with heard(logging.WARNING) as log:
        work(inst)
    assert log.events == ["customer_spared", "event_quarantined"]
    level, line, error = log.records[-1]
    assert level == logging.ERROR
    assert line.fields == {
        "customer_number": anna(inst),
        "event_number": number(inst, bad),
        "request_id": "r1",
        "tries": LONE_TRIES,
    }
    assert isinstance(error, PoisonEvent)


def test_work_that_was_begun_and_never_ended_is_told(inst: Installation, log: Heard) -> None:
    accept(inst, [draft(order(0))])
    with inst.db.write() as tx:
        attempts.begin(
            tx,
            token="4711-abcd",
            level=Level.BATCH,
            customers=[anna_in(tx)],
            started_at=inst.db.clock(tx) - CRASHED_AFTER,
        )
    apply_pending(inst)
    assert log.of("attempt_crashed") == [
        {
            "event": "attempt_crashed",
            "customers": 1,
            "by": "4711-abcd",
            "tries": 1,
            "at_once": "batch",
        }
    ]
    assert log.events == ["attempt_crashed", "transition"]


def test_work_that_others_have_ended_meanwhile_is_told(inst: Installation, log: Heard) -> None:
    accept(inst, [draft(order(0))])
    with inst.db.write() as tx:
        customer = anna_in(tx)
        ours = attempts.begin(
            tx,
            token=attempts.TOKEN,
            level=Level.BATCH,
            customers=[customer],
            started_at=inst.db.clock(tx),
        )
        attempts.end(tx, [ours])
    inst.db.run(lambda tx: work_on(inst, tx, [customer], ending=ours))
    assert log.of("lease_lost") == [{"event": "lease_lost", "customers": 1}]


def test_ordinary_work_loses_no_lease(inst: Installation, log: Heard) -> None:
    arrive(inst, order(0), order(1))
    reach(inst, day(200))
    assert {*log.events} <= {*DECISIONS}


def test_a_customer_for_whom_no_event_is_to_blame_is_told(
    inst: Installation, log: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing down what follows fails, whatever is folded."""
    arrive(inst, order(0), order(1))

    def refuse(*_: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(steps, "insert", refuse)
    set_clock(inst, day(200))
    fire_due(inst)
    _, line, error = log.records[-1]
    assert (line.event, type(error)) == ("customer_postponed", ValueError)
