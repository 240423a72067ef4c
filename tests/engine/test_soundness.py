"""The digest names the truth, `verify` finds what is not true, and `rebuild` makes it true again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lifecycle.engine.digest import Digest, digest
from lifecycle.engine.installation import Installation
from lifecycle.engine.rebuild import rebuild
from lifecycle.engine.verify import PENDING_TOO_LONG, verify
from lifecycle.errors import NotReady
from lifecycle.store import customers, runs, steps
from lifecycle.store.sql import both
from tests.engine.histories import RICH_POLICY, arrivals
from tests.scenarios.driver import day, order, page
from tests.support.engine import (
    arrive,
    installation,
    message_rows,
    of,
    post,
    reach,
    send,
    set_clock,
)

HISTORY = {"seed": 7, "customers": 5, "events": 60}
END = 600.0


@pytest.fixture
def inst(database_url: str) -> Iterator[Installation]:
    with installation(database_url, RICH_POLICY) as found:
        yield found


@pytest.fixture
def lived(inst: Installation) -> Installation:
    """Some customers' long lives, with steps revoked and messages of many fates."""
    for arrival in arrivals(**HISTORY):
        set_clock(inst, day(arrival.day))
        arrive(inst, *arrival.events)
        send(inst, day(arrival.day), arrival.events[0].customer)
    reach(inst, day(END))
    return inst


def tables(inst: Installation) -> dict[str, list[Any]]:
    """Everything derived, to the byte, but for how far a customer has been folded."""
    with inst.db.read() as tx:
        found = customers.rows(tx, customers.ids_after(tx, 0, 1000))
        rows = [found[customer_id] for customer_id in sorted(found)]
        return {
            "customers": [
                (row.key, row.state, row.entered_at, row.snapshot, row.wake_at, row.policy_version)
                for row in rows
            ],
            "steps": [steps.all_of(tx, row.id) for row in rows],
            "messages": [message_rows(inst, row.key) for row in rows],
        }


def tamper(inst: Installation, change: str) -> None:
    with inst.db.write() as tx:
        assert tx.run(both(change)) > 0


def found(inst: Installation) -> set[str]:
    return {violation.code for violation in verify(inst)}


# -- the digest --------------------------------------------------------------------------------


def test_no_digest_is_given_of_nothing(inst: Installation) -> None:
    with pytest.raises(NotReady, match="there are no events"):
        digest(inst)


def test_no_digest_is_given_while_events_are_pending(inst: Installation) -> None:
    """Of an instant before them it is."""
    arrive(inst, order(0))
    set_clock(inst, day(5))
    post(inst, order(5))
    with pytest.raises(NotReady, match="1 events up to 2026-01-06T00:00:00Z are pending"):
        digest(inst)
    assert digest(inst, day(4)).customers == 1


def test_no_digest_is_given_while_an_import_is_held(inst: Installation) -> None:
    with inst.db.write() as tx:
        run_id = runs.begin(tx, name="a", digest="a", effects=False, now=inst.now(tx))
    post(inst, order(0), page(0), run_id=run_id)
    with pytest.raises(NotReady, match="2 events up to 2026-01-01T00:00:00Z are pending"):
        digest(inst)


def test_no_digest_is_given_of_an_instant_whose_checks_have_not_fired(inst: Installation) -> None:
    arrive(inst, order(0))
    with pytest.raises(NotReady, match="of 1 customers are due up to 2026-03-02T00:00:00Z"):
        digest(inst, day(60))
    reach(inst, day(60))
    assert digest(inst, day(60)).customers == 1


def test_by_default_the_digest_is_that_of_the_last_event(lived: Installation) -> None:
    last = max(event.occurred_at for arrival in arrivals(**HISTORY) for event in arrival.events)
    assert digest(lived) == digest(lived, last)


@pytest.mark.parametrize("then", [0.0, 10.0, 123.4, 400.0, END])
def test_the_digest_of_an_instant_is_what_it_would_have_been_then(
    lived: Installation, tmp_path: Path, then: float
) -> None:
    """Also on another database, on which nothing later ever happened."""
    before = [
        event
        for arrival in arrivals(**HISTORY)
        for event in arrival.events
        if event.occurred_at <= day(then)
    ]
    with installation(f"sqlite:///{tmp_path / 'then.db'}", RICH_POLICY) as other:
        set_clock(other, day(then))
        arrive(other, *before)
        assert digest(lived, day(then)) == digest(other, day(then))


def test_a_customer_who_had_not_come_yet_is_not_in_the_digest(inst: Installation) -> None:
    set_clock(inst, day(10))
    arrive(inst, order(0), *of("bob", order(5)))
    assert [digest(inst, day(on)).customers for on in (0, 4.9, 5, 10)] == [1, 1, 2, 2]


def test_customers_are_summed_up_in_the_order_of_code_points(
    inst: Installation, tmp_path: Path
) -> None:
    """Whatever the database's own order of text is."""
    names = ["anna", "Zoe", "Émile", "ånd", "王", "_", "a b"]
    with installation(f"sqlite:///{tmp_path / 'other.db'}", RICH_POLICY) as other:
        for name in names:
            arrive(inst, *of(name, order(0)))
        for name in reversed(names):
            arrive(other, *of(name, order(0)))
        assert digest(inst) == digest(other)


