"""Which API keys were made, and what became of them? Of a key's text only its hash is here.

Rows are never deleted: that a key was ever made closes the server to whoever has none, for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from lifecycle.domain.scope import Scope
from lifecycle.store.sql import Row, Tx, both, either


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    id: str  # public, and the beginning of the key's text
    name: str  # of who uses it; several keys may share one, while one takes over from the other
    secret_hash: str  # SHA-256 of the key's text, in hexadecimal digits
    scopes: frozenset[Scope]
    events_per_second: float | None  # None: not limited
    burst: int | None  # events at once, where the rate is limited
    created_at: (
        datetime  # this and the other instants are of real time, whatever the engine's clock
    )
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    last_used_at: datetime | None = None  # to the minute

    def is_live(self, now: datetime) -> bool:
        """Whether it opens anything."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def add(tx: Tx, row: KeyRow) -> None:
    """Run twice, as after a commit whose answer was lost, the second changes nothing."""
    tx.run(
        _ADD,
        row.id,
        row.name,
        row.secret_hash,
        " ".join(sorted(row.scopes)),
        row.events_per_second,
        row.burst,
        tx.to_db(row.created_at),
        row.created_by,
        tx.to_db_or_none(row.expires_at),
    )


def all_made(tx: Tx) -> list[KeyRow]:
    """Every key that was ever made, the oldest first."""
    with tx.whole_tables():
        return [_row(tx, row) for row in tx.rows(_ALL)]


def is_any(tx: Tx) -> bool:
    """Whether a key was ever made, whatever became of it."""
    return tx.row(_ANY) is not None


def is_any_of_any_schema(tx: Tx) -> bool:
    """The same where the schema may be older than keys are."""
    return bool(tx.value(_IS_THERE)) and is_any(tx)


def revoke(tx: Tx, id: str, *, by: str, at: datetime) -> bool:
    """False, and nothing is changed, when it had been revoked before or is not there."""
    return tx.run(_REVOKE, tx.to_db(at), by, id) > 0


def note_use(tx: Tx, id: str, at: datetime) -> None:
    """An earlier use than the one that is known changes nothing."""
    tx.run(_USED, tx.to_db(at), id, tx.to_db(at))


def _row(tx: Tx, row: Row) -> KeyRow:
    return KeyRow(
        id=row[0],
        name=row[1],
        secret_hash=row[2],
        scopes=_scopes(row[3].split()),
        events_per_second=row[4],
        burst=row[5],
        created_at=tx.from_db(row[6]),
        created_by=row[7],
        expires_at=tx.from_db_or_none(row[8]),
        revoked_at=tx.from_db_or_none(row[9]),
        revoked_by=row[10],
        last_used_at=tx.from_db_or_none(row[11]),
    )


def _scopes(names: Sequence[str]) -> frozenset[Scope]:
    """A scope that another program has given, and this one does not know, opens nothing here."""
    return frozenset(_SCOPES[name] for name in names if name in _SCOPES)


_SCOPES = {scope.value: scope for scope in Scope}


_ADD = both(
    "INSERT INTO api_key (id, name, secret_hash, scopes, events_per_second, burst, created_at,"
    " created_by, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (id) DO NOTHING"
)
_ALL = both(
    "SELECT id, name, secret_hash, scopes, events_per_second, burst, created_at, created_by,"
    " expires_at, revoked_at, revoked_by, last_used_at FROM api_key ORDER BY created_at, id",
    columns=12,
)
_ANY = both("SELECT 1 FROM api_key LIMIT 1")
_IS_THERE = either(
    sqlite="SELECT count(*) FROM sqlite_master WHERE name = 'api_key'",
    postgresql="SELECT count(*) FROM pg_class WHERE oid = to_regclass('api_key')",
)
_REVOKE = both(
    "UPDATE api_key SET revoked_at = ?, revoked_by = ? WHERE id = ? AND revoked_at IS NULL"
)
_USED = both(
    "UPDATE api_key SET last_used_at = ? WHERE id = ?"
    " AND (last_used_at IS NULL OR last_used_at < ?)"
)
