"""Keys: made once, told once, revoked by name or id, and recognised from memory a second old."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NoReturn

import pytest

from lifecycle.domain.scope import Scope
from lifecycle.engine import keys
from lifecycle.engine.keyring import NOBODY, Caller, Keyring
from lifecycle.engine.keys import AlreadyRevoked, NewKey, Revoked
from lifecycle.errors import NotFound, Problem, Unavailable
from lifecycle.store.database import Database
from lifecycle.store.keys import KeyRow
from lifecycle.store.sql import Tx, both

DUMP = both("SELECT id, name, secret_hash, scopes, created_by, revoked_by FROM api_key", columns=6)


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    with closing(Database.open(database_url)) as opened:
        yield opened


class Time:
    """Passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def create(db: Database, name: str = "shop", **more: object) -> NewKey:
    return keys.create(db, name, [Scope.EVENTS_WRITE], by="olga", **more)  # type: ignore[arg-type]


def row_of(db: Database, key: NewKey) -> KeyRow:
    return next(row for row in keys.list_keys(db) if row.id == key.row.id)


def opens(ring: Keyring, key: NewKey) -> bool:
    return ring.caller(key.text) is not None


# -- making and revoking


def test_a_key_is_told_once_and_kept_as_a_hash(db: Database) -> None:
    """Neither the database nor what is printed of it by accident holds the key."""
    made = create(db)
    assert keys.id_in(made.text) == made.row.id
    with db.read() as tx:
        kept = str(tx.rows(DUMP))
    secret = made.text.rpartition("_")[2]
    assert made.row.secret_hash in kept
    for told in (kept, repr(made), str(made), repr(made.row)):
        assert secret not in told
    assert made.text != create(db).text


def test_a_key_that_takes_over_tells_of_the_one_before(db: Database) -> None:
    """Only of those that still open something."""
    first, revoked = create(db), create(db)
    keys.revoke(db, revoked.row.id, by="olga")
    create(db, "crm")
    assert create(db).namesakes == (first.row,)


