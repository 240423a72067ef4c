"""Answers under the keys of their senders: kept with what they answer for, and until they expire."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lifecycle.store import idempotency
from lifecycle.store.database import Database
from lifecycle.store.idempotency import Answer, Name
from lifecycle.store.sql import Tx
from tests.store.made import day

ROUTE = "POST /v1/events"
ONE = Name("0123456789ab", ROUTE, "order-1")
ANSWER = Answer(
    "ab" * 32, 200, '{"accepted":1,"results":[{"id":"a\\"\\\\b\\u0000","source":"商店"}]}'
)


def keep(db: Database, answers: dict[Name, Answer], expires: float = 1) -> None:
    db.run(lambda tx: idempotency.keep(tx, answers, day(expires)))


def find(db: Database, *names: Name, at: float = 0) -> dict[Name, Answer]:
    with db.read() as tx:
        return idempotency.find(tx, names, day(at))


def forget(db: Database, before: float, limit: int = 1000) -> int:
    return db.run(lambda tx: idempotency.forget(tx, day(before), limit))


def test_an_answer_is_read_back_to_the_byte(db: Database) -> None:
    """Whatever is in it; asked for nothing, the database is not asked."""
    quoted = Name("", ROUTE, "'\"\\{,}[] ~")
    keep(db, {ONE: ANSWER, quoted: ANSWER._replace(body="", status=299)})
    assert find(db, ONE, quoted) == {ONE: ANSWER, quoted: ANSWER._replace(body="", status=299)}
    assert find(db) == {}


@pytest.mark.parametrize("part", Name._fields)
def test_another_sender_route_or_key_has_another_answer(db: Database, part: str) -> None:
    other = ONE._replace(**{part: "other"})
    keep(db, {ONE: ANSWER})
    assert find(db, other) == {}
    keep(db, {other: ANSWER._replace(status=201)})
    assert find(db, ONE, other) == {ONE: ANSWER, other: ANSWER._replace(status=201)}


def test_what_has_expired_is_not_found_and_makes_room(db: Database) -> None:
    keep(db, {ONE: ANSWER}, expires=1)
    assert find(db, ONE, at=0.99) == {ONE: ANSWER}
    assert find(db, ONE, at=1) == {}
    later = ANSWER._replace(request_sha256="cd" * 32, body="{}")
    keep(db, {ONE: later}, expires=2)
    assert find(db, ONE, at=1) == {ONE: later}


def test_what_has_expired_is_forgotten_a_portion_at_a_time(db: Database) -> None:
    """And what is valid still stays."""
    names = [ONE._replace(key=str(number)) for number in range(5)]
    for number, name in enumerate(names):
        keep(db, {name: ANSWER}, expires=number)
    assert [forget(db, 3, limit=2) for _ in range(3)] == [2, 1, 0]
    assert set(find(db, *names, at=-1)) == set(names[3:])


def test_a_transaction_that_fails_keeps_nothing(db: Database) -> None:
    def unit(tx: Tx) -> None:
        idempotency.keep(tx, {ONE: ANSWER}, day(1))
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        db.run(unit)
    assert find(db, ONE) == {}


def test_one_transaction_at_a_time_has_a_name_in_hand(postgres_db: Database) -> None:
    """Others are told at once, and have it when that one has ended, however it ends."""
    other = ONE._replace(key="other")
    with postgres_db.write() as first, postgres_db.write() as second:
        assert idempotency.lock(first, [ONE]) == {ONE}
        assert idempotency.lock(second, [ONE, other]) == {other}

    def fails(tx: Tx) -> None:
        assert idempotency.lock(tx, [ONE, other]) == {ONE, other}
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        postgres_db.run(fails)
    with postgres_db.write() as tx:
        assert idempotency.lock(tx, [ONE, other]) == {ONE, other}


def test_where_one_writes_at_a_time_every_name_is_free(db: Database) -> None:
    with db.write() as tx:
        assert idempotency.lock(tx, [ONE]) == {ONE}


def test_what_is_kept_is_there_for_whoever_has_the_name_next(postgres_db: Database) -> None:
    """Asked in a later statement than the one that took the name in hand."""
    with postgres_db.write() as waiting:
        idempotency.lock(
            waiting, [ONE._replace(key="other")]
        )  # its snapshot is not the transaction's
        with postgres_db.write() as tx:
            idempotency.lock(tx, [ONE])
            idempotency.keep(tx, {ONE: ANSWER}, day(1))
        assert idempotency.lock(waiting, [ONE]) == {ONE}
        assert idempotency.find(waiting, [ONE], day(0)) == {ONE: ANSWER}


def test_a_name_that_is_kept_again_at_its_end_is_not_forgotten(postgres_db: Database) -> None:
    """The one who clears up passes over what somebody is about to replace."""
    keep(postgres_db, {ONE: ANSWER}, expires=1)
    with postgres_db.write() as tx:
        idempotency.keep(tx, {ONE: ANSWER}, day(2) + timedelta(hours=1))
        assert forget(postgres_db, 2) == 0
    assert find(postgres_db, ONE, at=2) == {ONE: ANSWER}
