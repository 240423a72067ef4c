"""Keys are kept as hashes, forgotten never, and read back as they were made."""

from __future__ import annotations

from dataclasses import replace

from lifecycle.domain.scope import Scope
from lifecycle.store import keys
from lifecycle.store.database import Database
from lifecycle.store.keys import KeyRow
from lifecycle.store.sql import both
from tests.store.made import day

SHOP = KeyRow(
    id="0123456789ab",
    name="shop",
    secret_hash="ab" * 32,
    scopes=frozenset({Scope.EVENTS_WRITE, Scope.CUSTOMERS_READ}),
    events_per_second=0.5,
    burst=10,
    created_at=day(0),
    created_by="olga",
    expires_at=day(90),
)
CRM = replace(
    SHOP, id="ba9876543210", name="crm", created_at=day(1), events_per_second=None, burst=None,
    expires_at=None,
)  # fmt: skip


def add(db: Database, *rows: KeyRow) -> None:
    for row in rows:
        db.run(lambda tx, row=row: keys.add(tx, row))  # type: ignore[misc]


def made(db: Database) -> list[KeyRow]:
    with db.read() as tx:
        return keys.all_made(tx)


def is_any(db: Database) -> bool:
    with db.read() as tx:
        return keys.is_any(tx)


def test_keys_are_read_back_as_they_were_made_the_oldest_first(db: Database) -> None:
    assert (made(db), is_any(db)) == ([], False)
    add(db, CRM, SHOP)
    assert (made(db), is_any(db)) == ([SHOP, CRM], True)


def test_a_key_that_is_stored_twice_is_stored_once(db: Database) -> None:
    """A commit whose answer was lost makes the whole unit run again."""
    add(db, SHOP, SHOP)
    assert made(db) == [SHOP]


def test_a_revoked_key_stays_with_who_revoked_it_first(db: Database) -> None:
    add(db, SHOP, CRM)
    assert db.run(lambda tx: keys.revoke(tx, SHOP.id, by="olga", at=day(2)))
    assert not db.run(lambda tx: keys.revoke(tx, SHOP.id, by="eve", at=day(3)))
    assert not db.run(lambda tx: keys.revoke(tx, "nobody's", by="eve", at=day(3)))
    assert made(db) == [replace(SHOP, revoked_at=day(2), revoked_by="olga"), CRM]


def test_the_last_use_of_a_key_never_goes_back(db: Database) -> None:
    """Processes note it in any order."""
    add(db, SHOP, CRM)
    for at in (day(2), day(5), day(3)):
        db.run(lambda tx, at=at: keys.note_use(tx, SHOP.id, at))  # type: ignore[misc]
    assert made(db) == [replace(SHOP, last_used_at=day(5)), CRM]


def test_a_key_is_live_until_it_expires_or_is_revoked() -> None:
    assert CRM.is_live(day(10_000))
    assert SHOP.is_live(day(89.99))
    assert not SHOP.is_live(day(90))
    assert not replace(CRM, revoked_at=day(2)).is_live(day(2))


def test_a_scope_of_another_release_opens_nothing(db: Database) -> None:
    add(db, SHOP)
    db.run(lambda tx: tx.run(both("UPDATE api_key SET scopes = 'events:write everything'")))
    assert made(db)[0].scopes == {Scope.EVENTS_WRITE}
