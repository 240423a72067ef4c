"""What becomes of a message that is due, given what its provider answers."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from lifecycle.domain.builtin import CONSENT_WITHDRAWN
from lifecycle.domain.event import Event
from lifecycle.domain.fate import Fate
from lifecycle.engine.installation import Installation
from lifecycle.engine.sending import claim
from lifecycle.engine.sending import sender as senders
from lifecycle.engine.sending.again import send_again
from lifecycle.engine.sending.sender import Sender
from lifecycle.engine.work import Applied
from lifecycle.outreach.channels.registered import filled
from lifecycle.outreach.letter import Letter, Rendered
from lifecycle.outreach.outcome import Accepted, Ambiguous, Fault, Outcome, Refused
from lifecycle.store import customers, events, pauses, sending
from lifecycle.store.messages import MessageRow
from lifecycle.store.pauses import Paused
from tests.policies import scenario_policy
from tests.scenarios.driver import ANNA
from tests.sending.conftest import bought, known, paid_back
from tests.sending.post_office import TestOffice, Wire, held_wire, let_real, send_all, sender
from tests.support.engine import arrive, installation, message_rows, post, work

REFUSED = Refused(code="550", detail="no such mailbox", fault=Fault.RECIPIENT, permanent=True)
BUSY = Refused(code="421", detail="try again", fault=Fault.PROVIDER, permanent=False)
CUT = Ambiguous(code="cut_after_dot", detail="the connection ended")


def message(inst: Installation, rule: str) -> MessageRow:
    (row,) = (row for row in message_rows(inst) if row.message.rule == rule)
    return row


def types(inst: Installation) -> list[str]:
    """What is recorded of her messages, as events of ours."""
    with inst.db.read() as tx:
        found = events.all_of(tx, customers.find(tx, ANNA))
    return [one.event.type for one in found if one.event.source == "lifecycle"]


def hurry(inst: Installation) -> None:
    """The time until the next try has passed."""
    with inst.db.write() as tx:
        tx.connection.execute("UPDATE message SET retry_at = NULL, not_before = recorded_at")


def test_a_message_leaves_once_and_is_recorded_as_an_event(
    inst: Installation, now: datetime
) -> None:
    wire = Wire()
    office = TestOffice(wire)
    arrive(inst, *known(now), bought(now))
    send_all(inst, office)
    send_all(inst, office)
    assert [(letter.to.address, letter.content.text) for letter in wire.letters] == [
        ("anna@example.org", "Hello Anna")
    ]
    row = message(inst, "offer")
    assert (row.fate, row.channel, row.tries) == (Fate.SENT, "email", 1)
    assert types(inst) == ["lifecycle.sent"]
    with inst.db.read() as tx:
        (tried,) = sending.attempts_of(tx, [row.row_id])[row.row_id]
    assert (tried.outcome, tried.provider_id, tried.template_hash) == ("accepted", "p-1", "t" * 64)


def test_without_consent_no_marketing_leaves_and_service_does(
    inst: Installation, now: datetime
) -> None:
    wire = Wire()
    profile, *_ = known(now)
    arrive(inst, profile, bought(now), paid_back(now))
    send_all(inst, TestOffice(wire))
    assert [letter.rule for letter in wire.letters] == ["receipt"]
    row = message(inst, "offer")
    assert (row.fate, row.reason) == (Fate.SUPPRESSED, "no_consent")


def test_who_unsubscribes_before_the_claim_gets_nothing(inst: Installation, now: datetime) -> None:
    """Also where nothing has folded her withdrawal yet: the claim does not go past what waits."""
    wire = Wire()
    arrive(inst, *known(now), bought(now))
    post(
        inst,
        *(
            Event(
                "shop",
                f"no-{channel}",
                ANNA,
                CONSENT_WITHDRAWN,
                now,
                now,
                {"purpose": "marketing", "channel": channel},
            )
            for channel in ("email", "sms")
        ),
    )
    send_all(inst, TestOffice(wire))
    assert wire.letters == []
    assert message(inst, "offer").fate is Fate.SUPPRESSED


def test_an_address_that_is_refused_for_good_leads_to_the_next_channel(
    inst: Installation, now: datetime
) -> None:
    email = Wire(answer=lambda _: REFUSED)
    sms = Wire(name="sms", address="phone")
    arrive(inst, *known(now, phone=True), bought(now))
    send_all(inst, TestOffice(email, sms))
    assert (len(email.letters), len(sms.letters)) == (1, 1)
    row = message(inst, "offer")
    assert (row.fate, row.channel, row.tries) == (Fate.SENT, "sms", 2)


def test_where_every_channel_is_refused_it_has_failed(inst: Installation, now: datetime) -> None:
    email = Wire(answer=lambda _: REFUSED)
    arrive(inst, *known(now), bought(now), paid_back(now))
    send_all(inst, TestOffice(email))
    row = message(inst, "receipt")
    assert (row.fate, row.reason, len(email.letters)) == (Fate.FAILED, "550", 2)
    assert (
        types(inst).count("lifecycle.failed") == 1
    )  # the offer may still go by sms, has no number


def test_a_temporary_refusal_is_tried_again_later_and_not_at_once(
    inst: Installation, now: datetime
) -> None:
    answers: list[Outcome] = [BUSY, BUSY, Accepted()]
    wire = Wire(answer=lambda _: answers.pop(0))
    office = TestOffice(wire)
    arrive(inst, *known(now), paid_back(now))
    send_all(inst, office)
    row = message(inst, "receipt")
    assert (row.fate, row.reason, len(wire.letters)) == (Fate.DEFERRED, "421", 1)
    assert row.not_before > now + timedelta(seconds=10)
    for _ in range(2):
        hurry(inst)
        send_all(inst, office)
    assert (message(inst, "receipt").fate, len(wire.letters)) == (Fate.SENT, 3)
    assert len({letter.key for letter in wire.letters}) == 1


def test_marketing_that_may_have_left_is_never_sent_again(
    inst: Installation, now: datetime
) -> None:
    wire = Wire(answer=lambda _: CUT)
    office = TestOffice(wire)
    arrive(inst, *known(now), bought(now))
    for _ in range(3):
        send_all(inst, office)
        hurry(inst)
    row = message(inst, "offer")
    assert (row.fate, row.reason, len(wire.letters)) == (Fate.UNKNOWN, "cut_after_dot", 1)


def test_a_service_message_that_may_have_left_is_sent_once_more(
    inst: Installation, now: datetime
) -> None:
    wire = Wire(answer=lambda _: CUT)
    office = TestOffice(wire)
    arrive(inst, *known(now), paid_back(now))
    for _ in range(4):
        send_all(inst, office)
        hurry(inst)
    assert (message(inst, "receipt").fate, len(wire.letters)) == (Fate.UNKNOWN, 2)


def test_a_provider_that_knows_a_letter_by_its_key_is_asked_until_it_answers(
    inst: Installation, now: datetime
) -> None:
    answers: list[Outcome] = [CUT, CUT, CUT, Accepted()]
    wire = Wire(answer=lambda _: answers.pop(0), same_key_for=timedelta(hours=24))
    office = TestOffice(wire)
    arrive(inst, *known(now), bought(now))
    for _ in range(5):
        send_all(inst, office)
        hurry(inst)
    assert (message(inst, "offer").fate, len(wire.letters)) == (Fate.SENT, 4)


@pytest.mark.parametrize("scope", ["all", "real", "rule:offer", "channel:email"])
def test_what_is_paused_waits_and_is_sent_once_it_is_resumed(
    inst: Installation, now: datetime, scope: str
) -> None:
    wire = Wire()
    office = TestOffice(wire)
    arrive(inst, *known(now), bought(now))
    with inst.db.write() as tx:
        pauses.add(tx, Paused(scope=scope, by="olga", why="", since=now))
    send_all(inst, office)
    assert wire.letters == []
    assert message(inst, "offer").fate in {Fate.QUEUED, Fate.DEFERRED}
    with inst.db.write() as tx:
        pauses.remove(tx, scope)
        sending.release_paused(tx, inst.now(tx), 1000)
    send_all(inst, office)
    assert len(wire.letters) == 1


def test_a_text_that_cannot_be_written_fails_and_nothing_leaves(
    inst: Installation, now: datetime
) -> None:
    wire = Wire()
    office = TestOffice(wire)
    office.texts.broken.add("offer")
    arrive(inst, *known(now), bought(now))
    send_all(inst, office)
    row = message(inst, "offer")
    assert row.fate is Fate.FAILED
    assert row.reason == "template_error: undefined: offer/email.en.txt:1: customer.name"
    assert (wire.letters, types(inst)) == ([], ["lifecycle.failed"])


def test_a_message_whose_cause_falls_while_it_is_on_its_way_is_overtaken(
    inst: Installation, now: datetime
) -> None:
    """It had left when the order turned out to have been another's: it says so, and is not sent again."""
    wire, on_its_way, go_on = held_wire()
    office = TestOffice(wire)
    arrive(inst, *known(now), bought(now))
    thread = threading.Thread(target=send_all, args=(inst, office))
    thread.start()
    assert on_its_way.wait(30)
    with inst.db.write() as tx:
        (row,) = (row for row in message_rows(inst) if row.message.rule == "offer")
        tx.connection.execute("UPDATE message SET live = false")
    go_on.set()
    thread.join()
    assert (row.fate, message(inst, "offer").fate) == (Fate.IN_FLIGHT, Fate.OVERTAKEN)