def test_what_became_of_messages_is_not_in_the_digest(inst: Installation) -> None:
    arrive(inst, order(0, amount="90"))
    before = digest(inst)
    send(inst, day(0))
    assert [row.fate for row in message_rows(inst)] == ["sent"]
    assert digest(inst) == before


# -- tampering ---------------------------------------------------------------------------------

# what was changed behind the engine's back → what `verify` calls it
TAMPERING: dict[str, tuple[str, set[str]]] = {
    "a state": ("UPDATE customer SET state = 'loyal' WHERE key = 'c001'", {"state"}),
    "where a step led": (
        "UPDATE step SET to_state = 'potential' WHERE customer_id = 1 AND seq = 1",
        {"steps", "chain"},
    ),
    "when a step was": (
        "UPDATE step SET rule = 'loyal' WHERE customer_id = 1 AND seq = 2",
        {"steps"},
    ),
    "what a guard had read": (
        "UPDATE step SET \"read\" = '{\"orders\":9}' WHERE seq IS NOT NULL AND rule = 'loyal'",
        {"steps"},
    ),
    "the place of a step": (
        "UPDATE step SET seq = 77 WHERE customer_id = 1 AND seq = 2",
        {"steps", "chain"},
    ),
    "a step that is gone": (
        "DELETE FROM step WHERE customer_id = 1 AND seq = 1",
        {"steps", "chain"},
    ),
    "a message that is gone": (
        "DELETE FROM message WHERE id = (SELECT min(id) FROM message WHERE live)",
        {"messages"},
    ),
    "whether a cause stands": (
        "UPDATE message SET live = NOT live WHERE customer_id = 2",
        {"messages", "fates"},
    ),
    "another cause of a message": (
        "UPDATE message SET cause = 'event:shop|none' WHERE id = (SELECT max(id) FROM message)",
        {"messages"},
    ),
    "when a message was planned for": (
        "UPDATE message SET planned_at = caused_at WHERE live AND rule = 'thanks'",
        {"messages"},
    ),
    "the channels of a message": (
        "UPDATE message SET channels = '[\"fax\"]' WHERE id = (SELECT min(id) FROM message WHERE live)",
        {"messages"},
    ),
    "since when she is where she is": (
        "UPDATE customer SET entered_at = NULL WHERE key = 'c001'",
        {"state"},
    ),
    "a snapshot of another": (
        "UPDATE customer SET snapshot = (SELECT max(snapshot) FROM customer) WHERE key = 'c001'",
        {"snapshot"},
    ),
    "when to look again": (
        "UPDATE customer SET wake_at = NULL WHERE wake_at IS NOT NULL",
        {"wake_at"},
    ),
}


@pytest.mark.parametrize("change", TAMPERING)
def test_tampering_is_found_and_a_rebuild_repairs_it(lived: Installation, change: str) -> None:
    """Afterwards everything that stands is what it was to the byte, and so is the digest."""
    sound, was = standing(lived), digest(lived, day(END))
    assert verify(lived) == []
    sql, codes = TAMPERING[change]
    tamper(lived, sql)
    assert found(lived) == codes
    rebuild(lived)
    assert verify(lived) == []
    assert standing(lived) == sound
    assert digest(lived, day(END)) == was


# What is on record and follows from nothing: it is told, and no rebuild can know better.
BEYOND_REPAIR: dict[str, tuple[str, set[str]]] = {
    "cancelled, although the cause stands": (
        "UPDATE message SET fate = 'cancelled', reason = 'superseded' WHERE live AND fate = 'queued'",
        {"fates"},
    ),
    "overtaken, although the cause stands": (
        "UPDATE message SET fate = 'overtaken' WHERE live AND fate = 'sent'",
        {"fates"},
    ),
    "queued, although the cause was revoked": (
        "UPDATE message SET fate = 'queued', sent_at = NULL WHERE NOT live AND fate = 'overtaken'",
        {"fates"},
    ),
    "sent, although the cause was revoked": (
        "UPDATE message SET fate = 'sent' WHERE NOT live AND fate = 'overtaken'",
        {"fates"},
    ),
    "sent at no time": ("UPDATE message SET sent_at = NULL WHERE fate = 'sent'", {"fates"}),
    "sent, and still queued": (
        "UPDATE message SET sent_at = fate_at WHERE fate = 'queued'",
        {"fates"},
    ),
    "to be sent before its time": (
        "UPDATE message SET not_before = caused_at WHERE fate = 'queued' AND rule = 'thanks'",
        {"fates"},
    ),
    "a step that the log does not tell of": (
        "DELETE FROM step_log WHERE id = (SELECT min(id) FROM step_log)",
        {"log"},
    ),
    "a step that the log tells of twice": (
        "INSERT INTO step_log (step_id, revoked) SELECT step_id, revoked FROM step_log WHERE NOT revoked",
        {"log"},
    ),
    "a revocation that the log does not tell of": ("DELETE FROM step_log WHERE revoked", {"log"}),
    "a revocation of what stands": (
        "INSERT INTO step_log (step_id, revoked) SELECT id, NOT false FROM step WHERE seq = 1",
        {"log"},
    ),
}