def test_a_rate_brings_a_burst_of_ten_seconds(db: Database) -> None:
    assert create(db).row.burst is None
    assert create(db, events_per_second=12.5).row.burst == 125
    assert create(db, events_per_second=0.01).row.burst == 1
    assert create(db, events_per_second=0.01, burst=7).row.burst == 7


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"name": ""}, "key_name_required"),
        ({"name": "a shop"}, "key_name_format"),
        ({"name": "x" * 101}, "key_name_format"),
        ({"name": "lifecycle"}, "key_name_format"),
        ({"events_per_second": 0}, "key_rate"),
        ({"events_per_second": 1e7}, "key_rate"),
        ({"events_per_second": 1, "burst": 0}, "key_burst"),
        ({"events_per_second": 1, "burst": 10**9}, "key_burst"),
        ({"burst": 5}, "key_burst"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(
    db: Database, given: dict[str, object], code: str
) -> None:
    with pytest.raises(Problem) as raised:
        create(db, **{"name": "shop", **given})  # type: ignore[arg-type]
    assert raised.value.code == code
    assert keys.list_keys(db) == []


def test_a_key_that_has_expired_already_is_refused(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with db.read() as tx:
        now = db.clock(tx)
    monkeypatch.setattr(db, "clock", lambda _: now)
    with pytest.raises(Problem, match="expired already"):
        create(db, expires_at=now)
    assert keys.list_keys(db) == []


def test_a_burst_that_nobody_chose_is_whole_events_and_one_at_least(db: Database) -> None:
    for rate, burst in ((0.25, 3), (0.01, 1), (5.0, 50)):
        assert create(db, events_per_second=rate).row.burst == burst


@pytest.mark.parametrize("by", ["name", "id", "beginning", "text"])
def test_a_key_is_revoked_by_whatever_names_it(db: Database, by: str) -> None:
    made, other = create(db), create(db, "crm")
    named = {
        "name": "shop",
        "id": made.row.id,
        "beginning": f"lk_{made.row.id}",
        "text": made.text,
    }[by]
    done = keys.revoke(db, named, by="eve")
    assert isinstance(done, Revoked)
    assert done.row == row_of(db, made)
    assert (done.row.revoked_by, row_of(db, other).revoked_at) == ("eve", None)
    assert keys.revoke(db, named, by="zoe") == AlreadyRevoked(row=done.row)


def test_a_name_of_several_keys_revokes_none_of_them(db: Database) -> None:
    """It could be the wrong one; once one is revoked the name means the other."""
    one, another = create(db), create(db)
    with pytest.raises(Problem) as raised:
        keys.revoke(db, "shop", by="eve")
    assert raised.value.expected is not None
    assert one.row.id in raised.value.expected
    assert all(row.revoked_at is None for row in keys.list_keys(db))
    keys.revoke(db, one.row.id, by="eve")
    done = keys.revoke(db, "shop", by="eve")
    assert done.row.id == another.row.id


def test_a_name_that_no_key_has_is_told_without_it(db: Database) -> None:
    """It may be a key that somebody mistook for a name."""
    with pytest.raises(NotFound) as raised:
        keys.revoke(db, "shop", by="eve")
    assert "shop" not in str(raised.value)


# -- recognising


def test_a_key_is_recognised_with_all_that_it_may(db: Database) -> None:
    made = create(db, events_per_second=5.0)
    ring = Keyring(db)
    ring.refresh()
    assert ring.caller(made.text) == Caller(
        key_id=made.row.id,
        name="shop",
        scopes=frozenset({Scope.EVENTS_WRITE}),
        events_per_second=5.0,
        burst=50,
    )


def test_what_differs_from_a_key_in_anything_opens_nothing(db: Database) -> None:
    made, other = create(db), create(db)
    ring = Keyring(db)
    ring.refresh()
    prefix, id_, secret = made.text.split("_")
    wrong = "0" if secret[-1] != "0" else "1"
    for shown in (
        "",
        "lk",
        made.text.upper(),
        made.text + " ",
        made.text[:-1],
        made.text[:-1] + wrong,
        f"{prefix}_{other.row.id}_{secret}",
        f"{prefix}_{id_}_",
        f"{prefix}_{id_}_{made.row.secret_hash}",
        made.row.secret_hash,
    ):
        assert ring.caller(shown) is None
    assert opens(ring, made)


def test_a_revoked_key_opens_for_a_second_at_most(db: Database) -> None:
    """Until then no request asks the database; after it, one does for all."""
    time = Time()
    made = create(db)
    ring = Keyring(db, monotonic=time)
    assert not ring.is_fresh()
    ring.refresh()
    keys.revoke(db, made.row.id, by="olga")
    time.now += 0.999
    assert ring.is_fresh()
    assert opens(ring, made)
    time.now += 0.001
    assert not ring.is_fresh()
    ring.refresh()
    assert ring.is_fresh()
    assert not opens(ring, made)


def test_a_second_is_counted_from_the_beginning_of_the_reading(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is revoked while a slow database answers may not be in its answer."""
    time = Time()
    ring = Keyring(db, monotonic=time)
    read = db.clock

    def slow(tx: Tx) -> datetime:
        time.now += 5
        return read(tx)

    monkeypatch.setattr(db, "clock", slow)
    ring.refresh()
    assert not ring.is_fresh()


def test_a_key_opens_nothing_from_the_instant_at_which_it_expires(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with db.read() as tx:
        now = db.clock(tx)
    made = create(db, expires_at=now + timedelta(days=1))
    ring = Keyring(db)
    ring.refresh()
    assert opens(ring, made)
    monkeypatch.setattr(db, "clock", lambda _: now + timedelta(days=1))
    ring.refresh()
    assert not opens(ring, made)


def test_whoever_has_no_key_may_go_on_until_a_first_one_is_made(db: Database) -> None:
    ring = Keyring(db)
    ring.refresh()
    assert (ring.is_any, ring.holds(NOBODY)) == (False, True)
    made = create(db)
    ring.refresh()
    caller = ring.caller(made.text)
    assert caller is not None
    assert (ring.is_any, ring.holds(NOBODY), ring.holds(caller)) == (True, False, True)
    keys.revoke(db, made.row.id, by="olga")
    ring.refresh()
    assert (ring.is_any, ring.holds(NOBODY), ring.holds(caller)) == (True, False, False)


def test_a_database_that_was_put_back_opens_to_nobody(db: Database) -> None:
    """A process that has seen a key asks for one until it ends."""
    create(db)
    ring = Keyring(db)
    ring.refresh()
    db.run(lambda tx: tx.run(both("DELETE FROM api_key")))
    ring.refresh()
    assert (ring.is_any, ring.holds(NOBODY)) == (True, False)


def test_a_use_that_could_not_be_written_down_is_noted_some_seconds_later(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a minute later, and not with every request while the database is away."""
    time = Time()
    made = create(db)
    ring = Keyring(db, monotonic=time)
    ring.refresh()
    caller = ring.caller(made.text)
    assert caller is not None

    def away(*_: object) -> NoReturn:
        raise Unavailable("the database does not answer")

    assert ring.is_use_to_note(caller)
    with monkeypatch.context() as failing:
        failing.setattr("lifecycle.store.keys.note_use", away)
        with pytest.raises(Unavailable):
            ring.note_use(caller)
    assert not ring.is_use_to_note(caller)
    time.now += 5
    assert ring.is_use_to_note(caller)
    ring.note_use(caller)
    assert row_of(db, made).last_used_at is not None
    time.now += 59.9
    assert not ring.is_use_to_note(caller)


def test_the_use_of_a_key_is_noted_once_a_minute(db: Database) -> None:
    """So that last-used costs a write a minute, and not one a request."""
    time = Time()
    made, other = create(db), create(db, "crm")
    ring = Keyring(db, monotonic=time)
    ring.refresh()
    caller, another = ring.caller(made.text), ring.caller(other.text)
    assert caller is not None
    assert another is not None
    assert ring.is_use_to_note(caller)
    ring.note_use(caller)
    assert row_of(db, made).last_used_at is not None
    time.now += 59.9
    assert not ring.is_use_to_note(caller)
    assert ring.is_use_to_note(another)
    time.now += 0.1
    assert ring.is_use_to_note(caller)
    assert replace(row_of(db, other), last_used_at=None) == other.row