def test_a_sender_that_stops_lets_go_of_what_it_has_not_begun(
    inst: Installation, now: datetime
) -> None:
    """Nothing is unknown afterwards, and another sends the rest."""
    slow, on_its_way, go_on = held_wire()
    for number in range(6):
        arrive(inst, *known(now, f"c{number}"), bought(now, f"c{number}"))
    stopping = sender(inst, TestOffice(slow))
    stopping.batch()
    assert on_its_way.wait(30)
    stop = threading.Thread(target=stopping.stop)
    stop.start()
    go_on.set()
    stop.join()
    fates = [row.fate for n in range(6) for row in message_rows(inst, f"c{n}")]
    assert set(fates) == {Fate.SENT, Fate.QUEUED}
    quick = Wire()
    send_all(inst, TestOffice(quick))
    assert len(slow.letters) + len(quick.letters) == 6
    assert {row.fate for n in range(6) for row in message_rows(inst, f"c{n}")} == {Fate.SENT}


def test_what_a_dead_sender_had_claimed_is_sent_by_another(
    inst: Installation, now: datetime
) -> None:
    arrive(inst, *known(now), bought(now))
    office = TestOffice(Wire())
    dying = sender(inst, office)
    with inst.db.write() as tx:
        claims = dying._claim(tx)
    assert len(claims.taken) == 1  # and it dies here
    assert sender(inst, office).reclaim() == 0  # its lease stands
    lapse(inst)
    assert sender(inst, office).reclaim() == 1
    send_all(inst, office)
    assert message(inst, "offer").fate is Fate.SENT


