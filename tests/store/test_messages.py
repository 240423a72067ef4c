"""What was planned is kept once a key, with a fate that changes and a plan that does not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lifecycle.domain.fate import Fate
from lifecycle.store import messages
from lifecycle.store.database import Database
from lifecycle.store.messages import MessageRow
from tests.store.made import add, customer, day, message, new


@pytest.fixture
def ann(db: Database) -> int:
    add(db, new("1", "ann"), new("2", "bob"))
    return customer(db, "ann")


def inserted(db: Database, *rows: MessageRow) -> list[MessageRow]:
    db.run(lambda tx: messages.insert(tx, rows))
    with db.read() as tx:
        found = messages.of(tx, {row.customer_id for row in rows})
    return [row for each in found.values() for row in each]


def fates(db: Database, customer_id: int) -> dict[str, Fate]:
    with db.read() as tx:
        return {row.message.cause: row.fate for row in messages.of(tx, [customer_id])[customer_id]}


def test_a_message_comes_back_as_it_was_planned(db: Database, ann: int) -> None:
    given = message(ann, "check:quiet@2026-03-02T00:00:00Z#1", reason="因为", fate=Fate.SUPPRESSED)

    [row] = inserted(db, given)

    assert row == given._replace(row_id=row.row_id)


def test_a_message_without_end_and_one_that_was_sent(db: Database, ann: int) -> None:
    endless = message(ann, "a", expires=None, live=False, fate=Fate.CANCELLED)
    sent = message(ann, "b", fate=Fate.SENT, sent=11)

    rows = inserted(db, endless, sent)

    assert [row._replace(row_id=0) for row in rows] == [endless, sent]


def test_messages_are_in_the_order_of_their_instants(db: Database, ann: int) -> None:
    rows = inserted(
        db,
        message(ann, "c", planned=3),
        message(ann, "a", planned=9),
        message(ann, "b", planned=3, rule="care"),
        message(ann, "b", planned=3, rule="care", number=2),
    )
    assert [(row.message.cause, row.message.number) for row in rows] == [
        ("b", 1),
        ("b", 2),
        ("c", 1),
        ("a", 1),
    ]


@pytest.mark.parametrize(
    "other",
    [{"rule": "care"}, {"number": 2}, {"cause": "other"}],
    ids=lambda each: next(iter(each)),
)
def test_the_key_is_rule_cause_and_number(
    db: Database, ann: int, other: dict[str, str | int]
) -> None:
    """One of each for a customer: the database refuses the second, and takes what differs."""
    inserted(db, message(ann, "a"))

    with pytest.raises(Exception, match=r"(?i)unique"):
        inserted(db, message(ann, "a", planned=99))
    rows = inserted(db, message(ann, **{"cause": "a", **other}))  # type: ignore[arg-type]
    assert len(rows) == 2


def test_all_but_the_key_may_change(db: Database, ann: int) -> None:
    """Its fate most often; the plan when the same cause plans it anew under another policy."""
    [row, other] = inserted(db, message(ann, "a"), message(ann, "b"))
    changed = row._replace(
        message=row.message._replace(
            planned_at=day(5),
            expires_at=None,
            settle=timedelta(seconds=0.25),
            channels=("post",),
            version=2,
        ),
        live=False,
        fate=Fate.OVERTAKEN,
        reason="superseded",
        fate_at=day(20),
        not_before=day(21),
        sent_at=day(19),
    )
    renamed = changed._replace(
        customer_id=999, message=changed.message._replace(rule="x", cause="z", number=7)
    )

    db.run(lambda tx: messages.update(tx, [renamed]))

    with db.read() as tx:
        assert messages.of(tx, [ann])[ann] == [changed, other]


def test_the_queued_expire_when_their_instant_has_come(db: Database, ann: int) -> None:
    """At the instant itself; messages without end, or with another fate, never."""
    inserted(
        db,
        message(ann, "before", expires=16.9),
        message(ann, "at", expires=17),
        message(ann, "after", expires=17.1),
        message(ann, "endless", expires=None),
        message(ann, "sent", expires=1, fate=Fate.SENT),
        message(ann, "cancelled", expires=1, fate=Fate.CANCELLED),
    )

    assert len(db.run(lambda tx: messages.expire(tx, day(17)))) == 2
    assert db.run(lambda tx: messages.expire(tx, day(17))) == []

    assert fates(db, ann) == {
        "before": Fate.EXPIRED,
        "at": Fate.EXPIRED,
        "after": Fate.QUEUED,
        "endless": Fate.QUEUED,
        "sent": Fate.SENT,
        "cancelled": Fate.CANCELLED,
    }
    with db.read() as tx:
        expired = [row for row in messages.of(tx, [ann])[ann] if row.fate is Fate.EXPIRED]
    assert {row.fate_at for row in expired} == {day(17)}


def test_expiring_goes_in_portions_the_oldest_first(db: Database, ann: int) -> None:
    inserted(db, *(message(ann, f"{n}", expires=n) for n in range(5)))

    gone = db.run(lambda tx: messages.expire(tx, day(9), limit=3))
    assert [one.cause for one in gone] == ["0", "1", "2"]

    assert [cause for cause, fate in fates(db, ann).items() if fate is Fate.QUEUED] == ["3", "4"]


def test_the_last_sending_that_was_overtaken(db: Database, ann: int) -> None:
    """By customer and rule, whatever else was sent."""
    bob = customer(db, "bob")
    inserted(
        db,
        message(ann, "a", fate=Fate.OVERTAKEN, sent=1, live=False),
        message(ann, "b", fate=Fate.OVERTAKEN, sent=5, live=False),
        message(ann, "c", fate=Fate.SENT, sent=9),
        message(ann, "a", rule="care", fate=Fate.OVERTAKEN, sent=3, live=False),
        message(bob, "a", fate=Fate.QUEUED),
    )

    with db.read() as tx:
        assert messages.overtaken(tx, [ann, bob]) == {
            (ann, "win-back"): day(5),
            (ann, "care"): day(3),
        }


def test_counts_by_rule_and_fate(db: Database, ann: int) -> None:
    inserted(
        db,
        message(ann, "a"),
        message(ann, "b"),
        message(ann, "c", fate=Fate.WITHHELD),
        message(ann, "a", rule="care"),
    )

    with db.read() as tx:
        assert messages.count_by_rule_and_fate(tx) == {
            ("win-back", Fate.QUEUED): 2,
            ("win-back", Fate.WITHHELD): 1,
            ("care", Fate.QUEUED): 1,
        }


def test_every_fate_says_who_moves_a_message_out_of_it() -> None:
    """The names are contract: they are stored, shown and filtered by."""
    assert {fate.value for fate in Fate} == {
        "queued",
        "deferred",
        "claimed",
        "in_flight",
        "withheld",
        "expired",
        "cancelled",
        "suppressed",
        "held_out",
        "sent",
        "failed",
        "unknown",
        "overtaken",
    }
