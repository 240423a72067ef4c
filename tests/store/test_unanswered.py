"""Changes that are sent one behind the other, and waited for together."""

from __future__ import annotations

import sqlite3

import psycopg
import pytest

from lifecycle.store.database import Database
from lifecycle.store.sql import Tx, both, bulk
from tests.store.made import day

_ADD = both("INSERT INTO customer (key, state, created_at) VALUES (?, 'potential', ?)")
_MOVE = bulk(
    "key text, state text",
    "UPDATE customer SET state = r.state FROM [rows] WHERE customer.key = r.key",
)
_COUNT = both("SELECT count(*) FROM customer")
_STATES = both("SELECT key, state FROM customer ORDER BY key", columns=2)


def add(tx: Tx, key: str) -> None:
    tx.run(_ADD, key, tx.to_db(day(1)))


def counted(db: Database) -> int:
    with db.read() as tx:
        count: int = tx.value(_COUNT)
        return count


def test_they_are_done_in_their_order_and_what_follows_sees_them(db: Database) -> None:
    def unit(tx: Tx) -> list[tuple[str, str]]:
        with tx.unanswered():
            add(tx, "ann")
            add(tx, "ben")
            tx.bulk(_MOVE, [("ann", "deal"), ("ben", "loyal")])
            tx.bulk(_MOVE, [("ben", "dormant")])
        return [tuple(row) for row in tx.rows(_STATES)]

    assert db.run(unit) == [("ann", "deal"), ("ben", "dormant")]
    assert counted(db) == 2


def test_where_one_fails_none_is_done_and_the_first_error_is_told(db: Database) -> None:
    def unit(tx: Tx) -> None:
        add(tx, "ann")
        with tx.unanswered():
            add(tx, "ben")
            add(tx, "ann")
            add(tx, "cleo")

    with pytest.raises((psycopg.errors.UniqueViolation, sqlite3.IntegrityError)):
        db.run(unit)
    assert counted(db) == 0
    db.run(lambda tx: add(tx, "ann"))  # the connection is as good as before
    assert counted(db) == 1


def test_nothing_can_be_asked_meanwhile(db: Database) -> None:
    """There would be an answer, and the wait for it is what the block is to save."""

    def unit(tx: Tx) -> None:
        with tx.unanswered():
            tx.value(_COUNT)

    with pytest.raises(AssertionError):
        db.run(unit)
    assert counted(db) == 0


@pytest.mark.postgres
def test_what_is_worth_another_try_is_tried_again(postgres_db: Database) -> None:
    """A deadlock, say, of which the first change of the block hears only at its end."""
    tries = []

    def unit(tx: Tx) -> None:
        tries.append(tx)
        with tx.unanswered():
            add(tx, "ann")
            if len(tries) < 3:
                tx.run(both("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$"))
            add(tx, "ben")

    postgres_db.run(unit)
    assert len(tries) == 3
    assert counted(postgres_db) == 2


@pytest.mark.postgres
def test_a_connection_that_is_lost_meanwhile_is_replaced(postgres_db: Database) -> None:
    tries = []

    def unit(tx: Tx) -> None:
        tries.append(tx)
        with tx.unanswered():
            add(tx, "ann")
            if len(tries) == 1:
                tx.run(both("SELECT pg_terminate_backend(pg_backend_pid())"))
            add(tx, "ben")

    postgres_db.run(unit)
    assert len(tries) == 2
    assert counted(postgres_db) == 2
