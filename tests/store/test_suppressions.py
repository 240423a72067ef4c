"""Addresses that are left alone, in one scope or all, for a while or for good."""

from __future__ import annotations

import pytest

from lifecycle.store import suppressions
from lifecycle.store.database import Database
from lifecycle.store.suppressions import covers
from tests.store.made import day

A, B = "a" * 64, "b" * 64


def scopes(db: Database, at: float, *hashes: str) -> dict[str, frozenset[str]]:
    with db.read() as tx:
        return suppressions.suppressed(tx, hashes, day(at))


def add(db: Database, scope: str, *, at: float = 0, until: float | None = None) -> bool:
    ends = None if until is None else day(until)
    return db.run(lambda tx: suppressions.add(tx, A, scope, "why", day(at), until=ends))


def test_an_address_has_scopes_and_others_have_none(db: Database) -> None:
    assert add(db, "all")
    assert add(db, "list:news")
    assert scopes(db, 1, A, B) == {A: {"all", "list:news"}}


def test_twice_is_once(db: Database) -> None:
    assert add(db, "all", at=1)
    assert not add(db, "all", at=2)
    with db.read() as tx:
        (row,) = suppressions.of(tx, [A])
    assert (row.since, row.until, row.reason) == (day(1), None, "why")


def test_one_for_a_while_ends_by_itself(db: Database) -> None:
    add(db, "all", until=30)
    assert scopes(db, 29.9, A) == {A: {"all"}}
    assert scopes(db, 30, A) == {}


def test_the_longer_one_counts(db: Database) -> None:
    assert add(db, "all", until=30)
    assert not add(db, "all", until=20)
    assert add(db, "all", until=40)
    assert add(db, "all")
    assert not add(db, "all", until=50)
    assert scopes(db, 1000, A) == {A: {"all"}}


def test_a_scope_is_lifted_alone(db: Database) -> None:
    add(db, "all")
    add(db, "list:news")
    assert db.run(lambda tx: suppressions.remove(tx, [A, B], "list:news"))
    assert not db.run(lambda tx: suppressions.remove(tx, [A, B], "list:news"))
    assert scopes(db, 1, A) == {A: {"all"}}


def test_soft_bounces_of_different_messages_are_counted_for_a_fortnight(db: Database) -> None:
    def bounce(message: str, at: float, address: str = A) -> int:
        return db.run(lambda tx: suppressions.note_soft_bounce(tx, address, message, day(at)))

    assert [bounce(f"m{n}", n) for n in range(4)] == [1, 2, 3, 4]
    assert bounce("m3", 4) == 4
    assert bounce("m1", 5, B) == 1
    assert bounce("m4", 14) == 4  # that of day 0 is a fortnight old
    assert bounce("m5", 14.5) == 5


@pytest.mark.parametrize(
    ("scope", "marketing", "news_service", "no_purpose_service"),
    [
        ("all", True, True, True),
        ("marketing", True, False, False),
        ("list:news", True, True, False),
        ("list:survey", False, False, False),
    ],
)
def test_a_scope_covers_its_messages_only(
    scope: str, marketing: bool, news_service: bool, no_purpose_service: bool
) -> None:
    assert covers({scope}, "news", marketing=True) is marketing
    assert covers({scope}, "news", marketing=False) is news_service
    assert covers({scope}, None, marketing=False) is no_purpose_service
    assert not covers(set(), "news", marketing=True)
