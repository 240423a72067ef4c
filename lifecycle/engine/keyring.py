"""Whose key is this? Answered from memory, which is at most a second old.

So a key that is revoked opens nothing a second later, on every process, and no request costs a
question to the database. All keys are read at once: an unknown one need not be looked for, so
guessing costs the database nothing.
"""

from __future__ import annotations

import hmac
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lifecycle.domain.scope import Scope
from lifecycle.engine.keys import KeyRow, hash_of, id_in
from lifecycle.errors import LifecycleError
from lifecycle.store import keys
from lifecycle.store.database import Database

FRESH_SECONDS = 1.0
USE_NOTED_EVERY = 60.0  # seconds
USE_NOTED_AGAIN_AFTER = 5.0  # seconds, where it could not be


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """On whose behalf a request is answered."""

    key_id: str
    name: str | None  # of the key
    scopes: frozenset[Scope]
    events_per_second: float | None = None  # None: not limited
    burst: int | None = None


NOBODY = Caller(key_id="", name=None, scopes=frozenset())
"""Who shows no key, where none is asked for."""


class Keyring:
    """The keys of one database; `refresh` and `note_use` wait for it, nothing else does."""

    def __init__(self, db: Database, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._monotonic = monotonic
        self._live: Mapping[str, KeyRow] = {}  # by id
        self._read_at = -math.inf
        self._note_after: dict[str, float] = {}  # by id: when a use is worth writing down again
        # Whether a key was ever made; from then on nobody enters without one. None: not known yet.
        self.is_any: bool | None = None

    def is_fresh(self, at: float | None = None) -> bool:
        """For whoever asks now, or asked `at` an earlier moment and has waited since."""
        return (self._monotonic() if at is None else at) - self._read_at < FRESH_SECONDS

    def refresh(self) -> None:
        """Reads all keys again; raises what the database raises, and then nothing has changed."""
        begun = self._monotonic()
        with self._db.read() as tx:
            made = keys.all_made(tx)
            now = self._db.clock(tx)
        self._live = {row.id: row for row in made if row.is_live(now)}
        # Never false again: a database that was put back must not open a server to everybody.
        self.is_any = self.is_any or bool(made)
        self._read_at = begun

    def caller(self, shown: str) -> Caller | None:
        """None for what is no key, and for one that is unknown, has expired or was revoked."""
        id_ = id_in(shown)
        row = None if id_ is None else self._live.get(id_)
        # Compared with nothing where there is none: that takes as long, and matches never.
        known = "" if row is None else row.secret_hash
        if not hmac.compare_digest(hash_of(shown), known) or row is None:
            return None
        return Caller(
            key_id=row.id,
            name=row.name,
            scopes=row.scopes,
            events_per_second=row.events_per_second,
            burst=row.burst,
        )

    def holds(self, caller: Caller) -> bool:
        """Whether the caller may go on: its key is live still, or none is asked for."""
        return caller is NOBODY if self.is_any is False else caller.key_id in self._live

    def is_use_to_note(self, caller: Caller) -> bool:
        """Once a minute and key; whoever is told so calls `note_use`."""
        now = self._monotonic()
        if now < self._note_after.get(caller.key_id, -math.inf):
            return False
        self._note_after[caller.key_id] = now + USE_NOTED_EVERY
        return True

    def note_use(self, caller: Caller) -> None:
        """Raises what the database raises; then a use a few seconds later is to be noted already."""
        try:
            self._db.run(lambda tx: keys.note_use(tx, caller.key_id, self._db.clock(tx)))
        except LifecycleError:
            self._note_after[caller.key_id] = self._monotonic() + USE_NOTED_AGAIN_AFTER
            raise
