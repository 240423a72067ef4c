"""Many senders at once, and people who change their minds: who wins?"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from lifecycle.domain.builtin import CONSENT_WITHDRAWN
from lifecycle.domain.event import Event
from lifecycle.domain.fate import Fate
from lifecycle.engine.installation import Installation
from lifecycle.engine.sending import claim
from lifecycle.engine.sending.pausing import pause, paused, resume
from lifecycle.store.database import Database
from lifecycle.store.messages import MessageRow
from tests.policies import scenario_policy
from tests.scenarios.driver import ANNA
from tests.sending.conftest import bought, known
from tests.sending.post_office import TestOffice, Wire, held_wire, let_real, send_all, sender
from tests.support.engine import arrive, installation, message_rows, post

SENDERS = 10
TIMES = 40  # that somebody unsubscribes just before the claim


def offers(inst: Installation, customer: str = ANNA) -> list[MessageRow]:
    return [row for row in message_rows(inst, customer) if row.message.rule != "win-back"]


def left(now: datetime, customer: str) -> Event:
    agreed = {"purpose": "marketing", "channel": "email"}
    return Event("shop", f"{customer}-left", customer, CONSENT_WITHDRAWN, now, now, agreed)


@contextlib.contextmanager
def under(url: str, sending: str, *rules: str) -> Iterator[tuple[Installation, datetime]]:
    """An installation on real time under these rules, and what it calls now."""
    policy = scenario_policy(outreach=rules) + f"sending: {{{sending}}}\n"
    with installation(url, policy, clock=None) as inst:
        let_real(inst)
        with inst.db.read() as tx:
            now = inst.now(tx)
        yield inst, now


def at_once(url: str, office: Callable[[], TestOffice], count: int = SENDERS) -> None:
    """So many senders, each with connections of its own, begin at the same moment."""
    ready = threading.Barrier(count)

    def one(_: int) -> None:
        with contextlib.closing(Database.open(url)) as db:
            inst = Installation(db, None)
            own = office()
            ready.wait(30)
            send_all(inst, own)

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(one, range(count)))


OFFER = "{name: offer, on: {event: order_paid}, channels: [email], holdout: 0%}"
URGENT = "{name: urgent, on: {event: order_refunded}, channels: [email], holdout: 0%, priority: 90}"
CAPPED = "caps: [{most: 3, within: 24h, class: marketing}]"


def test_ten_senders_against_a_cap_of_three_send_three(database_url: str) -> None:
    with under(database_url, CAPPED, OFFER) as (inst, now):
        wire = Wire()
        arrive(inst, *known(now), *(bought(now, id=f"order-{n}") for n in range(10)))
        at_once(database_url, lambda: TestOffice(wire))
        rows = offers(inst)
        sent = [row for row in rows if row.fate is Fate.SENT]
        deferred = [row for row in rows if row.fate is Fate.DEFERRED]
        assert (len(wire.letters), len(sent), len(deferred)) == (3, 3, 7)
        assert {row.reason for row in deferred} == {"cap"}
        first = min(row.claimed_at for row in sent if row.claimed_at)
        assert {row.not_before for row in deferred} == {first + timedelta(hours=24)}


def test_the_priority_wins_the_cap(database_url: str) -> None:
    with under(database_url, "caps: [{most: 1, within: 24h}]", OFFER, URGENT) as (inst, now):
        wire = Wire()
        refund = Event("shop", "refund", ANNA, "order_refunded", now, now, {"amount": "1"})
        arrive(inst, *known(now), bought(now), refund)
        at_once(database_url, lambda: TestOffice(wire))
        assert [letter.rule for letter in wire.letters] == ["urgent"]


def test_who_left_just_before_the_claim_gets_nothing(database_url: str) -> None:
    """Senders claim without a pause; whoever is not claimed when her event is durable never is."""
    with under(database_url, "surge: {least: 999999}", OFFER) as (inst, now):
        names = [f"c{number}" for number in range(TIMES)]
        arrive(inst, *(event for name in names for event in (*known(now, name), bought(now, name))))
        durable: dict[str, datetime] = {}
        wire, start = Wire(), threading.Barrier(2)

        def leave() -> None:
            with contextlib.closing(Database.open(database_url)) as db:
                own = Installation(db, None)
                start.wait(30)
                for name in reversed(names):
                    post(own, left(now, name))
                    with db.read() as tx:
                        durable[name] = own.now(tx)

        leaving = threading.Thread(target=leave)
        leaving.start()
        start.wait(30)
        send_all(inst, TestOffice(wire))
        leaving.join()
        send_all(inst, TestOffice(wire))
        for name in names:
            (row,) = offers(inst, name)
            if row.fate is Fate.SENT:
                assert row.claimed_at is not None
                assert row.claimed_at <= durable[name]
            else:
                assert (row.fate, row.reason) == (Fate.SUPPRESSED, "no_consent")


def test_the_claim_that_begins_after_she_left_never_sends(database_url: str) -> None:
    """The event is durable a moment before the claim, again and again; nothing has folded it yet."""
    with under(database_url, "surge: {least: 999999}", OFFER) as (inst, now):
        wire = Wire()
        for number in range(TIMES):
            name = f"c{number}"
            arrive(inst, *known(now, name), bought(now, name))
            answered = threading.Event()

            def leave(name: str = name, answered: threading.Event = answered) -> None:
                post(inst, left(now, name))
                answered.set()

            leaving = threading.Thread(target=leave)
            leaving.start()
            assert answered.wait(30)
            send_all(inst, TestOffice(wire))
            leaving.join()
        assert wire.letters == []


@pytest.mark.parametrize("scope", ["all", "rule:offer", "channel:email"])
def test_a_pause_takes_hold_within_one_batch(
    database_url: str, monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    """Nothing is claimed once it is answered; what had been claimed before goes on its way."""
    monkeypatch.setattr(claim, "LOOK", 5)
    with under(database_url, "surge: {least: 999999}", OFFER) as (inst, now):
        names = [f"c{number}" for number in range(30)]
        arrive(inst, *(event for name in names for event in (*known(now, name), bought(now, name))))
        wire, first, stopped = held_wire()
        sending = threading.Thread(target=send_all, args=(inst, TestOffice(wire)))
        sending.start()
        assert first.wait(30)
        assert pause(inst, scope, by="olga", why="have a look")
        with inst.db.read() as tx:
            since = inst.now(tx)
        stopped.set()
        sending.join()
        claimed = [row.claimed_at for name in names for row in offers(inst, name)]
        assert all(at is None or at <= since for at in claimed)
        assert 0 < len(wire.letters) < len(names)
        resume(inst, scope, by="olga", why="it is well")
        send_all(inst, TestOffice(wire))
        assert sorted(letter.to.customer for letter in wire.letters) == sorted(names)


@pytest.mark.postgres
def test_who_claims_while_it_is_resumed_puts_nothing_off_for_a_day(
    postgres_database_url: str,
) -> None:
    """What a claim has read of pauses holds until it has ended, or is not read yet."""
    url = postgres_database_url
    with under(url, "surge: {least: 999999}", OFFER) as (inst, now):
        arrive(inst, *known(now), bought(now))
        pause(inst, "channel:email", by="olga", why="")
        wire = Wire()
        claiming = sender(inst, TestOffice(wire))
        with contextlib.closing(Database.open(url)) as db:
            resuming = threading.Thread(
                target=resume,
                args=(Installation(db, None), "channel:email"),
                kwargs={"by": "olga", "why": ""},
            )
            with inst.db.write() as tx:
                assert claiming._claim(tx).judged == 1
                resuming.start()
                resuming.join(
                    0.5
                )  # it waits for us; a claim that is not waited for has lost by now
            resuming.join(30)
        send_all(inst, TestOffice(wire))
        assert len(wire.letters) == 1


def test_a_surge_pauses_its_rule_before_it_was_sent_and_a_person_lets_it_go_on(
    database_url: str,
) -> None:
    with under(database_url, "surge: {within: 10min, least: 5, times: 2}", OFFER) as (inst, now):
        names = [f"c{number}" for number in range(12)]
        arrive(inst, *(event for name in names for event in (*known(now, name), bought(now, name))))
        wire = Wire()
        at_once(database_url, lambda: TestOffice(wire), count=4)
        assert len(wire.letters) <= 5
        assert [(one.scope, one.by) for one in paused(inst.db)] == [("rule:offer", "lifecycle")]
        assert resume(inst, "rule:offer", by="olga", why="it is the anniversary sale")
        at_once(database_url, lambda: TestOffice(wire), count=4)
        assert sorted(letter.to.customer for letter in wire.letters) == sorted(names)


def test_a_message_of_a_policy_that_this_program_does_not_know_is_left_alone(
    database_url: str,
) -> None:
    """A newer program published it, and sends it; an older one beside it neither sends nor drops it."""
    with under(database_url, "surge: {least: 999999}", OFFER) as (inst, now):
        arrive(inst, *known(now), bought(now))
        with inst.db.write() as tx:
            tx.connection.execute("UPDATE message SET version = 99")
        wire = Wire()
        send_all(inst, TestOffice(wire))
        assert [(row.fate, row.tries) for row in offers(inst)] == [(Fate.QUEUED, 0)]
        with inst.db.write() as tx:
            tx.connection.execute("UPDATE message SET version = 1")
        send_all(inst, TestOffice(wire))
        assert [row.fate for row in offers(inst)] == [Fate.SENT]
