"""What must not be sent just now, by whom it was stopped, and why?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from lifecycle.store.sql import Tx, both

ALL = "all"
REAL = "real"  # every channel by which somebody outside is reached
RULE = "rule:"
CHANNEL = "channel:"
MARKETING = "marketing:"  # a channel by which service messages go on
ALLOWED = "allowed:"  # what had paused itself, and a person has looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """One thing that is not sent until somebody resumes it."""

    scope: str  # all, real, rule:<name>, channel:<name> or marketing:<channel>
    by: str  # a login, or what tripped
    why: str
    since: datetime  # by the engine's clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """Everything that is paused at one moment."""

    everything: bool
    real: bool
    rules: frozenset[str]
    channels: frozenset[str]
    marketing: frozenset[str]  # channels by which no marketing goes
    allowed: dict[str, datetime]  # rule, or marketing:<channel> → since when a person knows of it

    @classmethod
    def of(cls, paused: Iterable[Paused]) -> Pauses:
        rows = list(paused)
        scopes = {row.scope for row in rows}
        return cls(
            everything=ALL in scopes,
            real=REAL in scopes,
            rules=_named(scopes, RULE),
            channels=_named(scopes, CHANNEL),
            marketing=_named(scopes, MARKETING),
            allowed={
                row.scope.removeprefix(ALLOWED): row.since
                for row in rows
                if row.scope.startswith(ALLOWED)
            },
        )


def _named(scopes: Iterable[str], kind: str) -> frozenset[str]:
    return frozenset(scope.removeprefix(kind) for scope in scopes if scope.startswith(kind))


def hold(tx: Tx) -> None:
    """What is read of pauses from now on holds until this transaction ends; claims may do so side by side.

    Without it a claim that had read of a pause could put a message off after a person resumed it, and
    one that had read of none could still take messages after a person had been told that it is paused.
    """
    if tx.dialect == "postgresql":  # a file has one writer
        tx.row(_HOLD, _OURS)


def wait_for_claims(tx: Tx) -> None:
    """Before a person pauses or resumes: every claim under way has ended, and others wait for us."""
    if tx.dialect == "postgresql":
        tx.row(_WAIT, _OURS)


def read(tx: Tx) -> list[Paused]:
    """Everything that is paused, and what was let go on, by scope."""
    return [
        Paused(scope=row[0], by=row[1], why=row[2], since=tx.from_db(row[3]))
        for row in tx.rows(_READ)
    ]


def add(tx: Tx, pause: Paused) -> bool:
    """False, and nothing is changed, where it is paused already."""
    return tx.run(_ADD, pause.scope, pause.by, pause.why, tx.to_db(pause.since)) == 1


def remove(tx: Tx, scope: str) -> bool:
    """False where it was not paused."""
    return tx.run(_REMOVE, scope) == 1


def allow(tx: Tx, what: str, *, by: str, why: str, since: datetime) -> None:
    """A person has looked at what paused itself: what happened until now pauses it no more."""
    remove(tx, f"{ALLOWED}{what}")
    add(tx, Paused(scope=f"{ALLOWED}{what}", by=by, why=why, since=since))


_OURS = 0x7061_7573  # of the advisory lock: "paus"
_HOLD = both("SELECT pg_advisory_xact_lock_shared(?)")
_WAIT = both("SELECT pg_advisory_xact_lock(?)")
_READ = both('SELECT scope, "by", why, since FROM pause ORDER BY scope')
_ADD = both(
    'INSERT INTO pause (scope, "by", why, since) VALUES (?, ?, ?, ?) ON CONFLICT (scope) DO NOTHING'
)
_REMOVE = both("DELETE FROM pause WHERE scope = ?")