@pytest.mark.parametrize("change", BEYOND_REPAIR)
def test_what_is_on_record_fits_what_follows_from_the_events(
    lived: Installation, change: str
) -> None:
    sql, codes = BEYOND_REPAIR[change]
    tamper(lived, sql)
    assert found(lived) == codes


def test_nothing_is_recorded_of_a_customer_who_was_never_folded(inst: Installation) -> None:
    arrive(inst, order(0))
    post(inst, *of("bob", order(0)))
    tamper(inst, "UPDATE step SET customer_id = 2")
    assert {(found.customer, found.code) for found in verify(inst)} == {
        ("anna", "steps"),
        ("bob", "unfolded"),
    }


def standing(inst: Installation) -> dict[str, list[Any]]:
    """What follows from the events: customers whole; live steps and messages but for their rows."""
    whole = tables(inst)
    return {
        "customers": whole["customers"],
        "steps": [[(row.seq, row.step) for row in rows if row.seq] for rows in whole["steps"]],
        "messages": [sorted(row.message for row in rows if row.live) for rows in whole["messages"]],
    }


def test_a_rebuild_of_what_is_sound_writes_nothing(lived: Installation) -> None:
    """Not a row differs, the revoked steps and the fates of messages included."""
    before, was = tables(lived), digest(lived, day(END))
    done = rebuild(lived)
    assert (done.steps, done.messages, done.quarantined) == (0, 0, 0)
    assert done.customers == 5
    assert tables(lived) == before
    assert digest(lived, day(END)) == was


def test_what_a_rebuild_revokes_was_overturned_by_no_event(inst: Installation) -> None:
    """A step that never followed is kept, marked, like any that was revoked."""
    arrive(inst, order(0))
    tamper(inst, "UPDATE step SET to_state = 'loyal'")
    rebuild(inst)
    with inst.db.read() as tx:
        gone, made = sorted(steps.all_of(tx, 1), key=lambda row: row.row_id)
    assert (gone.step.to_state, gone.seq, gone.revoked_by) == ("loyal", None, None)
    assert gone.revoked_at == day(0)
    assert (made.step.to_state, made.seq) == ("deal", 1)


def test_an_event_that_was_lost_is_found_and_comes_back_with_a_rebuild(inst: Installation) -> None:
    """Stored, and waiting no more without having been folded: what the engine must never do."""
    arrive(inst, order(0))
    post(inst, page(0), *of("bob", order(0)))
    tamper(inst, "DELETE FROM pending")
    lost = {violation.customer: violation.code for violation in verify(inst)}
    assert lost == {"anna": "snapshot", "bob": "unfolded"}
    assert rebuild(inst).steps == 1
    assert verify(inst) == []


def test_an_event_that_was_altered_or_removed_is_found(inst: Installation) -> None:
    arrive(inst, order(0, amount="10"), *of("bob", order(0)))
    tamper(inst, 'UPDATE event SET properties = \'{"amount":"11"}\' WHERE id = 1')
    tamper(inst, "DELETE FROM event WHERE id = 2")
    told = {violation.customer for violation in verify(inst)}
    assert told == {"anna", "bob"}
    assert "state" in found(inst)


def test_a_customer_whose_events_cannot_be_folded_is_told_and_the_others_are_looked_at(
    inst: Installation,
) -> None:
    arrive(inst, order(0, "bad"), *of("bob", order(0)))
    tamper(inst, "UPDATE event SET properties = '{\"amount\":\"x\"}' WHERE event_id = 'bad'")
    tamper(inst, "UPDATE customer SET state = 'loyal' WHERE key = 'bob'")
    told = {violation.customer: violation for violation in verify(inst)}
    assert told["anna"].code == "fold"
    assert "event bad of shop" in told["anna"].detail
    assert told["bob"].code == "state"


def test_what_has_been_pending_for_too_long_is_told(inst: Installation) -> None:
    post(inst, order(0))
    set_clock(inst, day(0) + PENDING_TOO_LONG)
    assert verify(inst) == []
    set_clock(inst, day(0) + PENDING_TOO_LONG + timedelta(seconds=1))
    (violation,) = verify(inst)
    assert violation.code == "pending_too_long"
    assert violation.detail == "an event has been pending for 0:01:01: are workers running?"


def test_a_rebuild_and_a_verification_tell_how_far_they_are(lived: Installation) -> None:
    for use_case in (verify, rebuild):
        told: list[int] = []
        use: Callable[..., object] = use_case
        use(lived, told.append)
        assert sum(told) == 5


def test_digests_are_compared_whole(lived: Installation) -> None:
    """The instant is part of it: the same truth at another instant is told apart."""
    one, other = digest(lived, day(END)), digest(lived, day(END) - timedelta(seconds=1))
    assert isinstance(one, Digest)
    assert one != other