@pytest.mark.parametrize(("rule", "fate"), [("offer", Fate.UNKNOWN), ("receipt", Fate.DEFERRED)])
def test_what_a_dead_sender_had_handed_over_is_judged_by_its_class(
    inst: Installation, now: datetime, rule: str, fate: Fate
) -> None:
    class Died(BaseException):
        pass

    def die(_: Letter) -> Outcome:
        raise Died

    arrive(inst, *known(now), bought(now) if rule == "offer" else paid_back(now))
    office = TestOffice(Wire(answer=die))
    dying = sender(inst, office)
    with inst.db.write() as tx:
        claims = dying._claim(tx)
    with pytest.raises(Died):
        dying._send(claims.taken[0])
    assert message(inst, rule).fate is Fate.IN_FLIGHT
    lapse(inst)
    assert dying.reclaim() == 1
    assert dying.reclaim() == 0
    row = message(inst, rule)
    assert (row.fate, row.reason) == (fate, "sender_gone")
    work(inst)
    assert types(inst) == (["lifecycle.unknown"] if fate is Fate.UNKNOWN else [])


def lapse(inst: Installation) -> None:
    """All leases are over."""
    with inst.db.write() as tx:
        past = tx.to_db(inst.db.clock(tx) - timedelta(seconds=1))
        mark = "?" if tx.dialect == "sqlite" else "%s"
        tx.connection.execute(
            f"UPDATE message SET lease_until = {mark} WHERE lease IS NOT NULL", (past,)
        )


