"""How are API keys made, listed and revoked? Whether one opens a route is asked of `keyring`.

A key's text is `lk_<id>_<secret>`. It is told once, to whoever makes it; kept is its hash, which is
enough to recognise it: 32 random bytes are beyond guessing, so no slow hash is needed.
"""

from __future__ import annotations

import hashlib
import math
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from lifecycle.domain.event import OUR_SOURCE
from lifecycle.domain.scope import Scope
from lifecycle.errors import NotFound, Problem
from lifecycle.intake.native import NAME_LENGTH
from lifecycle.intake.values import identifier
from lifecycle.store import keys
from lifecycle.store.database import Database
from lifecycle.store.keys import KeyRow
from lifecycle.store.sql import Tx

__all__ = [
    "FASTEST",
    "AlreadyRevoked",
    "KeyRow",
    "NewKey",
    "Revoked",
    "create",
    "hash_of",
    "id_in",
    "list_keys",
    "revoke",
]

FASTEST = 1_000_000.0  # events a second that a key may be limited to
LARGEST_BURST = 100_000_000  # events
BURST_SECONDS = 10  # of its rate, that a key may use at once where nobody says otherwise

_TEXT = re.compile(r"lk_(?P<id>[0-9a-f]{12})_[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was just made."""

    text: str = field(repr=False)  # the whole key: nobody can tell it again
    row: KeyRow
    namesakes: tuple[KeyRow, ...]  # live keys of the same name, which it may be taking over from


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """It opens nothing any more, a second from now at the latest."""

    row: KeyRow


@dataclass(frozen=True, slots=True, kw_only=True)
class AlreadyRevoked:
    """The same was asked for before; nothing was changed."""

    row: KeyRow


def id_in(text: str) -> str | None:
    """The public part of what may be a key; None where it cannot be one."""
    found = _TEXT.fullmatch(text)
    return None if found is None else found["id"]


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def create(
    db: Database,
    name: str,
    scopes: Iterable[Scope],
    *,
    by: str,
    events_per_second: float | None = None,
    burst: int | None = None,
    expires_at: datetime | None = None,
) -> NewKey:
    """A new key, at work from now on, on every process within a second.

    `burst` left out is what the rate allows in ten seconds. Raises Problem.
    """
    named = _name(name)
    id_ = secrets.token_hex(6)
    text = f"lk_{id_}_{secrets.token_hex(32)}"

    def unit(tx: Tx) -> NewKey:
        now = db.clock(tx)
        if expires_at is not None and expires_at <= now:
            raise _expired_already(expires_at, now)
        row = KeyRow(
            id=id_,
            name=named,
            secret_hash=hash_of(text),
            scopes=frozenset(scopes),
            events_per_second=_rate(events_per_second),
            burst=_burst(events_per_second, burst),
            created_at=now,
            created_by=by,
            expires_at=expires_at,
        )
        others = [key for key in keys.all_made(tx) if key.name == named and key.is_live(now)]
        keys.add(tx, row)
        return NewKey(text=text, row=row, namesakes=tuple(key for key in others if key.id != id_))

    return db.run(unit)


def list_keys(db: Database) -> list[KeyRow]:
    """Every key that was ever made, the oldest first."""
    with db.read() as tx:
        return keys.all_made(tx)


def revoke(db: Database, named: str, *, by: str) -> Revoked | AlreadyRevoked:
    """`named` is a key's name, where one key that is not revoked has it; its id; or its text.

    Run twice, the second answers `AlreadyRevoked`. Raises NotFound, and Problem where a name could
    mean several keys.
    """

    def unit(tx: Tx) -> Revoked | AlreadyRevoked:
        row = _meant(keys.all_made(tx), named)
        now = db.clock(tx)
        if not keys.revoke(tx, row.id, by=by, at=now):
            return AlreadyRevoked(row=row)
        return Revoked(row=replace(row, revoked_at=now, revoked_by=by))

    return db.run(unit)


def _meant(made: Sequence[KeyRow], named: str) -> KeyRow:
    """Of the keys of one name the last, where all of them are revoked."""
    id_ = id_in(named) or named.removeprefix("lk_")
    for row in made:
        if row.id == id_:
            return row
    called = [row for row in made if row.name == named]
    if not called:
        raise NotFound("no key has this name or id: see `lifecycle key list`")
    valid = [row for row in called if row.revoked_at is None]
    if len(valid) > 1:
        raise Problem(
            "key_ambiguous",
            f"{len(valid)} keys are called {named}; nothing was changed",
            got=named,
            expected=f"one of the ids {', '.join(row.id for row in valid)}",
        )
    return valid[0] if valid else called[-1]


def _name(given: str) -> str:
    """Events that name no source get it as theirs, so it is held to the same rules."""
    name = identifier(given, code="key_name", what="the name", longest=NAME_LENGTH, spaces=False)
    if name == OUR_SOURCE:
        raise Problem(
            "key_name_format", f'"{name}" is the engine\'s own', got=name, expected="another name"
        )
    return name


def _rate(events_per_second: float | None) -> float | None:
    if events_per_second is None or 0 < events_per_second <= FASTEST:
        return events_per_second
    raise Problem(
        "key_rate",
        "a key cannot be limited to that",
        got=f"{events_per_second:g} events a second",
        expected=f"more than 0 and at most {FASTEST:,.0f} events a second",
    )


def _burst(events_per_second: float | None, burst: int | None) -> int | None:
    if events_per_second is None:
        if burst is None:
            return None
        raise Problem("key_burst", "a burst says how far a rate may be exceeded; name the rate too")
    if burst is None:
        return max(1, math.ceil(BURST_SECONDS * events_per_second))
    if 1 <= burst <= LARGEST_BURST:
        return burst
    raise Problem(
        "key_burst",
        "a key cannot have such a burst",
        got=f"{burst} events",
        expected=f"1 to {LARGEST_BURST:,} events",
    )


def _expired_already(expires_at: datetime, now: datetime) -> Problem:
    return Problem(
        "key_expires",
        "the key would have expired already",
        got=f"{expires_at:%Y-%m-%dT%H:%M:%SZ}",
        expected=f"an instant after {now:%Y-%m-%dT%H:%M:%SZ}",
    )
