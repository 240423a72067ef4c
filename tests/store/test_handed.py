"""A report finds the letter that it is about, and settles only what nobody knew."""

from __future__ import annotations

from typing import Any

import pytest

from lifecycle.domain.fate import Fate
from lifecycle.store import consents, handed, messages
from lifecycle.store.database import Database
from lifecycle.store.sql import both
from tests.store.made import add, customer, day, message, new

ATTEMPT = both(
    "INSERT INTO send_attempt (message_id, number, letter, channel, address_hash, language, template_hash,"
    " content_hash, began_at, outcome, provider_id) VALUES (?, ?, '', ?, ?, 'en', '', '', ?, ?, ?)"
)


@pytest.fixture
def ann(db: Database) -> int:
    add(db, new("e1"))
    return customer(db)


def stored(db: Database, ann: int, fate: Fate = Fate.SENT) -> int:
    db.run(lambda tx: messages.insert(tx, [message(ann, "event:shop|e1", fate=fate)]))
    with db.read() as tx:
        return messages.of(tx, [ann])[ann][0].row_id


def attempt(
    db: Database, message_id: int, number: int, channel: str, outcome: str | None, **more: str
) -> None:
    hashed, known = more.get("address_hash"), more.get("provider_id")
    db.run(
        lambda tx: tx.run(
            ATTEMPT, message_id, number, channel, hashed, tx.to_db(day(number)), outcome, known
        )
    )


def test_the_last_attempt_that_may_have_left_is_meant(db: Database, ann: int) -> None:
    one = stored(db, ann)
    attempt(db, one, 1, "email", "ambiguous", address_hash="a")
    attempt(db, one, 2, "email", "refused_for_good", address_hash="b")
    attempt(db, one, 3, "sms", None, address_hash="c")
    with db.read() as tx:
        of_any = handed.of_message(tx, one, None)
        by_mail = handed.of_message(tx, one, "email")
        assert handed.of_message(tx, one, "wecom") is None
        assert handed.of_message(tx, one + 1, None) is None
        assert handed.hashes_of_message(tx, one, "email") == {"a", "b"}
    assert of_any is not None
    assert by_mail is not None
    assert (of_any.number, of_any.address_hash, of_any.channel) == (3, "c", "sms")
    assert (by_mail.number, by_mail.address_hash, by_mail.began_at) == (1, "a", day(1))
    assert (by_mail.customer_id, by_mail.rule, by_mail.step) == (ann, "win-back", 1)
    assert by_mail.marketing
    assert by_mail.live


def test_a_provider_s_own_id_finds_it(db: Database, ann: int) -> None:
    one = stored(db, ann)
    attempt(db, one, 1, "sms", "accepted", provider_id="SM1")
    with db.read() as tx:
        found = handed.by_provider_ids(tx, ["SM0", "SM1"], "sms")
        assert handed.by_provider_ids(tx, ["SM1"], "email") is None
        assert handed.by_provider_ids(tx, ["SM2"], None) is None
    assert found is not None
    assert found.message_id == one


@pytest.mark.parametrize("fate", Fate)
def test_only_what_nobody_knew_is_settled(db: Database, ann: int, fate: Fate) -> None:
    one = stored(db, ann, fate)
    changed = db.run(lambda tx: handed.resolve(tx, one, Fate.FAILED, "bounced", day(20), None))
    assert changed is (fate is Fate.UNKNOWN)
    with db.read() as tx:
        row = messages.of(tx, [ann])[ann][0]
    assert row.fate is (Fate.FAILED if changed else fate)


def test_the_ledger_of_consents_is_in_the_order_of_events(db: Database) -> None:
    def consent(id: str, kind: str, at: float, **more: Any) -> None:
        add(db, new(id, type=kind, at=at, purpose="news", channel="email", **more))

    consent("late", "consent_withdrawn", 5)
    consent("first", "consent_given", 1, evidence="form 7")
    add(db, new("order", at=2))
    with db.read() as tx:
        rows = consents.ledger(tx, customer(db))
    assert [(row.id, row.given, row.evidence) for row in rows] == [
        ("first", True, "form 7"),
        ("late", False, None),
    ]
    assert consents.standing(rows) == {"news/email": False}
    assert consents.standing(rows[:1]) == {"news/email": True}


def test_what_came_too_late_stands_in_the_ledger_and_says_nothing(db: Database) -> None:
    given = new("e9", type="consent_given", purpose="news", channel="email")
    add(db, given, too_late=[0])
    with db.read() as tx:
        (row,) = consents.ledger(tx, customer(db))
    assert row.dead == "quarantined"
    assert consents.standing([row]) == {}