def test_who_cannot_be_folded_keeps_nobody_waiting(
    inst: Installation, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits of hers is not folded for now; a whole look of the claim is full of her messages."""
    monkeypatch.setattr(claim, "LOOK", 1)
    wire = Wire()
    office = TestOffice(wire)
    arrive(inst, *known(now), bought(now), *known(now, "ben"), bought(now, "ben"))
    post(inst, bought(now, id="another"))
    monkeypatch.setattr(senders, "apply_customers", lambda *_: Applied(left=1))
    send_all(inst, office)
    assert [letter.to.customer for letter in wire.letters] == ["ben"]


def test_what_its_unless_says_is_judged_when_it_is_to_be_sent(database_url: str) -> None:
    rule = "{name: offer, on: {event: order_paid}, channels: [email], holdout: 0%, unless: orders >= 2}"
    with installation(database_url, scenario_policy(outreach=[rule]), clock=None) as inst:
        let_real(inst)
        with inst.db.read() as tx:
            now = inst.now(tx)
        arrive(inst, *known(now), bought(now), *known(now, "ben"), bought(now, "ben"))
        arrive(inst, bought(now, id="second"))
        wire = Wire()
        send_all(inst, TestOffice(wire))
    assert [letter.to.customer for letter in wire.letters] == ["ben"]


def test_what_is_to_be_spread_is_spread_after_a_quiet_night(database_url: str) -> None:
    """All were kept back until it ends; they do not all leave at that minute."""
    hour = timedelta(hours=1)
    at = datetime.now(UTC)
    rule = "{name: offer, on: {event: order_paid}, channels: [email], holdout: 0%, spread: 4h}"
    night = f'sending: {{quiet: {{since: "{at - hour:%H:%M}", until: "{at + hour:%H:%M}"}}}}\n'
    people = [f"c{number}" for number in range(8)]
    with installation(database_url, scenario_policy(outreach=[rule]) + night, clock=None) as inst:
        let_real(inst)
        with inst.db.read() as tx:
            now = inst.now(tx)
        for person in people:
            arrive(inst, *known(now, person), bought(now, person))
        hurry(inst)
        send_all(inst, TestOffice(Wire()))
        rows = [row for person in people for row in message_rows(inst, person)]
    assert {row.reason for row in rows} == {"quiet_hours"}
    instants = sorted(row.not_before for row in rows)
    assert len(set(instants)) == len(people)
    assert timedelta(minutes=30) < instants[-1] - instants[0] < timedelta(hours=4)


@pytest.mark.parametrize("what", ["writing it", "handing it over"])
def test_a_letter_that_fails_by_a_defect_of_ours_leaves_its_channel(
    inst: Installation, now: datetime, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the trial by which a provider that had failed is asked again would never be over."""

    def defect(*_: object, **__: object) -> Rendered:
        raise ZeroDivisionError

    left: list[tuple[str, Outcome | None]] = []
    wire = Wire()
    office = TestOffice(wire)
    monkeypatch.setattr(office, "leave", lambda *said: left.append(said))
    if what == "writing it":
        monkeypatch.setattr(office.texts, "write", defect)
    else:
        wire.answer = defect  # type: ignore[assignment]
    failed: list[str] = []
    sending = Sender(inst, office, failed=lambda *said: failed.append(said[0]))
    arrive(inst, *known(now), bought(now))
    sending.batch()
    assert sending.all_sent(30)
    sending.stop()
    assert failed == ["sending_failed"]
    assert left == [("email", None)]


def test_a_letter_tells_what_a_registered_template_is_filled_with(
    inst: Installation, now: datetime
) -> None:
    """By the names that the policy has for her facts and attributes."""
    wire = Wire()
    arrive(inst, *known(now), bought(now))
    send_all(inst, TestOffice(wire))
    (letter,) = wire.letters
    assert filled(letter, ["name", "orders", "email"]) == ["Anna", "1", "anna@example.org"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [("rcpt_550_5.1.1", "address_suppressed"), ("rcpt_550", None), ("rcpt_552_5.2.2", None)],
)
def test_an_address_where_nobody_is_gets_nothing_more_by_any_rule(
    inst: Installation, now: datetime, code: str, reason: str | None
) -> None:
    """A reply without a code of its own may mean anything, and a full mailbox is emptied one day."""
    gone = Refused(code=code, detail="no", fault=Fault.RECIPIENT, permanent=True)
    arrive(inst, *known(now), paid_back(now))
    send_all(inst, TestOffice(Wire(answer=lambda _: gone)))
    arrive(inst, bought(now))
    wire = Wire()
    send_all(inst, TestOffice(wire))
    row = message(inst, "offer")
    assert (row.reason, len(wire.letters)) == (reason, 0 if reason else 1)


def test_once_a_text_is_mended_its_messages_are_sent_after_all(
    inst: Installation, now: datetime
) -> None:
    wire = Wire()
    office = TestOffice(wire)
    office.texts.broken.add("receipt")
    arrive(inst, *known(now), paid_back(now))
    send_all(inst, office)
    assert message(inst, "receipt").fate is Fate.FAILED
    assert send_again(inst, "receipt") == 1
    send_all(inst, office)
    assert message(inst, "receipt").fate is Fate.FAILED
    office.texts.broken.clear()
    assert send_again(inst, "receipt") == 1
    assert send_again(inst, "receipt") == 0
    send_all(inst, office)
    assert (message(inst, "receipt").fate, len(wire.letters)) == (Fate.SENT, 1)
    work(inst)
    with inst.db.read() as tx:
        told = events.all_of(tx, customers.find(tx, ANNA))
    ours = [one.event.id.partition(":")[0] for one in told if one.event.source == "lifecycle"]
    assert sorted(ours) == ["failed", "failed", "sent"]
